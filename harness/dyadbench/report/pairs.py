"""Every pair of methods on one benchmark: differences with intervals under shared draws, and where they differ most."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np

from dyadbench.api import TARGET_SUFFIX, Column
from dyadbench.leaderboard.paired import EXTREMES, WIDEST, Difference, differences
from dyadbench.leaderboard.rows import one_random_seed
from dyadbench.leaderboard.stats import DRAWS_OF_DECISIONS, defined_means
from dyadbench.records.comparable import method_values, seeds_of, usable_records
from dyadbench.records.record import Record
from dyadbench.report.glossary import metric_text

METHODS = 40  # that a page compares; the command compares any two
VERDICTS = {"a is better": 1, "b is better": -1, "undecided": 0}


def pairs_view(records: Sequence[Record], suite: str, columns: Sequence[Column], order: Sequence[str] = (), draws: int = DRAWS_OF_DECISIONS) -> dict[str, Any] | None:  # fmt: skip
    """What the comparison page of a benchmark knows, of the first METHODS in `order`; None where fewer than two can be compared.

    The numbers are those of `dyadbench compare`. By column, `pairs["i-j"]` holds [difference i - j, low, high], and then the
    values of both where these are on fewer clips than the `points` of the methods; `verdicts["i-j"]` holds 1 where i is
    better, -1 where j is, 0 where that is undecided and None where nothing says it, and `most["i-j"]` [clip, difference]
    pairs. Of the methods in `once`, which are random and have one seed, no verdict is shown: another seed may differ.
    """
    groups = usable_records(records, suite, columns)
    if len(groups) < 2:
        return None
    names = [name for name in order or groups if name in groups][:METHODS]
    chosen = [i for i, column in enumerate(columns) if not column.id.endswith(TARGET_SUFFIX)]
    chosen.sort(key=lambda i: not columns[i].headline)
    values = [method_values(groups[name], suite, columns) for name in names]
    first = groups[names[0]][0]
    points = np.array([defined_means(value[:, :, chosen].swapaxes(0, 1)).mean(0) for value in values])  # (M, C)
    clips = np.array(
        [value[:, :, chosen[:WIDEST]].mean(0) for value in values]
    )  # (M, N, C), of the clips without a gap
    both = list(combinations(range(len(names)), 2))
    streams, once = zip(*((seeds_of(groups[name]), one_random_seed(groups[name])) for name in names), strict=True)
    compared = differences(values, first.sessions, columns, chosen, streams, once, both, draws)
    pairs, most, verdicts = {}, {}, {}
    for (i, j), of_pair in zip(both, compared, strict=True):
        key = f"{i}-{j}"
        pairs[key] = [_numbers(each, points[i, c], points[j, c]) for c, each in enumerate(of_pair)]
        verdicts[key] = [VERDICTS.get(each.reading) for each in of_pair]
        most[key] = [_extremes(gap) for gap in (clips[i] - clips[j]).T]
    return {
        "benchmark": first.benchmark, "suite": suite, "methods": names, "clips": list(first.clips),
        "sessions": len(set(first.sessions)), "pairs": pairs, "verdicts": verdicts, "most": most,
        "once": [name for name, single in zip(names, once, strict=True) if single],
        "left_out": len(groups) - len(names), "points": [[_short(v) for v in row] for row in points],
        "columns": [
            {"id": c.id, "direction": c.direction, "digits": c.digits, "judged": c.judged, "says": metric_text(c.id, suite) or f"{c.summary}.",
             "target": None if each.target is None else _short(each.target)}
            for c, each in zip([columns[i] for i in chosen], compared[0], strict=True)
        ],
    }  # fmt: skip


def _numbers(of: Difference, a: float, b: float) -> list[float | None]:
    """The difference with its interval; and both values where they are not the methods' own, `a` and `b`."""
    numbers = [None if value is None else _short(value) for value in (of.difference, of.low, of.high)]
    values = [None if value is None else _short(value) for value in (of.a, of.b)]
    return numbers if values == [_short(a), _short(b)] else numbers + values


def _extremes(gap: np.ndarray) -> list[list[float]]:
    size = np.abs(np.nan_to_num(gap))
    edge = np.partition(size, -EXTREMES)[-EXTREMES] if len(size) > EXTREMES else 0.0
    large = np.flatnonzero(size >= edge)  # sorting these alone is a third of the work
    order = large[np.argsort(-size[large], kind="stable")][:EXTREMES]
    return [[int(n), float(f"{gap[n]:.3g}")] for n in order if np.isfinite(gap[n]) and gap[n] != 0]


def _short(value: float) -> float | None:
    return float(f"{value:.7g}") if np.isfinite(value) else None
