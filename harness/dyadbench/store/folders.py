"""Keyed folders: where stages leave what they made, and how a killed run finds it again.

A stage lives in `<root>/<stage>/<first two hex>/<key>/` and is complete only when its DONE file, written last,
holds the key. A claim on the folder lets several processes and machines share one store; it goes when its holder does.
"""

from __future__ import annotations

import importlib.metadata
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from filelock import Timeout
from pydantic import BaseModel, ValidationError

from dyadbench.api import DyadbenchError
from dyadbench.files.atomic import WEATHER, atomic_write, clear_stale, read_whole
from dyadbench.store.lock import CLAIM, LOCK, hold, read_holder

DONE, MAKER = "DONE", "maker.json"
FORMAT = (
    "dyadbench-store/1"  # of the folders, in the store's FORMAT file; raised when older programs could misread them
)

Model = TypeVar("Model", bound=BaseModel)


class Busy(DyadbenchError):
    """Somebody else holds the stage."""


def _nothing() -> None:
    """Nothing can have changed."""


class Maker(BaseModel):
    """Who began a stage."""

    dyadbench: str
    plugin: tuple[str, str]  # distribution, version
    sources: dict[str, str] = {}  # whose code was at work, as "predictor NAME" -> its hash (registry/sources.py)


@dataclass(frozen=True)
class Folder:
    """One stage's folder."""

    key: str
    folder: Path
    vouch: Callable[[], None] = _nothing  # raises if what the stage was made from has changed

    @property
    def done(self) -> bool:
        return read_whole(self.folder / DONE) == self.key.encode()

    def finish(self) -> None:
        """Everything in the folder is whole, and of what its key says. It is synced already, and DONE need not be."""
        self.vouch()
        atomic_write(self.folder / DONE, self.key, sync=False)

    def reopen(self) -> None:
        """Withdraws that the stage is done, before more is added to it: a kill then leaves a stage that is not done."""
        (self.folder / DONE).unlink(missing_ok=True)

    def read(self, name: str, kind: type[Model]) -> Model | None:
        """The file as a `kind`; None where it is missing or is something else, and must be made again."""
        data = read_whole(self.folder / name)
        try:
            return None if data is None else kind.model_validate_json(data)
        except ValidationError:
            return None

    def write(self, name: str, value: BaseModel, *, sync: bool = True) -> None:
        self.write_json(name, value.model_dump(mode="json", exclude_unset=True), sync=sync)

    def read_json(self, name: str) -> dict[str, Any]:
        """The file's JSON object, empty where it is missing or is something else."""
        try:
            content = json.loads(read_whole(self.folder / name) or b"{}")
        except (ValueError, RecursionError):
            return {}
        return content if isinstance(content, dict) else {}

    def write_json(self, name: str, value: Any, *, sync: bool = True) -> None:
        atomic_write(self.folder / name, json.dumps(value, sort_keys=True, allow_nan=False), sync=sync)

    def clear(self) -> None:
        """Throws away what a partial stage left, where that cannot be resumed. Whose it was goes first: nobody goes on
        with a stage that says nothing of it, so a kill in the middle leaves nothing that is taken for whole."""
        (self.folder / MAKER).unlink(missing_ok=True)
        for item in self.folder.iterdir():
            if item.name not in (LOCK, CLAIM):
                shutil.rmtree(item) if item.is_dir() else item.unlink(missing_ok=True)

    def settle(self, plugin: Sequence[str], sources: Mapping[str, str]) -> None:
        """What a killed holder left half written goes. So does a partial stage that another program began, or nobody
        knows who: going on with it would give what neither of the two gives."""
        for scratch in self.folder.rglob(".*.tmp"):
            scratch.unlink(missing_ok=True)
        version = importlib.metadata.version("dyadbench")
        mine = Maker(dyadbench=version, plugin=(plugin[0], plugin[1]), sources=dict(sources))
        if not self.done and self.read(MAKER, Maker) != mine:
            self.clear()
            self.write(MAKER, mine, sync=False)


class Store:
    """All stages below one root."""

    def __init__(self, root: Path, vouch: Callable[[], None] = _nothing):
        self.root, self.vouch = root, vouch

    def stage(self, name: str, key: str) -> Folder:
        return Folder(key, self.root / name / key[:2] / key, self.vouch)

    def check_format(self) -> None:
        """Refuses a store whose folders a newer program laid out; marks a new one. Raises DyadbenchError."""
        mark = self.root / "FORMAT"
        data = read_whole(mark)
        if data is None:
            atomic_write(mark, FORMAT + "\n")
            return
        text = data.decode(errors="replace").strip()
        if text != FORMAT:
            raise DyadbenchError(
                f"the store {self.root} has the format {text[:40]!r}, this program reads {FORMAT!r}; "
                "update dyadbench, or choose another store with --home"
            )

    @contextmanager
    def hold(
        self,
        name: str,
        key: str,
        wait: float = -1,
        plugin: Sequence[str] = (),
        sources: Mapping[str, str] | None = None,
    ) -> Iterator[Folder]:
        """The stage, held by this process alone. Another holder is waited for (`wait` seconds; -1: for ever).

        `plugin` (distribution, version) and the hashes of its code, where one is at work in it, settle what an earlier
        one began. Raises DyadbenchError where the store cannot be used.
        """
        stage = self.stage(name, key)
        try:
            self.check_format()
            stage.folder.mkdir(parents=True, exist_ok=True)
            with hold(stage.folder, wait):
                clear_stale(stage.folder, ".*.tmp")
                if plugin:
                    stage.settle(plugin, sources or {})
                yield stage
        except Timeout:
            holder = read_holder(stage.folder / CLAIM) or "another run"
            raise Busy(f"{holder} is working on {stage.folder}; wait for it or stop it") from None
        except OSError as error:
            inside = str(error.filename).startswith(str(self.root)) if error.filename else error.errno in WEATHER
            if not inside:
                raise
            raise DyadbenchError(
                f"cannot use the store {self.root}: {error.strerror} ({error.filename or stage.folder}); "
                "free space or fix the permission, or choose another with --home"
            ) from error
