"""What a run shows on a terminal: one bar for all cells with the time left, results above it and never in it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest

from dyadbench import progress

pty = pytest.importorskip("pty", reason="pseudo terminals are of POSIX")
Words = Callable[..., list[str]]
CLEARED = rb"\r\x1b\[2K(?:\x1b\[1A\x1b\[2K)*"  # the bars are taken away
STYLE = rb"(?:\x1b\[[0-9;]*m)*"


def _on_a_terminal(words: list[str], *, both: bool) -> tuple[str, bytes]:
    """(what came through the pipe of stdout, what the terminal got); with `both`, stdout is the terminal too."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "dyadbench", *words],
        env={**os.environ, "TERM": "xterm", "COLUMNS": "160"},
        stderr=theirs, stdout=theirs if both else subprocess.PIPE,
    )  # fmt: skip
    os.close(theirs)
    got = b""
    while True:
        try:
            got += (piece := os.read(ours, 65536))
        except OSError:  # how Linux says that the other side is closed
            break
        if not piece:
            break
    out = process.stdout.read().decode() if process.stdout else ""
    assert process.wait() == 0, got
    os.close(ours)
    return out, got


@pytest.mark.parametrize("on", ["inline", "local"])
def test_results_stand_above_one_bar_that_counts_cells(tmp_path: Path, cell: Words, on: str) -> None:
    _, got = _on_a_terminal([*cell("random", tmp_path), "--seeds", "0,1", "--on", on], both=True)
    for place in (rb"\[1/2\]", rb"\[2/2\]"):
        assert re.search(CLEARED + STYLE + place + STYLE + rb" react2024-val[^\r\n]*FRCorr[^\r\n]*\r\n", got), got
    count = rb"1/2" if on == "inline" else rb"[012]/2"  # two slots may end between two pictures of the bar
    assert re.search(rb"cells +" + STYLE + rb"[^\r\n]* " + STYLE + count + STYLE + rb" [^\r\n]*\d:\d\d:\d\d", got), got
    assert b"random / seed 1: " in got


def test_results_go_where_stdout_goes(tmp_path: Path, cell: Words) -> None:
    out, got = _on_a_terminal(cell("mime", tmp_path), both=False)
    assert out.startswith("[1/1] react2024-val") and "FRCorr" in out and "\x1b" not in out
    assert b"[1/1]" not in got and b"cells" in got


def test_a_bar_inside_of_another_is_a_further_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Older releases of rich refuse a second display."""
    screen = StringIO()
    monkeypatch.setattr(screen, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stderr", screen)
    with progress.cells(3) as advance, progress.stages("") as report:
        report("fit", 1, 2)
        with progress.bar("made") as inner:
            inner(1, 4)
            [bars] = progress._displays
            assert [task.description for task in bars.tasks] == ["cells", "fit", "made"]
        advance()
        report("score", 5, 6)
        report("score", 3, 6)
        assert [(task.description, int(task.completed), task.total) for task in bars.tasks] == [
            ("cells", 1, 3), ("score", 3, 6),
        ]  # fmt: skip
    assert not progress._displays


def test_counts_and_times_have_room_beside_long_names_at_80_columns() -> None:
    from rich.console import Console

    bars = progress.bars()
    progress.add_cells(bars, 12)
    bars.add_task("score over-time-motion: vc-dyads / vqtalker-chunked-guided / seed 0 / 4 clips per split", total=720)
    console = Console(width=80, file=(out := StringIO()))
    console.print(bars.get_renderable())
    overall, at_work = out.getvalue().splitlines()
    assert " 0/12 " in overall and overall.count(":") >= 4, "elapsed and left"
    assert "score over-time-motion" in at_work and " 0/720 " in at_work
