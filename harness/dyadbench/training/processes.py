"""The processes that work on one cell together, started by torchrun or as the tasks of a Slurm job.

All processes draw the same batches, and each computes its rows of them. Only the first one locks stages, scores and
writes; the others take its decisions by broadcast. A single process is a world of size 1 and imports no torch.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from dyadbench.api import DyadbenchError
from dyadbench.store.folders import Folder, Store

T = TypeVar("T")
PATIENCE = timedelta(days=7)  # how long the others wait while the first one scores


@dataclass(frozen=True)
class World:
    rank: int = 0
    size: int = 1
    fabric: Any = None  # lightning_fabric.Fabric, launched

    @property
    def first(self) -> bool:
        return self.rank == 0

    def broadcast(self, value: T) -> T:
        """The first process's value, in all of them."""
        if self.size == 1:
            return value
        shared: T = self.fabric.broadcast(value)
        return shared

    def wait(self) -> None:
        """Blocks until all processes have arrived."""
        if self.size > 1:
            self.fabric.barrier()

    @contextmanager
    def hold(
        self, store: Store, name: str, key: str, plugin: Sequence[str] = (), sources: Mapping[str, str] | None = None
    ) -> Iterator[Folder]:
        """The stage, claimed by the first process for all. A process that fails is not waited for: its launcher ends
        the others."""
        if self.first:
            # Two barriers. The first keeps the others out until the stage is held, and any older holder is gone; the second
            # keeps it held until the last of them has read what it needs.
            with store.hold(name, key, plugin=plugin, sources=sources) as stage:
                self.wait()
                yield stage
                self.wait()
        else:
            self.wait()
            yield store.stage(name, key)
            self.wait()


SOLO = World()


def join(device: str, processes: int) -> World:
    """This process's place among `processes`. Raises DyadbenchError where the others were not started."""
    if processes == 1:
        return SOLO
    # How many the launcher started: waiting for a process that was not started would never end.
    started = os.environ.get("WORLD_SIZE" if "TORCHELASTIC_RUN_ID" in os.environ else "SLURM_STEP_NUM_TASKS")
    if started != str(processes):
        raise DyadbenchError(
            f"expected {processes} processes, but {started or 1} started; use torchrun --nproc-per-node {processes}, "
            f"or a Slurm job of {processes} tasks on one node"
        )
    from lightning_fabric import Fabric
    from lightning_fabric.strategies.ddp import DDPStrategy

    fabric = Fabric(
        accelerator=device.partition(":")[0], devices=processes, strategy=DDPStrategy(timeout=PATIENCE)
    )  # gloo on CPUs, NCCL on GPUs
    fabric.launch()
    return World(fabric.global_rank, fabric.world_size, fabric)
