"""What `dyadbench run` says of its cells: a line each, then the failures again, and what to do next."""

from __future__ import annotations

import shlex
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from dyadbench.api import DyadbenchError
from dyadbench.cli.common import find_root, print_json, write_log
from dyadbench.registry.host import Host


class Tally:
    """Outcomes as they are shown: a line each, the failures again, and what to do next; or JSON at the end."""

    def __init__(self, host: Host, base: Path, home: Path, total: int, json: bool):
        self.host, self.base, self.home, self.total, self.json = host, base, home, total, json
        self.outcomes: list[dict[str, Any]] = []
        self.failures: list[str] = []
        self.rows: dict[str, dict[str, None]] = {}  # benchmark -> its rows, in order
        self._columns: dict[str, list[str]] = {}
        self.limited = False
        self.undrawn = 0  # failures that cost pictures alone
        self.started = time.monotonic()

    def take(self, cell: Any, outcome: Any) -> None:
        from dyadbench.cell.draw import NoPictures
        from dyadbench.cli.screen import show_cell
        from dyadbench.records.record import record_path

        self.limited |= bool(cell.limit)
        if isinstance(outcome, Exception):
            self.failures.append(_failure(cell, outcome, self.home))
            self.undrawn += isinstance(outcome, NoPictures)
            print(f"FAILED {self.failures[-1]}", file=sys.stderr, flush=True)
            self.outcomes.append({"cell": cell.name, "error": str(outcome)})
            return
        path = record_path(self.base / "leaderboards", outcome)
        scores = {
            suite: {name: score.value for name, score in result.scores.items()}
            for suite, result in outcome.suites.items()
        }
        self.outcomes.append({"cell": cell.name, "record": str(path), "key": outcome.key, "scores": scores})
        if not self.json:
            place = f"[{len(self.outcomes)}/{self.total}]"
            suite = cell.setting.suite
            headline = {name: scores[suite].get(name) for name in self._headline(suite)}
            show_cell(place, cell.name, headline, time.monotonic() - self.started)
        self.rows.setdefault(cell.benchmark, {})[cell.method] = None

    def _headline(self, suite: str) -> list[str]:
        """The columns that a line shows, in the suite's order: what the store gives back has another one."""
        if suite not in self._columns:
            columns = self.host.build("suite", suite, {}).columns
            ranked = [column.id for column in columns if column.ranked]
            self._columns[suite] = ranked or [column.id for column in columns]
        return self._columns[suite]

    def finish(self) -> int:
        if self.json:
            print_json(self.outcomes)
            return 1 if self.failures else 0
        if self.failures and self.total > 1:
            print(f"{len(self.failures)} of {self.total} cells failed:", file=sys.stderr)
            for failure in self.failures:
                print(f"  {failure}", file=sys.stderr, flush=True)
        place = self.base / "leaderboards" / ("limited" if self.limited else "records")
        rank = "; measured on a part of the data (--limit), they rank nowhere" if self.limited else ""
        print(f"{self.total - len(self.failures) + self.undrawn} of {self.total} cells recorded in {place}{rank}")
        if not self.limited:
            for line in self._next():
                print(line)
        return 1 if self.failures else 0

    def _next(self) -> list[str]:
        """Commands that show what was measured."""
        root = "" if self.base == find_root(None) else f" --root {shlex.quote(str(self.base))}"
        lines = []
        for benchmark, rows in self.rows.items():
            lines.append(f"next: dyadbench leaderboard -b {shlex.quote(benchmark)}{root}")
            if len(rows) > 1:
                two = " ".join(shlex.quote(row) for row in list(rows)[:2])
                lines.append(f"      dyadbench compare {two} -b {shlex.quote(benchmark)}{root}")
        return lines[:4]


def _failure(cell: Any, error: BaseException, home: Path) -> str:
    """The cell and what went wrong in one sentence; the traceback goes to the cell's log, where one can be written."""
    text = str(error) if isinstance(error, DyadbenchError) else f"{type(error).__name__}: {error}"
    if not isinstance(error, DyadbenchError) or error.__cause__ is not None:
        name = cell.name.replace(" / ", "--").replace(" ", "")
        if log := write_log(home, name, "".join(traceback.format_exception(error))):
            text += f" (traceback in {log})"
    return f"{cell.name}: {text}"
