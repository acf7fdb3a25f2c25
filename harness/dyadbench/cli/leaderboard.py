"""`dyadbench leaderboard`: records and claims to tables."""

from __future__ import annotations

from typing import Annotated

import typer

from dyadbench.api import DyadbenchError
from dyadbench.cli.common import Json, Root, find_root, print_json, refuse_unused
from dyadbench.errors import nearest


def leaderboard(
    benchmark: Annotated[str | None, typer.Option("-b", "--benchmark", help="Show only this benchmark, all its suites.")] = None,
    top: Annotated[int | None, typer.Option(min=1, help="Show only this many ranked methods, and the references.")] = None,
    every: Annotated[bool, typer.Option("--all-columns", help="With --benchmark: every ranked column, where eight are shown.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Write nothing; exit 3 if a table is out of date or a sanity inequality is broken.")] = False,
    root: Root = None,
    json: Json = False,
) -> None:  # fmt: skip
    """Regenerates every table from the committed records and claims, byte for byte."""
    from dyadbench.cli.screen import show_table
    from dyadbench.leaderboard.write import write_leaderboards
    from dyadbench.registry.host import Host

    if benchmark is None:
        refuse_unused({"--all-columns": every}, "it needs one --benchmark")
    if check or json:
        refuse_unused({"--top": top, "--all-columns": every}, "no table is printed with --json or --check")
    host = Host()
    suites = host.suites()
    outcome = write_leaderboards(find_root(root), {name: suite.columns for name, suite in suites.items()}, check=check)
    tables = [table for table in outcome.tables if benchmark in (None, table.benchmark)]
    if benchmark is not None and not tables:
        names = [table.benchmark for table in outcome.tables]
        raise DyadbenchError(f"there are no records of benchmark {benchmark!r}; {nearest(benchmark, names)}")
    if json:
        print_json(
            {
                "drift": outcome.drift,
                "violations": outcome.violations,
                "tables": [t.model_dump(mode="json") for t in tables],
                "claims": [judged.model_dump(mode="json") for judged in outcome.board],
            }
        )
    elif not check:
        for table in tables:
            # Other suites have no ranks, of which --top could leave some.
            if table.main or (benchmark is not None and top is None and any(column.ranked for column in table.columns)):
                show_table(table, top, values=every)
    for violation in outcome.violations:
        typer.echo(f"sanity: {violation}", err=True)
    for name in outcome.drift if check else ():
        typer.echo(f"drift: {name} is not what the records give; run `dyadbench leaderboard` and commit it", err=True)
    if outcome.violations or (check and outcome.drift):
        raise typer.Exit(3)
    if not json:
        typer.echo(f"{'checked' if check else 'wrote'} {find_root(root) / 'leaderboards'}")
