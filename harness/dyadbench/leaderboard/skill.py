"""Skill: how far a method has come from a listener who never met the speaker to one who hears the same speaker again.

    skill(x) = (x - null) / (ceiling - null)

The null is the row `mismatched-listener`: listeners of other conversations. The ceiling is `fresh-listener`, another
person in the same place; where none can be drawn it is the other appropriate reactions (`oracle-set`), and where these
hold the true listener that is a perfect reaction. The headline is the mean skill over the headline columns of a suite.
Rows other than these two do not enter, so a method's skill is the same whichever other methods there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dyadbench.api import Column, Config
from dyadbench.leaderboard.stats import Bootstrap, Floats, benjamini_hochberg, interval, p_value

NULL = "mismatched-listener"
CEILINGS = ("fresh-listener", "oracle-set")
REAL = (NULL, *CEILINGS)  # rows that show the dataset's own people
ROLES = {  # what a reference row is there for
    NULL: "floor", "fresh-listener": "ceiling", "oracle": "truth", "oracle-set": "truth", "oracle-motion": "readout", "mime": "copy", "lagged-mime": "copy",
    "mean": "mean", "mean-sequence": "mean", "median": "mean", "random": "noise", "random-2025": "noise",
}  # fmt: skip
FALSE_DISCOVERIES = 0.05  # of the differences between two methods of a board
LEAST = 1e-3  # of what real listeners have; below it a row counts as motionless, as the logarithm would run away


class Scale(Config):
    """What 0 and 1 are in one headline column."""

    column: str
    null: float
    ceiling: float
    by: str  # the row that the ceiling is, or "perfect"


@dataclass(frozen=True)
class Skills:
    """Skill of every row: `point` (M, H) and `draws` (R, M, H) over the H headline columns of `scales`."""

    scales: tuple[Scale, ...]
    point: Floats
    draws: Floats
    notes: tuple[str, ...] = ()


def skills(boot: Bootstrap, names: Sequence[str], columns: Sequence[Column]) -> Skills | None:
    """The skills of all rows; None where the suite declares no headline, or no row marks a skill of 0."""
    chosen = [(j, column) for j, column in enumerate(columns) if column.headline]
    if not chosen or NULL not in names:
        return None
    scales, points, draws, notes = [], [], [], []
    for j, column in chosen:
        null = names.index(NULL)
        by = next((row for row in CEILINGS if row in names and np.isfinite(boot.point[names.index(row), j])), "perfect")
        if by == "perfect" and column.perfect is None:
            notes.append(f"{column.id} is left out of the headline: no row and no number says what perfect is")
            continue
        top, top_draws = (
            (float(column.perfect or 0.0), np.full(len(boot.draws), float(column.perfect or 0.0)))
            if by == "perfect"
            else (boot.point[names.index(by), j], boot.draws[:, names.index(by), j])
        )
        floor, floors = boot.point[null, j], boot.draws[:, null, j]
        better = 1 if column.direction == "max" else -1
        span = interval((top_draws - floors) * better) if boot.informative else None
        if not (top - floor) * better > 0 or (span is not None and span.low <= 0):
            notes.append(f"{column.id} is left out of the headline: {by} is not better than {NULL} in it")
            continue
        with np.errstate(invalid="ignore", divide="ignore"):
            points.append((boot.point[:, j] - floor) / (top - floor))
            draws.append((boot.draws[:, :, j] - floors[:, None]) / (top_draws - floors)[:, None])
        scales.append(Scale(column=column.id, null=float(floor), ceiling=float(top), by=by))
    if not scales:
        return None
    return Skills(tuple(scales), np.stack(points, -1), np.stack(draws, -1), tuple(notes))


# --- places -------------------------------------------------------------------------------------------------


def places(point: Floats, draws: Floats | None) -> list[tuple[int, int | None, int | None]]:
    """(place, first and last place it could share) of (M,) skills, larger is better; draws (R, M) or None.

    The order is the skills' alone. Two methods share a place where the interval of their paired difference holds 0,
    with at most 5 % false differences on the board (Benjamini-Hochberg over all pairs).
    """
    order = [1 + int((point > value).sum()) for value in point]
    if draws is None:
        return [(place, None, None) for place in order]
    count = len(point)
    pairs = [(i, k) for i in range(count) for k in range(i + 1, count)]
    q = benjamini_hochberg([p_value(draws[:, i] - draws[:, k]) for i, k in pairs])
    above = np.zeros((count, count), bool)  # [i, k]: i is better than k beyond doubt
    for (i, k), value in zip(pairs, q, strict=True):
        if value is not None and value <= FALSE_DISCOVERIES:
            above[i, k], above[k, i] = point[i] > point[k], point[k] > point[i]
    return [(order[i], 1 + int(above[:, i].sum()), count - int(above[i].sum())) for i in range(count)]


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


# --- families beside the headline ---------------------------------------------------------------------------


def band_distance(boot: Bootstrap, names: Sequence[str], columns: Sequence[Column], family: str) -> tuple[Floats, Floats] | None:  # fmt: skip
    """(M,) and (R, M): mean distance of a family's columns to the band of real listeners, in natural logarithms.

    0 within the band, 0.69 for half or twice as much. The band reaches over the target and the rows that show real
    listeners; in a column without a target it has one open end. None where the family has no such column.
    """
    place = {column.id: j for j, column in enumerate(columns)}
    real = [names.index(row) for row in REAL if row in names]
    points, draws = [], []
    for column in columns:
        if column.family != family or not column.ranked or (column.direction != "match" and not real):
            continue
        of = place[column.id]
        values = [(boot.point[m, of], boot.draws[:, m, of]) for m in real]
        if column.direction == "match":
            target = place[column.target]
            values.append((boot.point[0, target], boot.draws[:, 0, target]))
        values = [(p, d) for p, d in values if np.isfinite(p)]
        ends = [p for p, _ in values]
        if not ends or min(ends) <= 0:
            continue
        many = np.stack([d for _, d in values])  # (rows, R)
        points.append(_log_distance(boot.point[:, of], min(ends), max(ends), column))
        low, high = np.nanmin(many, 0)[:, None], np.nanmax(many, 0)[:, None]
        draws.append(_log_distance(boot.draws[:, :, of], low, high, column))
    return (np.mean(points, 0), np.mean(draws, 0)) if points else None


def _log_distance(x: Floats, low: Floats, high: Floats, column: Column) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        size = np.log(np.maximum(x, LEAST * low))
        under, over = np.log(low) - size, size - np.log(high)
    under = np.maximum(under, 0) if column.direction != "min" else np.zeros_like(size)
    over = np.maximum(over, 0) if column.direction != "max" else np.zeros_like(size)
    distance: Floats = np.where(np.isnan(x), np.nan, under + over)
    return distance
