"""Inequalities that every table must keep: the oracle is best, its distance is 0."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dyadbench.leaderboard.tables import Table


@dataclass(frozen=True)
class Sanity:
    """An inequality every table of a suite must keep: row `better` is at least as good as every row without access to the truth."""

    better: str
    column: str
    exactly: float | None = None  # the value it must have, too


SANITY: dict[str, tuple[Sanity, ...]] = {
    "react2024": (Sanity("oracle", "FRCorr"), Sanity("oracle", "FRDist", 0.0)),
    "react2024-official": (Sanity("oracle", "FRCorr"), Sanity("oracle", "FRDist", 0.0)),
    "l2l": (
        Sanity("oracle", "L2.expression", 0.0),
        Sanity("oracle", "FD.expression"),
        Sanity("oracle", "P-FD.expression"),
    ),
    "dyad-vc-dyads": (Sanity("oracle", "CCC"), Sanity("oracle", "L2.smile", 0.0), Sanity("oracle", "L2.movement", 0.0)),
    "dyad-openface": (Sanity("oracle", "CCC"), Sanity("oracle", "L2.au", 0.0)),
    "dualtalk": (Sanity("oracle", "MSE.expression", 0.0), Sanity("oracle", "RPCC.expression", 0.0)),
}

UNEQUAL = {
    "mars"
}  # datasets whose listeners are scored at their own length: the truth, cut to the speaker's, is not exact
SLACK = 1e-6  # of rounding in committed values


def check_sanity(table: Table, rules: Sequence[Sanity]) -> list[str]:
    """Sentences for every inequality that does not hold."""
    broken = []
    directions = {column.id: column.direction for column in table.columns}
    for rule in rules:
        row = next((row for row in table.rows if row.method == rule.better), None)
        if row is None or rule.column not in directions:
            continue
        value = row.cells[rule.column].value
        where = f"{table.benchmark}, {table.suite}, {rule.column}"
        if value is None:
            broken.append(f"{where}: {rule.better} has no value")
            continue
        if rule.exactly is not None and table.dataset not in UNEQUAL and abs(value - rule.exactly) > SLACK:
            broken.append(f"{where}: {rule.better} is {value:.6g}, it must be {rule.exactly:g}")
        sign = -1 if directions[rule.column] == "max" else 1
        for other in table.rows:
            if other.facts["sees_truth"]:
                continue  # another oracle may be better by a constant channel more or less
            theirs = other.cells[rule.column].value
            if theirs is not None and sign * theirs < sign * value - SLACK:
                broken.append(f"{where}: {other.method} ({theirs:.6g}) is better than {rule.better} ({value:.6g})")
    return broken
