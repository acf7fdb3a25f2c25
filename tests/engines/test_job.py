"""A cell's own process: how it is told its cell, and how it ends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from dyadbench.api import DyadbenchError
from dyadbench.engines import job, local
from dyadbench.engines.job import Order
from dyadbench.engines.local import LocalEngine
from dyadbench.store.folders import Folder, Store


def test_a_thread_that_a_plugin_left_does_not_keep_a_finished_job() -> None:
    code = (
        "import threading, time\nfrom dyadbench.engines.job import _leave\n"
        "threading.Thread(target=time.sleep, args=(60,), name='left').start()\n_leave(0)\n"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50)
    assert process.returncode == 0
    assert "left 1 threads running (left)" in process.stderr


def test_a_cell_of_any_size_reaches_its_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the command line the system would refuse it from 128 kB on."""
    started: list[list[str]] = []
    monkeypatch.setattr(
        local.subprocess, "Popen", lambda command, **_: started.append(command) or SimpleNamespace(pid=1)
    )
    text = '{"method": "' + "x" * 300_000 + '"}'
    ticket = SimpleNamespace(
        cell=SimpleNamespace(json_text=lambda: text), stage=Folder("k", tmp_path), log=tmp_path / "log",
        order=SimpleNamespace(processes=1, threads=1, model_dump_json=lambda: "{}"),
    )  # fmt: skip
    LocalEngine(Store(tmp_path), "cpu", ["0"])._start(ticket, ["0"])  # type: ignore[arg-type]
    argument = started[0][-2]
    assert all(len(word) < 4096 for word in started[0])
    values: list[object] = []

    def validate(value: object) -> object:
        values.append(value)
        raise RuntimeError("far enough")

    monkeypatch.setattr(job.Cell, "model_validate", validate)
    with pytest.raises(RuntimeError, match="far enough"):
        job.run_job(argument, "{}")
    assert values == [{"method": "x" * 300_000}]


def test_a_folder_whose_name_is_not_utf_8_is_a_sentence() -> None:
    """The order is JSON, and writing it ended in a traceback."""
    with pytest.raises(DyadbenchError, match="the folder 'caf' holds bytes that are not UTF-8 text"):
        Order(key="k", home=Path("caf\udce9"), leaderboards=Path())
