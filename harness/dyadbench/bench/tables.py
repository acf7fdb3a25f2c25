"""Timing the tables on generated records: what a leaderboard of any size costs to regenerate, before there is one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dyadbench.api import BenchmarkConfig, Column, Config
from dyadbench.bench.memory import PeakMemory
from dyadbench.leaderboard.paired import compare
from dyadbench.leaderboard.write import write_leaderboards
from dyadbench.records.comparable import records_below
from dyadbench.records.record import (
    Measured,
    Record,
    RecordedData,
    RecordedSetting,
    Score,
    SuiteScores,
    record_path,
    save_record,
)

PER_SESSION = 6  # clips


class Load(Config):
    """How much there is. One record is one seed of one method on one benchmark."""

    methods: int = 100
    seeds: int = 5
    benchmarks: int = 10
    clips: int = 1614

    @property
    def records(self) -> int:
        return self.methods * self.seeds * self.benchmarks


class Cost(Config):
    step: str
    seconds: float
    cpu_seconds: float  # what the processor worked, whatever else it had to do
    peak_mb: float | None  # on top of what was held before; None where the system does not tell
    detail: str = ""


def made_up_record(
    load: Load, columns: Mapping[str, Sequence[Column]], benchmark: int, method: int, seed: int
) -> Record:
    """A record like a measured one: a value for every clip and column, a little better for later methods."""
    rng = np.random.default_rng([benchmark, method, seed])
    suites = {}
    for name, group in columns.items():
        values = rng.normal(1 + 0.01 * method, 0.3, (len(group), load.clips))
        suites[name] = SuiteScores(
            versions={column.id: column.version for column in group},
            scores={c.id: Score(value=float(v.mean())) for c, v in zip(group, values, strict=True)},
            per_clip={c.id: v.tolist() for c, v in zip(group, values, strict=True)},
        )
    main, *also = columns
    setting = BenchmarkConfig(dataset="made-up", suite=main, also=tuple(also), track="offline")
    return Record(
        key=f"{benchmark}-{method}-{seed}", benchmark=f"made-up-{benchmark}", benchmark_config=RecordedSetting(**setting.model_dump(mode="json")),
        method=f"method-{method}", preset=None, method_config={"predictor": {"name": f"method-{method}", "version": 1, "config": {}}}, plugin=("made-up", "1"), entry_version=1, calibration=False,
        trained=True, seed=seed, dataset=RecordedData(name="made-up", digest="0" * 64, simulated=True, split="test", config={}),
        clips=[f"test/{clip // PER_SESSION:04}/{clip:05}" for clip in range(load.clips)],
        sessions=[f"{clip // PER_SESSION:04}" for clip in range(load.clips)], suites=suites,
        measured=Measured(lookahead=None, realtime_factor=100.0), provenance={},
    )  # fmt: skip


def _costs(step: str, work: Callable[[], Any], detail: Callable[[Any], str] = lambda outcome: "") -> Cost:
    started, worked = time.perf_counter(), time.process_time()
    with PeakMemory() as peak:
        outcome = work()
    return Cost(
        step=step, seconds=time.perf_counter() - started, cpu_seconds=time.process_time() - worked,
        peak_mb=peak.extra_mb, detail=detail(outcome),
    )  # fmt: skip


def table_costs(load: Load, columns: Mapping[str, Sequence[Column]], root: Path) -> Iterator[Cost]:
    """Generates the records below `root`, then regenerates every table and compares two methods."""
    leaderboards = root / "leaderboards"
    (leaderboards / "claims").mkdir(parents=True, exist_ok=True)

    def generate() -> int:
        size = 0
        for benchmark in range(load.benchmarks):
            for method in range(load.methods):
                for seed in range(load.seeds):
                    record = made_up_record(load, columns, benchmark, method, seed)
                    path = record_path(leaderboards, record)
                    save_record(record, path)
                    size += path.stat().st_size
        return size

    yield _costs("write the records", generate, lambda size: f"{load.records} records, {size / 1e6:.0f} MB")
    yield _costs(
        "leaderboard", lambda: write_leaderboards(root, columns), lambda outcome: f"{len(outcome.tables)} tables"
    )
    main = next(iter(columns))

    def two() -> Any:
        return compare(records_below(leaderboards, "made-up-0"), "method-0", "method-1", main, columns[main])

    yield _costs("compare", two)
