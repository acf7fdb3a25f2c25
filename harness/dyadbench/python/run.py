"""`run`: what the command `dyadbench run` does, for notebooks and scripts."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dyadbench.errors import Interrupted
from dyadbench.matrix.cells import Cell, MethodSpec, make_cell
from dyadbench.python.arrays import plugins
from dyadbench.python.places import find_home, find_root
from dyadbench.records.record import Record, record_path, save_record


def runtime_of(
    root: str | Path | None, home: str | Path | None, data: Mapping[str, str | Path] | None, **how: Any
) -> Any:
    """(folder of the leaderboards, `Runtime`) as the command line would choose them."""
    from dyadbench.cell.runtime import Runtime, demand_device

    demand_device(how.get("device", "cpu"))
    base = find_root(None if root is None else Path(root))
    folders = {name: Path(path).expanduser() for name, path in (data or {}).items()}
    return base, Runtime(home=find_home(None if home is None else Path(home), base), data=folders, **how)


def run(
    benchmark: str | Sequence[str],
    method: str | Sequence[str],
    *,
    preset: str | None = None,
    seeds: Sequence[int] = (0,),
    settings: Mapping[str, Any] | None = None,
    dataset: Mapping[str, Any] | None = None,
    data: Mapping[str, str | Path] | None = None,
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
        data: dataset name -> folder, for real data.
        root: the folder with leaderboards/, where the records are written; home: store and caches. Defaults as on the
            command line.
        device, threads, batch: never change a number.
        limit: clips of every split that are used; such numbers are never ranked.
        replace: lets a record of other data or of another configuration be replaced.

    What is in the store is reused; an interrupted run goes on where it stopped. A record's numbers are
    `record.suites[SUITE].scores[METRIC].value`; `dyadbench.records.frame(root)` has all of them as a table. Raises
    DyadbenchError for a wrong request, and after all other cells the error of the first cell that failed.
    """
    from dyadbench.engines.inline import run_cells

    names = [[one] if isinstance(one, str) else list(one) for one in (benchmark, method)]
    base, runtime = runtime_of(root, home, data, device=device, threads=threads, batch=batch)
    host = plugins()
    cells: list[Cell] = [
        make_cell(host, on, MethodSpec(name=name, preset=preset, settings=settings or {}), seed, dataset, limit)
        for on in names[0]
        for name in names[1]
        for seed in seeds
    ]
    records, failures = [], []
    with _interrupts():
        for _, outcome in run_cells(cells, host, runtime, None if replace else base / "leaderboards"):
            if isinstance(outcome, Exception):
                failures.append(outcome)
            else:
                save_record(outcome, record_path(base / "leaderboards", outcome))
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
