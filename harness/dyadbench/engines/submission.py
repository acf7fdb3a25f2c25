"""One cell on an engine: its order, its job, and whether its record exists."""

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
    """The phase of a job that is not over."""

    waiting = 1
    running = 2


@dataclass(frozen=True)
class JobState:
    """The state of a job, as its engine sees it: its phase, and a detail for people ("on slot 0")."""

    phase: Phase
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.phase.name} {self.detail}".strip()


@dataclass
class Ticket:
    """A cell, its order, and the folder that holds its job's description, where any later run can read it."""

    run: CellRun
    order: Order
    sent: int = 0  # how often this run has sent it
    running_since: float | None = None  # monotonic seconds when it was first observed to run
    state_text: str = ""  # its state, for the run that follows it
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
        return existing_record(self.run, self.order)


class Engine(Protocol):
    """Something that runs jobs. A job is a small JSON object by which the engine identifies it."""

    name: str
    pace: float  # seconds between two looks at its jobs
    detached: bool  # whether jobs go on when the run is stopped from the keyboard
    most: int  # jobs at once

    def submit(self, ticket: Ticket) -> dict[str, Any] | None:
        """Starts the cell and returns its job, or None if there is no room now. Raises DyadbenchError if there never can be."""

    def states(self, tickets: list[Ticket]) -> dict[str, JobState]:
        """States by cell key. Jobs that are over or unknown are left out."""

    def ending(self, ticket: Ticket) -> str:
        """Why a job ended without a record, as far as the engine knows."""

    def stop(self, ticket: Ticket) -> None:
        """Ends the job."""
