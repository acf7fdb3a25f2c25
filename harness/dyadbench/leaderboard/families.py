"""Families beside the headline: how far a method is from real listeners in diversity, synchrony and realism.

A family is the mean over its ranked columns, less those that fail on these data: a metric that cannot order what
everybody knows says nothing of a method. A family without such a column is undefined, and says why.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from dyadbench.api import Column, Config
from dyadbench.leaderboard.stats import Bootstrap, Floats, in_range
from dyadbench.records.references import CEILINGS, NULL

FAMILIES = ("diversity", "synchrony", "realism")  # beside appropriateness, which the headline is made of
REAL = (NULL, *CEILINGS)  # rows that show the dataset's own people
LEAST = 1e-3  # of what real listeners have; below it a row counts as motionless, as the logarithm would run away
FACTOR = (
    "A factor is the geometric mean over the columns of its family, and less than a thousandth of what real listeners have counts "
    "as a thousandth, so that a face that never moves has x 1000 and not infinity."
)
Distances = tuple[Floats, Floats]  # (M,) and (R, M)


class Family(Config):
    """What one family of a table is made of."""

    suite: str
    columns: tuple[str, ...] = ()
    why: str = ""  # it is undefined
    without: Mapping[str, tuple[str, ...]] = {}  # row -> the columns for lack of whose value it has no distance


def families_of(
    boot: Bootstrap, names: Sequence[str], suite: str, columns: Sequence[Column], failing: Collection[str]
) -> tuple[dict[str, Family], dict[str, Distances]]:
    """What every family is made of, and the distances of all rows in those that are defined."""
    made_of: dict[str, Family] = {}
    distances: dict[str, Distances] = {}
    for family in FAMILIES:
        ranked = [column for column in columns if column.family == family and column.ranked]
        passing = [column for column in ranked if column.id not in failing]
        each = band_distances(boot, names, columns, passing)
        if each:
            parts = list(each.values())
            distances[family] = (np.mean([p for p, _ in parts], 0), np.mean([d for _, d in parts], 0))
        why = "" if each else _why(suite, ranked, passing)
        gaps = {name: tuple(c for c, (p, _) in each.items() if np.isnan(p[m])) for m, name in enumerate(names)}
        without = {name: of for name, of in gaps.items() if of}
        made_of[family] = Family(suite=suite, columns=tuple(each), why=why, without=without)
    return made_of, distances


def _why(suite: str, ranked: Sequence[Column], passing: Sequence[Column]) -> str:
    """Why a family has no distance."""
    if not ranked:
        return f"{suite} ranks by no metric of it"
    if not passing:
        ids = [column.id for column in ranked]
        return f"{ids[0]} fails on these data" if len(ids) == 1 else f"{', '.join(ids)} fail on these data"
    return "no row shows what real listeners have"


def band_distances(
    boot: Bootstrap, names: Sequence[str], columns: Sequence[Column], chosen: Sequence[Column]
) -> dict[str, Distances]:
    """Column -> distance of every row to the band of real listeners, in natural logarithms.

    0 within the band, 0.69 for half or twice as much. The band reaches over the target and the rows that show real
    listeners; in a column without a target it has one open end. Columns without a band are left out.
    """
    place = {column.id: j for j, column in enumerate(columns)}
    real = [names.index(row) for row in REAL if row in names]
    out: dict[str, Distances] = {}
    for column in chosen:
        if column.direction != "match" and not real:
            continue
        of = place[column.id]
        points, replicates = in_range(boot.point[:, of], column), in_range(boot.draws[:, :, of], column)
        values = [(points[m], replicates[:, m]) for m in real]
        if column.direction == "match":
            # Rows have the same target but for rounding: a method's would move others when it comes or goes.
            whose, target = real[0] if real else 0, place[column.target]
            values.append((boot.point[whose, target], in_range(boot.draws[:, whose, target], column)))
        values = [(p, d) for p, d in values if np.isfinite(p)]
        ends = [p for p, _ in values]
        if not ends or (max(ends) if column.direction == "min" else min(ends)) <= 0:
            continue  # no logarithm of the end that counts
        many = np.stack([d for _, d in values])  # (rows, R)
        low, high = np.nanmin(many, 0)[:, None], np.nanmax(many, 0)[:, None]
        out[column.id] = (
            _log_distance(points, min(ends), max(ends), column),
            _log_distance(replicates, low, high, column),
        )
    return out


def _log_distance(x: Floats, low: Floats | float, high: Floats | float, column: Column) -> Floats:
    """By how many natural logarithms x is under or over the band; an end of 0 has nothing under it."""
    with np.errstate(invalid="ignore", divide="ignore"):
        size = np.log(np.maximum(x, LEAST * low))
        under = np.where((x < low) & (column.direction != "min"), np.log(low) - size, 0.0)
        over = np.where((x > high) & (column.direction != "max"), size - np.log(high), 0.0)
    distance: Floats = np.where(np.isnan(x), np.nan, under + over)
    return distance


def pareto(first: Floats, second: Floats) -> list[bool]:
    """Which of (M,) pairs no other beats in one and equals in the other: more of `first`, less of `second` is better."""
    finite = np.isfinite(first) & np.isfinite(second)
    return [
        bool(finite[i])
        and not any(
            finite[k]
            and first[k] >= first[i]
            and second[k] <= second[i]
            and (first[k], second[k]) != (first[i], second[i])
            for k in range(len(first))
        )
        for i in range(len(first))
    ]
