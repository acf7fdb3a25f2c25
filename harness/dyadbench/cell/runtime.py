"""Where and with what cells run. Nothing here may change a number."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from dyadbench.api import Progress
from dyadbench.store.folders import Store
from dyadbench.training.processes import SOLO, World

Report = Callable[[str, int, int], None]  # stage, done, total


def _silent(stage: str, done: int, total: int) -> None:
    """Nobody is watching."""


@dataclass(frozen=True)
class Runtime:
    """Of one run of the program."""

    home: Path  # store, generated corpora, feature caches
    data: dict[str, Path] = field(default_factory=dict)  # dataset name -> folder, for real data
    device: str = "cpu"
    threads: int = 1
    batch: int = 8
    draw: int = 0  # clips of each cell to draw, where its method has pictures
    report: Report = _silent
    world: World = SOLO
    timeout: float | None = None  # minutes a cell may take

    @property
    def store(self) -> Store:
        return Store(self.home / "store")

    def folder_of(self, dataset: str) -> Path:
        return self.data.get(dataset, self.home / "data" / dataset)

    def progress(self, stage: str) -> Progress:
        return lambda done, total: self.report(stage, done, total)
