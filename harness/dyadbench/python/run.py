"""`run`: what the command `dyadbench run` does, for notebooks and scripts."""

from __future__ import annotations

import signal
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from numbers import Integral
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from dyadbench.api import DyadbenchError
from dyadbench.errors import Interrupted, first_fault
from dyadbench.matrix.cells import Matrix, cells_of
from dyadbench.python.arrays import plugins
from dyadbench.python.places import find_home, find_root, folders_of, path_of
from dyadbench.records.record import Record
from dyadbench.registry.chance import own_generators

Data = Mapping[str, str | Path] | str | Path  # dataset -> folder; a folder alone where one dataset is read


def runtime_of(
    root: str | Path | None, home: str | Path | None, data: Data | None, datasets: Collection[str], **how: Any
) -> Any:
    """(folder of the leaderboards, `Runtime`) as the command line would choose them, for the `datasets` that are read."""
    from dyadbench.cell.runtime import Runtime, demand_device

    demand_device(str(how.get("device", "cpu")))
    for name in ("threads", "batch"):
        demand_count(how.get(name, 1), name)
    base = find_root(None if root is None else path_of(root, "root"))
    folders = folders_of(data, datasets) if data else {}
    return base, Runtime(home=find_home(None if home is None else path_of(home, "home"), base), data=folders, **how)


def demand_count(value: Any, name: str, least: int = 1) -> int:
    """`value`, where it is a whole number that is not too small. Raises DyadbenchError."""
    if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
        raise DyadbenchError(f"{name} is {value!r}; it must be {least} or more, a whole number")
    return int(value)


def request_of(
    benchmark: str | Sequence[str], method: str | Sequence[str], preset: str | None, seeds: Iterable[int] | int,
    settings: Mapping[str, Any] | None, dataset: Mapping[str, Any] | None,
) -> Matrix:  # fmt: skip
    """What a matrix file would say. Raises DyadbenchError where it would be none."""
    benchmarks, methods = ([one] if isinstance(one, str) else list(one) for one in (benchmark, method))
    rows = [{"name": name, "preset": preset, "settings": settings or {}} for name in methods]
    over = dict.fromkeys(benchmarks, dataset) if dataset else {}
    chosen = tuple(seeds) if isinstance(seeds, Iterable) and not isinstance(seeds, str) else seeds
    try:
        return Matrix.model_validate({"benchmarks": benchmarks, "method": rows, "seeds": chosen, "datasets": over})
    except ValidationError as error:
        raise DyadbenchError(f"the request: {first_fault(error, Matrix)}") from None


@own_generators()
def run(
    benchmark: str | Sequence[str],
    method: str | Sequence[str],
    *,
    preset: str | None = None,
    seeds: Sequence[int] = (0,),
    settings: Mapping[str, Any] | None = None,
    dataset: Mapping[str, Any] | None = None,
    data: Data | None = None,
    root: str | Path | None = None,
    home: str | Path | None = None,
    device: str = "cpu",
    threads: int = 1,
    batch: int = 8,
    limit: int = 0,
    replace: bool = False,
) -> list[Record]:
    """Fits, samples and scores every benchmark x method x seed, one after another; writes and returns the records.

    Args:
        benchmark, method: one name, or several.
        preset, seeds: of the methods.
        settings: what differs from the preset, by field: {"gain": 0.7}, or {"predictor.layers": 4}.
        dataset: what differs in the dataset's configuration: {"size": "tiny"}.
        data: dataset name -> folder, for real data; a folder alone where one dataset is read.
        root: the folder with leaderboards/, where the records are written; home: store and caches. Defaults as on the
            command line.
        device, threads, batch: change numbers by the order of sums alone.
        limit: clips of every split that are used; such numbers are never ranked.
        replace: lets a record of other data or of another configuration be replaced.

    What is in the store is reused; an interrupted run goes on where it stopped. A record's numbers are
    `record.suites[SUITE].scores[METRIC].value`; `dyadbench.records.frame(root)` has all of them as a table. Raises
    DyadbenchError for a wrong request, and after all other cells the error of the first cell that failed.
    """
    from dyadbench.engines.inline import run_cells

    host = plugins()
    cells = cells_of(
        host, request_of(benchmark, method, preset, seeds, settings, dataset), demand_count(limit, "limit", 0)
    )
    read = list(dict.fromkeys(cell.dataset.name for cell in cells))
    base, runtime = runtime_of(root, home, data, read, device=device, threads=threads, batch=batch)
    records, failures = [], []
    with _interrupts():
        for _, outcome in run_cells(cells, host, runtime, base / "leaderboards", replace=replace):
            if isinstance(outcome, Exception):
                failures.append(outcome)
            else:
                records.append(outcome)
    if failures:
        raise failures[0]
    return records


@contextmanager
def _interrupts() -> Iterator[None]:
    """Ctrl-C stops the run, where otherwise the plugin at work would be blamed for a KeyboardInterrupt."""

    def interrupt(signum: int, frame: object) -> None:
        raise Interrupted

    main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGINT, interrupt) if main else None
    try:
        yield
    except Interrupted:
        raise KeyboardInterrupt("the same call goes on from here") from None
    finally:
        if main:
            signal.signal(signal.SIGINT, before)
