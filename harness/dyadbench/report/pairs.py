"""Every pair of methods on one benchmark: differences with intervals under shared draws, and where they differ most."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np

from dyadbench.api import TARGET_SUFFIX, Column
from dyadbench.leaderboard.paired import EXTREMES, WIDEST
from dyadbench.leaderboard.rows import one_random_seed
from dyadbench.leaderboard.stats import DRAWS, Bootstrap, bootstrap
from dyadbench.records.comparable import method_values, seeds_of, usable_records
from dyadbench.records.record import Record
from dyadbench.report.glossary import metric_text

METHODS = 40  # that a page compares; the command compares any two


def pairs_view(records: Sequence[Record], suite: str, columns: Sequence[Column], order: Sequence[str] = (), draws: int = DRAWS) -> dict[str, Any] | None:  # fmt: skip
    """What the comparison page of a benchmark knows, of the first METHODS in `order`; None where fewer than two can be compared.

    By column, `pairs["i-j"]` holds [difference i - j, low, high], `verdicts["i-j"]` 1 where i is better, -1 where j is, 0
    where that is undecided and None where it has no interval, and `most["i-j"]` [clip, difference] pairs. Of the methods in
    `once`, which are random and have one seed, no verdict is shown: another seed may differ.
    """
    groups = usable_records(records, suite, columns)
    if len(groups) < 2:
        return None
    names = [name for name in order or groups if name in groups][:METHODS]
    chosen = [i for i, column in enumerate(columns) if not column.id.endswith(TARGET_SUFFIX)]
    chosen.sort(key=lambda i: not columns[i].headline)
    values = [method_values(groups[name], suite, columns) for name in names]
    first = groups[names[0]][0]
    boot = bootstrap(values, first.sessions, draws, streams=[seeds_of(groups[name]) for name in names])
    with np.errstate(all="ignore"):
        clips = np.array([seed_means(value[:, :, chosen]) for value in values])  # (M, N, C)
    by_method = np.ascontiguousarray(boot.draws[:, :, chosen].transpose(1, 2, 0))  # (M, C, R)
    lost, targets = _losses(boot, columns, chosen)  # (M, C, R)
    pairs, most, verdicts = {}, {}, dict[str, list[int | None]]()
    for i, j in combinations(range(len(names)), 2):
        key = f"{i}-{j}"
        point = boot.point[i, chosen] - boot.point[j, chosen]
        low = high = np.full(len(chosen), np.nan)
        verdicts[key] = [None] * len(chosen)
        if boot.informative:
            low, high = _interval(by_method[i] - by_method[j])
            verdicts[key] = _verdicts(lost[i] - lost[j])
        pairs[key] = [[_short(p), _short(a), _short(b)] for p, a, b in zip(point, low, high, strict=True)]
        gap = clips[i] - clips[j]  # (N, C)
        most[key] = [_extremes(gap[:, c]) for c in range(min(WIDEST, len(chosen)))]
    ranked_columns = [columns[c] for c in chosen]
    return {
        "benchmark": first.benchmark, "suite": suite, "methods": names, "clips": list(first.clips),
        "sessions": len(set(first.sessions)), "pairs": pairs, "verdicts": verdicts, "most": most,
        "once": [name for name in names if one_random_seed(groups[name])],
        "left_out": len(groups) - len(names), "points": [[_short(v) for v in row] for row in boot.point[:, chosen]],
        "columns": [
            {"id": c.id, "direction": c.direction, "digits": c.digits, "says": metric_text(c.id) or f"{c.summary}.", "target": target}
            for c, target in zip(ranked_columns, targets, strict=True)
        ],
    }  # fmt: skip


def _verdicts(more_lost: np.ndarray) -> list[int | None]:
    """Draws of how much more the first method loses than the second, (C, R), to a verdict per column: see `pairs_view`."""
    low, high = _interval(more_lost)
    sides = np.where(high < 0, 1, np.where(low > 0, -1, 0))
    return [None if np.isnan(end) else int(side) for end, side in zip(low, sides, strict=True)]


def _losses(boot: Bootstrap, columns: Sequence[Column], chosen: Sequence[int]) -> tuple[np.ndarray, list[float | None]]:
    """(M, C, R) draws in which less is better, and what each column is to match; NaN where nothing says what is better."""
    place = {column.id: i for i, column in enumerate(columns)}
    lost, targets = [], []
    for of in chosen:
        column, draws = columns[of], boot.draws[:, :, of]
        at = place.get(column.target, of) if column.direction == "match" else of
        matched = column.direction == "match" and at != of
        targets.append(_short(float(boot.point[0, at])) if matched else None)
        if column.direction == "match":
            lost.append(np.abs(draws - boot.draws[:, :1, at]) if matched else np.full_like(draws, np.nan))
        else:
            lost.append(draws if column.direction == "min" else -draws)
    return np.ascontiguousarray(np.stack(lost, 1).transpose(2, 1, 0)), targets


def seed_means(values: np.ndarray) -> np.ndarray:
    """(S, ...) -> (...): over the seeds with a value, NaN where none has one."""
    defined = np.isfinite(values)
    counts = defined.sum(0)
    means: np.ndarray = np.where(counts > 0, np.where(defined, values, 0).sum(0) / np.maximum(counts, 1), np.nan)
    return means


def _interval(gaps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """95 % of (C, R) draws; NaN where a column has undefined draws."""
    low, high = np.quantile(gaps, [0.025, 0.975], axis=1)
    return low, high


def _extremes(gap: np.ndarray) -> list[list[float]]:
    size = np.abs(np.nan_to_num(gap))
    edge = np.partition(size, -EXTREMES)[-EXTREMES] if len(size) > EXTREMES else 0.0
    large = np.flatnonzero(size >= edge)  # sorting these alone is a third of the work
    order = large[np.argsort(-size[large], kind="stable")][:EXTREMES]
    return [[int(n), float(f"{gap[n]:.3g}")] for n in order if np.isfinite(gap[n]) and gap[n] != 0]


def _short(value: float) -> float | None:
    return float(f"{value:.5g}") if np.isfinite(value) else None
