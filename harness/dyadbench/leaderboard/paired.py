"""Two methods on the same clips: paired differences with their uncertainty, and the clips that differ most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from dyadbench.api import Column, Config, DyadbenchError
from dyadbench.leaderboard.stats import bootstrap, paired
from dyadbench.records.comparable import method_values, usable_records
from dyadbench.records.record import Record


class Difference(Config):
    column: str
    a: float | None
    b: float | None
    difference: float | None
    low: float | None = None
    high: float | None = None
    p: float | None = None


class Comparison(Config):
    benchmark: str
    a: str
    b: str
    clips: int
    sessions: int
    differences: tuple[Difference, ...]
    extremes: Mapping[str, tuple[tuple[str, float], ...]]  # column -> (clip, difference) where they differ most


def compare(
    records: Sequence[Record], a: str, b: str, suite: str, columns: Sequence[Column], extremes: int = 5
) -> Comparison:
    """Paired differences a - b on the same clips and draws; DyadbenchError names the methods there are."""
    groups = usable_records(records, suite, columns)
    for name in (a, b):
        if name not in groups:
            raise DyadbenchError(f"there is no record of {name!r} here; there are: {', '.join(groups) or 'none'}")
    values = [method_values(groups[name], suite, columns) for name in (a, b)]
    first = groups[a][0]
    boot = bootstrap(values, first.sessions)
    differences, most = [], {}
    for j, column in enumerate(columns):
        found = paired(boot, 0, 1, j)
        both = [None if np.isnan(p) else float(p) for p in boot.point[:, j]]
        differences.append(
            Difference(column=column.id, a=both[0], b=both[1], difference=found.difference if found else None,
                       low=found.low if found else None, high=found.high if found else None, p=found.p if found else None)
        )  # fmt: skip
        if column.ranked:
            per_clip = np.nanmean(values[0][:, :, j], 0) - np.nanmean(values[1][:, :, j], 0)
            order = [i for i in np.argsort(-np.abs(np.nan_to_num(per_clip)), kind="stable") if np.isfinite(per_clip[i])]
            most[column.id] = tuple((first.clips[i], float(per_clip[i])) for i in order[:extremes])
    return Comparison(
        benchmark=first.benchmark, a=a, b=b, clips=len(first.clips), sessions=len(set(first.sessions)),
        differences=tuple(differences), extremes=most,
    )  # fmt: skip
