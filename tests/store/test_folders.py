"""Stages are all or nothing, and a holder that dies lets go."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dyadbench.api import DyadbenchError
from dyadbench.files.atomic import atomic_write
from dyadbench.store.folders import Store

KEY = "ab" * 32


def test_a_stage_is_done_only_when_done_holds_its_key(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store.hold("fit", KEY) as stage:
        assert not stage.done
        (stage.folder / "DONE").write_text("cd" * 32)
        assert not stage.done
        stage.finish()
    assert store.stage("fit", KEY).done


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file.json"
    atomic_write(path, "old")

    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DyadbenchError, match=r"file\.json: No space left"):
        atomic_write(path, "new")
    assert path.read_text() == "old"
    assert [item.name for item in tmp_path.iterdir()] == ["file.json"]


def test_json_cut_short_by_a_kill_reads_as_missing(tmp_path: Path) -> None:
    with Store(tmp_path).hold("fit", KEY) as stage:
        (stage.folder / "half.json").write_text('{"done": 3')
        assert stage.read_json("half.json") == {}
        stage.write_json("whole.json", {"done": 3})
        assert stage.read_json("whole.json") == {"done": 3}


def test_two_holders_exclude_each_other_and_a_killed_one_lets_go(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from dyadbench.store.folders import Store\n"
        f"with Store(Path({str(tmp_path)!r})).hold('fit', {KEY!r}):\n"
        "    print('held', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(DyadbenchError, match=rf"process {holder.pid} on"), Store(tmp_path).hold("fit", KEY, wait=0.1):
        pass
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with Store(tmp_path).hold("fit", KEY, wait=5) as stage:
        assert not stage.done
