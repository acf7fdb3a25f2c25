"""One cell on its way through an engine: what was sent, where it is, and whether the record has come."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, Protocol

from dyadbench.cell.run import CellRun
from dyadbench.engines.job import STATUS, Order, existing_record
from dyadbench.matrix.cells import Cell
from dyadbench.records.record import Record
from dyadbench.store.folders import Folder

JOB = "job.json"


class Phase(Enum):
    """Where a job is, while it is under way."""

    waiting = 1
    running = 2


@dataclass(frozen=True)
class JobState:
    """How an engine finds a job: its phase, and what there is to say of it ("on slot 0")."""

    phase: Phase
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.phase.name} {self.detail}".strip()


@dataclass
class Ticket:
    """A cell, its order, and the folder in which its job is written down so that any later run finds it."""

    run: CellRun
    order: Order
    sent: int = 0  # how often this run has sent it
    seen: float | None = None  # monotonic seconds when it was first seen to run
    shown: str = ""  # its state, for whoever follows it
    progress: str = ""  # how far the job says it is
    job: dict[str, Any] = field(default_factory=dict)

    @property
    def cell(self) -> Cell:
        return self.run.cell

    @property
    def stage(self) -> Folder:
        """Where the sender writes."""
        return self.run.runtime.store.stage("submit", self.run.key)

    @property
    def log(self) -> Path:
        return self.stage.folder / "log"

    def status(self) -> dict[str, Any]:
        """The status that the job wrote; {} before it wrote any."""
        return self.run.runtime.store.stage("cell", self.run.key).read_json(STATUS)

    def forget_status(self) -> None:
        (self.run.runtime.store.stage("cell", self.run.key).folder / STATUS).unlink(missing_ok=True)

    def record(self) -> Record | None:
        return existing_record(self.run, self.order.leaderboards)


class Engine(Protocol):
    """Something that runs jobs. A job is a small JSON object in which the engine finds it again."""

    name: str
    pace: float  # seconds between two looks at its jobs
    detached: bool  # whether jobs go on when the run is stopped from the keyboard
    most: int  # jobs at once

    def submit(self, ticket: Ticket) -> dict[str, Any] | None:
        """Starts the cell; None where there is no room now. Raises DyadbenchError where it never can."""

    def states(self, tickets: list[Ticket]) -> dict[str, JobState]:
        """By cell key; a job that is over, or was never there, is left out."""

    def ending(self, ticket: Ticket) -> str:
        """How a job ended that is over without a record, as far as the engine knows."""

    def stop(self, ticket: Ticket) -> None:
        """Ends the job."""
