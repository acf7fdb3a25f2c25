"""A Slurm cluster of one node on this machine, without systemd: munged, slurmctld and slurmd, started and stopped here."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun")
PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
CONF = """\
ClusterName=dyadbench-test
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=1,bf_interval=1
ReturnToService=2
SlurmdParameters=config_overrides
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
FirstJobId={first}
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmdSpoolDir={folder}/spool
StateSaveLocation={folder}/state
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
MpiDefault=none
SwitchType=switch/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
KillWait=2
NodeName={host} NodeAddr=127.0.0.1 CPUs=8 State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> str:
    """Why there can be no cluster; empty if there can."""
    absent = [name for name in PROGRAMS if shutil.which(name, path=PATH) is None]
    return f"{', '.join(absent)} not installed (Debian: slurm-wlm, munge)" if absent else ""


class Cluster:
    """Raises RuntimeError where the daemons do not come up."""

    def __init__(self, folder: Path):
        self.folder, self.host = folder, socket.gethostname().partition(".")[0]
        self.environment = {"SLURM_CONF": str(folder / "slurm.conf"), "PATH": PATH}
        for name in ("spool", "state"):
            (folder / name).mkdir()
        folder.chmod(0o755)
        key = folder / "munge.key"
        key.write_bytes(secrets.token_bytes(1024))
        key.chmod(0o400)
        sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
        ports = [bound.getsockname()[1] for bound in sockets]
        for bound in sockets:
            bound.close()
        # Tasks of a job meet at a port that follows from its number: not at one for all clusters.
        first = 1 + secrets.randbelow(9000)
        user = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
        (folder / "slurm.conf").write_text(
            CONF.format(host=self.host, user=user, folder=folder, ports=ports, first=first)
        )

    def start(self) -> None:
        munge = [f"--{name}={self.folder}/munge.{name.split('-')[0]}" for name in ("socket", "key-file", "log-file", "pid-file", "seed-file")]  # fmt: skip
        self._call("munged", "--force", "--num-threads=1", *munge)
        self._call("slurmctld")
        self._call("slurmd", "-N", self.host)
        self.wait_for("idle")

    def stop(self) -> None:
        """Ends the three by the process numbers that they wrote down themselves."""
        self.ask("scancel", "--user", str(os.getuid()))
        for name in ("slurmd", "slurmctld", "munge"):
            file = self.folder / f"{name}.pid"
            if file.exists():
                _end(int(file.read_text()))

    def clear(self) -> None:
        """As it was begun: a test that failed leaves neither jobs nor a node that is out."""
        self.ask("scancel", "--user", str(os.getuid()))
        self.ask("scontrol", "update", f"nodename={self.host}", "state=resume")
        self.wait_for("idle")

    def wait_for(self, state: str, seconds: float = 120) -> None:
        until = time.monotonic() + seconds
        while (now := self.ask("sinfo", "--noheader", "--format", "%T").strip()) != state:
            if time.monotonic() > until:
                log = (self.folder / "slurmctld.log").read_text().splitlines()[-3:]
                raise RuntimeError(f"the node is {now or 'unknown'}, not {state}: {' / '.join(log)}")
            time.sleep(0.2)

    def take_down(self) -> None:
        """Slurm gives the node up and puts its jobs back. Its slurmd still answers, so Slurm would take it back at once
        and start the jobs beside what is left of them; drained, it stays out until `take_up`."""
        self.ask("scontrol", "update", f"nodename={self.host}", "state=down", "reason=test")
        self.ask("scontrol", "update", f"nodename={self.host}", "state=drain", "reason=test")

    def take_up(self) -> None:
        self.ask("scontrol", "update", f"nodename={self.host}", "state=resume")
        self.wait_for("idle")

    def quiet(self, job: str) -> bool:
        """Whether nothing of the job is left on the node. Where slurmd finds a step's socket it refuses to start the job
        again, and Slurm then holds the job until an operator releases it."""
        return not any((self.folder / "spool").glob(f"{self.host}_{job}.*"))

    def ask(self, *words: str) -> str:
        """What a Slurm command prints; empty where it fails."""
        return subprocess.run(words, env=self._env, capture_output=True, text=True).stdout

    def _call(self, *words: str) -> None:
        process = subprocess.run(words, env=self._env, capture_output=True, text=True)
        if process.returncode:
            raise RuntimeError(f"{words[0]} does not start: {process.stderr.strip()}")

    @property
    def _env(self) -> dict[str, str]:
        return os.environ | self.environment


def _end(pid: int) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.kill(pid, number)
        until = time.monotonic() + 10
        while time.monotonic() < until:
            if not Path(f"/proc/{pid}").exists():
                return
            time.sleep(0.05)
