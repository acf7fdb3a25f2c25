"""Runs a matrix on an engine: from cells to outcomes, with one live line per cell."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from dyadbench.api import Dataset
from dyadbench.cell.again import forget, warn_of_other_code, warn_of_shared_sessions
from dyadbench.cell.folds import run_of
from dyadbench.cell.runtime import Runtime
from dyadbench.cell.source import open_dataset
from dyadbench.engines.follow import Show, follow
from dyadbench.engines.job import Order, record_time
from dyadbench.engines.submission import Engine, Ticket
from dyadbench.matrix.cells import Cell
from dyadbench.progress import QUIET_SECONDS, add_cells, bars
from dyadbench.records.record import Record, record_path
from dyadbench.records.replace import demand_replaceable
from dyadbench.registry.host import Host

MOST_ROWS = 20  # lines of a terminal


def tickets_of(
    cells: Sequence[Cell],
    host: Host,
    runtime: Runtime,
    leaderboards: Path,
    devices: Mapping[str, int],
    *,
    replace: bool = False,
    fresh: bool = False,
) -> Iterator[Ticket | tuple[Cell, Exception]]:
    """What is to be sent, cell by cell; a cell whose data cannot be opened comes with the reason.

    `fresh` throws away what the store has of the cells. Their records stay until the jobs have written new ones.
    """
    opened: dict[str, Dataset] = {}
    forgotten: set[str] = set()
    mentioned: set[str] = set()
    for cell in cells:
        try:
            name = cell.dataset.model_dump_json()
            if name not in opened:
                opened[name] = open_dataset(host, cell.dataset, runtime, cell.limit)
            run = run_of(cell, host, runtime, opened[name])
            if not replace:
                demand_replaceable(leaderboards, cell, run.dataset.digest, host)
            if fresh:
                forget(run, forgotten)
            warn_of_other_code(run, mentioned)
            warn_of_shared_sessions(run, mentioned)
            order = Order(
                key=run.key, home=runtime.home.resolve(), leaderboards=leaderboards.resolve(),
                data={name: path.resolve() for name, path in runtime.data.items()}, device=runtime.device,
                processes=devices.get(cell.method, 1), threads=runtime.threads, batch=runtime.batch,
                timeout=runtime.timeout, replace=replace,
                instead_of=record_time(record_path(leaderboards, cell)) if fresh else 0,
            )  # fmt: skip
            yield Ticket(run, order)
        except Exception as error:  # the other cells can still be run
            yield cell, error


def run_on(
    engine: Engine, tickets_or_errors: Sequence[Ticket | tuple[Cell, Exception]]
) -> Iterator[tuple[Cell, Record | Exception]]:
    """Runs every ticket on the engine. Cells without a ticket are yielded with their error."""
    for item in tickets_or_errors:
        if isinstance(item, tuple):
            yield item
    tickets = [item for item in tickets_or_errors if isinstance(item, Ticket)]
    with _display(len(tickets)) as show:
        yield from follow(tickets, engine, show)


@contextmanager
def _display(cells: int) -> Iterator[Show]:
    if not sys.stderr.isatty():
        yield _plain()
        return
    from rich.console import Group
    from rich.live import Live
    from rich.text import Text

    overall = bars()
    task = add_cells(overall, cells)
    with Live(console=overall.console, transient=True, redirect_stdout=sys.stdout.isatty()) as live:

        def show(rows: list[tuple[str, str, str]], done: int, total: int) -> None:
            lines = [Text(": ".join(filter(None, row)), no_wrap=True, overflow="ellipsis") for row in rows[:MOST_ROWS]]
            if len(rows) > MOST_ROWS:
                lines.append(Text(f"{len(rows) - MOST_ROWS} more under way"))
            if done > overall.tasks[0].completed:
                overall.update(task, completed=done)
            live.update(Group(*lines, overall))

        yield show


def _plain() -> Show:
    """Without a terminal: one line whenever a cell changes its state, and its progress from time to time."""
    states: dict[str, str] = {}
    times: dict[str, float] = {}

    def show(rows: list[tuple[str, str, str]], done: int, total: int) -> None:
        for name, state, progress in rows:
            now = time.monotonic()
            if states.get(name) != state or now - times[name] >= QUIET_SECONDS:
                states[name], times[name] = state, now
                print(": ".join(filter(None, (name, state, progress))), file=sys.stderr, flush=True)

    return show
