"""Uncertainty: draws over sessions, shared by all methods, and over the seeds of each.

Every metric is the mean of its per-clip values over the defined ones, so a draw is a row of weights of sessions and all
draws of all methods are two matrix products. Two things make the intervals honest where there are few sessions or
few seeds. Sessions are resampled with replacement, and the distance of a draw from the mean is then scaled as
Student's t is: by sqrt(n / (n - 1)), which the bootstrap lacks, and by one draw of 1 / sqrt(chi2 / (n - 1)), because
the spread itself was estimated from n sessions. Seeds are too few to resample (three give ten different draws): their
share is a draw of Student's t with as many degrees of freedom as there are seeds less one. Adding both is the
interval of Behrens and Fisher for a sum of two unknown variances. tests/leaderboard/test_coverage.py measures how
often they cover the truth.

Two methods of the same seeds are paired by seed as well as by session: they share the draws over seeds, so the share of
the seeds in their difference is Student's t of the differences seed by seed. An ablation shares weights, or at least the
first weights and the order of batches, with the same seed of what it is an ablation of, and independent draws would make
its interval many times too wide. Pairing needs no relation to be right: the seeds of two unrelated methods may be matched
in any way that does not look at their values. It costs degrees of freedom there, S - 1 where two independent samples
have up to 2 S - 2; but a sum of two independent t draws, the alternative, does not gain them either. In simulations with
unrelated seeds the paired interval of a difference is 3 to 5 % narrower with five seeds, 13 % with three, and covers 93 to
99 %.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dyadbench.api import Column

DRAWS = 2000  # an interval's end is off by about 5 % of the interval's half
# Of places and verdicts: a p value of .05 is off by .001. With 2,000 draws it is off by .005, and chance decided who leads.
DRAWS_OF_DECISIONS = 50_000
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


def session_weights(count: int, draws: int, rng: np.random.Generator) -> Floats:
    """(draws, count): how often each of `count` sessions was drawn."""
    return rng.multinomial(count, np.full(count, 1 / count), size=draws).astype(np.float64)


def bootstrap(
    values: Sequence[Floats], sessions: Sequence[str], draws: int = DRAWS, seed: int = 0, streams: Sequence[str] = ()
) -> Bootstrap:
    """values: one (S_m, N, C) array per method, NaN where undefined; the clips are the same for all.

    `streams` name the random numbers of each method's draws over seeds, so that these are the same whichever other
    methods there are. Methods of one stream that have as many seeds are paired by seed; without `streams` all have the
    same. With one seed a draw says nothing of other seeds. Sources: Efron & Tibshirani (1993), chapters 8 and 12, where the
    resampled unit is the session; Behrens (1929) and Fisher (1935) for the sum of the two levels.
    """
    rng = np.random.default_rng(seed)
    names, index = np.unique(np.asarray(sessions), return_inverse=True)
    count, columns = len(names), values[0].shape[2]
    weights = session_weights(count, draws, rng)  # (R, G), shared by all methods, so that differences are paired
    stretch = _student_scale(rng, draws, count)  # (R,), shared as well
    point = np.full((len(values), columns), np.nan)
    replicates = np.full((draws, len(values), columns), np.nan)
    for m, value in enumerate(values):
        centre, means = _session_draws(value, index, weights)  # (S, C), (R, S, C)
        point[m] = centre.mean(0)
        with np.errstate(invalid="ignore"):
            replicates[:, m] = point[m] + (means.mean(1) - point[m]) * stretch[:, None]
            of = zlib.crc32(streams[m].encode(errors="surrogatepass")) if streams else 0
            replicates[:, m] += seed_draws(centre, np.random.default_rng([seed, of]), draws)
    return Bootstrap(point, replicates, count)


def _student_scale(rng: np.random.Generator, draws: int, count: int) -> Floats:
    """(R,) by how much the deviations of resampled means of `count` values are stretched; 1 where there is one value."""
    if count < 2:
        return np.ones(draws)
    free = count - 1
    scale: Floats = np.sqrt(count / free) / np.sqrt(rng.chisquare(free, draws) / free)
    return scale


def _session_draws(value: Floats, index: NDArray[np.intp], weights: Floats) -> tuple[Floats, Floats]:
    """Means of (S, N, C) over clips: (S, C) of all clips and (R, S, C) of the resampled ones, over defined values.

    index: (N,) the session of each clip; weights: (R, G) how often each session was drawn.
    """
    seeds, clips, columns = value.shape
    defined = np.isfinite(value)
    of = (np.arange(weights.shape[1])[:, None] == index).astype(np.float64)  # (G, N)

    def sums_of(each: NDArray[Any]) -> Floats:
        """Sums over the clips of the drawn sessions: (S, N, C) -> (R, S, C), of every seed and column at once."""
        by_session: Floats = of @ each.transpose(1, 0, 2).reshape(clips, -1)
        return (weights @ by_session).reshape(len(weights), seeds, columns)

    filled = np.where(defined, value, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return filled.sum(1) / defined.sum(1), sums_of(filled) / sums_of(defined.astype(np.float64))


def seed_draws(means: Floats, rng: np.random.Generator, draws: int) -> Floats:
    """(R, C) deviations of the mean of (S, C): multivariate Student's t with S - 1 degrees; 0 for one seed."""
    seeds = len(means)
    if seeds < 2:
        return np.zeros((draws, means.shape[1]))
    apart = means - means.mean(0)
    normal = rng.standard_normal((draws, seeds)) @ apart / np.sqrt(seeds * (seeds - 1))
    out: Floats = normal / np.sqrt(rng.chisquare(seeds - 1, draws) / (seeds - 1))[:, None]
    return out


def interval(draws: Floats, level: float = LEVEL, within: Column | None = None) -> Interval | None:
    """Percentiles of the finite draws, cut to what the column can be; None where too few draws have a value."""
    finite = draws[np.isfinite(draws)]
    if len(finite) < max(20, len(draws) // 2):
        return None
    low, high = np.quantile(finite, [(1 - level) / 2, (1 + level) / 2])
    if within is not None:
        low, high = in_range(np.array([low, high]), within)
    return Interval(float(low), float(high))


def in_range(values: Floats, column: Column) -> Floats:
    """Values cut to what the column can be: by rounding a distance may be -1e-13."""
    least = -np.inf if column.low is None else column.low
    most = np.inf if column.high is None else column.high
    out: Floats = np.clip(values, least, most)
    return out


def p_value(draws: Floats) -> float | None:
    """Two-sided: how often draws of a difference lie on the other side of 0; None where too few have a value."""
    finite = draws[np.isfinite(draws)]
    if len(finite) < max(20, len(draws) // 2):
        return None
    tail = min((finite <= 0).mean(), (finite >= 0).mean())
    return float(min(1.0, 2 * max(tail, 1 / (len(finite) + 1))))


def benjamini_hochberg(p: Sequence[float | None]) -> list[float | None]:
    """q values: the share of false discoveries among all tests that are called with at most this p. None stays None.

    Benjamini & Hochberg (1995), with the running minimum from the largest p downwards.
    """
    ordered = sorted((value, place) for place, value in enumerate(p) if value is not None)
    out: list[float | None] = [None] * len(p)
    least = 1.0
    for rank, (value, place) in reversed(list(enumerate(ordered, 1))):
        least = min(least, value * len(ordered) / rank)
        out[place] = least
    return out


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
    """Ranks along the methods' axis (-2), from 1, ties sharing their mean rank, undefined ones last. loss: (..., M, C)."""
    loss = np.where(np.isnan(loss), np.inf, loss)
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
    p: float | None  # two-sided


def paired(boot: Bootstrap, a: int, b: int, column: int) -> Paired | None:
    """Both methods under the same draws of sessions, and of seeds where these are the same; None where either has no value."""
    point = boot.point[a, column] - boot.point[b, column]
    if not np.isfinite(point):
        return None
    draws = boot.draws[:, a, column] - boot.draws[:, b, column]
    span = interval(draws) if boot.informative else None
    if span is None:
        return Paired(float(point), None, None, None)
    return Paired(float(point), span.low, span.high, p_value(draws))
