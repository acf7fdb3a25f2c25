"""`dyadbench list`: what is installed, by kind."""

from __future__ import annotations

from typing import Annotated

import typer

from dyadbench.cli.common import Json, print_json, print_table
from dyadbench.registry.host import Host
from dyadbench.registry.load import KINDS


def list_(
    kind: Annotated[str | None, typer.Argument(help=f"One of {', '.join(KINDS)}; all if left out.")] = None,
    json: Json = False,
) -> None:
    """Lists data sets, methods, metrics, suites and benchmarks, built in and from plugins."""
    if kind is not None and kind.removesuffix("s") not in KINDS:
        raise typer.BadParameter(f"{kind!r} is not a kind; choose one of {', '.join(KINDS)}")
    host = Host()
    kinds = [kind.removesuffix("s")] if kind else list(KINDS)
    rows = [
        {"kind": each, "name": entry.name, "version": entry.version, "plugin": host.plugin_of(entry)[0],
         "calibration": getattr(entry, "calibration", False), "presets": sorted(getattr(entry, "presets", ())), "summary": entry.summary}
        for each in kinds
        for entry in sorted(host.entries(each), key=lambda e: e.name)
    ]  # fmt: skip
    if json:
        print_json(rows)
        return
    print_table(
        ["kind", "name", "version", "plugin", "summary"],
        [[r["kind"], r["name"], r["version"], r["plugin"], r["summary"]] for r in rows],
    )
    if host.problems:
        typer.echo(f"\n{len(host.problems)} plugin problem(s); `dyadbench doctor` shows them", err=True)
