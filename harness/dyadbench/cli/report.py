"""`dyadbench report`: the offline site."""

from __future__ import annotations

import gc
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dyadbench.api import DyadbenchError
from dyadbench.cli.common import Data, Home, Json, Root, data_folders, find_home, find_root, print_json, refuse_unused

if TYPE_CHECKING:
    from dyadbench.registry.host import Host
    from dyadbench.report.about import About


FEW = 3  # methods of a benchmark of which it is said why they have no face


def report(
    out: Annotated[Path | None, typer.Option("--out", help="Where the pages go. Default: leaderboards/site in the root.")] = None,
    excerpts: Annotated[bool, typer.Option(help="Make faces that the store has and no excerpt file holds.")] = True,
    root: Root = None,
    home: Home = None,
    data: Data = None,
    json: Json = False,
) -> None:  # fmt: skip
    """Builds the report: static pages that open from disk, without a server or a network."""
    from dyadbench.cell.excerpts import make_excerpts
    from dyadbench.cell.runtime import Runtime
    from dyadbench.records.comparable import by_benchmark, of_whole_training, records_below
    from dyadbench.registry.host import Host
    from dyadbench.report.site import build_site

    if not excerpts:
        refuse_unused({"--data": data}, "data are read for excerpts, and --no-excerpts makes none")
    host = Host()
    base = find_root(root)
    target = out or base / "leaderboards" / "site"
    columns = {name: suite.columns for name, suite in host.suites().items()}
    leaderboards, place = base / "leaderboards", find_home(home, base)
    reasons: dict[str, dict[str, str]] = {}
    if excerpts and (leaderboards / "records").is_dir():
        records = records_below(leaderboards) if data else []
        real = dict.fromkeys(record.dataset.name for record in records if not record.dataset.simulated)
        runtime = Runtime(home=place, data=data_folders(data, list(real)))
        for benchmark, mine in by_benchmark(leaderboards):
            if whole := of_whole_training(mine):
                reasons[benchmark] = make_excerpts(whole, leaderboards, runtime, host)
    # Millions of numbers stay until the last page is written, and looking among them for garbage takes a tenth of the time.
    collected = gc.isenabled()
    gc.disable()
    try:
        site = build_site(base, target, columns, place, reasons, _about(host))
    finally:
        if collected:
            gc.enable()
    missing = {name: group.missing for name, group in site.excerpts.items() if group.missing}
    if json:
        print_json({"index": str(target / "index.html"), "missing": missing})
        return
    for benchmark, methods in missing.items():
        for method, why in list(methods.items())[:FEW]:
            typer.echo(f"no face of {method} on {benchmark}: {why}", err=True)
        if len(methods) > FEW:
            typer.echo(f"no face of {len(methods) - FEW} more methods on {benchmark}: its page says why", err=True)
    typer.echo(f"report: {(target / 'index.html').resolve()}")


def _about(host: Host) -> About:
    """What the installed benchmarks and methods say of themselves, with the README that each method's plugin brings."""
    from importlib.resources import files

    from dyadbench.report.about import About

    methods, papers, readmes, methods_of = {}, {}, {}, dict[str, str]()
    for entry in host.entries("method"):
        methods[entry.name], papers[entry.name] = entry.summary, entry.cite
        methods_of.setdefault(entry.predictor, entry.name)
        with suppress(DyadbenchError, ImportError, TypeError):  # a plugin that is broken, or one file and no package
            package = host.get("predictor", entry.predictor).load.partition(":")[0].partition(".")[0]
            readme = files(package).joinpath("README.md")
            if readme.is_file():
                readmes[entry.name] = readme.read_text(encoding="utf-8")
    for predictor in host.entries("predictor"):
        methods.setdefault(predictor.name, predictor.summary)
    return About(
        {entry.name: entry.summary for entry in host.entries("benchmark")}, methods, papers, methods_of, readmes
    )
