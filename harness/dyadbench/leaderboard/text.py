"""Numbers, names and small tables as text: fixed digits, one line, nothing that steers a terminal or a page."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from string import ascii_lowercase
from typing import Any

from dyadbench.errors import one_line
from dyadbench.leaderboard.families import Family
from dyadbench.leaderboard.rows import Row, Value, emotion_mark
from dyadbench.leaderboard.tables import Table, TableColumn

FAILS = "†"  # beside the name of a column that fails on the data of its board
ARROWS = {"max": "↑", "min": "↓", "match": "→"}
SIMULATED = "**Simulated data.** These numbers test the harness; they say nothing about real listeners."
WIDTH = 8  # columns of a table that a page can show
ROUNDING = 1e-9  # a number nearer to 0 is 0 but for rounding, which differs between processors
PLAIN = ("mean", "noise")  # roles of references that a table of the first methods leaves out


def number(value: float | None, digits: int) -> str:
    """Fixed digits; -0 is 0; what fixed digits would hide is written in e-notation; undefined is n/a."""
    if value is None:
        return "n/a"
    text = f"{value:.{digits}f}"
    if float(text) == 0:
        return f"{0:.{digits}f}" if abs(value) < ROUNDING else f"{value:.1e}"
    return text


def interval_ends(cell: Value, digits: int) -> tuple[str, ...]:
    """Both ends of an interval; none where there is no interval or both ends read the same."""
    low, high = number(cell.low, digits), number(cell.high, digits)
    return () if cell.low is None or cell.high is None or low == high else (low, high)


def interval_text(cell: Value, digits: int) -> str:
    """`[low, high]` of `interval_ends`."""
    ends = interval_ends(cell, digits)
    return f"[{', '.join(ends)}]" if ends else ""


def cell_text(cell: Value, digits: int) -> str:
    text = f"{number(cell.value, digits)} {interval_text(cell, digits)}".rstrip()
    return text + (f" ({cell.undefined} undefined)" if cell.undefined else "")


def rank_text(row: Row) -> str:
    if row.rank is None:
        return ""
    return f"{row.rank} [{row.rank_low}-{row.rank_high}]" if row.rank_low is not None else str(row.rank)


def footnotes(rows: Iterable[Row]) -> dict[str, str]:
    """Why methods have no rank, each reason once -> the letter that it stands under: a to z, then aa, ab and so on."""
    reasons = dict.fromkeys(row.reason for row in rows if row.kind == "method" and row.rank is None and row.reason)
    letters = ["", *ascii_lowercase]
    return {reason: letters[n // 26] + letters[n % 26 + 1] for n, reason in enumerate(reasons)}


def lookahead_text(row: Row) -> str:
    reach = row.facts.get("lookahead", 0)
    if row.facts.get("scored_from"):
        return "unknown"
    return "whole clip" if reach is None else f"{reach}"


def direction_sign(direction: str, has_better: bool) -> str:
    """Which way is better; nothing where that is not known (`Column.judged`)."""
    return ARROWS[direction] if has_better else ""


def better_text(direction: str, has_better: bool, target: str = "its target") -> str:
    """`direction_sign` in words."""
    if not has_better:
        return "not judged"
    return {"max": "more", "min": "less", "match": f"closest to {target}"}[direction] + " is better"


def head_text(column: TableColumn) -> str:
    """A column's name, what is better in it, and whether it fails here."""
    signs = (direction_sign(column.direction, column.judged), FAILS if column.passes is False else "")
    return " ".join([column.id, *filter(None, signs)])


def digits_of(table: Table, name: str) -> int:
    """After the point, in a column of a table."""
    return next(column.digits for column in table.columns if column.id == name)


def scale_ends(table: Table) -> list[tuple[str, str, str, str]]:
    """(column, its value where the skill is 0, that where it is 1, whose that is) of each headline column."""
    scales = [(scale, digits_of(table, scale.column)) for scale in table.scales]
    return [(s.column, number(s.null, digits), number(s.ceiling, digits), s.by) for s, digits in scales]


def families_text(table: Table) -> str:
    """What each family of a table is over, why it is undefined and for which rows it is, in a sentence each."""
    return " ".join(part for name, family in table.families.items() for part in _family_sentences(table, name, family))


def _family_sentences(table: Table, name: str, family: Family) -> list[str]:
    title = f"{name[0].upper()}{name[1:]}"
    if family.why:
        return [f"{title} is undefined here: {family.why}."]
    suite = f" ({family.suite})" if family.suite != table.suite else ""
    reasons: dict[str, list[str]] = {}
    for row in table.rows:
        if row.kind in ("method", "reference") and row.skill is not None and name not in row.families:
            of = family.without.get(row.method)
            why = f"has no value in {', '.join(of)}" if of else f"was not scored by {family.suite}"
            reasons.setdefault(why, []).append(row.method)
    return [
        f"{title} is over {', '.join(family.columns)}{suite}.",
        *(f"It is undefined where a row {why}: {', '.join(names)}." for why, names in reasons.items()),
    ]


def latency_head(table: Table) -> list[str]:
    """The heading of how long steps take, where a row of an online track streams."""
    waits = [row.facts["latency"] for row in table.rows if "latency" in row.facts]
    return [f"p99 ms of {waits[0]['budget_ms']:.0f}"] if waits else []


def slow_step(row: Row) -> float | None:
    """Milliseconds of the processor (of the clock, in old records) that one step in a hundred exceeds; None without a stream."""
    wait = row.facts.get("latency")
    return wait and wait.get("step_p99_cpu_ms", wait["step_p99_ms"])


def latency_text(row: Row) -> str:
    """`slow_step`, and whether it fits into a frame."""
    milliseconds = slow_step(row)
    if milliseconds is None:
        return ""
    return f"{milliseconds:.1f}{'' if milliseconds <= row.facts['latency']['budget_ms'] else ' (late)'}"


def escape(text: str) -> str:
    """A name or note inside a Markdown table: no markup, no cell break, no HTML."""
    flat = html.escape(one_line(text), quote=False)
    return re.sub(r"([\\`*_{}\[\]|~])", r"\\\1", flat)


def csv_safe(value: Any) -> Any:
    """Text that a spreadsheet would take for a formula gets a leading apostrophe."""
    if not isinstance(value, str):
        return value
    flat = one_line(value)
    return "'" + flat if flat.startswith(("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")) else flat


def grid(header: Sequence[str], rows: Sequence[Sequence[str]], style: str = "github") -> str:
    """A table of text that is escaped already; `style` is one of tabulate's."""
    from tabulate import tabulate

    aligned = "left" if style == "simple" else None  # Markdown is read as rendered, and its changes line by line
    text = tabulate(rows, header, tablefmt=style, disable_numparse=True, stralign=aligned)
    lines = [line.rstrip() for line in text.splitlines()]
    if style == "github":
        lines[1] = "|" + "---|" * len(header)  # not as wide as the widest cell, which would change with every row
    return "\n".join(lines) + "\n"


def method_text(row: Row) -> str:
    """A method's name, marked where it reads the speaker's emotion; a reference says what it is."""
    name = row.method + emotion_mark(row)
    return f"{name} ({row.role or 'reference'})" if row.kind == "reference" else name


def skill_text(cell: Value | None) -> str:
    """Two digits, or three where all is below a tenth: with two an interval just above 0 and one across it read alike."""
    if cell is None or cell.value is None:
        return ""
    numbers = [value for value in (cell.value, cell.low, cell.high) if value is not None]
    digits = 3 if max(map(abs, numbers)) < 0.0995 else 2
    ends = [f"{value:.{digits}f}" for value in numbers]
    value, *span = (end.lstrip("-") if float(end) == 0 else end for end in ends)
    # An interval as narrow as that of the truth is rounding.
    wide = cell.low is not None and cell.high is not None and cell.high - cell.low > 0.001
    return f"{value} [{', '.join(span)}]" if wide else value


def family_text(cell: Value | None) -> str:
    """How far from the band of real listeners: `within`, or by which factor."""
    if cell is None or cell.value is None:
        return "undefined"
    if cell.value < math.log(1.005):
        return "within"
    factor = math.exp(cell.value)
    return f"x {factor:.2f}" if factor < 10 else f"x {factor:.0f}"


def split_text(setting: Mapping[str, Any]) -> str:
    """Which clips a benchmark scores: those of a split, or all of them, cross-validated."""
    if folds := setting.get("folds"):
        return f"{folds}-fold cross-validation by session"
    return f"{setting['split']} split"


def chunks(names: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(names), size):
        yield names[start : start + size]


def sentence_case(text: str) -> str:
    return text[:1].upper() + text[1:]
