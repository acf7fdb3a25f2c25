"""Two methods on the same clips: paired differences with their uncertainty, and the clips that differ most."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from dyadbench.api import TARGET_SUFFIX, Column, Config, Direction, DyadbenchError
from dyadbench.errors import nearest
from dyadbench.leaderboard.rows import one_random_seed
from dyadbench.leaderboard.stats import DRAWS_OF_DECISIONS, Bootstrap, Floats, bootstrap, interval, p_value, paired
from dyadbench.records.comparable import by_method, method_values, odd_ones_out, seeds_of
from dyadbench.records.record import Record

ENOUGH = 0.05  # a difference is called with at most this p
WIDEST, EXTREMES = 3, 3  # columns whose clips of the largest difference are shown; clips of each
ONE_SEED = "one seed: another may differ"
FAILS = "fails here"


class Difference(Config):
    column: str
    direction: Direction
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
    values = on_shared_clips([method_values(groups[name], suite, columns) for name in (a, b)])
    first = groups[a][0]
    boot = bootstrap(values, first.sessions, DRAWS_OF_DECISIONS, streams=[seeds_of(groups[name]) for name in (a, b)])
    random_once = any(one_random_seed(groups[name]) for name in (a, b))
    indices = [j for j, column in enumerate(columns) if not column.id.endswith(TARGET_SUFFIX)]
    return Comparison(
        benchmark=first.benchmark, simulated=first.dataset.simulated, a=a, b=b, clips=len(first.clips),
        sessions=len(set(first.sessions)),
        differences=tuple(_difference(boot, columns, j, random_once, columns[j].id in failing) for j in indices),
        extremes={columns[j].id: _extremes(values, j, first.clips, extremes) for j in sorted(indices, key=lambda j: not columns[j].headline) if columns[j].ranked},
        left_out=tuple(str(each) for each in left_out if each.record.method in (a, b)),
    )  # fmt: skip


def on_shared_clips(values: Sequence[Floats]) -> list[Floats]:
    """(S, N, C) each, NaN wherever any of them is undefined in any seed: a method is not compared on its easy clips."""
    everywhere = np.all([np.isfinite(value).all(0) for value in values], 0)  # (N, C)
    return [np.where(everywhere, value, np.nan) for value in values]


def _difference(boot: Bootstrap, columns: Sequence[Column], j: int, random_once: bool, fails: bool) -> Difference:
    column = columns[j]
    test = paired(boot, 0, 1, j)
    sure = None if random_once else test
    a, b = (None if np.isnan(value) else float(value) for value in boot.point[:, j])
    at = next((i for i, other in enumerate(columns) if other.id == column.target), None)
    target = float(boot.point[0, at]) if column.direction == "match" and at is not None else None
    return Difference(
        column=column.id, direction=column.direction, a=a, b=b, target=target,
        difference=test.difference if test else None, low=sure.low if sure else None,
        high=sure.high if sure else None, p=sure.p if sure else None,
        reading=ONE_SEED if random_once else FAILS if fails else _reading(boot, column, j, at),
    )  # fmt: skip


def _reading(boot: Bootstrap, column: Column, j: int, target: int | None) -> str:
    """Which is better, beyond doubt: by value, or by the distance to the target."""
    if not boot.informative or not np.isfinite(boot.point[:, j]).all():
        return ""
    draws, sign = boot.draws[:, :, j], 1 if column.direction == "max" else -1
    if column.direction == "match" and target is not None:
        draws = np.abs(draws - boot.draws[:, :, target])
    gap = sign * (draws[:, 0] - draws[:, 1])  # above 0: a is better
    p, span = p_value(gap), interval(gap)
    if p is None or span is None or p > ENOUGH:
        return "undecided"
    return "a is better" if span.low > 0 else "b is better" if span.high < 0 else "undecided"


def _extremes(values: Sequence[Floats], j: int, clips: Sequence[str], count: int) -> tuple[tuple[str, float], ...]:
    """The clips where the two differ most, and by how much; none where they are equal everywhere."""
    gap = values[0][:, :, j].mean(0) - values[1][:, :, j].mean(0)
    order = [int(i) for i in np.argsort(-np.abs(np.nan_to_num(gap)), kind="stable") if np.isfinite(gap[i]) and gap[i]]
    return tuple((clips[i], float(gap[i])) for i in order[:count])
