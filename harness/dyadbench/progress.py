"""Progress for people: bars on a terminal, now and then a line elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from dyadbench.api import Progress

QUIET_SECONDS = 20.0  # between two lines where there is no terminal
Report = Callable[[str, int, int], None]  # (what is at work, done, total)
_displays: list[Any] = []  # the one on the terminal: everything that is at work has its bar there


def silent(stage: str, done: int, total: int) -> None:
    """A `Report` that shows nothing."""


def named(report: Report, name: str) -> Report:
    """`report`, whose stages are of the cell `name`, which a narrow terminal cuts before the stage."""
    return lambda stage, done, total: report(f"{stage}: {name}", done, total)


def bars() -> Any:
    """A rich Progress on stderr with counts and the time left.

    What is printed meanwhile appears above the bars, where it goes to the same terminal; stdout that goes into a file or
    pipe is left alone.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress
    from rich.table import Column

    return RichProgress(
        # What is at work takes the room that counts and times leave: these are what people wait by.
        TextColumn("{task.description}", table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis")),
        BarColumn(20), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn(),
        console=Console(stderr=True), transient=True, redirect_stdout=sys.stdout.isatty(), expand=True,
        speed_estimate_period=float("inf"),  # steps may take minutes
    )  # fmt: skip


def add_cells(bars: Any, total: int) -> Any:
    """The overall bar of a run of so many cells in a `bars()`."""
    task = bars.add_task("cells", total=total)
    bars.advance(task, 1e-9)  # the clock of the time left starts now, and not with the first cell that is done
    return task


@contextmanager
def _display() -> Iterator[Any]:
    if _displays:
        yield _displays[0]
        return
    with bars() as progress:
        _displays.append(progress)
        try:
            yield progress
        finally:
            _displays.clear()


@contextmanager
def bar(title: str) -> Iterator[Progress]:
    """Yields a `progress(done, total)`; the bar shows counts and the time left."""
    with stages(title) as report:
        yield lambda done, total: report("", done, total)


@contextmanager
def stages(title: str) -> Iterator[Report]:
    """Yields a `report(stage, done, total)` that shows the stage at work beside the title."""
    if not sys.stderr.isatty():
        yield _plain(title)
        return
    with _display() as bar:
        at = title or "start"
        task = bar.add_task(at, total=None)

        def report(stage: str, done: int, total: int) -> None:
            nonlocal at
            name = f"{title} {stage}".strip()
            if name != at:  # another stage has its own pace
                at = name
                bar.reset(task, description=name, completed=done, total=total)
            bar.update(task, completed=done, total=total)

        try:
            yield report
        finally:
            bar.remove_task(task)


@contextmanager
def cells(total: int) -> Iterator[Callable[[], None]]:
    """Yields a function to call after every cell: one bar for a whole run, above those of what is at work."""
    if not sys.stderr.isatty():
        yield lambda: None  # every cell prints its result, numbered
        return
    with _display() as bar:
        task = add_cells(bar, total)
        yield lambda: bar.advance(task)


def _plain(title: str) -> Any:
    last = [time.monotonic()]

    def report(stage: str, done: int, total: int) -> None:
        if time.monotonic() - last[0] >= QUIET_SECONDS:
            last[0] = time.monotonic()
            print(f"{title} {stage}: {done}/{total}".lstrip(), file=sys.stderr, flush=True)

    return report
