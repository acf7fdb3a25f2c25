"""The skill of every row as a picture: methods with their intervals, from the floor (0) towards the ceiling (1)."""

from __future__ import annotations

from dyadbench.leaderboard.rows import Row
from dyadbench.leaderboard.tables import Table
from dyadbench.leaderboard.text import PLAIN, number
from dyadbench.records.record import slug

MOST = 14  # rows that are drawn
FAR = ("truth", "ceiling", "readout", *PLAIN)  # beyond the ceiling or far below the floor: they would shrink the others


def picture_name(table: Table) -> str:
    return f"{slug(table.benchmark)}-skill.svg"


def bar_rows(table: Table) -> list[Row]:
    """Methods and references, the best first; without ablations, tokenizers, which see the truth, and rows that are far away."""
    with_skill = [row for row in table.rows if row.skill is not None and row.skill.value is not None]
    return [row for row in with_skill if row.kind not in ("ablation", "reconstruction") and row.role not in FAR]


def picture(table: Table) -> dict[str, str]:
    """File name -> SVG text; none where the table has no skill."""
    from dyadbench.leaderboard.charts import Bar, bars
    from dyadbench.leaderboard.drawing import as_file

    rows = bar_rows(table)
    if not table.main or not rows:
        return {}
    first = rows[:MOST]
    entries = [
        Bar(_label(row), row.skill.value, row.skill.low, row.skill.high, strong=row.kind == "method", text=number(row.skill.value, 2))
        for row in first if row.skill is not None and row.skill.value is not None
    ]  # fmt: skip
    rest = f"; {MOST} of {len(rows)} rows" if len(rows) > MOST else ""
    title = f"Skill on {table.benchmark}: methods in blue, references in grey"
    return {
        picture_name(table): as_file(
            bars(entries, title, "skill: 0 is a real listener of another conversation, 1 the ceiling" + rest)
        )
    }


def _label(row: Row) -> str:
    beside = row.role or ("" if row.rank is not None else "not ranked")
    return f"{row.method} ({beside})" if beside else row.method
