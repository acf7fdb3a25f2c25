"""The limit of time on a cell."""

from __future__ import annotations

import signal
import time

import pytest

from dyadbench.cell import deadline
from dyadbench.cell.deadline import TookTooLong, limit


def test_sleeping_is_interrupted_and_no_alarm_is_left() -> None:
    before = signal.getsignal(signal.SIGALRM)
    with pytest.raises(TookTooLong, match=r"cell x took longer than --timeout 0\.001"), limit(0.001, "cell x"):
        time.sleep(60)
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert signal.getsignal(signal.SIGALRM) is before


def test_who_swallows_the_first_gets_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadline, "AGAIN_SECONDS", 0.05)
    with pytest.raises(TookTooLong), limit(0.001, "cell x"):
        try:
            time.sleep(60)
        except Exception:
            time.sleep(60)


def test_quick_cells_and_no_limit_pass() -> None:
    for minutes in (None, 1.0):
        with limit(minutes, "cell x"):
            pass
