"""`--on local`: every cell is a process on this machine, on a device from a pool of slots.

A slot is a device index, or a further place on that device where more cells than devices are to run at once. Its holder is
written to a file, so that two runs, or a run that was killed and restarted, never give one slot to two cells.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dyadbench.api import DyadbenchError
from dyadbench.engines.job import import_guard
from dyadbench.engines.submission import JobState, Phase, Ticket
from dyadbench.files.atomic import atomic_write
from dyadbench.matrix.keys import key_of
from dyadbench.store.folders import Store
from dyadbench.store.lock import Holder, holder_of, read_holder

GRACE_SECONDS = 10.0  # between asking a process to end and ending it
PLACE = "~"  # 0, 0~1 and 0~2 are three places on GPU 0


def visible_gpus() -> list[str]:
    """The GPUs this process may use, as CUDA_VISIBLE_DEVICES names them."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [part.strip() for part in named.split(",") if part.strip()]
    import torch

    return [str(index) for index in range(torch.cuda.device_count())]


def cores() -> int:
    """How many cores this process may use, which taskset, Slurm or a container may have made fewer than there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def slots_of(device: str, threads: int, count: int | None, most: int) -> list[str]:
    """The slots of the pool: GPUs, in turn again where `count` is more, or CPU processes as the cores allow.

    `most` is how many devices one cell asks for.
    """
    if device.startswith("cuda"):
        gpus = visible_gpus()
        if ":" in device:  # counted among those that this process may use
            gpus = gpus[int(device.partition(":")[2]) :][:1]
        rounds = -(-(count or len(gpus)) // max(1, len(gpus)))
        return [gpu + (f"{PLACE}{n}" if n else "") for n in range(rounds) for gpu in gpus][: count or None]
    return [str(index) for index in range(count or max(most, cores() // threads))]


def _device(slot: str) -> str:
    return slot.partition(PLACE)[0]


class LocalEngine:
    name, detached, pace = "local", False, 0.2

    def __init__(self, store: Store, device: str, slots: Sequence[str]):
        self._store, self._cuda, self._slots = store, device.startswith("cuda"), list(slots)
        self.most = len(self._slots)
        self._pool = key_of("slots", host=socket.gethostname(), device=device.partition(":")[0])
        self._children: dict[int, subprocess.Popen[bytes]] = {}

    def submit(self, ticket: Ticket) -> dict[str, Any] | None:
        processes = ticket.order.processes
        devices = len({_device(slot) for slot in self._slots})
        if processes > devices:
            raise DyadbenchError(
                f"{ticket.cell.name} asks for {processes} devices and there are {devices}; lower `devices`"
                + ("" if self._cuda else ", or give --slots")
            )
        with self._store.hold("slots", self._pool) as pool:
            free: dict[str, str] = {}  # of each device its first free place: the processes of one cell share no GPU
            for slot in self._slots:
                if not _in_use(pool.folder / f"{slot}.json"):
                    free.setdefault(_device(slot), slot)
            if len(free) < processes:
                return None
            places = list(free.values())[:processes]
            holder = holder_of(self._start(ticket, places))
            for slot in places:
                atomic_write(pool.folder / f"{slot}.json", json.dumps(asdict(holder)))
        return {"engine": self.name, "holder": asdict(holder), "slots": places}

    def _start(self, ticket: Ticket, slots: Sequence[str]) -> int:
        # A job sees the GPUs of its slots alone, of which the first is cuda:0 whatever its number here.
        order = ticket.order.model_copy(update={"device": "cuda"}) if self._cuda else ticket.order
        launcher = [sys.executable]
        if order.processes > 1:
            launcher += ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(order.processes)]
        cell = ticket.stage.folder / "cell.json"  # not on the command line, which the system limits to 128 kB
        atomic_write(cell, ticket.cell.json_text())
        command = [*launcher, "-m", "dyadbench.engines.job", f"@{cell.resolve()}", order.model_dump_json()]
        env = os.environ | import_guard() | {"OMP_NUM_THREADS": str(order.threads)}
        if self._cuda:
            env["CUDA_VISIBLE_DEVICES"] = ",".join(map(_device, slots))
        with ticket.log.open("ab") as log:
            child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env, start_new_session=True)  # fmt: skip
        self._children[child.pid] = child
        return child.pid

    def states(self, tickets: list[Ticket]) -> dict[str, JobState]:
        for child in self._children.values():
            child.poll()  # lets go of those that ended
        living = {}
        for ticket in tickets:
            holder = _holder(ticket)
            if holder is not None and not holder.gone():
                slots = ", ".join(ticket.job["slots"])
                living[ticket.run.key] = JobState(Phase.running, f"on {'GPU' if self._cuda else 'slot'} {slots}")
        return living

    def ending(self, ticket: Ticket) -> str:
        holder = _holder(ticket)
        child = self._children.get(holder.pid) if holder else None
        code = child.poll() if child else None
        if code is not None and code < 0:
            return f"was ended by {signal.Signals(-code).name}"
        return "ended early" if code is None else f"ended with exit status {code}"

    def stop(self, ticket: Ticket) -> None:
        holder = _holder(ticket)
        if holder is None:
            return
        for number in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(holder.pid, number)
            until = time.monotonic() + GRACE_SECONDS
            while time.monotonic() < until:
                self.states([])
                if holder.gone():
                    return
                time.sleep(0.05)


def _holder(ticket: Ticket) -> Holder | None:
    try:
        return Holder(**ticket.job["holder"])
    except (KeyError, TypeError):
        return None


def _in_use(path: Path) -> bool:
    holder = read_holder(path)
    return holder is not None and not holder.gone()
