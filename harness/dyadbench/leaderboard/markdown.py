"""Tables as Markdown: at most eight columns, fixed digits, fixed order, everything escaped."""

from __future__ import annotations

from collections.abc import Sequence

from dyadbench.api import TARGET_SUFFIX
from dyadbench.errors import number_of
from dyadbench.leaderboard import skill_chart
from dyadbench.leaderboard.claims import Judged
from dyadbench.leaderboard.families import FACTOR
from dyadbench.leaderboard.other_rules import rules_section
from dyadbench.leaderboard.over_time import embedded
from dyadbench.leaderboard.published_page import published_grid
from dyadbench.leaderboard.rows import READS_EMOTION, Row
from dyadbench.leaderboard.summary import leader, leaders, sentences
from dyadbench.leaderboard.tables import Table, TableColumn
from dyadbench.leaderboard.text import (
    FAILS,
    PLAIN,
    SIMULATED,
    WIDTH,
    cell_text,
    chunks,
    escape,
    families_text,
    family_text,
    footnotes,
    grid,
    head_text,
    latency_head,
    latency_text,
    method_text,
    number,
    rank_text,
    scale_ends,
    skill_text,
    split_text,
)
from dyadbench.records.record import slug
from dyadbench.records.references import NULL

HOW = f"""Methods are ranked by **skill**: 0 is a real listener of another conversation (`{NULL}`), 1 is the ceiling that the note
below each table names; it is the mean over the headline columns. A method's skill depends on no other method. Brackets are
95 % intervals over sessions and, where a method is random, over seeds; methods of the same seeds are compared seed by seed. One
seed of a random method has none, because nothing says what another would give, and has no rank. In the rank column brackets are the places that a method may share, where paired
differences cannot tell it from its neighbours (at most 5 % false differences on a board, Benjamini-Hochberg). Who beats the floor is
decided in the same way. As the differences of a board are tested together, these places, unlike the skill, may change with the other
rows. References stand in italics between the methods, unranked. **Bold**: not distinguishable from the best ranked method of that
column, by a 95 % interval of the difference of these two alone; places ask for more. *n undefined*: with some seed so many clips have no value.
{FAILS}: the column fails on these data, so it is in no headline and no family, and nothing in it is bold; the list of the columns
says why it fails. {READS_EMOTION}: the method reads the speaker's emotion beside face and voice, as every method may.
"""

FAMILIES_HOW = f"""Distances to the band of real listeners: *within*, or by which factor outside. {FACTOR}
◆: no ranked method has more skill without being worse in diversity, by their values alone, whatever their intervals.
"""

FIRST = 10  # methods in the table of the README


# --- one suite ----------------------------------------------------------------------------------------------


def markdown_table(table: Table, most: int | None = None) -> str:
    """Methods by skill with the references between them; "" where the suite does not rank.

    With `most` only the first methods, and of the references all but means and noise.
    """
    by_id = {column.id: column for column in table.columns}
    headline = [scale.column for scale in table.scales]
    first = headline if len(headline) <= 3 else headline[:2]
    wait = latency_head(table)
    header = ["rank", "method", "skill", *(head_text(by_id[name]) for name in first), *wait, "seeds"]
    rows = []
    rows_with_skill = _rows_with_skill(table, most)
    letters = footnotes(rows_with_skill)
    for row in rows_with_skill:
        values = [_marked(row, name, by_id[name].digits) for name in first]
        late = [latency_text(row)] if wait else []
        rank = rank_text(row) or (f"({letters[row.reason]})" if row.kind == "method" and row.reason else "")
        rows.append([rank, _name(row), skill_text(row.skill), *values, *late, str(len(row.seeds))])
    notes = "; ".join(f"({letter}) {escape(reason)}" for reason, letter in letters.items())
    return grid(header, rows) + (f"\nNot ranked: {notes}.\n" if notes else "") if rows else ""


def family_table(table: Table, most: int | None = None) -> str:
    """How far the rows of `markdown_table` are from real listeners in each family; with `most` the ranked ones alone."""
    rows = [row for row in _rows_with_skill(table, most) if most is None or row.rank is not None]
    if not rows:
        return ""
    texts = [
        [_name(row), "◆" if row.pareto else "", *(family_text(row.families.get(name)) for name in table.families)]
        for row in rows
    ]  # fmt: skip
    return f"{grid(['method', '◆', *table.families], texts)}\n{escape(families_text(table))}\n"


def _rows_with_skill(table: Table, most: int | None) -> list[Row]:
    rows_with_skill = [row for row in table.rows if row.kind in ("method", "reference") and row.skill is not None]
    if most is not None:
        first_ones = [row.method for row in rows_with_skill if row.kind == "method"][:most]
        rows_with_skill = [
            row
            for row in rows_with_skill
            if row.method in first_ones or (row.kind == "reference" and row.role not in PLAIN)
        ]
    return rows_with_skill


def _name(row: Row) -> str:
    if row.kind == "reference":
        return f"*{escape(method_text(row))}*"
    return escape(method_text(row))


def _marked(row: Row, column: str, digits: int) -> str:
    text = cell_text(row.cells[column], digits)
    return f"**{text}**" if row.cells[column].best else text


def value_tables(table: Table) -> str:
    """Every column (the first ones where none is ranked), in tables of at most eight columns; ablations come last."""
    columns = [column for column in table.columns if not column.id.endswith(TARGET_SUFFIX)]
    chosen = columns if any(column.ranked for column in columns) else columns[: WIDTH - 1]
    rows = [row for row in table.rows if row.kind != "reconstruction"]
    targets = {c.id: rows[0].cells[c.target] for c in chosen if c.target and rows}
    parts = []
    for some in chunks(chosen, WIDTH - 1):
        heads = []
        for column in some:
            target = targets.get(column.id)
            text = f" {number(target.value, column.digits)}" if target is not None else ""
            heads.append(head_text(column) + text)
        parts.append(
            grid(["method", *heads], [[_name(row), *(_marked(row, c.id, c.digits) for c in some)] for row in rows])
        )
    return "\n".join(parts)


def ablation_tables(table: Table) -> str:
    """Beside each method what was changed in it, by how much its skill changes."""
    parts = []
    for base in sorted({row.of for row in table.rows if row.kind == "ablation"}):
        own = [row for row in table.rows if row.method == base or (row.kind == "ablation" and row.of == base)]
        rows = [
            [escape(row.method), skill_text(row.skill), skill_text(row.against), str(len(row.seeds))] for row in own
        ]
        parts.append(f"### Ablations of {escape(base)}\n")
        parts.append(grid(["method", "skill", f"less {escape(base)}", "seeds"], rows))
    return "\n".join(parts)


def _scale_note(table: Table) -> str:
    if not table.scales:
        return ""
    each = ", ".join(f"{name} from {null} (0) to {ceiling} (1, {by})" for name, null, ceiling, by in scale_ends(table))
    return f"Skill is the mean over {each}.\n"


def markdown_page(tables: Sequence[Table]) -> str:
    """One benchmark: the ranked suite first, then the values of all suites, what the columns mean, notes."""
    first = tables[0]
    parts = [f"# {escape(first.benchmark)}\n"]
    if first.simulated:
        parts.append(SIMULATED + "\n")
    parts.append(
        f"{escape(first.dataset)}, {escape(split_text(first.setting))}, {first.setting['track']} track, {number_of(first.setting['samples'], 'sample')} per clip; "
        f"{number_of(first.clips, 'clip')} of {number_of(first.sessions, 'session')}.\n"
    )
    for table in tables:
        parts.append(f"## {table.suite}{'' if table.main else ' (not ranked by)'}\n")
        if table.scales:
            parts += [
                HOW,
                _skill_picture(table, ""),
                markdown_table(table),
                _scale_note(table),
                "### Diversity, synchrony and realism\n",
                FAMILIES_HOW,
                family_table(table),
                ablation_tables(table),
                rules_section(table),
                "### Values\n",
            ]
        parts.append(value_tables(table))
        parts += [f"![{title}]({name})\n\n{says}\n" for title, name, says in embedded(table)]
        parts.append(_legend(table))
        if table.published:
            parts.append("### Published numbers, as printed; never ranked\n")
            parts.append(published_grid(table.published, [c.id for c in table.columns]))
        if table.notes:
            parts.append("### Notes\n")
            parts.append("".join(f"- {escape(note)}\n" for note in table.notes))
    parts.append(
        f"Every column, with intervals: [CSV]({slug(first.benchmark)}.csv), [JSON]({slug(first.benchmark)}.json).\n"
    )
    return "\n".join(part for part in parts if part)


def _legend(table: Table) -> str:
    head = "↑ more is better, ↓ less is better, → closest to the number of real listeners behind it is better.\n\n"
    columns = [column for column in table.columns if not column.id.endswith(TARGET_SUFFIX)]
    return head + "".join(f"- `{c.id}` v{c.version}: {escape(c.summary)}{_unit(c)}{_fails(c)}\n" for c in columns)


def _fails(column: TableColumn) -> str:
    return f"; **fails here**: {escape(', '.join(column.why))}" if column.passes is False else ""


def _unit(column: TableColumn) -> str:
    return f" ({escape(column.unit)})" if column.unit else ""


# --- all suites ---------------------------------------------------------------------------------------------


def index_page(tables: Sequence[Table], board: Sequence[Judged] = (), *, tokenizers: bool = False, validity: bool = False) -> str:  # fmt: skip
    """Simulated and real benchmarks, apart."""
    parts = ["# Leaderboards\n", "Made by `dyadbench leaderboard` from `records/` and `claims/`; do not edit.\n"]
    for simulated, title in ((False, "Real data"), (True, "Simulated data")):
        chosen = [table for table in tables if table.simulated == simulated and table.main]
        rows = []
        for table in chosen:
            ranked = [row for row in table.rows if row.rank is not None]
            first = escape(" ".join(filter(None, leaders(ranked)))) if ranked else "nothing is ranked"
            best = skill_text(leader(ranked).skill) if ranked else ""
            link = f"[{escape(table.benchmark)}]({slug(table.benchmark)}.md)"
            rows.append([link, table.suite, str(len(ranked)), best, first])
        parts.append(f"## {title}\n")
        parts.append(
            grid(["benchmark", "suite", "ranked rows", "best skill", "who leads"], rows) if rows else "No records.\n"
        )
    if validity:
        parts.append("[Validity](validity.md): which metrics order what everybody knows.\n")
    if tokenizers:
        parts.append("[Tokenizers](tokenizers.md): reconstruction error against bits per second, use of the books.\n")
    if board:
        parts.append("[Claims, checked](claims.md): what papers say, tested on these records.\n")
    parts.append("[Numbers as published](published.md), each with its scale and source.\n")
    return "\n".join(parts)


def _skill_picture(table: Table, folder: str) -> str:
    if not skill_chart.bar_rows(table):
        return ""
    name = f"{folder}{skill_chart.picture_name(table)}"
    return f"![The skill of methods and references, with 95 % intervals]({name})\n\n"


def headline(tables: Sequence[Table]) -> str:
    """The table of the README: real people first, then the corrected REACT suite, then whatever is there."""
    boards = sorted((table for table in tables if table.main), key=lambda t: (t.simulated, t.suite != "react2024"))
    if not boards:
        return "No records yet.\n"
    main = boards[0]
    title = escape(main.benchmark) + (" (simulated data)" if main.simulated else "")
    lead, beside = sentences(main)
    first = f"**{escape(lead)}** {escape(' '.join(beside))}\n\n" if main.scales else ""
    picture = _skill_picture(main, "leaderboards/")
    methods = sum(row.kind == "method" for row in main.rows)
    more = (
        f"\nThe first {FIRST} of {methods} methods; [all of them, and every metric](leaderboards/{slug(main.benchmark)}.md).\n"
        if methods > FIRST
        else ""
    )
    table = markdown_table(main, FIRST) or value_tables(main)
    families = f"{family_table(main, FIRST)}\n" if main.scales else ""
    return f"\n**{title}**\n\n{first}{picture}{table}{more}\n{_scale_note(main)}\n{families}"
