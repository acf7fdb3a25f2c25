"""How much memory a piece of work needs, beside what the process holds already and the files that it maps."""

from __future__ import annotations

import threading
from types import TracebackType

import psutil

EVERY = 0.01  # seconds between two looks


def anonymous_mb() -> float:
    """Memory of this process that no file backs, in MB. Mapped predictions are read clip by clip, so they do not count."""
    memory = psutil.Process().memory_info()
    return float(memory.rss - getattr(memory, "shared", 0)) / 2**20  # only Linux tells what is shared


class PeakMemory:
    """`with PeakMemory() as peak: ...`, then `peak.extra_mb`: the most that was held on top."""

    def __init__(self) -> None:
        self._before = self._most = anonymous_mb()
        self._stop = threading.Event()
        self._watch = threading.Thread(target=self._look, daemon=True)

    @property
    def extra_mb(self) -> float:
        return max(0.0, self._most - self._before)

    def _look(self) -> None:
        while not self._stop.wait(EVERY):
            self._most = max(self._most, anonymous_mb())

    def __enter__(self) -> PeakMemory:
        self._watch.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._most = max(self._most, anonymous_mb())
        self._watch.join()
