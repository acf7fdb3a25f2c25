"""`--on inline`, the default: cells one after another in this process."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dyadbench.cell.again import forget, warn_of_other_code, warn_of_shared_sessions
from dyadbench.cell.deadline import limit
from dyadbench.cell.draw import NoPictures
from dyadbench.cell.folds import run_of
from dyadbench.cell.runtime import Runtime
from dyadbench.cell.source import Source
from dyadbench.engines.at_work import at_work
from dyadbench.errors import Interrupted, PluginError, one_line
from dyadbench.matrix.cells import Cell
from dyadbench.progress import named
from dyadbench.records.record import Record
from dyadbench.records.replace import OtherRecord, demand_replaceable, put_record
from dyadbench.registry.host import Host
from dyadbench.store.folders import Busy


def run_cells(
    cells: Sequence[Cell],
    host: Host,
    runtime: Runtime,
    leaderboards: Path | None = None,
    *,
    replace: bool = False,
    fresh: bool = False,
) -> Iterator[tuple[Cell, Record | Exception]]:
    """Runs cells one after another, sharing open datasets; a cell that fails is yielded with its exception.

    A cell that another run computes comes last: by then it is usually done, and nothing is computed twice. Records are
    written into `leaderboards`, where there is one; a record of other data or of another configuration stays there, and
    the cell fails, unless `replace`. `fresh` throws away what the store has of the cells first. Raises DyadbenchError where
    a record cannot be written: the next one could not either.
    """
    attempt = _Attempts(host, runtime, leaderboards, replace, fresh)
    busy = []
    for cell in cells:
        outcome = attempt(cell, 0)
        if isinstance(outcome, Busy):
            busy.append(cell)
        else:
            yield cell, attempt.put(cell, outcome)
    for cell in busy:
        yield cell, attempt.put(cell, attempt(cell, -1))


@dataclass
class _Attempts:
    """Runs one cell; keeps datasets open for the next ones, and remembers what was thrown away and warned of."""

    host: Host
    runtime: Runtime
    leaderboards: Path | None
    replace: bool
    fresh: bool
    opened: dict[str, Source] = field(default_factory=dict)  # by the dataset's configuration
    forgotten: set[str] = field(default_factory=set)
    mentioned: set[str] = field(default_factory=set)

    def __call__(self, cell: Cell, wait: float) -> Record | Exception:
        """The cell's record, or what went wrong. Another holder of the cell is waited for `wait` seconds (-1: for ever)."""
        name = cell.dataset.model_dump_json()
        try:
            if name not in self.opened:
                self.opened[name] = Source(self.host, cell.dataset, self.runtime, cell.limit)
            return self._record(cell, self.opened[name], wait)
        except Interrupted:
            raise
        except Exception as error:  # one failed cell must not cost the others; the caller shows and counts it
            if not isinstance(error, Busy):
                self.opened.pop(name, None)  # its data may have changed: the next cell opens them again
            return error
        except BaseException as error:  # SystemExit, KeyboardInterrupt, ...: of a thread or callback of a plugin
            text = one_line(f"{type(error).__name__}: {error}", most=500)
            return PluginError(f"something that {cell.name} uses raised {text} outside of its own work")

    def _record(self, cell: Cell, source: Source, wait: float) -> Record:
        runtime = dataclasses.replace(source.runtime, report=named(self.runtime.report, cell.name))
        run = run_of(cell, self.host, runtime, source.dataset)
        if self.leaderboards is not None and not self.replace:
            demand_replaceable(self.leaderboards, cell, run.dataset.digest, self.host)
        with (
            self.runtime.store.hold("cell", run.key, wait),
            limit(self.runtime.timeout, cell.name),
            at_work(self.runtime.home, cell.name),
        ):
            if self.fresh:
                forget(run, self.forgotten)
            warn_of_other_code(run, self.mentioned)
            warn_of_shared_sessions(run, self.mentioned)
            return run.run()

    def put(self, cell: Cell, outcome: Record | Exception) -> Record | Exception:
        """Writes the record of a cell that has one; the outcome is OtherRecord where another record stays there."""
        record = outcome.record if isinstance(outcome, NoPictures) else outcome
        if isinstance(record, Exception) or self.leaderboards is None:
            return outcome
        try:
            put_record(record, self.leaderboards, cell, self.host, replace=self.replace)
        except OtherRecord as error:
            return error
        return outcome
