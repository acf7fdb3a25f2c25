"""Tables on a terminal: colour and weight where there is one, the same words in plain text where output is piped."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import typer

from dyadbench.leaderboard.paired import Comparison
from dyadbench.leaderboard.tables import Row, Table, Value
from dyadbench.leaderboard.text import ARROWS, cell_text, interval_text, number, plain, rank_text


def show_table(table: Table) -> None:
    """Prints one table: with rich on a terminal, aligned plain text elsewhere."""
    if not sys.stdout.isatty():
        typer.echo(terminal_table(table) + "\n")
        return
    from rich.console import Console

    console = Console(highlight=False)
    for part in rich_tables(table, console.width):
        console.print(part)
    console.print()


def show_cell(place: str, name: str, scores: Mapping[str, float | None], seconds: float) -> None:
    """One finished cell: its first three scores; what is not the result is dimmed on a terminal."""
    shown = "  ".join(f"{column} {round(v, 4) + 0.0:.4f}" for column, v in list(scores.items())[:3] if v is not None)
    if not sys.stdout.isatty():
        print(f"{place} {plain(name)}: {shown} ({seconds:.0f} s)", flush=True)
        return
    from rich.console import Console
    from rich.text import Text

    line = Text.assemble((place, "dim"), " ", plain(name), ": ", (shown, "bold"), (f" ({seconds:.0f} s)", "dim"))
    Console(highlight=False, soft_wrap=True).print(line)


def rich_tables(table: Table, width: int) -> list[Any]:
    """The ranked columns, as many beside each other as fit; what does not fit follows below with the methods again."""
    columns = [c for c in table.columns if c["ranked"]]
    left = max(len(plain(row.method)) for row in table.rows) + max(len(rank_text(row)) for row in table.rows) + 8
    groups: list[list[Any]] = [[]]
    room = width - left
    for column in columns:
        need = max(len(cell_text(row.cells[column["id"]], column["digits"])) for row in table.rows) + 2
        need = max(need, len(column["id"]) + 4)
        if groups[-1] and need > room:
            groups.append([])
            room = width - left
        groups[-1].append(column)
        room -= need
    return [_part(table, group) for group in groups]


def _part(table: Table, columns: Sequence[Any]) -> Any:
    """Intervals dimmed, bold only where no other interval reaches as far, calibration rows apart."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table as Grid
    from rich.text import Text

    title = f"{plain(table.benchmark)} · {table.suite}" + (" · SIMULATED" if table.simulated else "")
    grid = Grid(title=Text(title), title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False)
    grid.add_column("rank", no_wrap=True)
    grid.add_column("method", no_wrap=True)
    for column in columns:
        grid.add_column(f"{column['id']} {ARROWS[column['direction']]}", no_wrap=True)
    ranked = [row for row in table.rows if row.rank is not None]

    def line(row: Row) -> list[Any]:
        name = Text(plain(row.method), style="dim" if row.calibration else "")
        return [Text(rank_text(row)), name, *(_cell(row.cells[c["id"]], c["digits"]) for c in columns)]

    for row in ranked:
        grid.add_row(*line(row), end_section=row is ranked[-1])
    for row in table.rows:
        if row.rank is None:
            grid.add_row(*line(row))
    return grid


def _cell(cell: Value, digits: int) -> Any:
    from rich.text import Text

    text = Text().append(number(cell.value, digits), style="bold" if cell.best else None)
    if span := interval_text(cell, digits):
        text.append(f" {span}", style="dim")
    if cell.undefined:
        text.append(f" ({cell.undefined} undefined)", style="yellow")
    return text


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
