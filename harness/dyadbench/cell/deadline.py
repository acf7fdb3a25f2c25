"""A limit on how long a cell may take, for plugins that never return."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dyadbench.api import DyadbenchError

AGAIN_SECONDS = 5.0  # a plugin that swallows the exception gets another


class TookTooLong(DyadbenchError):
    """The limit of --timeout has passed."""


@contextmanager
def limit(minutes: float | None, what: str) -> Iterator[None]:
    """Raises TookTooLong in the main thread after `minutes`; None: no limit.

    It interrupts Python and sleeping, not a call that stays inside compiled code: an engine that runs cells as processes
    of their own ends those as well.
    """
    if minutes is None:
        yield
        return
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        raise DyadbenchError("--timeout needs a Unix system and the main thread; run the cell with --on local")

    def stop(signum: int, frame: Any) -> None:
        raise TookTooLong(
            f"{what} took longer than --timeout {minutes:g} (minutes) and was stopped; a longer limit goes on from here"
        )

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, minutes * 60, AGAIN_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
