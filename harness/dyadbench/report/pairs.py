"""Every pair of methods on one benchmark: differences with intervals under shared draws, and where they differ most."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np

from dyadbench.api import Column
from dyadbench.leaderboard.stats import DRAWS, bootstrap
from dyadbench.records.comparable import method_values, usable_records
from dyadbench.records.record import Record

EXTREMES = 3  # clips a column


def pairs_view(records: Sequence[Record], suite: str, columns: Sequence[Column], draws: int = DRAWS) -> dict[str, Any] | None:  # fmt: skip
    """What the comparison page knows of a benchmark; None where fewer than two methods can be compared.

    `pairs["i-j"]` holds, a column, [difference i - j, low, high]; `most["i-j"]`, a column, [clip, difference] pairs.
    """
    groups = usable_records(records, suite, columns)
    if len(groups) < 2:
        return None
    names, chosen = list(groups), [i for i, column in enumerate(columns) if not column.id.endswith("_target")]
    values = [method_values(groups[name], suite, columns)[:, :, chosen] for name in names]
    first = groups[names[0]][0]
    boot = bootstrap(values, first.sessions, draws, names=names)
    with np.errstate(all="ignore"):
        clips = np.array([_clip_means(value) for value in values])  # (M, N, C)
    drawn = np.ascontiguousarray(boot.draws.transpose(1, 2, 0))  # (M, C, R)
    pairs, most = {}, {}
    for i, j in combinations(range(len(names)), 2):
        key = f"{i}-{j}"
        point = boot.point[i] - boot.point[j]
        if boot.informative:
            low, high = _interval(drawn[i] - drawn[j])
        else:
            low = high = np.full(len(chosen), np.nan)
        pairs[key] = [[_short(p), _short(a), _short(b)] for p, a, b in zip(point, low, high, strict=True)]
        gap = clips[i] - clips[j]  # (N, C)
        most[key] = [_extremes(gap[:, c]) for c in range(len(chosen))]
    kept = [columns[c] for c in chosen]
    return {
        "benchmark": first.benchmark, "suite": suite, "methods": names, "clips": list(first.clips),
        "sessions": len(set(first.sessions)), "pairs": pairs, "most": most,
        "points": [[_short(v) for v in row] for row in boot.point],
        "columns": [{"id": c.id, "direction": c.direction, "digits": c.digits, "summary": c.summary} for c in kept],
    }  # fmt: skip


def _clip_means(values: np.ndarray) -> np.ndarray:
    """(S, N, C) -> (N, C): over the seeds with a value, NaN where none has one."""
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
