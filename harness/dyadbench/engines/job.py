"""What a job does: one cell, from its canonical JSON to its record, which it writes itself.

    python -m dyadbench.engines.job CELL_JSON ORDER_JSON

or the same under torchrun, or as the tasks of a Slurm job, where the order says so many processes. Whoever started it may
be gone by the end. `status.json` in the cell's folder of the store says what it is doing and how it ended.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import model_validator

from dyadbench.api import Config, DyadbenchError
from dyadbench.cell.deadline import limit
from dyadbench.cell.folds import run_of
from dyadbench.cell.run import CellRun
from dyadbench.cell.runtime import Runtime, demand_device
from dyadbench.cell.source import Source
from dyadbench.errors import demand_name
from dyadbench.matrix.cells import Cell
from dyadbench.progress import silent
from dyadbench.records.record import Record, load_record, record_path, save_record
from dyadbench.records.replace import put_record
from dyadbench.registry.host import Host
from dyadbench.store.folders import Folder, Store
from dyadbench.training.processes import join

STATUS = "status.json"
STATUS_SECONDS = 1.0  # at most one write in so much time


class Order(Config):
    """Where and with what a cell runs. Nothing in it may change a number."""

    key: str  # of the cell, as the sender computed it
    home: Path
    leaderboards: Path
    data: Mapping[str, Path] = {}
    device: str = "cpu"
    processes: int = 1
    threads: int = 1
    batch: int = 8
    timeout: float | None = None
    replace: bool = False  # a record of other data or of another configuration gives way
    instead_of: int = 0  # time of change, in ns, of a record that is to be measured anew; 0: any record will do

    @model_validator(mode="after")
    def _paths_can_be_sent(self) -> Order:
        """An order is JSON, which holds no name that is not UTF-8."""
        for path in (self.home, self.leaderboards, *self.data.values()):
            demand_name(str(path), "the folder")
        return self


def import_guard() -> dict[str, str]:
    """Variables with which a job imports what the run imports.

    `python -m`, which starts a job, would look into the current folder first, where another copy of a plugin or a
    random.py may lie. A run that looks there itself gets no guard.
    """
    return {} if {"", str(Path.cwd())} & set(sys.path) else {"PYTHONSAFEPATH": "1"}


class Status:
    """The state of the job, in a file that other processes read while it runs."""

    def __init__(self, stage: Folder):
        self._stage, self._last_write = stage, 0.0
        self._facts: dict[str, Any] = {"state": "running"}
        self._total, self._count, self._start, self._first = -1, 0, 0.0, 0

    def report(self, name: str, done: int, total: int) -> None:
        """A pipeline's progress; the time left is the stage's, at its own speed."""
        now = time.monotonic()
        if total != self._total or done < self._count:  # another stage; its name may hold a loss, which changes
            self._total, self._start, self._first = total, now, done
        self._count = done
        if now - self._last_write < STATUS_SECONDS:
            return
        self._last_write = now
        moved = done - self._first
        left = (total - done) * (now - self._start) / moved if moved > 0 else None
        self._write(stage=name, done=done, total=total, left=None if left is None else round(left))

    def end(self) -> None:
        self._write(state="done")

    def fail(self, error: Exception) -> None:
        """The first process that fails has the cause: when it ends, the others lose their connection to it."""
        status = self._stage.read_json(STATUS)
        if status.get("state") != "failed":
            self._write(state="failed", error=str(error) or type(error).__name__)

    def _write(self, **facts: Any) -> None:
        self._facts |= facts
        self._stage.write_json(STATUS, self._facts, sync=False)


def record_time(path: Path) -> int:
    """When a record's file was written, in ns; 0 where there is none."""
    return path.stat().st_mtime_ns if path.exists() else 0


def existing_record(run: CellRun, order: Order, *, write: bool = True) -> Record | None:
    """The record on disk, if it is the one that this cell would write, and not one that it is to replace. `write`: where the
    matrix says now of which method it is an ablation, the file is to say so, too."""
    path = record_path(order.leaderboards, run.cell)
    if record_time(path) in (0, order.instead_of):
        return None
    try:
        record = load_record(path)
    except DyadbenchError:
        return None  # cut short, or written by another program: it is measured again
    if not run.gives(record):
        return None
    if record.of != run.cell.of:  # said again in the matrix: nothing has to be measured for it
        record = record.model_copy(update={"of": run.cell.of})
        if write:
            save_record(record, path)
    return record


def run_job(cell_json: str, order_json: str) -> None:
    """Runs the cell, unless its record exists. An error is raised and also written into the status, for the run that waits."""
    if cell_json.startswith("@"):  # a file, for what is too long for a command line
        cell_json = Path(cell_json[1:]).read_text(encoding="utf-8")
    cell, order = Cell.model_validate(json.loads(cell_json)), Order.model_validate_json(order_json)
    status = Status(Store(order.home / "store").stage("cell", order.key))
    try:
        with limit(order.timeout, cell.name):
            _work(cell, order, status)
    except Exception as error:
        status.fail(error)
        raise


def _work(cell: Cell, order: Order, status: Status) -> None:
    demand_device(order.device)  # of the machine that the job came to
    world = join(order.device, order.processes)
    report = status.report if world.first else silent
    device = order.device if world.fabric is None else str(world.fabric.device)
    runtime = Runtime(
        home=order.home, data=dict(order.data), device=device, threads=order.threads, batch=order.batch,
        report=report, world=world,
    )  # fmt: skip
    host = Host()
    if not world.first:
        world.wait()  # the first one may have to generate the data
    source = Source(host, cell.dataset, runtime, cell.limit)
    run = run_of(cell, host, source.runtime, source.dataset)
    if world.first:
        world.wait()
    if run.key != order.key:
        raise DyadbenchError(
            f"{cell.name} is another cell here: its data or this program differ from where it was sent"
        )
    with world.hold(runtime.store, "cell", run.key):
        if world.broadcast(existing_record(run, order) is not None):
            pass  # another run was quicker
        elif world.first:
            report("start", 0, 1)
            put_record(run.run(), order.leaderboards, cell, host, replace=order.replace)
        else:
            run.generate(run.spaces)
    if world.first:
        status.end()


def main() -> None:
    if len(sys.argv) != 3:
        raise SystemExit("usage: python -m dyadbench.engines.job CELL_JSON ORDER_JSON")
    try:
        run_job(sys.argv[1], sys.argv[2])
    except Exception:
        traceback.print_exc()
        _leave(1)
    _leave(0)


def _leave(code: int) -> None:
    """Ends the process at once. Its record and status are written; a thread that a plugin left running would keep it."""
    left = [
        thread.name for thread in threading.enumerate() if thread is not threading.main_thread() and not thread.daemon
    ]
    if left:
        print(f"the plugin left {len(left)} threads running ({', '.join(left[:3])}); they end here", file=sys.stderr)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code) if left else sys.exit(code)


if __name__ == "__main__":
    main()
