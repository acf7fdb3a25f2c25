"""`dyadbench check NAME`: does a method keep the contract?"""

from __future__ import annotations

from typing import Annotated

import typer

from dyadbench.cli.common import Json, print_json
from dyadbench.registry.host import Host


def check(
    name: Annotated[str, typer.Argument(help="A predictor or method, as `dyadbench list` names it.")],
    preset: Annotated[str | None, typer.Option(help="Default: smoke where it exists.")] = None,
    json: Json = False,
) -> None:
    """Builds, fits and samples a method on made-up data and asserts the contract; prints the measured look-ahead."""
    from dyadbench.conformance.checks import check as conform

    report = conform(name, Host(), preset=preset)
    if json:
        print_json(report.as_dict())
    else:
        for item in report.items:
            typer.echo(f"{'ok  ' if item.ok else 'FAIL'}  {item.what}" + (f": {item.detail}" if item.detail else ""))
    if not report.ok:
        raise typer.Exit(1)
