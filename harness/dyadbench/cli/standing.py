"""Compares the scores of a file with the recorded methods and reference rows, metric by metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from dyadbench.api import Column, DyadbenchError
from dyadbench.errors import number_of
from dyadbench.leaderboard.rows import kind_of, role_of
from dyadbench.leaderboard.stats import defined_means, loss
from dyadbench.leaderboard.text import PLAIN, direction_sign, number
from dyadbench.python.score import Estimate
from dyadbench.records.comparable import method_values, of_whole_training, records_below, usable_records

Values = Mapping[str, Estimate]


def standing(
    leaderboards: Path, benchmark: str, suite: str, columns: Sequence[Column], digest: str, mine: Values
) -> tuple[list[str], list[list[str]], str]:
    """Header and rows of a table: each metric, its direction, the file's value, its target, its place among methods, and
    the reference rows; and a sentence on whom it was compared with. Records of other data are left out.

    A record that cannot be read costs the comparison and not the file's own values: the sentence names it.
    """
    records, unread = [], ""
    try:
        if leaderboards.is_dir():
            records = [r for r in records_below(leaderboards, benchmark) if r.dataset.digest == digest]
    except (DyadbenchError, OSError) as error:
        unread = f"warning: compared with no record, because one cannot be read; delete it or run it again: {error}"
    groups = usable_records(of_whole_training(records), suite, columns) if records else {}
    means = {name: _means(method_values(group, suite, columns), columns) for name, group in groups.items()}
    methods = [name for name, group in groups.items() if kind_of(group) == "method"]
    references = sorted(  # those that a table of the first methods shows
        name for name, group in groups.items() if kind_of(group) == "reference" and role_of(group) not in PLAIN
    )
    header = ["metric", "", "yours", "95 %", "target", "place", *references]
    rows = []
    for column in columns:
        if column.id == column.target:
            continue  # shown beside what it is the target of
        own = mine.get(column.id, Estimate(None))
        value, target = own.value, mine.get(column.target, Estimate(None)).value if column.target else None
        span = "" if own.low is None else f"[{number(own.low, column.digits)}, {number(own.high, column.digits)}]"
        place = _place(column, value, target, [means[name][column.id] for name in methods]) if column.ranked else ""
        others = [number(_none(means[name][column.id]), column.digits) for name in references]
        rows.append([column.id, direction_sign(column.direction, column.judged), number(value, column.digits), span,
                     number(target, column.digits) if column.target else "", place, *others])  # fmt: skip
    if unread:
        return header, rows, unread
    if not methods:
        also = "; reference rows are shown" if references else ""
        return (
            header,
            rows,
            f"no method has a record of {benchmark} on this data, so there is no place among them{also}",
        )
    return (
        header,
        rows,
        f"place: among {number_of(len(methods), 'method')} with records, by each metric alone; the board ranks by skill. 95 %: over sessions, of this one draw",
    )


def _means(values: np.ndarray, columns: Sequence[Column]) -> dict[str, float]:
    """The mean over seeds of (S, N, C), each over its clips with a value, as on the board; else NaN."""
    mean = defined_means(values.swapaxes(0, 1)).mean(0)
    return dict(zip([column.id for column in columns], mean.tolist(), strict=True))


def _place(column: Column, value: float | None, target: float | None, others: Sequence[float]) -> str:
    own, finite = loss(value, target, column.direction), [other for other in others if np.isfinite(other)]
    if np.isnan(own) or not finite:
        return ""
    better = np.count_nonzero(loss(finite, target, column.direction) < own)
    return f"{better + 1} of {len(finite) + 1}"


def _none(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
