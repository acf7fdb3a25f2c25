"""Who works on a folder: a claim that other machines can read, and that ends with its holder.

A kernel lock is enough between processes of one machine, and goes when its holder does. Many shared file systems do not
carry it to other machines, so a claim file beside it names the holder: machine, process and batch job. A claim is stale
when its process is gone, or its machine was started again, or its job is over; where nobody can tell, it is waited for.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from uuid import uuid4

import psutil
from filelock import FileLock, SoftFileLock, Timeout

from dyadbench.api import DyadbenchError
from dyadbench.files.atomic import clear_stale

LOCK, CLAIM = "lock", "claim.json"
POLL_SECONDS = 1.0
PATIENCE_SECONDS = 3.0  # before a wait is mentioned, with whom it is for
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
    machine: str = ""  # its machine-id: two machines may have one host name

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}" + (f" (job {self.job})" if self.job else "")

    def gone(self, *, lock_held: bool = False) -> bool:
        """Whether it has certainly ended. False also where that cannot be known from here.

        `lock_held`: the caller has the kernel lock that this holder took before it wrote its claim.
        """
        boot, host, space, machine = _machine()
        if self.boot and self.boot == boot:  # this machine, since its last start, in whatever container
            if lock_held:
                return True  # a kernel lock goes with its process, so a living holder would still have it
            if (self.host, self.space) == (host, space):
                return not process_lives(self.pid, self.started)
            return bool(self.job) and job_over(self.job, self.restart)
        if self.host == host and self.machine and self.machine == machine:
            return True  # this machine, before its last start
        return bool(self.job) and job_over(self.job, self.restart)


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


@cache
def _machine() -> tuple[str, str, str, str]:
    """This machine's boot id, host name, process number space and machine-id; "" where the system does not say."""
    try:
        space = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        space = ""
    return _read("/proc/sys/kernel/random/boot_id"), socket.gethostname(), space, _read("/etc/machine-id")


def process_start(pid: int) -> str | None:
    """When the process started, as its machine counts it; "" where the system does not say, None if it has ended.

    On Linux in clock ticks from /proc, which are exact; psutil's seconds move when the clock is set.
    """
    if not Path("/proc/self/stat").exists():
        try:
            return str(psutil.Process(pid).create_time())
        except psutil.NoSuchProcess:
            return None
        except psutil.AccessDenied:
            return ""
    fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()  # the name before may hold anything
    return None if not fields or fields[0] in "ZX" else fields[19]


def process_lives(pid: int, started: str) -> bool:
    return process_start(pid) == started


def holder_of(pid: int, token: str = "") -> Holder:
    """The process `pid` of this machine, as it is now."""
    boot, host, space, machine = _machine()
    job = os.environ.get("SLURM_JOB_ID", "")
    restart = int(os.environ.get("SLURM_RESTART_COUNT", "0") or 0)
    return Holder(host, boot, space, pid, process_start(pid) or "", job, restart, token, machine)


def job_facts(job: str) -> dict[str, str] | None:
    """What Slurm still knows about a job; {} if it knows it no more, None if Slurm cannot be asked."""
    try:
        answer = subprocess.run(["scontrol", "show", "job", "-o", job], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    if answer.returncode:
        return {} if "Invalid job id" in answer.stderr + answer.stdout else None
    return dict(re.findall(r"(\w+)=(\S*)", answer.stdout))


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


@contextmanager
def own_folder(place: Path, prefix: str) -> Iterator[Path]:
    """A new folder in `place` that is gone after the block. Those of the prefix whose runs were killed are removed first."""
    for left in place.glob(f"{prefix}*"):
        if (holder := read_holder(left / CLAIM)) is not None and holder.gone():
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=place, prefix=prefix) as folder:
        (Path(folder) / CLAIM).write_text(json.dumps(asdict(holder_of(os.getpid()))))
        yield Path(folder)


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


@contextmanager
def locked(path: Path, wait: float = -1) -> Iterator[FileLock]:
    """The kernel lock of a file. Raises filelock.Timeout, and DyadbenchError where the file system keeps no locks."""
    try:
        with warnings.catch_warnings(
            action="ignore"
        ):  # of file systems without flock, where a file's being there locks
            lock = _lock(path, wait)
    except OSError as error:
        if isinstance(error, Timeout) or error.filename is not None:
            raise
        raise DyadbenchError(
            f"cannot lock {path}: {error.strerror}; choose a place on a file system that keeps locks with --home"
        ) from error
    try:
        yield lock
    finally:
        lock.release(force=True)


def _lock(path: Path, wait: float) -> FileLock:
    """A wait is mentioned, with the name of the holder if it has written one."""
    lock, start, mentioned = FileLock(path), time.monotonic(), False
    while True:
        left = None if wait < 0 else max(0.0, wait - (time.monotonic() - start))
        step = PATIENCE_SECONDS if left is None else min(PATIENCE_SECONDS, left)
        try:
            lock.acquire(timeout=step)
            return lock
        except Timeout:
            if left is not None and left <= step:
                raise
            if not mentioned:
                mentioned = True
                _mention(read_holder(path.with_name(CLAIM)), path.parent)


def _mention(holder: Holder | None, folder: Path) -> None:
    who = holder or "another process of this machine"
    print(
        f"waiting for {who}, which works on {folder}; if it is gone for good, delete {folder / CLAIM}",
        file=sys.stderr, flush=True,
    )  # fmt: skip


def _take(folder: Path, mine: Holder, wait: float, *, lock_held: bool) -> None:
    path, start, mentioned = folder / CLAIM, time.monotonic(), False
    while not _place(path, mine):
        other = read_holder(path)
        # Unreadable: cut short by a power failure, as claims appear whole.
        if other is None or other.gone(lock_held=lock_held):
            if path.exists():
                _break(path, other)
            continue
        waited = time.monotonic() - start
        if 0 <= wait <= waited:
            raise Timeout(str(path))
        if waited > PATIENCE_SECONDS and not mentioned:
            mentioned = True
            _mention(other, folder)
        time.sleep(POLL_SECONDS if wait < 0 else min(POLL_SECONDS, wait))


@contextmanager
def hold(folder: Path, wait: float = -1) -> Iterator[Holder]:
    """Holds `folder` alone, among all machines that see it; leaves neither lock nor claim behind.

    `wait` in seconds, -1 for ever. Raises filelock.Timeout, and DyadbenchError where the file system keeps no locks.
    """
    with ExitStack() as release:
        lock = release.enter_context(locked(folder / LOCK, wait))
        clear_stale(folder, f".{CLAIM}.*")
        mine = holder_of(os.getpid(), uuid4().hex)
        # Where the file system has no locks, filelock falls back to a file that outlives its holder: it proves nothing.
        _take(folder, mine, wait, lock_held=not isinstance(lock, SoftFileLock))
        release.callback(_release, folder, mine)
        yield mine


def _release(folder: Path, mine: Holder) -> None:
    """Takes claim and lock file away. No signal may interrupt it (the alarm of --timeout, Ctrl-C): a claim that stayed
    behind would be waited for by this very process."""
    with _signals_wait():
        if read_holder(folder / CLAIM) == mine:
            (folder / CLAIM).unlink(missing_ok=True)
        with suppress(OSError):
            (folder / LOCK).unlink()  # still locked: who waits for it sees that it has no name, and makes a new one


@contextmanager
def _signals_wait() -> Iterator[None]:
    """Signals that come inside the block are handled after it.

    By handlers and not by a signal mask: the system may deliver to any thread, and Python then still runs the handler in
    the main thread, whatever that one's mask says.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # handlers run in the main thread only, so nothing can interrupt this one
        return
    came: list[int] = []
    before = {}
    for name in ("SIGALRM", "SIGINT", "SIGTERM"):
        number = getattr(signal, name, None)
        if number is not None and callable(signal.getsignal(number)):
            before[number] = signal.signal(number, lambda signum, frame: came.append(signum))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for number in dict.fromkeys(came):
            signal.raise_signal(number)
