"""The same records by other rules: the place that each method had by the mean rank over all columns, and why it moved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from dyadbench.leaderboard.rows import Row
from dyadbench.leaderboard.stats import loss
from dyadbench.leaderboard.tables import Table
from dyadbench.leaderboard.text import escape, grid, skill_text

FARTHEST, LEAST = 3, 3  # methods that are explained: at most so many, each moved by at least so many places
COLUMNS = 4  # that explain a move
HOW = """The mean rank counts every column once, whether or not it passes, and ablations among the methods. By it and by skill alike
the ranked methods are counted here, and in each column, too. Of those that moved most:
"""


def rules_section(table: Table) -> str:
    """The ranked methods by skill and by the older rule, and what moved; "" where nothing is ranked."""
    rows = [row for row in table.rows if row.rank is not None and row.mean_rank is not None]
    if not rows:
        return ""
    moved = [f"- {_explained(table, rows, row)}\n" for row in _farthest(rows)]
    why = f"\n{HOW}\n{''.join(moved)}" if moved else ""
    return f"### The same records by other rules\n\n{_table(rows)}{why}"


def _table(rows: Sequence[Row]) -> str:
    more, before = any(row.declared for row in rows), _before(rows)
    header = [
        "method",
        "rank by skill",
        *(["skill with the columns that fail here"] if more else []),
        "place by mean rank over all columns",
    ]
    lines = [
        [
            escape(row.method),
            f"{row.rank} ({skill_text(row.skill)})",
            *([skill_text(row.declared)] if more else []),
            str(before[row.method]),
        ]
        for row in rows
    ]
    return grid(header, lines)


def _before(rows: Sequence[Row]) -> dict[str, int]:
    """The place of each ranked method among these by the mean rank, in which ablations were counted as well."""
    old = {row.method: row.mean_rank or 0 for row in rows}
    return {name: 1 + sum(other < place for other in old.values()) for name, place in old.items()}


def _farthest(rows: Sequence[Row]) -> list[Row]:
    before = _before(rows)
    far = {row.method: abs(before[row.method] - (row.rank or 0)) for row in rows}
    return sorted((row for row in rows if far[row.method] >= LEAST), key=lambda row: -far[row.method])[:FARTHEST]


def _explained(table: Table, rows: Sequence[Row], row: Row) -> str:
    """Where a method stood and stands, its places in the columns of the headline, and the other columns that pulled most."""
    before, now, of = _before(rows)[row.method], row.rank or 0, len(rows)
    places = _places(table, rows, row.method)
    heads = {scale.column for scale in table.scales}
    towards = 1 if before > now else -1
    others = sorted(
        (name for name in places if name not in heads), key=lambda name: (-towards * (places[name] - now), name)
    )
    pulled = [name for name in others if towards * (places[name] - now) > 0][:COLUMNS]
    text = f"{row.method}: {_nth(now)} of {of} by skill and {_nth(before)} by mean rank; in the headline {_listed(places, sorted(heads))}"
    return escape(text + (f", but {_listed(places, pulled)}." if pulled else "."))


def _places(table: Table, rows: Sequence[Row], method: str) -> dict[str, int]:
    """Column -> the place of one method among the ranked ones; after all that have a value where it has none."""
    place = [row.method for row in rows].index(method)
    out = {}
    for column in table.columns:
        if column.ranked:
            values, targets = (
                [row.cells[name].value if name else None for row in rows] for name in (column.id, column.target)
            )
            of_rows = np.nan_to_num(loss(values, targets, column.direction), nan=np.inf)
            out[column.id] = 1 + int((of_rows < of_rows[place]).sum())
    return out


def _listed(places: Mapping[str, int], names: Sequence[str]) -> str:
    return ", ".join(f"{_nth(places[name])} in {name}" for name in names)


def _nth(place: int) -> str:
    ending = "th" if place % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(place % 10, "th")
    return f"{place}{ending}"
