"""Claims: who holds a folder, seen from other machines, and when a claim is stale."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from filelock import SoftFileLock, Timeout

from dyadbench.store import lock as holder
from dyadbench.store.lock import CLAIM, Holder, hold, holder_of, own_folder, process_start, read_holder

MINE = holder_of(os.getpid(), "t")


def _claimed(folder: Path, by: Holder) -> None:
    (folder / CLAIM).write_text(json.dumps(dataclasses.asdict(by)))


def _slurm(folder: Path, monkeypatch: pytest.MonkeyPatch, says: str, code: int = 0) -> None:
    script = folder / "bin" / "scontrol"
    script.parent.mkdir()
    script.write_text(f"#!/bin/sh\necho '{says}'\nexit {code}\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}:{os.environ['PATH']}")


def test_a_holder_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    with hold(tmp_path) as mine:
        assert read_holder(tmp_path / CLAIM) == mine
        assert not mine.gone()
        with pytest.raises(Timeout), hold(tmp_path, 0):
            pass
    assert list(tmp_path.iterdir()) == []


def test_a_failure_inside_lets_go(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), hold(tmp_path):
        1 / 0  # noqa: B018
    assert list(tmp_path.iterdir()) == []


def test_a_process_that_ended_or_whose_number_is_used_again_is_gone() -> None:
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
    assert process_start(int(ended.stdout)) is None
    assert dataclasses.replace(MINE, pid=int(ended.stdout)).gone()
    assert dataclasses.replace(MINE, started="1").gone()


def test_a_claim_from_before_the_machine_started_is_stale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holder, "_machine", lambda: ("boot2", "node", "pid:[1]", "machine1"))
    _claimed(tmp_path, dataclasses.replace(MINE, boot="boot1", host="node", machine="machine1"))
    with hold(tmp_path, 0) as mine:
        assert read_holder(tmp_path / CLAIM) == mine


def test_two_machines_of_one_host_name_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holder, "_machine", lambda: ("boot2", "node", "pid:[1]", "machine2"))
    _claimed(tmp_path, dataclasses.replace(MINE, boot="boot1", host="node", machine="machine1"))
    with pytest.raises(Timeout), hold(tmp_path, 0.05):
        pass
    assert read_holder(tmp_path / CLAIM).machine == "machine1", "its holder may be alive"


def test_a_killed_container_with_another_host_name_blocks_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same boot and the kernel lock free: whatever held it has ended, whatever it called itself."""
    monkeypatch.setattr(holder, "_machine", lambda: ("boot1", "new", "pid:[2]", ""))
    _claimed(tmp_path, dataclasses.replace(MINE, boot="boot1", host="old", space="pid:[1]", pid=1))
    with hold(tmp_path, 0) as mine:
        assert read_holder(tmp_path / CLAIM) == mine


def test_a_claim_that_this_very_process_left_behind_is_its_own(tmp_path: Path) -> None:
    """An alarm inside the release of a claim once left it, and the process then waited for itself."""
    _claimed(tmp_path, MINE)
    with hold(tmp_path, 0) as mine:
        assert read_holder(tmp_path / CLAIM) == mine


def test_without_kernel_locks_a_claim_of_this_boot_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holder, "FileLock", SoftFileLock)
    _claimed(tmp_path, dataclasses.replace(MINE, host="old", space="pid:[1]", pid=1))
    with pytest.raises(Timeout), hold(tmp_path, 0.05):
        pass


def test_an_alarm_cannot_interrupt_the_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = read_holder

    def slowly(path: Path) -> Holder | None:
        time.sleep(0.3)
        return slow(path)

    def ring(signum: int, frame: object) -> None:
        raise TimeoutError("alarm")

    before = signal.signal(signal.SIGALRM, ring)
    try:
        with pytest.raises(TimeoutError), hold(tmp_path):
            monkeypatch.setattr(holder, "read_holder", slowly)
            signal.setitimer(signal.ITIMER_REAL, 0.1)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert list(tmp_path.iterdir()) == [], "the alarm came while the claim was taken away, and waited"


def test_a_wait_for_the_kernel_lock_is_mentioned_with_its_holder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A stopped process (Ctrl-Z) keeps its lock; the next run says for whom it waits."""
    monkeypatch.setattr(holder, "PATIENCE_SECONDS", 0.05)
    with hold(tmp_path) as mine:
        with pytest.raises(Timeout), hold(tmp_path, 0.3):
            pass
        assert f"waiting for {mine}, which works on {tmp_path}" in capsys.readouterr().err


def test_a_claim_of_another_machine_is_waited_for_and_named(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(holder, "PATIENCE_SECONDS", 0)
    _claimed(tmp_path, dataclasses.replace(MINE, boot="another", host="node7", pid=12))
    with pytest.raises(Timeout), hold(tmp_path, 0.05):
        pass
    assert read_holder(tmp_path / CLAIM).host == "node7"
    errors = capsys.readouterr().err
    assert errors.startswith("waiting for process 12 on node7, which works on")
    assert f"delete {tmp_path / CLAIM}" in errors


@pytest.mark.parametrize(
    ("says", "code", "stale"),
    [
        ("JobId=7 JobState=RUNNING Restarts=0", 0, False),
        ("JobId=7 JobState=COMPLETING Restarts=0", 0, False),
        ("JobId=7 JobState=RUNNING Restarts=1", 0, True),
        ("JobId=7 JobState=PENDING Restarts=1", 0, True),
        ("JobId=7 JobState=NODE_FAIL Restarts=0", 0, True),
        ("slurm_load_jobs error: Invalid job id specified", 1, True),
        ("slurm_load_jobs error: Unable to contact slurm controller", 1, False),
    ],
)
def test_a_claim_of_a_job_is_stale_when_slurm_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: str, code: int, stale: bool
) -> None:
    _slurm(tmp_path, monkeypatch, says, code)
    assert dataclasses.replace(MINE, boot="another", host="node7", job="7").gone() is stale


def test_without_slurm_a_job_elsewhere_is_not_taken_for_gone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not dataclasses.replace(MINE, boot="another", host="node7", job="7").gone()


def test_a_stale_claim_that_another_machine_replaced_first_is_put_back(tmp_path: Path) -> None:
    fresh = dataclasses.replace(MINE, boot="another", host="node8", token="new")
    _claimed(tmp_path, fresh)
    holder._break(tmp_path / CLAIM, dataclasses.replace(MINE, token="old"))
    assert read_holder(tmp_path / CLAIM) == fresh
    assert [path.name for path in tmp_path.iterdir()] == [CLAIM]


def test_a_claim_cut_short_by_a_power_failure_is_no_claim(tmp_path: Path) -> None:
    (tmp_path / CLAIM).write_text('{"host": "no')
    with hold(tmp_path, 0):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_a_run_that_was_killed_is_removed_by_the_next(tmp_path: Path) -> None:
    """`verify` left its copies of trained weights behind, and nothing ever took them away."""
    script = (
        "import os, sys; from pathlib import Path; from dyadbench.store.lock import own_folder\n"
        "with own_folder(Path(sys.argv[1]), 'verify-') as folder: (folder / 'weights').write_text('x'); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)
    [left] = tmp_path.glob("verify-*")
    (tmp_path / "verify-mine").mkdir()
    with own_folder(tmp_path, "verify-") as folder:
        with own_folder(tmp_path, "verify-") as other:
            assert folder.exists() and other.exists() and other != folder
        assert not left.exists() and not other.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["verify-mine"]
