"""Cells as processes of this machine, several runs on one store, and what happens when any of them dies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest
from engine_bench import BATCH, CLIPS, PATIENCE, Bench, until

from dyadbench.api import DyadbenchError
from dyadbench.cli.common import _default_threads
from dyadbench.engines import local
from dyadbench.engines.job import Order
from dyadbench.engines.local import LocalEngine, cores, slots_of
from dyadbench.store.folders import Store


def _once(bench: Bench, seeds: int) -> bool:
    """Every seed fitted once, every clip of it sampled once."""
    fits = Counter(row[1] for row in bench.journal if row[0] == "fit")
    clips = {seed: Counter(clip for batch in bench.batches(seed) for clip in batch) for seed in range(seeds)}
    return set(fits.values()) == {1} and all(len(c) == CLIPS and set(c.values()) == {1} for c in clips.values())


def test_inline_leaves_nothing_behind(inline: Bench) -> None:
    assert _once(inline, 3)
    assert inline.left_behind() == []


@pytest.mark.parametrize("words", [["--on", "inline"], ["--on", "local", "--slots", "2"]], ids=lambda w: w[1])
def test_two_runs_on_one_store_do_every_cell_once(bench: Bench, inline: Bench, words: list[str]) -> None:
    matrix = bench.matrix(2)
    runs = [bench.start(matrix, *words, pace=0.1) for _ in range(2)]
    for run in runs:
        out, err = run.communicate(timeout=PATIENCE)
        assert run.returncode == 0, out + err
        assert "2 of 2 cells recorded" in out
    assert _once(bench, 2)
    assert bench.scores() == {name: inline.scores()[name] for name in ("seed0.json", "seed1.json")}
    assert bench.left_behind() == []
    if words[1] == "local":  # what has its record is not sent again
        jobs = bench.jobs()
        assert "2 of 2 cells recorded" in bench.run(matrix, *words)
        assert bench.jobs() == jobs


def test_a_job_imports_what_the_run_imports(tmp_path: Path) -> None:
    """`python -m` looks into the current folder first, where another copy of a plugin may lie."""
    (tmp_path / "random.py").write_text("raise ImportError('of the user')")
    words = "run -b simdyad-clear-react-online -m mime --data-set size=tiny --root . --home home --on local --slots 1"
    command = [str(Path(sys.executable).with_name("dyadbench")), *words.split()]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stdout + done.stderr


def test_slots_share_the_cores(tmp_path: Path) -> None:
    """Two trainings on two cores with two threads each wait for each other and take five times as long."""
    words = "run -b simdyad-clear-react-online -m mime --data-set size=tiny --root . --home home --on local --slots 3"
    command = [str(Path(sys.executable).with_name("dyadbench")), *words.split()]
    environment = os.environ | {"OMP_NUM_THREADS": "64"}
    subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True, timeout=PATIENCE)
    record = json.loads(next(tmp_path.glob("leaderboards/records/*/mime/seed0.json")).read_text())
    assert record["provenance"]["threads"] == max(1, cores() // 3)


@pytest.mark.parametrize(("setting", "threads"), [("6", 6), ("3,1", 3), ("0", None), ("many", None)])
def test_threads_are_by_default_what_the_shell_says(
    setting: str, threads: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", setting)
    assert _default_threads() == (threads or min(cores(), 8))


def test_a_killed_job_is_sent_again_and_a_killed_run_finds_its_jobs(bench: Bench, inline: Bench) -> None:
    matrix = bench.matrix(3)
    words = [matrix, "--on", "local", "--slots", "3"]
    bench.gate.touch()
    run = bench.start(*words)
    until(lambda: all(len(bench.batches(seed)) > 1 for seed in range(3)), "all at work")
    run.kill()
    run.wait()
    before = {job["holder"]["pid"] for job in bench.jobs()}
    run = bench.start(*words)
    victim = bench.pids(1)[-1]
    os.kill(victim, signal.SIGKILL)
    bench.gate.unlink()
    out, err = run.communicate(timeout=PATIENCE)
    assert run.returncode == 0, out + err
    assert bench.scores() == inline.scores()
    assert before - {job["holder"]["pid"] for job in bench.jobs()} == {victim}, "only the killed one was sent again"
    assert len(set(bench.pids(0))) == len(set(bench.pids(2))) == 1
    again = Counter(clip for batch in bench.batches(1) for clip in batch)
    assert sum(again.values()) <= CLIPS + BATCH, "it went on from the batch it was at"
    assert bench.left_behind() == []


def test_two_gloo_processes_give_the_same_record(bench: Bench, inline: Bench) -> None:
    bench.run(bench.matrix(1), "--devices", 2)
    assert bench.scores()["seed0.json"] == inline.scores()["seed0.json"]
    assert len(set(bench.pids(0))) == 2
    assert _once(bench, 1)
    assert bench.left_behind() == []


def test_a_cell_that_never_ends_is_given_up_in_a_sentence(bench: Bench) -> None:
    output = bench.run(bench.matrix(1), "--on", "local", "--timeout", 0.05, pace=600, code=1)
    assert "seed 0 took longer than --timeout 0.05 (minutes)" in output
    assert bench.left_behind() == []


def test_a_failing_cell_is_not_sent_again_and_costs_no_other(bench: Bench, inline: Bench) -> None:
    matrix = bench.matrix(1)
    matrix.write_text(matrix.read_text() + '[[method]]\nname = "nearest-audio"\n')
    bench.environment["JOURNAL"] = str(bench.folder / "none" / "journal")  # the plugin cannot write there
    output = bench.run(matrix, "--on", "local", code=1)
    assert "predictor 'slow' of slow-plugin 1.0 failed during fit: FileNotFoundError" in output
    assert "1 of 2 cells recorded" in output


def test_more_devices_than_slots_is_a_sentence(tmp_path: Path) -> None:
    ticket = SimpleNamespace(order=SimpleNamespace(processes=3), cell=SimpleNamespace(name="a / b / seed 0"))
    with pytest.raises(DyadbenchError, match=r"a / b / seed 0 asks for 3 devices and there are 2"):
        LocalEngine(Store(tmp_path), "cpu", ["0", "1"]).submit(ticket)  # type: ignore[arg-type]


def test_slots_are_device_indices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5,7")
    assert slots_of("cuda", 1, None, 1) == ["2", "5", "7"]
    assert slots_of("cuda", 1, 2, 1) == ["2", "5"]
    assert slots_of("cuda", 1, 7, 1) == ["2", "5", "7", "2~1", "5~1", "7~1", "2~2"]
    assert slots_of("cuda:1", 1, None, 1) == ["5"]  # counted among those that may be used
    assert slots_of("cuda:1", 1, 2, 1) == ["5", "5~1"]
    assert slots_of("cpu", 1, 3, 1) == ["0", "1", "2"]
    assert len(slots_of("cpu", 10**6, None, 2)) == 2


def test_cells_share_a_gpu_and_the_processes_of_one_cell_do_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[str] = []

    def popen(command: list[str], *, env: dict[str, str], **rest: object) -> SimpleNamespace:
        started.append(env["CUDA_VISIBLE_DEVICES"])
        return SimpleNamespace(pid=os.getpid())

    monkeypatch.setattr("dyadbench.engines.local.subprocess", SimpleNamespace(Popen=popen, DEVNULL=None))
    engine = LocalEngine(Store(tmp_path), "cuda", ["2", "5", "2~1", "5~1"])
    order = Order(key="k", home=tmp_path, leaderboards=tmp_path, device="cuda")
    cell = SimpleNamespace(name="a / b / seed 0", json_text=lambda: "{}")
    ticket = SimpleNamespace(order=order, cell=cell, stage=SimpleNamespace(folder=tmp_path), log=tmp_path / "log")
    for processes in (1, 2, 1, 1):
        ticket.order = order.model_copy(update={"processes": processes})
        engine.submit(ticket)  # type: ignore[arg-type]
    assert started == ["2", "5,2", "5"], "the fourth finds no place"
    ticket.order = order.model_copy(update={"processes": 3})
    with pytest.raises(DyadbenchError, match=r"asks for 3 devices and there are 2; lower `devices`$"):
        engine.submit(ticket)  # type: ignore[arg-type]


def test_fresh_keeps_a_record_until_the_new_one_is_there(bench: Bench) -> None:
    matrix = bench.matrix(1)
    bench.run(matrix)
    [path] = (bench.folder / "leaderboards" / "records").rglob("seed0.json")
    before, done = path.read_bytes(), len(bench.batches(0))
    bench.gate.touch()
    run = bench.start(matrix, "--on", "local", "--fresh")
    until(lambda: len(bench.batches(0)) > done, "at work again")
    run.kill()
    os.kill(bench.pids(0)[-1], signal.SIGKILL)
    run.wait()
    assert path.read_bytes() == before
    bench.gate.unlink()
    first = path.stat().st_mtime_ns
    bench.run(matrix, "--on", "local", "--fresh")
    assert path.stat().st_mtime_ns != first
    assert sum(row[0] == "fit" for row in bench.journal) == 3, "the old record was not taken for the new one"


@pytest.mark.parametrize("words", [["--on", "inline"], ["--on", "local"]], ids=lambda w: w[1])
def test_another_record_that_came_meanwhile_stays(bench: Bench, inline: Bench, words: list[str]) -> None:
    matrix = bench.matrix(1)
    bench.gate.touch()
    run = bench.start(matrix, *words)
    until(lambda: len(bench.batches(0)) > 1, "at work")
    [finished] = (inline.folder / "leaderboards" / "records").rglob("seed0.json")
    other = json.loads(finished.read_text())
    other["dataset"]["digest"] = other["key"] = "e" * 64
    path = bench.folder / finished.relative_to(inline.folder)
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(other))
    bench.gate.unlink()
    out, err = run.communicate(timeout=PATIENCE)
    assert run.returncode == 1 and "holds the record of other data" in out + err, out + err
    assert json.loads(path.read_text()) == other
    bench.run(matrix, *words, "--replace")
    assert bench.scores()["seed0.json"] == inline.scores()["seed0.json"]


def test_a_job_calls_the_gpu_of_its_slot_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It sees no other one, so `--device cuda:1` failed in every cell."""
    started: list[tuple[list[str], dict[str, str]]] = []
    monkeypatch.setattr(
        local.subprocess, "Popen",
        lambda command, env, **more: started.append((command, env)) or SimpleNamespace(pid=os.getpid()),
    )  # fmt: skip
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5")
    order = Order(key="k", home=tmp_path, leaderboards=tmp_path, data={}, device="cuda:1")
    cell = SimpleNamespace(name="a / b / seed 0", json_text=lambda: "{}")
    ticket = SimpleNamespace(order=order, cell=cell, stage=SimpleNamespace(folder=tmp_path), log=tmp_path / "log")
    engine = LocalEngine(Store(tmp_path), "cuda:1", slots_of("cuda:1", 1, None, 1))
    engine.submit(ticket)  # type: ignore[arg-type]
    [(command, env)] = started
    assert env["CUDA_VISIBLE_DEVICES"] == "5" and json.loads(command[-1])["device"] == "cuda"
