"""`dyadbench list`: what is installed, by kind."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from dyadbench.api import DyadbenchError
from dyadbench.cli.common import Json, print_json, print_table
from dyadbench.cli.show_scores import direction
from dyadbench.errors import nearest, number_of
from dyadbench.registry.host import Host
from dyadbench.registry.load import KINDS

METRIC = "metric"  # no kind of entry: the columns of all suites
CHOICES = [f"{kind}s" for kind in (*KINDS, METRIC)]


def list_(
    kind: Annotated[str | None, typer.Argument(help=f"{', '.join(CHOICES)}; all but metrics if left out.")] = None,
    json: Json = False,
) -> None:
    """Lists datasets, methods, suites and benchmarks, built in and from plugins; `list metrics` the columns of all suites."""
    if kind is not None and f"{kind.removesuffix('s')}s" not in CHOICES:
        raise DyadbenchError(f"{kind!r} is not a kind; {nearest(kind, CHOICES)}")
    host = Host()
    one = kind.removesuffix("s") if kind else None
    if one == METRIC:
        _metrics(host, json)
        return
    rows = [
        {"kind": each, "name": entry.name, "version": entry.version, "plugin": host.plugin_of(entry)[0],
         "calibration": getattr(entry, "calibration", False), "presets": sorted(getattr(entry, "presets", ())), "summary": entry.summary}
        for each in ([one] if one else KINDS)
        for entry in sorted(host.entries(each), key=lambda e: e.name)
    ]  # fmt: skip
    _print(rows, ["kind", "name", "version", "plugin", "summary"], json)
    if one == "method" and not json:
        typer.echo(
            "\nA predictor that needs no tokenizer is a method by itself, such as ridge or tcn: `dyadbench list predictors`."
        )
    if host.problems and not json:
        typer.echo(
            f"\n{number_of(len(host.problems), 'plugin problem')}; `dyadbench doctor` shows what is wrong", err=True
        )


def _metrics(host: Host, json: bool) -> None:
    rows: list[dict[str, Any]] = [
        {"suite": name, "metric": column.id, "version": column.version, "better": direction(column), "ranked": column.ranked,
         "unit": column.unit, "what": column.summary}
        for name, suite in host.suites().items()
        for column in suite.columns
    ]  # fmt: skip
    _print(rows, ["suite", "metric", "better", "unit", "what"], json)


def _print(rows: list[dict[str, Any]], columns: list[str], json: bool) -> None:
    """Everything for machines, a table of some columns for people."""
    print_json(rows) if json else print_table(columns, [[row[name] for name in columns] for row in rows])
