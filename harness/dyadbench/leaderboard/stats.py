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

import functools
import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dyadbench.api import Column

DRAWS = 2000  # an interval's end is off by about 5 % of the interval's half
# Of places and verdicts: a p value of .05 is off by .001. With 2,000 draws it is off by .005, and chance decided who leads.
DRAWS_OF_DECISIONS = 50_000
LEVEL = 0.95
FALSE_DISCOVERIES = 0.05  # of what is called on a board
Floats = NDArray[np.float64]
Numbers = Floats | Sequence[float | None] | float | None  # None and NaN: undefined


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


# Every table and claim of a board draws the same numbers, so that these are kept: at 50,000 draws of 20 sessions 8 MB, of
# five seeds 2 MB.
@functools.lru_cache(maxsize=8)
def _over_sessions(count: int, draws: int, seed: int) -> tuple[Floats, Floats]:
    """The weights (R, G) of the sessions, and what the deviations of their means are stretched by (R,)."""
    rng = np.random.default_rng(seed)
    return session_weights(count, draws, rng), _student_scale(rng, draws, count)


@functools.lru_cache(maxsize=16)
def _over_seeds(seeds: int, draws: int, seed: int, stream: str) -> tuple[Floats, Floats]:
    """Normal draws (R, S) of each seed, and the root of a mean square (R,) that makes them Student's t."""
    rng = np.random.default_rng([seed, zlib.crc32(stream.encode(errors="surrogatepass"))])  # 0 for ""
    return rng.standard_normal((draws, seeds)), np.sqrt(rng.chisquare(seeds - 1, draws) / (seeds - 1))


class Resampling:
    """The random numbers of a bootstrap, the same for every method and column, so that these may be resampled one by one."""

    def __init__(self, sessions: Sequence[str], draws: int = DRAWS, seed: int = 0):
        """`sessions`: that of each clip."""
        names, self._index = np.unique(np.asarray(sessions), return_inverse=True)
        self.sessions, self._draws, self._seed = len(names), draws, seed
        self._weights, self._stretch = _over_sessions(self.sessions, draws, seed)

    def of(self, value: Floats, stream: str = "") -> tuple[Floats, Floats]:
        """Point (C,) and draws (R, C) of one method's per-clip values (S, N, C), NaN where undefined; see `bootstrap`."""
        centre, means = _session_draws(value, self._index, self._weights)  # (S, C), (R, C)
        point: Floats = centre.mean(0)
        with np.errstate(invalid="ignore"):
            replicates = point + (means - point) * self._stretch[:, None]
            replicates += self._seed_draws(centre, stream)
        return point, replicates

    def _seed_draws(self, means: Floats, stream: str) -> Floats:
        """(R, C) deviations of the mean of (S, C): multivariate Student's t with S - 1 degrees; 0 for one seed."""
        seeds = len(means)
        if seeds < 2:
            return np.zeros((self._draws, means.shape[1]))
        normal, scale = _over_seeds(seeds, self._draws, self._seed, stream)
        out: Floats = normal @ (means - means.mean(0)) / np.sqrt(seeds * (seeds - 1)) / scale[:, None]
        return out


def bootstrap(
    values: Sequence[Floats], sessions: Sequence[str], draws: int = DRAWS, seed: int = 0, streams: Sequence[str] = ()
) -> Bootstrap:
    """values: one (S_m, N, C) array per method, NaN where undefined; the clips are the same for all.

    `streams` name the random numbers of each method's draws over seeds, so that these are the same whichever other
    methods there are. Methods of one stream that have as many seeds are paired by seed; without `streams` all have the
    same. With one seed a draw says nothing of other seeds. Sources: Efron & Tibshirani (1993), chapters 8 and 12, where the
    resampled unit is the session; Behrens (1929) and Fisher (1935) for the sum of the two levels.
    """
    resampling = Resampling(sessions, draws, seed)
    point = np.full((len(values), values[0].shape[2]), np.nan)
    replicates = np.full((draws, *point.shape), np.nan)
    for m, value in enumerate(values):
        point[m], replicates[:, m] = resampling.of(value, streams[m] if streams else "")
    return Bootstrap(point, replicates, resampling.sessions)


def _student_scale(rng: np.random.Generator, draws: int, count: int) -> Floats:
    """(R,) by how much the deviations of resampled means of `count` values are stretched; 1 where there is one value."""
    if count < 2:
        return np.ones(draws)
    free = count - 1
    scale: Floats = np.sqrt(count / free) / np.sqrt(rng.chisquare(free, draws) / free)
    return scale


def _session_draws(value: Floats, index: NDArray[np.intp], weights: Floats) -> tuple[Floats, Floats]:
    """Means of (S, N, C) over defined clips: (S, C) of all clips, and (R, C) of the resampled ones, mean over the seeds too.

    index: (N,) the session of each clip; weights: (R, G) how often each session was drawn.
    """
    defined = np.isfinite(value)
    of = (np.arange(weights.shape[1])[:, None] == index).astype(np.float64)  # (G, N)
    filled = np.where(defined, value, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        centre = filled.sum(1) / defined.sum(1)
        if (defined == defined[:1]).all():  # all seeds are divided by the same counts
            return centre, (weights @ (of @ filled.mean(0))) / (weights @ (of @ defined[0].astype(np.float64)))
        means = np.zeros((len(weights), value.shape[2]))
        for seed in range(len(value)):
            means += (weights @ (of @ filled[seed])) / (weights @ (of @ defined[seed].astype(np.float64)))
        return centre, means / len(value)


def interval(draws: Floats, within: Column | None = None) -> Interval | None:
    """Percentiles of the finite draws, cut to what the column can be; None where too few draws have a value."""
    finite = _finite(draws)
    if len(finite) < max(20, len(draws) // 2):
        return None
    low, high = (_quantile(finite, share) for share in ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    if within is not None:
        low, high = in_range(np.array([low, high]), within)
    return Interval(float(low), float(high))


def _finite(draws: Floats) -> Floats:
    """The draws that have a value. A sum is finite only where everything in it is, and takes less time than asking each."""
    with np.errstate(invalid="ignore", over="ignore"):
        return draws if np.isfinite(draws.sum()) else draws[np.isfinite(draws)]


def _quantile(draws: Floats, share: float) -> float:
    """What `np.quantile` gives, in a fourth of the time: numpy partitions around one place much faster than around two."""
    place = (len(draws) - 1) * share
    first = int(place)
    part = np.partition(draws, first)
    return float(np.quantile([part[first], part[first + 1 :].min()], place - first))


def in_range(values: Floats, column: Column) -> Floats:
    """Values cut to what the column can be: by rounding a distance may be -1e-13."""
    least = -np.inf if column.low is None else column.low
    most = np.inf if column.high is None else column.high
    out: Floats = np.clip(values, least, most)
    return out


def p_value(draws: Floats) -> float | None:
    """Two-sided: how often draws of a difference lie on the other side of 0; None where too few have a value."""
    finite = _finite(draws)
    if len(finite) < max(20, len(draws) // 2):
        return None
    tail = min(np.count_nonzero(finite <= 0), np.count_nonzero(finite >= 0)) / len(finite)
    return float(min(1.0, 2 * max(tail, 1 / (len(finite) + 1))))


def chance_of_draws(p: float, q: float) -> float:
    """By how much other random draws move a q, 95 % of the time.

    A p of R draws is twice a share t of them, whose relative standard error is 1 / sqrt(t R); a q is a p times a number.
    """
    return 1.96 * q / math.sqrt(p / 2 * DRAWS_OF_DECISIONS)


def sure(p: float | None, q: float | None) -> bool:
    """Whether a difference is called: also with other random draws, or chance would decide at the limit."""
    return p is not None and q is not None and q + chance_of_draws(p, q) <= FALSE_DISCOVERIES


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


def defined_means(values: np.ndarray) -> np.ndarray:
    """(N, ...) -> (...): over the seeds or clips with a value, NaN where none has one."""
    defined = np.isfinite(values)
    counts = defined.sum(0)
    means: np.ndarray = np.where(counts > 0, np.where(defined, values, 0).sum(0) / np.maximum(counts, 1), np.nan)
    return means


def losses(point: Floats, columns: Sequence[Column]) -> Floats:
    """(M, C) values to (M, ranked columns) of `loss`."""
    at = [(i, target_of(columns, i), column.direction) for i, column in enumerate(columns) if column.ranked]
    return np.stack([loss(point[..., i], point[..., t], direction) for i, t, direction in at], -1)


def losses_drawn(point: Floats, draws: Floats, columns: Sequence[Column]) -> Floats:
    """(M, C) values and their draws (R, M, C) to (R, M, ranked columns) of `loss_draws`."""
    at = [(i, target_of(columns, i), column.direction) for i, column in enumerate(columns) if column.ranked]
    return np.stack(
        [loss_draws(point[:, i], draws[..., i], point[:, t], draws[..., t], direction) for i, t, direction in at], -1
    )


def target_of(columns: Sequence[Column], i: int) -> int:
    """The place of a column's target; its own where it has none."""
    name = columns[i].target if columns[i].direction == "match" else columns[i].id
    return next(j for j, column in enumerate(columns) if column.id == name)


def loss(values: Numbers, target: Numbers, direction: str) -> Floats:
    """Values in their unit to what is smaller where it is better, of the same shape; `match` is the distance to the target.

    Where a value or its target is undefined, the loss is NaN.
    """
    of = np.asarray(values, np.float64)  # numpy makes NaN of None
    if direction == "match":
        return np.abs(of - np.asarray(target, np.float64))
    return of if direction == "min" else -of


def loss_draws(point: Numbers, draws: Floats, target: Numbers, target_draws: Numbers, direction: str) -> Floats:
    """Draws (R, ...) of `loss`, with which two methods are compared; point, target: (...), of all clips.

    A distance from a target is counted on the side of it on which the method is. Were each draw folded to its distance, no
    draw of a method that is at the target could be better than a method that is exactly there, and noise would be a fault.
    """
    if direction != "match":
        return loss(draws, None, direction)
    side = np.where(np.asarray(point, np.float64) < np.asarray(target, np.float64), -1.0, 1.0)
    off: Floats = side * (draws - np.asarray(target_draws, np.float64))
    return off


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
