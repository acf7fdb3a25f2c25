"""Prints tables and cells: with colour and weight on a terminal, the same words in plain text where output is piped."""

from __future__ import annotations

import sys
from collections.abc import Mapping

import typer

from dyadbench.errors import one_line
from dyadbench.leaderboard.tables import Table
from dyadbench.leaderboard.terminal import below, rich_tables, terminal_table


def show_table(table: Table, top: int | None = None, *, values: bool = True) -> None:
    """Prints one table: with rich on a terminal, aligned plain text elsewhere.

    `top` leaves so many ranked methods; without `values` there are at most `MOST_COLUMNS` columns, the headline's first.
    """
    if not sys.stdout.isatty():
        typer.echo("\n".join([terminal_table(table, top, values=values), *below(table)]) + "\n")
        return
    from rich.console import Console

    console = Console(highlight=False)
    for part in rich_tables(table, console.width, top, values=values):
        console.print(part)
    for line in below(table):
        console.print(line, markup=False)
    console.print()


def show_cell(place: str, name: str, scores: Mapping[str, float | None], seconds: float) -> None:
    """One finished cell: its first three scores; what is not the result is dimmed on a terminal."""
    headline = "  ".join(f"{column} {round(v, 4) + 0.0:.4f}" for column, v in list(scores.items())[:3] if v is not None)
    if not sys.stdout.isatty():
        print(f"{place} {one_line(name)}: {headline} ({seconds:.0f} s)", flush=True)
        return
    from rich.console import Console
    from rich.text import Text

    line = Text.assemble((place, "dim"), " ", one_line(name), ": ", (headline, "bold"), (f" ({seconds:.0f} s)", "dim"))
    console = Console(highlight=False, soft_wrap=True)
    with console.capture() as text:
        console.print(line)
    print(text.get(), end="", flush=True)  # a bar that is shown has taken sys.stdout, and puts this above itself
