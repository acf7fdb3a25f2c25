"""`--on slurm`: every cell is a Slurm job, sent through submitit. A cell on n devices is a job of n tasks on one node.

A job gets a signal before its time limit or when it is preempted; it requeues itself and resumes from its last
checkpoint. States are asked of `squeue` and `scontrol`, which every site has, not of accounting, which some have not.
"""

from __future__ import annotations

import getpass
import shutil
import subprocess
from collections.abc import Sequence
from typing import Any

from dyadbench.api import DyadbenchError
from dyadbench.engines.job import existing_record, import_guard, run_job
from dyadbench.engines.submission import JobState, Phase, Ticket
from dyadbench.matrix.slurm import SlurmOptions
from dyadbench.records.record import slug
from dyadbench.store.lock import job_facts

REQUEUES = 1000  # of one job at its time limit
FIELDS = "%i|%T|%L|%r|%N"  # id, state, time left, reason, nodes


class CellJob:
    """What submitit pickles: two texts and the name of this class. Its state is in the store."""

    def __call__(self, cell_json: str, order_json: str) -> None:
        run_job(cell_json, order_json)

    def checkpoint(self, cell_json: str, order_json: str) -> Any:
        """Called by submitit before the job is put back into the queue."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, cell_json, order_json)


class SlurmEngine:
    name, detached, pace = "slurm", True, 2.0

    def __init__(self, resources: SlurmOptions):
        self._resources = resources
        self.most = resources.jobs

    @staticmethod
    def check() -> None:
        """Raises DyadbenchError where there is no Slurm, or no submitit."""
        try:
            import submitit  # noqa: F401
        except ModuleNotFoundError:
            raise DyadbenchError("--on slurm needs submitit: pip install 'dyadbench[slurm]'") from None
        if shutil.which("sbatch") is None:
            raise DyadbenchError("--on slurm: there is no sbatch here; run it on a login node of the cluster")

    def parameters(self, ticket: Ticket) -> dict[str, Any]:
        """As submitit names them."""
        r, n = self._resources, ticket.order.processes
        options: dict[str, Any] = {
            "job_name": slug(f"{ticket.cell.method}-s{ticket.cell.seed}-{ticket.run.key[:8]}"),
            "nodes": 1, "ntasks_per_node": n, "cpus_per_task": r.cpus, "time": r.time, "signal_delay_s": r.warn,
            "srun_args": ["--kill-on-bad-exit=1"],  # a process that fails must not leave the others waiting for it
        }  # fmt: skip
        more = {"partition": r.partition, "mem": r.memory, "account": r.account, "qos": r.qos, "constraint": r.constraint,
                "gpus_per_node": n * r.gpus or None,
                "setup": [*(f"export {name}={value}" for name, value in import_guard().items()), *r.setup] or None,
                "additional_parameters": dict(r.options) or None}  # fmt: skip
        return options | {name: value for name, value in more.items() if value is not None}

    def executor(self, ticket: Ticket) -> Any:
        import submitit

        executor = submitit.SlurmExecutor(folder=ticket.stage.folder / "slurm", max_num_timeout=REQUEUES)
        executor.update_parameters(**self.parameters(ticket))
        return executor

    def submit(self, ticket: Ticket) -> dict[str, Any] | None:
        from submitit.core.utils import FailedJobError

        try:
            job = self.executor(ticket).submit(CellJob(), ticket.cell.json_text(), ticket.order.model_dump_json())
        except FailedJobError as error:
            lines = str(error.__cause__ or error).strip().splitlines()
            raise DyadbenchError(
                f"Slurm refuses {ticket.cell.name}: {lines[-1] if lines else 'no reason given'}"
            ) from None
        return {"engine": self.name, "job": job.job_id}

    def _queue(self) -> dict[str, list[str]] | None:
        """This user's jobs by id; None where Slurm does not answer."""
        try:
            answer = subprocess.run(
                ["squeue", "--noheader", "--user", getpass.getuser(), "--format", FIELDS],
                capture_output=True, text=True, timeout=60,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired):
            return None
        rows = [line.strip().split("|") for line in answer.stdout.splitlines()]
        return {row[0]: row[1:] for row in rows if len(row) == 5} if answer.returncode == 0 else None

    def states(self, tickets: list[Ticket]) -> dict[str, JobState]:
        queue, answer = self._queue(), dict[str, JobState]()
        for ticket in tickets:
            job = ticket.job.get("job", "")
            if queue is None:
                answer[ticket.run.key] = JobState(Phase.waiting, f"for Slurm, which does not answer about job {job}")
            elif job in queue:
                state, left, reason, nodes = queue[job]
                if state == "RUNNING":
                    answer[ticket.run.key] = JobState(
                        Phase.running, f"on {nodes} as job {job}, which may run {left} more"
                    )
                else:
                    answer[ticket.run.key] = JobState(Phase.waiting, f"as job {job}, {state.lower()} ({reason})")
        return answer

    def ending(self, ticket: Ticket) -> str:
        facts = job_facts(ticket.job.get("job", "")) or {}
        return f"is over in Slurm: {facts.get('JobState', 'no longer known')}"

    def stop(self, ticket: Ticket) -> None:
        subprocess.run(["scancel", ticket.job.get("job", "")], capture_output=True, timeout=60)


def preview(engine: SlurmEngine, tickets: Sequence[Ticket], *, fresh: bool = False) -> list[dict[str, Any]]:
    """The cells that would be sent, those without a record or, `fresh`, all: the name, the devices and the batch script of each.
    Writes nothing."""
    sent = [each for each in tickets if fresh or existing_record(each.run, each.order, write=False) is None]
    jobs = []
    for ticket in sent:
        executor = engine.executor(ticket)
        script = executor._make_submission_file_text(executor._submitit_command_str, "dry-run").strip()
        jobs.append({"cell": ticket.cell.name, "devices": ticket.order.processes, "script": script})
    return jobs
