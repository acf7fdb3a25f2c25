"""Where an earlier run ended without a word is said by the next one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dyadbench.engines.at_work import FOLDER, at_work, ended_without_a_word

SCRIPT = """
import os, sys
from pathlib import Path
from dyadbench.engines.at_work import at_work
with at_work(Path(sys.argv[1]), "bench / method / seed 0"):
    os._exit(0)
"""


def test_a_cell_that_ended_the_program_is_named_once(tmp_path: Path) -> None:
    process = subprocess.run([sys.executable, "-c", SCRIPT, str(tmp_path)], check=True)
    assert process.returncode == 0, "the plugin made it look like success"
    assert ended_without_a_word(tmp_path) == ["bench / method / seed 0"]
    assert ended_without_a_word(tmp_path) == []


def test_a_cell_at_work_and_one_that_ended_in_an_error_leave_nothing(tmp_path: Path) -> None:
    with at_work(tmp_path, "cell"):
        assert ended_without_a_word(tmp_path) == []
    with pytest.raises(ZeroDivisionError), at_work(tmp_path, "cell"):
        1 / 0  # noqa: B018
    assert list((tmp_path / FOLDER).iterdir()) == []


def test_the_mark_of_a_run_on_another_machine_stays(tmp_path: Path) -> None:
    """A machine or container that shares the home counts its processes anew: its run was taken for one that crashed."""
    with at_work(tmp_path, "cell"):
        [path] = (tmp_path / FOLDER).iterdir()
        mark = json.loads(path.read_text())
        path.write_text(json.dumps(mark | {"holder": mark["holder"] | {"host": "elsewhere", "pid": 2**22 + 1}}))
        assert ended_without_a_word(tmp_path) == [] and path.exists()


def test_a_mark_cut_short_is_nobodys(tmp_path: Path) -> None:
    (tmp_path / FOLDER).mkdir()
    (tmp_path / FOLDER / "1.json").write_text("{")
    assert ended_without_a_word(tmp_path) == []


@pytest.mark.slow
def test_ctrl_c_ends_in_a_sentence(tmp_path: Path) -> None:
    words = ["run", "-b", "simdyad-clear-react-online", "-m", "random", "--data-set", "size=tiny"]
    command = [sys.executable, "-m", "dyadbench", *words, "--root", str(tmp_path), "--home", str(tmp_path / "home")]
    child = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=dict(os.environ))
    while not (tmp_path / "home").exists() and child.poll() is None:  # it works by then, and not for long
        time.sleep(0.05)
    child.send_signal(signal.SIGINT)
    _, output = child.communicate(timeout=120)
    assert child.returncode == 130, output
    assert "dyadbench: stopped; run the same command again to go on from here" in output
    assert "Traceback" not in output and "Aborted" not in output
