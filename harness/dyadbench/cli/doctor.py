"""`dyadbench doctor`: what was loaded, what went wrong, and what it means."""

from __future__ import annotations

import typer

from dyadbench.cli.common import Json, print_json, print_table
from dyadbench.records import provenance
from dyadbench.registry.host import Host


def doctor(json: Json = False) -> None:
    """Shows plugins, what went wrong while loading them, package versions and the machine. Exit 1 on problems."""
    host = Host()
    problems = [
        {"plugin": p.plugin, "distribution": p.distribution, "version": p.version, "stage": p.stage, "detail": p.detail}
        for p in host.problems
    ]
    facts = {"git": provenance.project_commit(), "packages": provenance.packages(), "hardware": provenance.hardware()}
    if json:
        print_json({"problems": problems, **facts})
    else:
        for name, value in facts.items():
            typer.echo(f"{name}: {value}")
        typer.echo("")
        if problems:
            print_table(
                ["plugin", "distribution", "stage", "what went wrong"],
                [[p["plugin"], f"{p['distribution']} {p['version']}", p["stage"], p["detail"]] for p in problems],
            )
        else:
            typer.echo("plugins: all loaded")
    if problems:
        raise typer.Exit(1)
