"""Keyed folders: where stages leave what they made, and how a killed run finds it again.

A stage lives in `<root>/<stage>/<first two hex>/<key>/` and is complete only when its DONE file, written last,
holds the key. A claim on the folder lets several processes and machines share one store; it goes when its holder does.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import Timeout

from dyadbench.api import DyadbenchError
from dyadbench.holder import CLAIM, LOCK, hold, read_holder

DONE = "DONE"


class Busy(DyadbenchError):
    """Somebody else holds the stage."""


def atomic_write(path: Path, data: bytes | str) -> None:
    """Writes all or nothing: temporary neighbour, fsync, rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with scratch.open("wb") as file:
            file.write(data.encode() if isinstance(data, str) else data)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(path)
    except OSError as error:
        scratch.unlink(missing_ok=True)
        raise DyadbenchError(
            f"cannot write {path}: {error.strerror}; free space or mend the permission, then run again"
        ) from error


@dataclass(frozen=True)
class Stage:
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
        except (OSError, json.JSONDecodeError):
            return None

    def write_json(self, name: str, value: Any) -> None:
        atomic_write(self.folder / name, json.dumps(value, sort_keys=True, allow_nan=False))

    def clear(self) -> None:
        """Throws away what a partial stage left, where that cannot be resumed."""
        for item in self.folder.iterdir():
            if item.name not in (LOCK, CLAIM):
                shutil.rmtree(item) if item.is_dir() else item.unlink()


class Store:
    """All stages below one root."""

    def __init__(self, root: Path):
        self.root = root

    def stage(self, name: str, key: str) -> Stage:
        return Stage(key, self.root / name / key[:2] / key)

    @contextmanager
    def claim(self, name: str, key: str, wait: float = -1) -> Iterator[Stage]:
        """The stage, held by this process alone. Another holder is waited for (`wait` seconds; -1: for ever)."""
        stage = self.stage(name, key)
        try:
            stage.folder.mkdir(parents=True, exist_ok=True)
            with hold(stage.folder, wait):
                yield stage
        except Timeout:
            holder = read_holder(stage.folder / CLAIM) or "another run"
            raise Busy(f"{holder} is working on {stage.folder}; wait for it or stop it") from None
        except PermissionError as error:
            raise DyadbenchError(
                f"cannot write to the store {self.root}: {error.strerror}; choose another with --home"
            ) from error
