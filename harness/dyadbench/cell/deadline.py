"""A limit on how long a cell may take, for plugins that never return."""

from __future__ import annotations

import itertools
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dyadbench.api import DyadbenchError

AGAIN_SECONDS = 5.0  # a plugin that swallows the exception gets another
TRIES = 4  # then the whole program ends: nothing else can stop such a plugin
MOST_MINUTES = 366 * 24 * 60.0


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
    if not minutes <= MOST_MINUTES:
        raise DyadbenchError(f"--timeout takes minutes, a year at most, not {minutes:g}; leave it out for no limit")
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        raise DyadbenchError("--timeout needs a Unix system and the main thread; run the cell with --on local")

    tries = itertools.count(1)

    def stop(signum: int, frame: Any) -> None:
        if next(tries) > TRIES:
            print(
                f"dyadbench: {what} catches every exception and cannot be stopped, so the program ends; "
                "the same command goes on with the other cells if you leave this method out",
                file=sys.stderr, flush=True,
            )  # fmt: skip
            os._exit(1)
        raise TookTooLong(
            f"{what} took longer than --timeout {minutes:g} (minutes) and was stopped; a longer limit goes on from here"
        )

    # An interval timer that rings again: a plugin may catch the first exception, for example in a bare `except`.
    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, minutes * 60, AGAIN_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
