"""The record of a cell: the format that outlives the program."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas


def frame(root: Path) -> pandas.DataFrame:
    """Every committed record below `root` as a table for notebooks: one row per record, suite and metric.

    Columns: benchmark, method, of, preset, seed, calibration, deterministic, suite, metric, version, value, undefined.
    Raises DyadbenchError where there are no records.
    """
    import pandas

    from dyadbench.records.comparable import need_records, records_below

    need_records(Path(root) / "leaderboards")
    rows = [
        {
            "benchmark": record.benchmark, "method": record.method, "of": record.of, "preset": record.preset, "seed": record.seed,
            "calibration": record.calibration, "deterministic": record.deterministic, "suite": suite, "metric": metric,
            "version": scores.versions[metric], "value": score.value, "undefined": score.undefined,
        }
        for record in records_below(Path(root) / "leaderboards")
        for suite, scores in record.suites.items()
        for metric, score in scores.scores.items()
    ]  # fmt: skip
    return pandas.DataFrame(rows)
