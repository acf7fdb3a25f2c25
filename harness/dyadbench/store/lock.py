"""Who works on a folder: a claim that other machines can read, and that outlives nobody.

A kernel lock is enough between processes of one machine, and goes when its holder does. Many shared file systems do not
carry it to other machines, so a claim file beside it names the holder: machine, process and batch job. A claim is stale
when its process is gone, or its machine was started anew, or its job is over; where nobody can tell, it is waited for.
"""

from __future__ import annotations

import errno
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from uuid import uuid4

from filelock import FileLock, Timeout

LOCK, CLAIM = "lock", "claim.json"
POLL_SECONDS = 1.0
PATIENCE_SECONDS = 10.0  # before a wait for another machine is mentioned
OVER = {"CANCELLED", "COMPLETED", "FAILED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "BOOT_FAIL", "DEADLINE", "PREEMPTED"}  # fmt: skip
NOT_STARTED = {"PENDING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT", "RESV_DEL_HOLD"}


@dataclass(frozen=True)
class Holder:
    """One process on one machine, named so that no later process is taken for it."""

    host: str
    boot: str  # the machine's boot, empty where the system does not say
    space: str  # its process number space: containers have their own
    pid: int
    started: str  # the process's start, so that a number used again is another process
    job: str = ""
    restart: int = 0
    token: str = ""

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}" + (f" (job {self.job})" if self.job else "")

    def gone(self) -> bool:
        """Whether it has certainly ended. False also where that cannot be known from here."""
        here = _machine()
        if (self.boot, self.host) == here[:2]:
            if self.space == here[2]:
                return not process_lives(self.pid, self.started)
            return not self.job or job_over(self.job, self.restart)
        if self.host == here[1]:
            return True  # this machine, before it was started anew
        return bool(self.job) and job_over(self.job, self.restart)


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


@cache
def _machine() -> tuple[str, str, str]:
    try:
        space = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        space = ""
    return _read("/proc/sys/kernel/random/boot_id"), socket.gethostname(), space


def process_start(pid: int) -> str | None:
    """When the process started, in ticks of its machine; "" where the system does not say, None if it has ended."""
    if not Path("/proc/self/stat").exists():
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return None
        except PermissionError:
            pass
        return ""
    fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()  # the name before may hold anything
    return None if not fields or fields[0] in "ZX" else fields[19]


def process_lives(pid: int, started: str) -> bool:
    return process_start(pid) == started


def holder_of(pid: int, token: str = "") -> Holder:
    """The process `pid` of this machine, as it is now."""
    boot, host, space = _machine()
    job = os.environ.get("SLURM_JOB_ID", "")
    restart = int(os.environ.get("SLURM_RESTART_COUNT", "0") or 0)
    return Holder(host, boot, space, pid, process_start(pid) or "", job, restart, token)


def job_facts(job: str) -> dict[str, str] | None:
    """What Slurm still knows about a job; {} if it knows it no more, None if Slurm cannot be asked."""
    try:
        asked = subprocess.run(["scontrol", "show", "job", "-o", job], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    if asked.returncode:
        return {} if "Invalid job id" in asked.stderr + asked.stdout else None
    return dict(re.findall(r"(\w+)=(\S*)", asked.stdout))


def job_over(job: str, restart: int = 0) -> bool:
    """Whether this start of the job has ended: the job is over or unknown, waits again, or was started again."""
    facts = job_facts(job)
    if facts is None:
        return False
    state = facts.get("JobState", "COMPLETED")
    return state in OVER or state in NOT_STARTED or int(facts.get("Restarts", "0")) > restart


def read_holder(path: Path) -> Holder | None:
    try:
        return Holder(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return None


# --- claiming -------------------------------------------------------------------------------------------


def _place(path: Path, holder: Holder) -> bool:
    """Makes the claim file, whole or not at all; False if there is one. A link is atomic on network file systems too."""
    scratch = path.with_name(f".{CLAIM}.{holder.token}")
    scratch.write_text(json.dumps(asdict(holder)))
    try:
        os.link(scratch, path)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK):
            raise
        if path.exists():
            return False
        scratch.replace(path)  # no hard links here: the kernel lock alone must do
    finally:
        scratch.unlink(missing_ok=True)
    return True


def _break(path: Path, stale: Holder | None) -> None:
    """Takes a stale claim away. If another machine was quicker and the claim is a new one, it is put back."""
    aside = path.with_name(f".{CLAIM}.{uuid4().hex}")
    with suppress(FileNotFoundError):
        path.rename(aside)
        if read_holder(aside) != stale:
            with suppress(FileExistsError):
                os.link(aside, path)
        aside.unlink(missing_ok=True)


def _take(folder: Path, mine: Holder, wait: float) -> None:
    path, begun, mentioned = folder / CLAIM, time.monotonic(), False
    while not _place(path, mine):
        other = read_holder(path)
        if other is None or other.gone():  # unreadable: cut short by a power failure, as claims appear whole
            if path.exists():
                _break(path, other)
            continue
        waited = time.monotonic() - begun
        if 0 <= wait <= waited:
            raise Timeout(str(path))
        if waited > PATIENCE_SECONDS and not mentioned:
            mentioned = True
            print(
                f"waiting for {other}, which works on {folder}; if that machine is gone for good, delete {path}",
                file=sys.stderr, flush=True,
            )  # fmt: skip
        time.sleep(POLL_SECONDS if wait < 0 else min(POLL_SECONDS, wait))


@contextmanager
def hold(folder: Path, wait: float = -1) -> Iterator[Holder]:
    """Holds `folder` alone, among all machines that see it; leaves neither lock nor claim behind.

    `wait` in seconds, -1 for ever. Raises filelock.Timeout.
    """
    lock = FileLock(folder / LOCK, timeout=wait)
    with lock:
        mine = holder_of(os.getpid(), uuid4().hex)
        _take(folder, mine, wait)
        try:
            yield mine
        finally:
            if read_holder(folder / CLAIM) == mine:
                (folder / CLAIM).unlink(missing_ok=True)
            with suppress(OSError):
                (folder / LOCK).unlink()  # still locked: who waits for it sees that it has no name, and starts anew
