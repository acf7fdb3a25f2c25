"""`--on inline`, the default: cells one after another in this process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dyadbench.api import (
    Dataset,
)
from dyadbench.cell.deadline import limit
from dyadbench.cell.folds import run_of
from dyadbench.cell.run import open_dataset
from dyadbench.cell.runtime import Runtime
from dyadbench.errors import PluginError
from dyadbench.matrix.cells import Cell
from dyadbench.records.record import Record
from dyadbench.registry.host import Host
from dyadbench.store.folders import Busy


def run_cells(cells: Sequence[Cell], host: Host, runtime: Runtime) -> Iterator[tuple[Cell, Record | Exception]]:
    """Runs cells one after another, sharing open datasets; a cell that fails is yielded with its exception.

    A cell that another run is at comes last: by then it is usually done, and nothing is computed twice.
    """
    opened: dict[str, Dataset] = {}

    def attempt(cell: Cell, wait: float) -> Record | Exception:
        try:
            name = cell.dataset.model_dump_json()
            if name not in opened:
                opened[name] = open_dataset(host, cell.dataset, runtime, cell.limit)
            run = run_of(cell, host, runtime, opened[name])
            with runtime.store.hold("cell", run.key, wait), limit(runtime.timeout, cell.name):
                return run.run()
        except SystemExit as error:
            return PluginError(f"something that {cell.name} uses called sys.exit({error.code}) outside of its own work")
        except Exception as error:  # one failed cell must not cost the others; the caller shows and counts it
            return error

    busy = []
    for cell in cells:
        outcome = attempt(cell, 0)
        if isinstance(outcome, Busy):
            busy.append(cell)
        else:
            yield cell, outcome
    for cell in busy:
        yield cell, attempt(cell, -1)
