"""Tables for a terminal: with colour and weight, and the same words in plain text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from dyadbench.errors import number_of, one_line
from dyadbench.leaderboard.families import FAMILIES
from dyadbench.leaderboard.paired import EXTREMES, WIDEST, Comparison
from dyadbench.leaderboard.rows import Row, Value
from dyadbench.leaderboard.summary import why_unranked
from dyadbench.leaderboard.tables import Table
from dyadbench.leaderboard.text import (
    FAILS,
    PLAIN,
    direction_sign,
    family_text,
    grid,
    head_text,
    interval_text,
    method_text,
    number,
    rank_text,
    skill_text,
)

MOST_COLUMNS = 8  # columns of a table, unless all are asked for
Cell = list[tuple[str, str]]  # pieces of text with a rich style, "" for none


def _title(table: Table) -> str:
    return f"{one_line(table.benchmark)} · {table.suite}" + (" · SIMULATED" if table.simulated else "")


def _rows(table: Table, top: int | None) -> list[Row]:
    """Methods, ablations and references by skill.

    With `top` the first methods, those without a rank that have as much skill as the last of these, and of the references
    all but means and noise.
    """
    rows = [row for row in table.rows if row.kind != "reconstruction"]
    if top is None:
        return rows
    first = [row for row in rows if row.rank is not None and row.rank <= top]
    least = min((row.skill.value for row in first if row.skill and row.skill.value is not None), default=math.inf)

    def belongs(row: Row) -> bool:
        value = row.skill.value if row.kind == "method" and row.rank is None and row.skill else None
        return (
            row in first
            or (row.kind == "reference" and row.role not in PLAIN)
            or (value is not None and value >= least)
        )

    return [row for row in rows if belongs(row)]


def below(table: Table) -> list[str]:
    """Which records and methods the table does not rank, and why, and why no skill has an interval."""
    reasons: dict[str, list[str]] = {}
    for row in table.rows:
        if row.kind == "method" and row.reason:
            reasons.setdefault(row.reason, []).append(row.method)
    unranked = [f"not ranked: {', '.join(names)}: {reason}" for reason, names in reasons.items()]
    if any(column.ranked and column.passes is False for column in table.columns):
        unranked.append(f"{FAILS} fails on these data (validity.md), so it is in no headline and no family")
    if table.main and not table.scales and any(column.headline for column in table.columns):
        unranked.append(f"nothing is ranked: {why_unranked(table)}")
    if table.unsure:
        unranked.append(table.unsure)
    return [one_line(line) for line in (*(f"left out: {each}" for each in table.left_out), *unranked)]


def _columns(table: Table, values: bool) -> list[tuple[str, Any]]:
    """(header, row -> cell) of every column after the method: skill and families where there are, then values.

    Without `values` at most `MOST_COLUMNS` columns, rank and method among them, and an interval only of the skill.
    """
    out: list[tuple[str, Any]] = []
    if table.scales:
        out.append(("skill", lambda row: [(skill_text(row.skill), "bold")]))
        out += [
            (family, lambda row, family=family: [(family_text(row.families.get(family)), "")])
            for family in FAMILIES
            if any(family in row.families for row in table.rows)
        ]
    ranked = [column for column in table.columns if column.ranked]
    for column in ranked if values else sorted(ranked, key=lambda column: not column.headline):
        out.append((head_text(column), lambda row, c=column: _cell(row.cells[c.id], c.digits, values)))
    return out if values else out[: MOST_COLUMNS - 2]


def _cell(cell: Value, digits: int, with_interval: bool) -> Cell:
    parts = [(number(cell.value, digits), "bold" if cell.best else "")]
    if with_interval and (span := interval_text(cell, digits)):
        parts.append((f" {span}", "dim"))
    if cell.undefined:
        parts.append((f" ({cell.undefined} undefined)", "yellow"))
    return parts


def rich_tables(table: Table, width: int, top: int | None = None, *, values: bool = True) -> list[Any]:
    """As many columns beside each other as fit; what does not fit follows below with the methods again."""
    rows = _rows(table, top)
    left = max(len(one_line(method_text(row))) for row in rows) + max(len(rank_text(row)) for row in rows) + 8
    groups: list[list[tuple[str, Any]]] = [[]]
    room = width - left
    for head, cell in _columns(table, values):
        need = max([len(head), *(sum(len(text) for text, _ in cell(row)) for row in rows)]) + 2
        if groups[-1] and need > room:
            groups.append([])
            room = width - left
        groups[-1].append((head, cell))
        room -= need
    return [_part(table, rows, group) for group in groups]


def _part(table: Table, rows: Sequence[Row], columns: Sequence[tuple[str, Any]]) -> Any:
    """Intervals dimmed, bold what cannot be told from the best, references dimmed."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table as Grid
    from rich.text import Text

    grid = Grid(title=Text(_title(table)), title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False)
    for head in ("rank", "method", *(head for head, _ in columns)):
        grid.add_column(head, no_wrap=True)
    for row in rows:
        name = Text(one_line(method_text(row)), style="" if row.kind == "method" else "dim")
        cells = [Text.assemble(*((text, style) for text, style in cell(row))) for _, cell in columns]
        grid.add_row(Text(rank_text(row)), name, *cells)
    return grid


def terminal_table(table: Table, top: int | None = None, *, values: bool = True) -> str:
    """Aligned plain text."""
    columns = _columns(table, values)
    rows = [
        [rank_text(row), one_line(method_text(row)), *("".join(text for text, _ in cell(row)) for _, cell in columns)]
        for row in _rows(table, top)
    ]
    return f"{_title(table)}\n{grid(['rank', 'method', *(head for head, _ in columns)], rows, 'simple').rstrip()}"


# --- two methods --------------------------------------------------------------------------------------------


def comparison_text(comparison: Comparison) -> str:
    """Both values, their difference with its interval and what it means, then the clips where they differ most."""
    title = f"a: {one_line(comparison.a)}, b: {one_line(comparison.b)}, on {one_line(comparison.benchmark)}{' (SIMULATED)' if comparison.simulated else ''}"
    lines = [f"{title}: {number_of(comparison.clips, 'clip')}, {number_of(comparison.sessions, 'session')}"]
    rows = []
    for d in comparison.differences:
        span = f"[{d.low:.3g}, {d.high:.3g}]" if d.low is not None and d.high is not None else ""
        both = ["n/a" if v is None else f"{v:.4g}" for v in (d.a, d.b)]
        value = "" if d.difference is None else f"{d.difference:+.3g}"
        rows.append(
            [
                f"{d.column} {direction_sign(d.direction, d.judged)}".rstrip(),
                *both,
                d.target_text,
                value,
                span,
                d.reading,
            ]
        )
    lines.append(grid(["metric", "a", "b", "target", "a - b", "95 %", "reading"], rows, "simple").rstrip())
    for column, clips in [each for each in comparison.extremes.items() if each[1]][:WIDEST]:
        lines += [
            f"differ most in {column}:",
            *(f"  {value:+.3g}  {one_line(clip)}" for clip, value in clips[:EXTREMES]),
        ]
    return "\n".join([*lines, *(f"left out: {one_line(each)}" for each in comparison.left_out)])
