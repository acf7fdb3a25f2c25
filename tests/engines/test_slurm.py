"""The same matrix on a real Slurm of one node, in bad weather: the records are those of the inline run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from engine_bench import BATCH, CLIPS, PATIENCE, Bench, until
from slurm_cluster import Cluster

from dyadbench.api import DyadbenchError
from dyadbench.matrix.cells import read_matrix

TABLE = '[slurm]\npartition = "main"\ntime = "0:30:00"\ncpus = 1\nwarn = 5\n'


@pytest.fixture
def lab(bench: Bench, cluster: Cluster) -> Iterator[Bench]:
    bench.environment.update(cluster.environment)
    yield bench
    cluster.clear()


def _job(bench: Bench, seed: int) -> str:
    """The number of the job that does a seed, by Slurm's job name."""
    for path in (bench.folder / "home" / "store" / "submit").rglob("slurm/*_submission.sh"):
        if f"job-name=slow-s{seed}-" in path.read_text():
            scripts = sorted(path.parent.glob("*_submission.sh"), key=lambda p: int(p.name.partition("_")[0]))
            return scripts[-1].name.partition("_")[0]
    return ""


def _restarts(cluster: Cluster, job: str) -> int:
    return int(cluster.ask("scontrol", "show", "job", job).partition("Restarts=")[2].split()[0])


def _goes_on(lab: Bench, cluster: Cluster, seed: int, job: str, before: set[int]) -> None:
    """Until a process other than those `before` is at the seed. Slurm lets a requeued job wait for two minutes; this one
    need not, once the node has let go of it."""

    def going() -> bool:
        if set(lab.pids(seed)) - before:
            return True
        if cluster.quiet(job):
            cluster.ask("scontrol", "update", f"jobid={job}", "starttime=now")
        time.sleep(1)
        return False

    until(going, f"seed {seed} goes on")


def test_dry_run_prints_the_batch_script(lab: Bench) -> None:
    output = lab.run(lab.matrix(2, more=TABLE), "--on", "slurm", "--devices", 2, "--dry-run")
    assert "2 of 2 cells would be sent" in output
    for line in ("partition=main", "time=30", "ntasks-per-node=2", "cpus-per-task=1", "signal=USR2@5"):
        assert f"#SBATCH --{line}" in output
    assert lab.jobs() == []


def test_a_job_imports_what_the_run_imports(lab: Bench) -> None:
    words = ["run", lab.matrix(1, more=TABLE), "--on", "slurm", "--dry-run", "--root", lab.folder]
    command = [Path(sys.executable).with_name("dyadbench"), *words]
    environment = os.environ | lab.environment | {"PYTHONPATH": str(lab.folder.parent / "plugin")}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=PATIENCE)
    assert "\nexport PYTHONSAFEPATH=1\n" in done.stdout, done.stderr


@pytest.mark.long  # a minute or more, most of it Slurm's own
def test_cancelled_killed_requeued_and_the_node_down(lab: Bench, inline: Bench, cluster: Cluster) -> None:
    words = [lab.matrix(3, more=TABLE), "--on", "slurm"]
    lab.gate.touch()
    run = lab.start(*words)
    until(lambda: all(len(lab.batches(seed)) > 1 for seed in range(3)), "all at work")
    run.kill()  # the run, not its jobs
    run.wait()
    first = {job["job"] for job in lab.jobs()}
    run = lab.start(*words)
    assert run.stderr is not None
    until(lambda: "running" in run.stderr.readline(), "the second run has found the jobs")

    jobs, before = [_job(lab, seed) for seed in range(3)], [set(lab.pids(seed)) for seed in range(3)]
    cluster.take_down()
    until(lambda: all(_restarts(cluster, job) == 1 for job in jobs), "the node's jobs are put back into the queue")
    until(lambda: all(cluster.quiet(job) for job in jobs), "the node has let go of them")
    cluster.take_up()
    for seed, job in enumerate(jobs):
        _goes_on(lab, cluster, seed, job, before[seed])
        if seed == 0:
            cluster.ask("scancel", job)
        elif seed == 1:
            os.kill(lab.pids(1)[-1], signal.SIGKILL)
        else:
            again = set(lab.pids(2))
            cluster.ask("scancel", "--signal=USR2", job)  # what Slurm sends before the time limit, or to preempt
            until(lambda: _restarts(cluster, jobs[2]) == 2, "the warned job puts itself back into the queue")
            _goes_on(lab, cluster, seed, job, again)
    lab.gate.unlink()

    out, err = run.communicate(timeout=PATIENCE)
    assert run.returncode == 0, out + err
    assert "CANCELLED" in err
    assert lab.scores() == inline.scores()
    assert {job["job"] for job in lab.jobs()} & first == {jobs[2]}, "a job that Slurm starts again is not sent again"
    assert first == set(jobs)
    for seed in range(3):
        times = Counter(clip for batch in lab.batches(seed) for clip in batch)
        assert len(times) == CLIPS
        assert sum(times.values()) <= CLIPS + 3 * BATCH, "each start goes on from the batch it was at"
    assert lab.left_behind() == []


def test_a_cell_on_two_tasks_gives_the_same_record(lab: Bench, inline: Bench) -> None:
    lab.run(lab.matrix(1, more=TABLE), "--on", "slurm", "--devices", 2)
    assert lab.scores()["seed0.json"] == inline.scores()["seed0.json"]
    assert len(set(lab.pids(0))) == 2


def test_what_slurm_refuses_is_a_sentence(lab: Bench) -> None:
    output = lab.run(lab.matrix(1, more='[slurm]\npartition = "nowhere"\n'), "--on", "slurm", code=1)
    assert "Slurm refuses" in output
    assert "invalid partition" in output.lower()


@pytest.mark.parametrize(
    ("table", "minutes"),
    [("time = 90", 90), ('time = "1:30:00"', 90), ('time = "1-00:00:30"', 1441), ('time = "10:30"', 11)],
)
def test_times_are_read_as_slurm_writes_them(tmp_path: Path, table: str, minutes: int) -> None:
    path = tmp_path / "matrix.toml"
    path.write_text(f'benchmarks = ["a"]\n[slurm]\n{table}\n[[method]]\nname = "m"\n')
    assert read_matrix(path).slurm.time == minutes


@pytest.mark.parametrize(("table", "fault"), [('time = "soon"', "slurm.time"), ('memory = "lots"', "slurm.memory"), ("gpu = 1", "slurm.gpu")])  # fmt: skip
def test_mistakes_in_resources_name_the_field(tmp_path: Path, table: str, fault: str) -> None:
    path = tmp_path / "matrix.toml"
    path.write_text(f'benchmarks = ["a"]\n[slurm]\n{table}\n[[method]]\nname = "m"\n')
    with pytest.raises(DyadbenchError, match=fault):
        read_matrix(path)
