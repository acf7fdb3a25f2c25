"""Two methods on the same clips: paired differences with their uncertainty, and the clips that differ most."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Literal

import numpy as np

from dyadbench.api import TARGET_SUFFIX, Column, Config, Direction, DyadbenchError
from dyadbench.errors import nearest
from dyadbench.leaderboard.rows import one_random_seed
from dyadbench.leaderboard.stats import DRAWS_OF_DECISIONS, Floats, Interval, Resampling, interval, loss_draws, p_value
from dyadbench.records.comparable import by_method, method_values, odd_ones_out, seeds_of
from dyadbench.records.record import Record

ENOUGH = 0.05  # a difference is called with at most this p
WIDEST, EXTREMES = 3, 3  # columns whose clips of the largest difference are shown; clips of each
ONE_SEED = "one seed: another may differ"
FAILS = "fails here"
NOT_JUDGED = "not judged"


class Difference(Config):
    column: str
    direction: Direction
    judged: bool = True  # False: nobody knows which way is better
    a: float | None
    b: float | None
    target: float | None = None  # what real listeners have, where a column is matched
    difference: float | None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    reading: str = ""  # "a is better", "b is better" or "undecided", or why there is none

    @property
    def target_text(self) -> str:
        return "" if self.target is None else f"{self.target:.4g}"


class Comparison(Config):
    benchmark: str
    simulated: bool
    a: str
    b: str
    clips: int
    sessions: int
    differences: tuple[Difference, ...]
    extremes: Mapping[
        str, tuple[tuple[str, float], ...]
    ]  # column, those of the headline first -> (clip, difference) where they differ most
    left_out: tuple[str, ...] = ()  # records of the two that are not compared, and why


def compare(
    records: Sequence[Record], a: str, b: str, suite: str, columns: Sequence[Column], extremes: int = 5, failing: Collection[str] = ()
) -> Comparison:  # fmt: skip
    """Paired differences a - b on the clips that both define; DyadbenchError names the methods there are.

    In `failing` columns, which cannot be trusted on these data, neither is better.
    """
    usable, left_out = odd_ones_out(records, suite, columns) if records else ([], [])
    groups = by_method(usable)
    for name in (a, b):
        if name not in groups:
            reasons = [str(each) for each in left_out if each.record.method == name]
            raise DyadbenchError([*reasons, f"there is no record of {name!r} here; {nearest(name, groups)}"][0])
    values = [method_values(groups[name], suite, columns) for name in (a, b)]
    first = groups[a][0]
    once = [one_random_seed(groups[name]) for name in (a, b)]
    indices = [j for j, column in enumerate(columns) if not column.id.endswith(TARGET_SUFFIX)]
    streams = [seeds_of(groups[name]) for name in (a, b)]
    [of_pair] = differences(values, first.sessions, columns, indices, streams, once, [(0, 1)])
    shared = on_shared_clips(values)
    return Comparison(
        benchmark=first.benchmark, simulated=first.dataset.simulated, a=a, b=b, clips=len(first.clips),
        sessions=len(set(first.sessions)),
        differences=tuple(_unless_failing(each, failing) for each in of_pair),
        extremes={columns[j].id: _extremes(shared, j, first.clips, extremes) for j in sorted(indices, key=lambda j: not columns[j].headline) if columns[j].ranked},
        left_out=tuple(str(each) for each in left_out if each.record.method in (a, b)),
    )  # fmt: skip


def on_shared_clips(values: Sequence[Floats]) -> list[Floats]:
    """(S, N, C) each, NaN wherever any of them is undefined in any seed: a method is not compared on its easy clips."""
    everywhere = np.all([np.isfinite(value).all(0) for value in values], 0)  # (N, C)
    return [np.where(everywhere, value, np.nan) for value in values]


def differences(
    values: Sequence[Floats], sessions: Sequence[str], columns: Sequence[Column], indices: Sequence[int],
    streams: Sequence[str], once: Sequence[bool], pairs: Sequence[tuple[int, int]], draws: int = DRAWS_OF_DECISIONS,
) -> list[list[Difference]]:  # fmt: skip
    """For each of `pairs` of methods, the first minus the second in the columns of `indices`, on the clips that both define.

    `values`, (S, N, C), and `streams` are of each method (`stats.bootstrap`), as is `once`: random, and of one seed, so that
    nothing says how another would do. One column is resampled at a time: the draws of all of forty methods take a gigabyte.
    """
    resampling, place = Resampling(sessions, draws), {column.id: i for i, column in enumerate(columns)}
    out: list[list[Difference]] = [[] for _ in pairs]
    for j in indices:
        target = place.get(columns[j].target) if columns[j].direction == "match" else None
        own = [value[:, :, [j] if target is None else [j, target]] for value in values]
        defined = [np.isfinite(value).all(0) for value in own]  # (N, 1 or 2)
        alike: dict[bytes, list[int]] = {}  # pairs that define the same clips share the draws of their methods
        for n, (a, b) in enumerate(pairs):
            alike.setdefault((defined[a] & defined[b]).tobytes(), []).append(n)
        for clips, chosen in alike.items():
            shared = np.frombuffer(clips, bool).reshape(defined[0].shape)
            sides = {
                m: _Side(*resampling.of(np.where(shared, own[m], np.nan), streams[m]))
                for m in {m for n in chosen for m in pairs[n]}
            }
            for n in chosen:
                a, b = pairs[n]
                reading = ONE_SEED if once[a] or once[b] else NOT_JUDGED if not columns[j].judged else ""
                out[n].append(_difference(columns[j], sides[a], sides[b], reading, several=resampling.sessions > 1))
    return out


class _Side:
    """One method in one column: its value, (R,) draws of it, and where there is a target, its value and (R,) draws of how far off it is."""

    def __init__(self, point: Floats, draws: Floats):
        """(1 or 2,) and (R, 1 or 2): the column, and its target where there is one."""
        self.point, self.draws = float(point[0]), np.ascontiguousarray(draws[:, 0])
        self.target = float(point[1]) if len(point) > 1 else None
        self.off = loss_draws(point[0], self.draws, point[1], draws[:, 1], "match") if len(point) > 1 else None


def _difference(column: Column, a: _Side, b: _Side, reading: str, *, several: bool) -> Difference:
    """`reading`: why neither is better, where that is known. `several` sessions give an interval, one gives none."""
    values = [None if np.isnan(side.point) else side.point for side in (a, b)]
    undefined = None in values
    gap = None if undefined or not several or reading == ONE_SEED else a.draws - b.draws
    span, p = (None, None) if gap is None else (interval(gap), p_value(gap))
    if span is not None and not reading:
        if column.direction != "match":
            reading = _reading(span, p, column.direction)
        elif a.off is not None and b.off is not None:
            more = a.off - b.off
            reading = _reading(interval(more), p_value(more), "min")
    return Difference(
        column=column.id, direction=column.direction, judged=column.judged, a=values[0], b=values[1], target=a.target,
        difference=None if undefined else a.point - b.point, low=span.low if span else None, high=span.high if span else None,
        p=p if span else None, reading=reading,
    )  # fmt: skip


def _reading(span: Interval | None, p: float | None, direction: Literal["max", "min"]) -> str:
    """Which is better, beyond doubt, by the interval of the first minus the second."""
    if span is None or p is None or p > ENOUGH or span.low <= 0 <= span.high:
        return "undecided"
    return "a is better" if (span.low > 0) == (direction == "max") else "b is better"


def _unless_failing(difference: Difference, failing: Collection[str]) -> Difference:
    """In a column that fails neither is better."""
    if difference.column not in failing or difference.reading == ONE_SEED:
        return difference
    return difference.model_copy(update={"reading": FAILS})


def _extremes(values: Sequence[Floats], j: int, clips: Sequence[str], count: int) -> tuple[tuple[str, float], ...]:
    """The clips where the two differ most, and by how much; none where they are equal everywhere."""
    gap = values[0][:, :, j].mean(0) - values[1][:, :, j].mean(0)
    order = [int(i) for i in np.argsort(-np.abs(np.nan_to_num(gap)), kind="stable") if np.isfinite(gap[i]) and gap[i]]
    return tuple((clips[i], float(gap[i])) for i in order[:count])
