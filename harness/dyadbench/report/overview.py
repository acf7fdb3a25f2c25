"""The first screen of a benchmark: every method between the floor and the ceiling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dyadbench.leaderboard.drawing import plain, ticks
from dyadbench.leaderboard.rows import Row, emotion_mark
from dyadbench.leaderboard.summary import PERFECT, ceiling_text
from dyadbench.leaderboard.tables import Table
from dyadbench.leaderboard.text import footnotes, rank_text, scale_ends, skill_text
from dyadbench.records.references import CEILINGS
from dyadbench.report.pages import page_name

BESIDE = ("copy", "mean")  # references that stand between the methods; floor and ceiling are lines through all of them
CROWD = 14  # rows with what they are below their name; of more than that each takes one line
# Where no skill is above NEAR the scale is broken; then it ends at CUT per cent of the width, and the ceiling is at END.
NEAR, CUT, END = 0.35, 80.0, 91.0


@dataclass(frozen=True)
class Scale:
    """Skills to per cent of a picture's width: from a little below the floor to a little past the ceiling.

    Where all skills are near the floor, the scale is broken below the ceiling, so that intervals can be seen.
    """

    low: float
    high: float  # where it is broken: the last skill before the gap
    broken: bool

    @classmethod
    def of(cls, ends: Sequence[float]) -> Scale:
        """The scale that holds `ends`."""
        if max(ends) >= NEAR:
            return cls(max(min(-0.1, *ends) - 0.04, -1.0), max(1.0, *ends) + 0.06, broken=False)
        high = 1.3 * max(*ends, 0.02)
        return cls(max(min(-0.4 * high, *ends) - 0.1 * high, -1.0), high, broken=True)

    def place(self, value: float) -> float:
        if self.broken and value > self.high:
            return END
        whole = CUT if self.broken else 100.0
        return round(whole * (min(max(value, self.low), self.high) - self.low) / (self.high - self.low), 2)

    def marks(self) -> list[tuple[float, str]]:
        """Place and text of the round numbers between floor and ceiling."""
        inner = ticks(self.low, min(self.high, 0.99), 4)
        return [(self.place(tick), plain(tick)) for tick in inner if abs(tick) > 1e-9]


def ladder(table: Table, summaries: dict[str, str]) -> dict[str, Any] | None:
    """Rows of the picture of skills, and what its scale needs.

    Methods stand with their places, those without a rank hollow; references that copy or average stand between them.
    """
    rows = [row for row in table.rows if row.kind == "method" or row.role in BESIDE]
    with_skill = [(row, row.skill) for row in rows if row.skill is not None and row.skill.value is not None]
    if not table.scales or not with_skill:
        return None
    ends = [v for row, skill in with_skill if row.kind == "method" for v in (skill.value, skill.low, skill.high) if v is not None]  # fmt: skip
    scale = Scale.of(
        [*ends, *(min(skill.value or 0.0, 1.0) for _, skill in with_skill if (skill.value or 0.0) > 0)] or [0.0]
    )
    crowded = len(with_skill) > CROWD
    letters = footnotes(row for row, _ in with_skill) if crowded else {}
    return {
        "rows": [_rung(row, scale, summaries) | {"note": letters.get(row.reason, "")} for row, _ in with_skill],
        "floor": scale.place(0.0), "ceiling": scale.place(1.0), "top": ceiling_text(table), "marks": scale.marks(), "crowded": crowded,
        "reasons": [(letter, reason) for reason, letter in letters.items()],
        "gap": (CUT + END) / 2 if scale.broken else None, "high": plain(float(f"{scale.high:.2g}")),
    }  # fmt: skip


def _rung(row: Row, scale: Scale, summaries: dict[str, str]) -> dict[str, Any]:
    skill = row.skill
    assert skill is not None and skill.value is not None
    ends = (skill.value,) * 2 if skill.low is None or skill.high is None else (skill.low, skill.high)
    start, stop = map(scale.place, ends)
    return {
        "method": row.method, "mark": emotion_mark(row), "page": page_name("method", row.method), "rank": rank_text(row), "skill": skill_text(skill),
        "says": summaries.get(row.method, ""), "why": row.reason if row.kind == "method" else row.role, "kind": row.kind,
        "ranked": row.rank is not None, "dot": scale.place(skill.value), "left": start, "width": round(max(stop - start, 0.4), 2),
        "off": skill.value < scale.low,
    }  # fmt: skip


def scale_note(table: Table) -> str:
    """What 0 and 1 are in each headline column."""
    each = [f"{name} from {null} to {end} ({CEILINGS.get(by, PERFECT)})" for name, null, end, by in scale_ends(table)]
    return f"Skill is the mean over {', '.join(each)}." if each else ""
