"""Progress for people: a bar on a terminal, now and then a line elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from dyadbench.api import Progress

QUIET_SECONDS = 20.0  # between two lines where there is no terminal
Report = Callable[[str, int, int], None]  # (what is at work, done, total)


def silent(stage: str, done: int, total: int) -> None:
    """A `Report` that shows nothing."""


def _rich_progress() -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress

    return RichProgress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn(),
        console=Console(stderr=True), transient=True,
    )  # fmt: skip


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
    with _rich_progress() as shown:
        task = shown.add_task(title, total=None)

        def report(stage: str, done: int, total: int) -> None:
            shown.update(task, description=f"{title} {stage}".strip(), completed=done, total=total)

        yield report


def _plain(title: str) -> Any:
    last = [time.monotonic()]

    def report(stage: str, done: int, total: int) -> None:
        if time.monotonic() - last[0] >= QUIET_SECONDS:
            last[0] = time.monotonic()
            print(f"{title} {stage}: {done}/{total}", file=sys.stderr, flush=True)

    return report
