"""The waiting side of an engine: sends cells, follows their jobs, and resends jobs that were cut short.

Nothing here is needed for a job to finish, so a run may be killed at any time; the next one reads from the store what was
sent and follows it further.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from typing import Any

from dyadbench.api import DyadbenchError
from dyadbench.engines.submission import JOB, Engine, JobState, Phase, Ticket
from dyadbench.errors import Interrupted
from dyadbench.matrix.cells import Cell
from dyadbench.records.record import Record

ATTEMPTS = 5  # how often one run sends a cell whose job ended without a word
GRACE_MINUTES = 1.0  # a job that does not keep --timeout by itself is ended after so much more

Show = Callable[
    [list[tuple[str, str, str]], int, int], None
]  # (cell, state, progress) of what is under way; done, total


class Sent(Enum):
    """The result of sending a cell that is not finished."""

    under_way = 1
    full = 2  # there is no room


class Lost(DyadbenchError):
    """A cell's job kept ending without a record and without a reason."""


def follow(tickets: Sequence[Ticket], engine: Engine, show: Show) -> Iterator[tuple[Cell, Record | Exception]]:
    """Yields every cell with its record or its exception, in the order in which they finish."""
    waiting, live, done = list(tickets), list[Ticket](), 0
    try:
        while waiting or live:
            for ticket in list(waiting):
                sent = _send(ticket, engine) if len(live) < engine.most else Sent.full
                if sent is Sent.full:
                    break
                waiting.remove(ticket)
                if isinstance(sent, Sent):
                    live.append(ticket)
                else:
                    done += 1
                    yield ticket.cell, sent
            states = engine.states(live) if live else {}
            for ticket in list(live):
                outcome = _look(ticket, engine, states.get(ticket.run.key))
                if outcome is not None:
                    live.remove(ticket)
                    done += 1
                    yield ticket.cell, outcome
            show([(ticket.cell.name, ticket.state_text, ticket.progress) for ticket in live], done, len(tickets))
            if live:
                time.sleep(engine.pace)
    except (KeyboardInterrupt, Interrupted):
        if not engine.detached:
            for ticket in live:
                engine.stop(ticket)
        raise


def _send(ticket: Ticket, engine: Engine) -> Record | Exception | Sent:
    """Sends the cell, unless it is finished or its job is running. Another run may have sent that job."""
    try:
        with ticket.run.runtime.store.hold("submit", ticket.run.key) as stage:
            if (record := ticket.record()) is not None:
                return record
            ticket.job = stage.read_json(JOB)
            if ticket.job.get("engine") == engine.name and engine.states([ticket]):
                return Sent.under_way
            ticket.forget_status()  # a job of another engine that still runs holds the cell; the new one waits for it
            job = engine.submit(ticket)
            if job is None:
                return Sent.full
            ticket.job, ticket.sent, ticket.running_since = job, ticket.sent + 1, None
            stage.write_json(JOB, job)
            return Sent.under_way
    except DyadbenchError as error:
        return error


def _look(ticket: Ticket, engine: Engine, state: JobState | None) -> Record | Exception | None:
    """The outcome of a cell, or None while it is running. A job that ended early is sent again."""
    if state is not None:
        return _overdue(ticket, engine, state)
    status = ticket.status()
    if (record := ticket.record()) is not None:
        return record
    if status.get("state") == "failed":
        return DyadbenchError(f"{status['error']} (log: {ticket.log.parent})")
    ending = engine.ending(ticket)
    if ticket.sent >= ATTEMPTS:
        return Lost(f"its job {ending}, {ticket.sent} times without a record; {_last_line(ticket)}")
    sent = _send(ticket, engine)
    ticket.state_text, ticket.progress = f"{ending}; sent again", ""
    return None if isinstance(sent, Sent) else sent


def _overdue(ticket: Ticket, engine: Engine, state: JobState) -> Exception | None:
    running = state.phase is Phase.running
    status: dict[str, Any] = ticket.status() if running else {}
    left = status.get("left")
    at = f"{status['stage']} {status['done']}/{status['total']}" if "stage" in status else ""
    ticket.state_text, ticket.progress = str(state), at + (f", {left} s left" if left is not None else "")
    limit = ticket.order.timeout
    if limit is None or not running:
        return None
    ticket.running_since = ticket.running_since or time.monotonic()
    if time.monotonic() - ticket.running_since < (limit + GRACE_MINUTES) * 60:
        return None
    engine.stop(ticket)
    return DyadbenchError(f"it did not end by itself after --timeout {limit:g} (minutes) and was stopped")


def _last_line(ticket: Ticket) -> str:
    logs = [ticket.log, *(ticket.stage.folder / "slurm").glob("*_log.err")]
    texts = [path for path in logs if path.exists() and path.stat().st_size]
    if not texts:
        return "it left no log"
    newest = max(texts, key=lambda path: path.stat().st_mtime)
    lines = newest.read_text(errors="replace").strip().splitlines()
    return f"its log ends with {lines[-1]!r} ({newest})" if lines else f"its log is {newest}"
