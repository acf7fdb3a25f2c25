"""`dyadbench check NAME`: does a plugin keep the contract?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dyadbench.api import DyadbenchError
from dyadbench.cli.common import Json, find_home, find_root, print_json, write_log
from dyadbench.files.walk import expanded
from dyadbench.registry.host import Host

if TYPE_CHECKING:
    from dyadbench.conformance.report import Report


def check(
    name: Annotated[str, typer.Argument(help="A method, predictor, tokenizer, suite or dataset, as `dyadbench list` names it.")],
    preset: Annotated[str | None, typer.Option(help="Default: smoke where it exists.")] = None,
    data: Annotated[Path | None, typer.Option("--data", metavar="FOLDER", help="Of a dataset: where it lies.")] = None,
    json: Json = False,
) -> None:  # fmt: skip
    """Checks that a plugin keeps the contract, on made-up data (for a dataset: on its folder). Prints a method's measured look-ahead."""
    from dyadbench.conformance.check import check as conform

    if data is not None and not expanded(data).is_dir():
        raise DyadbenchError(f"--data {data} is not a folder")
    show(conform(name, Host(), preset=preset, root=expanded(data) if data else None), json)


def show(report: Report, json: bool) -> None:
    """One line per promise; exit 1 where one is broken."""
    if json:
        print_json(report.as_dict())
    else:
        for item in report.items:
            typer.echo(f"{'ok  ' if item.ok else 'FAIL'}  {item.what}" + (f": {item.detail}" if item.detail else ""))
    if report.tracebacks:
        home = find_home(None, find_root(None))
        if log := write_log(home, f"check-{report.name}", "\n".join(report.tracebacks)):
            typer.echo(f"tracebacks are in {log}", err=True)
    if not report.ok:
        raise typer.Exit(1)
