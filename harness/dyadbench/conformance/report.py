"""The result of `dyadbench check`: one line per promise of the contract."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from dyadbench.api import DyadbenchError
from dyadbench.errors import one_line, place_of

MOST = 400  # characters of what somebody else's error says


@dataclass(frozen=True)
class Item:
    what: str
    ok: bool
    detail: str = ""
    refusal: bool = False  # the component said that this kind of dataset is not for it, so nothing was checked


@dataclass
class Report:
    name: str
    items: list[Item] = field(default_factory=list)
    tracebacks: list[str] = field(default_factory=list)  # of what was raised and is no sentence of ours

    @property
    def ok(self) -> bool:
        return all(item.ok for item in self.items)

    def as_dict(self) -> dict[str, Any]:
        return {"name": self.name, "ok": self.ok, "checks": [dataclasses.asdict(item) for item in self.items]}

    def note(self, what: str, test: Callable[[], str | None]) -> bool:
        """Runs `test`; None or text is success (the text is shown), an AssertionError or anything else is not."""
        try:
            with contextlib.redirect_stdout(sys.stderr):  # whatever the method prints; stdout is the report's
                self.items.append(Item(what, True, test() or ""))
        except (AssertionError, DyadbenchError) as error:  # a sentence of ours
            self.items.append(
                Item(what, False, one_line(str(error), MOST) or f"an assertion failed ({place_of(error)})")
            )
            if error.__cause__ is not None:
                self.tracebacks.append("".join(traceback.format_exception(error)))
        except (Exception, SystemExit) as error:
            self.tracebacks.append("".join(traceback.format_exception(error)))
            self.items.append(
                Item(what, False, f"{type(error).__name__}: {one_line(str(error), MOST)} ({place_of(error)})")
            )
        return self.items[-1].ok
