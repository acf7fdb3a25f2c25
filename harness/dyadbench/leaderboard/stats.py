"""Uncertainty: a cluster bootstrap over sessions, paired across methods, with seeds as a second level.

Every metric is the mean of its per-clip values over the defined ones, so a draw is a row of clip weights and all
draws of all methods are two matrix products.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dyadbench.api import Column

DRAWS = 2000
LEVEL = 0.95
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    low: float
    high: float


@dataclass(frozen=True)
class Bootstrap:
    """`draws` (R, M, C) and `point` (M, C); NaN where a method has no defined value in a column."""

    point: Floats
    draws: Floats
    sessions: int

    @property
    def informative(self) -> bool:
        """One session gives no interval: there is nothing to resample."""
        return self.sessions > 1


def session_weights(sessions: Sequence[str], draws: int, rng: np.random.Generator) -> Floats:
    """(draws, N) clip weights: how often each clip's session was drawn."""
    names, index = np.unique(np.asarray(sessions), return_inverse=True)
    counts = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=draws)
    return counts[:, index].astype(np.float64)


def bootstrap(values: Sequence[Floats], sessions: Sequence[str], draws: int = DRAWS, seed: int = 0) -> Bootstrap:
    """values: one (S_m, N, C) array a method, NaN where undefined; the clips are the same for all.

    Source: Efron & Tibshirani (1993), ch. 8; the resampled unit is the session, draws are shared by all methods.
    """
    rng = np.random.default_rng(seed)
    weights = session_weights(sessions, draws, rng)
    most = max(len(v) for v in values)
    columns = values[0].shape[2]
    point = np.full((len(values), columns), np.nan)
    found = np.full((draws, len(values), columns), np.nan)
    picks = rng.random((draws, most))  # shared as well: seed 0 of one method is paired with seed 0 of another
    for m, value in enumerate(values):
        defined = np.isfinite(value)
        filled = np.where(defined, value, 0.0)
        with np.errstate(invalid="ignore", divide="ignore"):
            point[m] = (filled.sum(1) / defined.sum(1)).mean(0)
            # (R, N) @ (N, S C): sums and counts of every seed and column at once
            flat = filled.transpose(1, 0, 2).reshape(filled.shape[1], -1)
            sums = (weights @ flat).reshape(draws, len(value), columns)
            if defined.all():
                counts = np.broadcast_to(weights.sum(1)[:, None, None], sums.shape)
            else:
                mask = defined.transpose(1, 0, 2).reshape(filled.shape[1], -1).astype(np.float64)
                counts = (weights @ mask).reshape(draws, len(value), columns)
            means = sums / counts  # (R, S, C)
        chosen = (picks[:, : len(value)] * len(value)).astype(int)  # (R, S)
        found[:, m] = np.take_along_axis(means, chosen[:, :, None], axis=1).mean(1) if len(value) > 1 else means[:, 0]
    return Bootstrap(point, found, len(set(sessions)))


def interval(draws: Floats, level: float = LEVEL) -> Interval | None:
    """Percentile interval of the finite draws; None where there are too few to tell."""
    kept = draws[np.isfinite(draws)]
    if len(kept) < max(20, len(draws) // 2):
        return None
    low, high = np.quantile(kept, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))


def losses(values: Floats, columns: Sequence[Column]) -> Floats:
    """(..., M, C) values to (..., M, ranked columns) where smaller is better; `match` is the distance to its target."""
    place = {column.id: i for i, column in enumerate(columns)}
    parts = []
    for i, column in enumerate(columns):
        if not column.ranked:
            continue
        if column.direction == "match":
            parts.append(np.abs(values[..., i] - values[..., place[column.target]]))
        else:
            parts.append(values[..., i] if column.direction == "min" else -values[..., i])
    return np.stack(parts, -1)


def ranks(loss: Floats) -> Floats:
    """Ranks along the methods' axis (-2), from 1, ties sharing their mean rank. loss: (..., M, C)."""
    below = (loss[..., None, :, :] < loss[..., :, None, :]).sum(-2)
    equal = (loss[..., None, :, :] == loss[..., :, None, :]).sum(-2)
    return below + (equal + 1) / 2


def overall(loss: Floats) -> Floats:
    """(..., M, C) -> (..., M): the mean rank over columns, itself ranked (smallest first, ties share the best place)."""
    mean = np.round(ranks(loss).mean(-1), 9)
    return (mean[..., None, :] < mean[..., :, None]).sum(-1) + 1.0


@dataclass(frozen=True)
class Paired:
    """The difference a - b of one column."""

    difference: float
    low: float | None
    high: float | None
    p: float | None  # two-sided bootstrap p value


def paired(boot: Bootstrap, a: int, b: int, column: int) -> Paired | None:
    """Both methods under the same draws; None where either has no value."""
    point = boot.point[a, column] - boot.point[b, column]
    if not np.isfinite(point):
        return None
    draws = boot.draws[:, a, column] - boot.draws[:, b, column]
    found = interval(draws) if boot.informative else None
    if found is None:
        return Paired(float(point), None, None, None)
    kept = draws[np.isfinite(draws)]
    tail = min((kept <= 0).mean(), (kept >= 0).mean())
    return Paired(float(point), found.low, found.high, float(min(1.0, 2 * max(tail, 1 / (len(kept) + 1)))))
