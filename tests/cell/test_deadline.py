"""The limit of time on a cell."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

from dyadbench.api import DyadbenchError
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


def test_who_swallows_every_one_ends_the_program_with_a_sentence() -> None:
    code = (
        "import time\nfrom dyadbench.cell import deadline\ndeadline.AGAIN_SECONDS = 0.05\n"
        "with deadline.limit(0.001, 'cell x'):\n"
        "    while True:\n"
        "        try:\n            time.sleep(60)\n"
        "        except BaseException:\n            pass\n"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert process.returncode == 1
    assert "cell x catches every exception and cannot be stopped" in process.stderr


@pytest.mark.parametrize("minutes", [float("inf"), 1e300, float("nan")])
def test_a_limit_without_end_is_refused(minutes: float) -> None:
    with pytest.raises(DyadbenchError, match="a year at most"), limit(minutes, "cell x"):
        pass


def test_quick_cells_and_no_limit_pass() -> None:
    for minutes in (None, 1.0):
        with limit(minutes, "cell x"):
            pass
