"""Tables as Markdown, CSV, JSON and terminal text: fixed digits, fixed order, LF, no clock, everything escaped."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dyadbench.leaderboard.published import PublishedNumber
from dyadbench.leaderboard.tables import Table
from dyadbench.leaderboard.text import ARROWS, SIMULATED, cell_text, escape, grid, lookahead_text, rank_text
from dyadbench.leaderboard.verdicts import Judged
from dyadbench.records.record import slug

# --- cells ----------------------------------------------------------------------------------------------


# --- Markdown -------------------------------------------------------------------------------------------


def _head(column: Any) -> str:
    return f"{column['id']} {ARROWS[column['direction']]}" + ("" if column["ranked"] else " (unranked)")


def markdown_table(table: Table) -> str:
    """Ranked rows first, then calibration and unranked rows with the reason."""
    header = ["rank", "method", *(_head(c) for c in table.columns), "seeds", "look-ahead", "x real time"]
    rows = []
    for row in table.rows:
        values = []
        for column in table.columns:
            text = cell_text(row.cells[column["id"]], column["digits"])
            values.append(f"**{text}**" if row.cells[column["id"]].best else text)
        speed = row.facts.get("realtime_factor")
        name = escape(row.method) + (f" *({escape(row.reason)})*" if row.reason else "")
        rows.append([rank_text(row), name, *values, str(len(row.seeds)), lookahead_text(row), str(speed or "")])
    return grid(header, rows)


def markdown_page(tables: Sequence[Table]) -> str:
    """One benchmark: a table a suite, then what the columns mean, published numbers and notes."""
    from dyadbench.leaderboard.over_time import embedded

    first = tables[0]
    parts = [f"# {escape(first.benchmark)}\n"]
    if first.simulated:
        parts.append(SIMULATED + "\n")
    parts.append(
        f"{escape(first.dataset)}, {escape(first.setting['split'])} split, {first.setting['track']} track, {first.setting['samples']} samples a clip; "
        f"{first.clips} clips of {first.sessions} sessions. Brackets: 95 % bootstrap over sessions (and seeds). "
        "↑ more is better, ↓ less is better, → closest to its target is better.\n"
    )
    for table in tables:
        parts.append(f"## {table.suite}{'' if table.main else ' (not ranked by)'}\n")
        parts.append(markdown_table(table))
        for title, name, legend in embedded(table):
            parts.append(f"![{title}]({name})\n\n{title}: {escape(legend)}.\n")
        parts.append(
            "".join(f"- `{c['id']}` v{c['version']}: {escape(c['summary'])}{_unit(c)}\n" for c in table.columns)
        )
        if table.claims:
            parts.append("### Published numbers, as printed; never ranked\n")
            parts.append(_claimsgrid(table.claims, [c["id"] for c in table.columns]))
        if table.notes:
            parts.append("### Notes\n")
            parts.append("".join(f"- {escape(note)}\n" for note in table.notes))
    return "\n".join(parts)


def _unit(column: Any) -> str:
    target = f"; target `{column['target']}`" if column["target"] else ""
    return (f" ({escape(column['unit'])})" if column["unit"] else "") + target


def _claimsgrid(claims: Sequence[PublishedNumber], columns: Sequence[str]) -> str:
    """Printed methods by printed metrics; every distinct convention is a numbered note below."""
    groups: dict[tuple[str, str, str], dict[str, PublishedNumber]] = {}
    for claim in claims:
        groups.setdefault((claim.method, claim.split, claim.source), {})[claim.column] = claim
    names = [c for c in columns if any(c in found for found in groups.values())]
    notes: list[str] = []
    rows = []
    for (method, split, source), found in groups.items():
        values = []
        for name in names:
            printed = found.get(name)
            if printed is None:
                values.append("")
                continue
            if printed.note not in notes:
                notes.append(printed.note)
            values.append(f"{escape(str(printed.value))} <sup>{notes.index(printed.note) + 1}</sup>")
        rows.append([escape(method), escape(split), *values, escape(source)])
    listed = "".join(f"{i}. {escape(note)}\n" for i, note in enumerate(notes, 1))
    return grid(["method", "split", *names, "source"], rows) + "\nScale and convention:\n\n" + listed


def index_page(tables: Sequence[Table], board: Sequence[Judged] = (), *, tokenizers: bool = False) -> str:
    """Simulated and real benchmarks, apart."""
    parts = ["# Leaderboards\n", "Made by `dyadbench leaderboard` from `records/` and `claims/`; do not edit.\n"]
    for simulated, title in ((False, "Real data"), (True, "Simulated data")):
        chosen = [table for table in tables if table.simulated == simulated and table.main]
        rows = []
        for table in chosen:
            best = next((row for row in table.rows if row.rank == 1), None)
            ranked = sum(row.rank is not None for row in table.rows)
            first = f"{escape(best.method)}, rank {rank_text(best)}" if best else ""
            rows.append([f"[{escape(table.benchmark)}]({slug(table.benchmark)}.md)", table.suite, str(ranked), first])
        parts.append(f"## {title}\n")
        parts.append(grid(["benchmark", "suite", "ranked methods", "first"], rows) if rows else "No records.\n")
    if tokenizers:
        parts.append("[Tokenizers](tokenizers.md): reconstruction error against bits a second, use of the books.\n")
    if board:
        parts.append("[Claims, checked](claims.md): what papers say, tested on these records.\n")
    parts.append("[Numbers as published](published.md), each with its scale and source.\n")
    return "\n".join(parts)


def published_page(claims: Sequence[PublishedNumber]) -> str:
    """Every published number that was transcribed, source by source."""
    parts = [
        "# Published numbers\n",
        "As printed. They were measured on other data or by other rules than the tables here.\n",
    ]
    sources: dict[tuple[str, str], list[PublishedNumber]] = {}
    for claim in claims:
        sources.setdefault((claim.source, claim.warning), []).append(claim)
    for (source, warning), found in sources.items():
        parts.append(f"## {escape(source)}\n")
        if warning:
            parts.append(f"**Read with care.** {escape(warning)}\n")
        parts.append(_claimsgrid(found, list(dict.fromkeys(claim.column for claim in found))))
    return "\n".join(parts)


def headline(tables: Sequence[Table]) -> str:
    """The first table of the corrected REACT suite, else the first of all, for the README: ranked columns only, and no
    rows that are given the listener."""
    found = sorted((table for table in tables if table.main), key=lambda table: table.suite != "react2024")
    if not found:
        return "No records yet.\n"
    main = found[0]
    columns = tuple(c for c in main.columns if c["ranked"])
    rows = tuple(row for row in main.rows if not row.facts.get("sees_truth"))
    small = main.model_copy(update={"columns": columns, "rows": rows})
    title = escape(main.benchmark) + (" (simulated data)" if main.simulated else "")
    return f"\n**{title}**\n\n" + markdown_table(small) + "\n"


# --- CSV and JSON ---------------------------------------------------------------------------------------


# --- the terminal ---------------------------------------------------------------------------------------
