"""Tables as Markdown, CSV, JSON and terminal text: fixed digits, fixed order, LF, no clock, everything escaped."""

from __future__ import annotations

import csv
import html
import io
import json
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dyadbench.leaderboard.paired import Comparison
from dyadbench.leaderboard.published import PublishedNumber
from dyadbench.leaderboard.tables import Row, Table, Value
from dyadbench.leaderboard.verdicts import Judged
from dyadbench.records.record import Record, slug

ARROWS = {"max": "↑", "min": "↓", "match": "→"}
STEERING = {"Cc", "Cf", "Cs", "Zl", "Zp"}  # Unicode categories: controls, formats, halves of characters, line ends
HEADLINE = re.compile(r"(<!-- headline:begin -->\n).*?(<!-- headline:end -->)", re.DOTALL)
SIMULATED = "**Simulated data.** These numbers test the harness; they say nothing about real listeners."


def generated_files(
    root: Path,
    tables: Sequence[Table],
    claims: Sequence[PublishedNumber],
    board: Sequence[Judged] = (),
    records: Sequence[Record] = (),
) -> dict[Path, str]:
    """Path -> text of every file that is made from records and claims."""
    from dyadbench.leaderboard.over_time import pictures
    from dyadbench.leaderboard.tokenizers import tokenizer_files
    from dyadbench.leaderboard.verdicts_page import claims_page

    folder = root / "leaderboards"
    files: dict[Path, str] = {}
    for benchmark in sorted({table.benchmark for table in tables}):
        mine = [table for table in tables if table.benchmark == benchmark]
        files[folder / f"{slug(benchmark)}.md"] = markdown_page(mine)
        files[folder / f"{slug(benchmark)}.csv"] = csv_text(mine)
        files[folder / f"{slug(benchmark)}.json"] = json_text(mine)
        files |= {folder / name: text for table in mine for name, text in pictures(table).items()}
    tokenizers = tokenizer_files(records)
    files |= {folder / name: text for name, text in tokenizers.items()}
    files[folder / "README.md"] = index_page(tables, board, tokenizers=bool(tokenizers))
    files[folder / "published.md"] = published_page(claims)
    if board:
        files[folder / "claims.md"] = claims_page(board)
    readme = root / "README.md"
    if readme.exists() and HEADLINE.search(text := readme.read_text(encoding="utf-8")):
        files[readme] = HEADLINE.sub(lambda found: found[1] + headline(tables) + found[2], text)
    return files


# --- cells ----------------------------------------------------------------------------------------------


def number(value: float | None, digits: int) -> str:
    """Fixed digits; -0 is 0; what fixed digits would hide is written in e-notation; undefined is n/a."""
    if value is None:
        return "n/a"
    text = f"{value:.{digits}f}"
    if float(text) == 0:
        return f"{0:.{digits}f}" if abs(value) < 1e-9 else f"{value:.1e}"
    return text


def interval_text(cell: Value, digits: int) -> str:
    """`[low, high]`, or nothing where there is no interval or no width."""
    if cell.low is None or cell.high is None or cell.high - cell.low <= 1e-9:
        return ""
    return f"[{number(cell.low, digits)}, {number(cell.high, digits)}]"


def cell_text(cell: Value, digits: int) -> str:
    text = f"{number(cell.value, digits)} {interval_text(cell, digits)}".rstrip()
    return text + (f" ({cell.undefined} undefined)" if cell.undefined else "")


def rank_text(row: Row) -> str:
    if row.rank is None:
        return ""
    return f"{row.rank} [{row.rank_low}-{row.rank_high}]" if row.rank_low is not None else str(row.rank)


def lookahead_text(row: Row) -> str:
    reach = row.facts.get("lookahead", 0)
    return "whole clip" if reach is None else f"{reach}"


def plain(text: str) -> str:
    """On one line, without characters that steer terminals, turn the writing direction or cannot be encoded."""
    kept = (" " if unicodedata.category(c) in STEERING else c for c in str(text))
    return " ".join("".join(kept).split())


def escape(text: str) -> str:
    """A name or note inside a Markdown table: no markup, no cell break, no HTML."""
    flat = html.escape(plain(text), quote=False)
    return re.sub(r"([\\`*_{}\[\]|~])", r"\\\1", flat)


def csv_safe(value: Any) -> Any:
    """Text that a spreadsheet would take for a formula gets a leading apostrophe."""
    if not isinstance(value, str):
        return value
    flat = plain(value)
    return "'" + flat if flat.startswith(("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")) else flat


# --- Markdown -------------------------------------------------------------------------------------------


def grid(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)]) + "\n"


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


def csv_text(tables: Sequence[Table]) -> str:
    """One line a method, suite and metric."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["benchmark", "suite", "simulated", "method", "rank", "rank_low", "rank_high", "reason", "metric",
                     "value", "low", "high", "undefined", "seeds"])  # fmt: skip
    for table in tables:
        for row in table.rows:
            for column in table.columns:
                cell = row.cells[column["id"]]
                numbers = [None if v is None else f"{v:.8g}" for v in (cell.value, cell.low, cell.high)]
                line = [table.benchmark, table.suite, table.simulated, row.method, row.rank, row.rank_low, row.rank_high,
                        row.reason, column["id"]]  # fmt: skip
                writer.writerow([csv_safe(v) for v in line] + [*numbers, cell.undefined, len(row.seeds)])
    return buffer.getvalue()


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.8g}")
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    return [_rounded(inner) for inner in value] if isinstance(value, list | tuple) else value


def json_text(tables: Sequence[Table]) -> str:
    data = [_rounded(table.model_dump(mode="json", exclude={"claims"})) for table in tables]
    return json.dumps(data, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


# --- the terminal ---------------------------------------------------------------------------------------


def terminal_table(table: Table) -> str:
    """Aligned plain text of the ranked columns: values on top, the calibration rows below a line."""
    columns = [c for c in table.columns if c["ranked"]]
    header = ["rank", "method", *(f"{c['id']} {ARROWS[c['direction']]}" for c in columns)]
    ranked = [[rank_text(row), plain(row.method), *(cell_text(row.cells[c["id"]], c["digits"]) for c in columns)]
              for row in table.rows if row.rank is not None]  # fmt: skip
    rest = [["", plain(row.method), *(cell_text(row.cells[c["id"]], c["digits"]) for c in columns)]
            for row in table.rows if row.rank is None]  # fmt: skip
    widths = [max(len(line[i]) for line in [header, *ranked, *rest]) for i in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()

    title = f"{plain(table.benchmark)} · {table.suite}" + (" · SIMULATED" if table.simulated else "")
    body = [line(header), *map(line, ranked), "  ".join("-" * width for width in widths), *map(line, rest)]
    return "\n".join([title, *body])


def comparison_text(found: Comparison) -> str:
    """Differences a - b with intervals, then the clips where they differ most."""
    lines = [
        f"{plain(found.a)} minus {plain(found.b)} on {plain(found.benchmark)}: {found.clips} clips, {found.sessions} sessions"
    ]
    for d in found.differences:
        span = f" [{d.low:.4g}, {d.high:.4g}], p = {d.p:.3g}" if d.low is not None and d.high is not None else ""
        value = "undefined" if d.difference is None else f"{d.difference:+.4g}"
        lines.append(f"  {d.column:24} {value}{span}")
    for column, clips in found.extremes.items():
        lines.append(f"differ most in {column}: " + ", ".join(f"{plain(clip)} ({value:+.3g})" for clip, value in clips))
    return "\n".join(lines)
