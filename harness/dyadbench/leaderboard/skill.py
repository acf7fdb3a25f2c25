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
from dyadbench.leaderboard.rows import Floor
from dyadbench.leaderboard.stats import Bootstrap, Floats, benjamini_hochberg, interval, p_value, sure
from dyadbench.records.references import CEILINGS, NULL


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
    """The skills of all rows, of no column where each is left out; None where no headline is declared, or no row marks 0."""
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
        if np.isnan(floor):
            notes.append(f"{column.id} is left out of the headline: {NULL} has no value in it")
            continue
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
        return Skills((), boot.point[:, :0], boot.draws[:, :, :0], tuple(notes))
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
    p = [p_value(draws[:, i] - draws[:, k]) for i, k in pairs]
    above = np.zeros((count, count), bool)  # [i, k]: i is better than k beyond doubt
    for (i, k), each, value in zip(pairs, p, benjamini_hochberg(p), strict=True):
        if sure(each, value):
            above[i, k], above[k, i] = point[i] > point[k], point[k] > point[i]
    return [(order[i], 1 + int(above[:, i].sum()), count - int(above[i].sum())) for i in range(count)]


def against_floor(point: Floats, draws: Floats) -> list[Floor]:
    """Whether (M,) skills are above or below 0, with at most 5 % false ones among them (Benjamini-Hochberg); draws (R, M)."""
    p = [p_value(draws[:, i]) for i in range(len(point))]
    q = benjamini_hochberg(p)
    return [
        "open" if not sure(each, share) else "above" if value > 0 else "below"
        for value, each, share in zip(point, p, q, strict=True)
    ]
