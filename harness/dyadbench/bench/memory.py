"""How much memory a piece of work needs, beside what is held already and the files it maps."""

from __future__ import annotations

import threading
from pathlib import Path
from types import TracebackType

STATUS, MACHINE = Path("/proc/self/status"), Path("/proc/meminfo")
EVERY = 0.01  # seconds between two looks


def anonymous_mb() -> float | None:
    """Memory of this process that no file backs, in MB; None where the system does not tell (Linux does)."""
    try:
        lines = STATUS.read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("RssAnon")), None)


def available_bytes() -> int | None:
    """What the machine could still give; None where the system does not tell."""
    try:
        lines = MACHINE.read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable")), None)


class PeakMemory:
    """`with PeakMemory() as peak: ...`, then `peak.extra_mb`: the most that was held on top, or None."""

    def __init__(self) -> None:
        self._before = self._most = anonymous_mb()
        self._stop = threading.Event()
        self._watch = threading.Thread(target=self._look, daemon=True)

    @property
    def extra_mb(self) -> float | None:
        return None if self._before is None or self._most is None else max(0.0, self._most - self._before)

    def _look(self) -> None:
        while not self._stop.wait(EVERY):
            self._note()

    def _note(self) -> None:
        now = anonymous_mb()
        if now is not None and self._most is not None:
            self._most = max(self._most, now)

    def __enter__(self) -> PeakMemory:
        if self._before is not None:
            self._watch.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._note()
        if self._watch.is_alive():
            self._watch.join()
