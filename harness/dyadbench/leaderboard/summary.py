"""A table in sentences: who leads, who is ahead without a rank, how far the leader is, who beats the floor."""

from __future__ import annotations

import math
from collections.abc import Sequence

from dyadbench.leaderboard.rows import Row
from dyadbench.leaderboard.tables import Table
from dyadbench.leaderboard.text import sentence_case, skill_text
from dyadbench.records.references import CEILINGS, NULL

PERFECT = "a perfect reaction"  # where no row is the ceiling


def ceiling_text(table: Table) -> str:
    """Who the ceiling is, in words; several where the columns have different ones."""
    names = dict.fromkeys(CEILINGS.get(scale.by, PERFECT) for scale in table.scales)
    return " or ".join(names)


def sentences(table: Table) -> tuple[str, list[str]]:
    """Who leads, in one sentence; then how far the leader is on the way to the ceiling, and who beats the floor."""
    ranked = [row for row in table.rows if row.rank is not None and row.skill is not None]
    if not ranked:
        return "Nothing is ranked here yet.", [f"{sentence_case(why_unranked(table))}."]
    lead, unplaced = leaders(ranked)
    return lead, [text for text in (unplaced, ahead(table), _way(leader(ranked), table), *_against_floor(ranked)) if text]  # fmt: skip


def why_unranked(table: Table) -> str:
    """Why no row of a table has a rank, and what to do."""
    if all(row.method != NULL for row in table.rows):
        return f"a rank needs a record of {NULL}, which a skill of 0 is; run it on this benchmark"
    if not any(column.headline for column in table.columns):
        if any(column.passes is False for column in table.columns):
            return "no column of the headline passes its validity tests on these data"
        return f"no column of the suite {table.suite} is its headline"
    if not table.scales:
        return "no column of the headline tells the ceiling from the floor on these data"
    return "a rank needs a record of a method"


def leaders(ranked: Sequence[Row]) -> tuple[str, str]:
    """Of methods by rank: who leads, in a sentence; and of whom nothing can be told, "" where that is nobody."""
    first, vague = _at_the_top(ranked)
    if len(ranked) == 1:
        lead = f"{first[0].method} is the only method with a rank"
    elif len(first) == 1:
        lead = f"{first[0].method} leads{'' if vague else ' alone'}"
    else:
        lead = f"No single winner: {listed([row.method for row in first])} cannot be told apart at the top"
    if all(row.floor in ("below", "open") for row in first):
        lead += ", but does not beat the floor" if len(first) == 1 else ", and none of them beats the floor"
    lead += "."
    # A ranked row with one seed is deterministic: more seeds of it would be the same.
    groups = {
        "sessions or seeds": [row for row in vague if len(row.seeds) > 1],
        "sessions": [row for row in vague if len(row.seeds) == 1],
    }
    uncertain = [
        f"{listed([row.method for row in rows])} (more {what} would tell)" for what, rows in groups.items() if rows
    ]
    return lead, f"Too uncertain to place: {'; '.join(uncertain)}." if uncertain else ""


def _at_the_top(ranked: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """Of methods by rank: the first and those that cannot be told from it; and those of which nothing can be told.

    An interval that holds the floor and the leader says nothing: a method with few seeds would lead by not being known.
    """
    candidates = [row for row in ranked if row.rank_low == 1 or row.rank == 1]
    first = [row for row in candidates if row.floor == "above"] or candidates
    return first, [row for row in candidates if row not in first]


def leader(ranked: Sequence[Row]) -> Row:
    """Of methods by rank the first of which something is known."""
    return _at_the_top(ranked)[0][0]


def ahead(table: Table) -> str:
    """Who has more skill than the first ranked method and no rank, and why; "" where nobody has."""
    ranked = [row for row in table.rows if row.rank is not None and row.skill is not None]
    most = max((row.skill.value or 0.0 for row in ranked if row.skill), default=math.inf)
    others = [
        f"{row.method} ({skill_text(row.skill)}: {row.reason.partition(';')[0]})"
        for row in table.rows
        if row.kind == "method" and row.rank is None and row.skill and (row.skill.value or 0.0) > most
    ]
    return f"More skill, but no rank: {listed(others)}." if others else ""


def _way(best: Row, table: Table) -> str:
    skill = best.skill
    if skill is None or skill.value is None:
        return ""
    span = f" [{_percent(skill.low)}, {_percent(skill.high)}]" if skill.low is not None else ""
    beyond = any((value.value or 0.0) > 1 for value in best.skills.values())
    each = ", ".join(f"{name} {_percent(value.value)} %" for name, value in best.skills.items()) if beyond else ""
    return (
        f"{best.method} goes {_percent(skill.value)} %{span} of the way from a real listener of another conversation (the floor) "
        f"to {ceiling_text(table)} (the ceiling)" + (f": {each}; above 100 % is beyond the ceiling." if each else ".")
    )


def _percent(value: float | None) -> str:
    return "n/a" if value is None else f"{100 * value:.0f}"


def _against_floor(ranked: Sequence[Row]) -> list[str]:
    """How many rows beat the floor beyond doubt, and which do not; nothing where there is no interval."""
    above, below, open_ = ([row.method for row in ranked if row.floor == how] for how in ("above", "below", "open"))
    if not (above or below or open_):
        return []
    whole = len(above) == len(ranked)
    texts = [f"All {len(ranked)} ranked rows beat the floor." if whole and len(ranked) > 1 else f"{len(above)} of {len(ranked)} ranked rows beat{'s' * (len(above) == 1)} the floor."]  # fmt: skip
    if below:
        texts.append(f"Worse than the floor: {listed(below)}.")
    if open_:
        texts.append(f"Not told apart from the floor: {listed(open_)}.")
    return texts


def listed(names: Sequence[str], most: int = 6) -> str:
    """`a, b and c`; of many names the first, and how many more there are."""
    entries = [*names] if len(names) <= most else [*names[:most], f"{len(names) - most} more"]
    return entries[0] if len(entries) == 1 else f"{', '.join(entries[:-1])} and {entries[-1]}"
