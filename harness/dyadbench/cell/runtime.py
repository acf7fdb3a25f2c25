"""Where and with what cells run. Nothing here may change a number."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from dyadbench.api import DyadbenchError, Progress
from dyadbench.progress import Report, silent
from dyadbench.store.folders import Store
from dyadbench.training.processes import SOLO, World

DEVICE = re.compile(r"cpu|cuda(?::(\d+))?")


def demand_device(device: str) -> None:
    """Raises DyadbenchError where this machine has no such device, before anything is computed for it."""
    match = DEVICE.fullmatch(device)
    if match is None:
        raise DyadbenchError(f"--device {device!r} is none of cpu, cuda and cuda:N")
    if device == "cpu":
        return
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if int(match[1] or 0) >= count:
        has = f"{count} GPUs, cuda:0 to cuda:{count - 1}" if count else f"no GPU that torch {torch.__version__} can use"
        raise DyadbenchError(f"--device {device}: this machine has {has}; leave it out to run on the CPU")


@dataclass(frozen=True)
class Runtime:
    """Of one run of the program."""

    home: Path  # store, generated corpora, feature caches
    data: dict[str, Path] = field(default_factory=dict)  # dataset name -> folder, for real data
    device: str = "cpu"
    threads: int = 1
    batch: int = 8
    draw: int = 0  # clips of each cell to draw, where its method has pictures
    report: Report = silent
    world: World = SOLO
    unchanged: Callable[[], None] = lambda: None  # raises DyadbenchError if the data changed since they were opened
    timeout: float | None = None  # minutes a cell may take

    @property
    def store(self) -> Store:
        return Store(self.home / "store", self.unchanged)

    def folder_of(self, dataset: str) -> Path:
        return self.data.get(dataset, self.home / "data" / dataset)

    def progress(self, stage: str) -> Progress:
        return lambda done, total: self.report(stage, done, total)
