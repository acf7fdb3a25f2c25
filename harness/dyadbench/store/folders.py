"""Keyed folders: where stages leave what they made, and how a killed run finds it again.

A stage lives in `<root>/<stage>/<first two hex>/<key>/` and is complete only when its DONE file, written last,
holds the key. A claim on the folder lets several processes and machines share one store; it goes when its holder does.
"""

from __future__ import annotations

import importlib.metadata
import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import Timeout

from dyadbench.api import DyadbenchError
from dyadbench.files.atomic import WEATHER, atomic_write
from dyadbench.store.lock import CLAIM, LOCK, hold, read_holder

DONE, MAKER = "DONE", "maker.json"
FORMAT = (
    "dyadbench-store/1"  # of the folders, in the store's FORMAT file; raised when older programs could misread them
)


class Busy(DyadbenchError):
    """Somebody else holds the stage."""


@dataclass(frozen=True)
class Folder:
    """One stage's folder."""

    key: str
    folder: Path

    @property
    def done(self) -> bool:
        try:
            return (self.folder / DONE).read_text() == self.key
        except OSError:
            return False

    def finish(self) -> None:
        atomic_write(self.folder / DONE, self.key)

    def read_json(self, name: str) -> Any | None:
        """The file's content, or None where it is missing or was cut short by a kill."""
        try:
            return json.loads((self.folder / name).read_text())
        except (OSError, ValueError, RecursionError):
            return None

    def write_json(self, name: str, value: Any) -> None:
        atomic_write(self.folder / name, json.dumps(value, sort_keys=True, allow_nan=False))

    def clear(self) -> None:
        """Throws away what a partial stage left, where that cannot be resumed."""
        for item in self.folder.iterdir():
            if item.name not in (LOCK, CLAIM):
                shutil.rmtree(item) if item.is_dir() else item.unlink()

    def settle(self, plugin: Sequence[str]) -> None:
        """What a killed holder left half written goes. So does a partial stage that another program began: going on
        with it would give what neither of the two gives."""
        for scratch in self.folder.rglob(".*.tmp"):
            scratch.unlink()
        mine = {"dyadbench": importlib.metadata.version("dyadbench"), "plugin": list(plugin)}
        begun = self.read_json(MAKER)
        if not self.done and begun != mine:
            if begun is not None:
                self.clear()
            self.write_json(MAKER, mine)


class Store:
    """All stages below one root."""

    def __init__(self, root: Path):
        self.root = root

    def stage(self, name: str, key: str) -> Folder:
        return Folder(key, self.root / name / key[:2] / key)

    def check_format(self) -> None:
        """Refuses a store whose folders a newer program laid out; marks a new one. Raises DyadbenchError."""
        mark = self.root / "FORMAT"
        try:
            found = mark.read_text(encoding="utf-8", errors="replace").strip()
        except FileNotFoundError:
            atomic_write(mark, FORMAT + "\n")
            return
        if found != FORMAT:
            raise DyadbenchError(
                f"the store {self.root} has the format {found[:40]!r}, this program reads {FORMAT!r}; "
                "update dyadbench, or choose another store with --home"
            )

    @contextmanager
    def hold(self, name: str, key: str, wait: float = -1, plugin: Sequence[str] = ()) -> Iterator[Folder]:
        """The stage, held by this process alone. Another holder is waited for (`wait` seconds; -1: for ever).

        `plugin` (distribution, version), where one is at work in it, settles what an earlier one began. Raises DyadbenchError where the store cannot be used.
        """
        stage = self.stage(name, key)
        try:
            self.check_format()
            stage.folder.mkdir(parents=True, exist_ok=True)
            with hold(stage.folder, wait):
                if plugin:
                    stage.settle(plugin)
                yield stage
        except Timeout:
            holder = read_holder(stage.folder / CLAIM) or "another run"
            raise Busy(f"{holder} is working on {stage.folder}; wait for it or stop it") from None
        except OSError as error:
            inside = str(error.filename).startswith(str(self.root)) if error.filename else error.errno in WEATHER
            if not inside:
                raise
            raise DyadbenchError(
                f"cannot write to the store {self.root}: {error.strerror}; free space or mend the permission, or choose another with --home"
            ) from error
