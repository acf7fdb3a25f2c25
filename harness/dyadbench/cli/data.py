"""`dyadbench data`: look at a folder before it is scored; fetch public data; make the built-in corpus."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dyadbench.api import DyadbenchError
from dyadbench.cli.common import LISTS, Group, Json, Limit, Verbs, print_json, print_table, refuse_unused
from dyadbench.datasets.simdyad.config import MEANING
from dyadbench.files.walk import expanded

if TYPE_CHECKING:
    from dyadbench.registry.host import Host

app = Group(
    cls=Verbs,
    help="Check data folders; fetch public data; write the simulated corpus.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command("check")
def check(
    name: Annotated[
        str,
        typer.Argument(
            help="react2024, react2023, l2l, lm-listener, vc-dyads, openface, dualtalk, mars, seamless, or a plugin's."
        ),
    ],
    path: Annotated[Path, typer.Argument(help="The folder as it was downloaded.")],
    fix: Annotated[bool, typer.Option("--fix", help="Build what can be rebuilt (the neighbour matrices).")] = False,
    setting: Annotated[
        list[str] | None,
        typer.Option(
            "-s", "--set", metavar="FIELD=VALUE", help=f"Of openface and REACT: as a run would have it. {LISTS}"
        ),
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", min=0, metavar="N", help="Read N recordings of every part only.")
    ] = 0,
    everything: Annotated[bool, typer.Option("--all", help="Print every finding by itself.")] = False,
    json: Json = False,
) -> None:
    """Reports which files exist, are missing or malformed, what can be rebuilt, and what that means for scores. Exit 1 on errors."""
    from dyadbench.datasets.check.releases import RELEASES
    from dyadbench.datasets.check.run import check_dataset
    from dyadbench.matrix.settings import parse_settings
    from dyadbench.registry.host import Host

    host = Host()
    if name not in RELEASES and name in {entry.name for entry in host.entries("dataset")} - {"simdyad"}:
        refuse_unused({"--fix": fix, "--all": everything}, f"{name} is a plugin's dataset, held to its contract")
        check_plugin(name, host, expanded(path), parse_settings(setting or []), limit, json)
        return
    report = check_dataset(name, path, fix=fix, limit=limit, settings=parse_settings(setting or []))
    if json:
        print_json(report.model_dump(mode="json"))
    else:
        from dyadbench.datasets.check.show import lines

        for line in lines(report, everything=everything):
            typer.echo(line)
    if not report.ok:
        raise typer.Exit(1)


@app.command("fetch")
def fetch(
    name: Annotated[str, typer.Argument(help="vc-dyads.")],
    folder: Annotated[Path | None, typer.Argument(help="A new folder. Default: the name of the dataset.")] = None,
) -> None:
    """Clones a public dataset with git at a fixed commit, checks it, and shows its licence. Needs a network."""
    from dyadbench.datasets.fetch import fetch as clone
    from dyadbench.datasets.fetch import sources

    available = sources()
    if name not in available:
        raise DyadbenchError(
            f"{name!r} cannot be fetched; {', '.join(available)} can, others are given out by their authors"
        )
    source, target = available[name], folder or Path(name)
    licence = clone(source, target)
    typer.echo(f"{name} is in {target}: {source.url}, commit {source.commit[:12]}, digest as published")
    typer.echo(f"It is under the {source.licence} licence ({target / source.licence_file}):\n\n{licence.strip()}\n")
    typer.echo(f"Use it with: dyadbench run leaderboards/matrices/real.toml --data {name}={target}")


@app.command("couplings")
def couplings(
    name: Annotated[str, typer.Argument(help="A dataset, for example vc-dyads.")],
    path: Annotated[Path, typer.Argument(help="Its folder.")],
    setting: Annotated[
        list[str] | None,
        typer.Option("-s", "--set", metavar="FIELD=VALUE", help=f"Of the dataset's configuration. {LISTS}"),
    ] = None,
    sample_covariance: Annotated[
        bool,
        typer.Option("--sample-covariance", help="Divide covariances by T - 1 and variances by T, as some tables do."),
    ] = False,
    limit: Limit = 0,
    json: Json = False,
) -> None:
    """How strongly the two people of a dataset move together: CCC and correlation with the true listener, by channel."""
    from dyadbench.datasets.limit import LimitedDataset
    from dyadbench.matrix.cells import PartSpec, resolve_part
    from dyadbench.matrix.settings import parse_settings
    from dyadbench.metrics.couplings import couplings as measure
    from dyadbench.registry.host import Host

    host = Host()
    part = resolve_part(host, "dataset", PartSpec(name=name, config=parse_settings(setting or [])))
    dataset = host.build("dataset", part.name, part.config, root=path)
    with host.blame("dataset", part.name, "read"):
        rows = measure(LimitedDataset(dataset, limit) if limit else dataset, sample_covariance=sample_covariance)
    if json:
        print_json({row: dict(zip(dataset.space.channels, map(float, v), strict=True)) for row, v in rows.items()})
        return
    groups = dataset.space.groups
    few = len(dataset.space.channels) <= 8
    heads = list(dataset.space.channels) if few else [f"{group} (mean)" for group in groups]
    means = {row: v if few else [v[dataset.space.slice(group)].mean() for group in groups] for row, v in rows.items()}
    print_table(["", *heads], [[row, *(f"{round(float(x), 3) + 0.0:.3f}" for x in v)] for row, v in means.items()])


@app.command("simulate")
def simulate(
    folder: Annotated[Path, typer.Argument(help="An empty or new folder.")],
    layout: Annotated[str, typer.Option(help="react2024 or l2l.")] = "react2024",
    preset: Annotated[str, typer.Option(help="; ".join(f"{name}: {text}" for name, text in MEANING.items()))] = "clear",
    size: Annotated[str, typer.Option(help="tiny, small or full.")] = "tiny",
    seed: Annotated[int, typer.Option(min=0)] = 0,
    link: Annotated[float, typer.Option(min=0, max=1, help="Strength of every speaker-to-listener influence.")] = 1.0,
) -> None:
    """Writes the simulated corpus simdyad in the on-disk layout of a real dataset. An interrupted run resumes."""
    from dyadbench.datasets.simdyad import SimConfig, write
    from dyadbench.datasets.simdyad.layouts import may_write
    from dyadbench.errors import first_fault
    from dyadbench.progress import bar

    try:
        config = SimConfig.model_validate(
            {"layout": layout, "preset": preset, "size": size, "seed": seed, "link": link}
        )
    except ValueError as error:
        raise DyadbenchError(first_fault(error)) from None  # type: ignore[arg-type]
    if not may_write(folder, config):
        raise DyadbenchError(f"{folder} is not empty; name a new folder, nothing is overwritten")
    with bar(f"simdyad {preset} {size}") as progress:
        write(folder, config, progress)
    typer.echo(f"wrote simulated data to {folder}; look at it with: dyadbench data check {layout} {folder}")


def check_plugin(name: str, host: Host, path: Path, settings: dict[str, Any], limit: int, json: bool) -> None:
    """Tries the contract on a folder of a dataset that a plugin brings."""
    from dyadbench.cli.check import show
    from dyadbench.conformance.others import check_dataset

    if not path.is_dir():
        raise DyadbenchError(f"{path} is not a folder")
    show(check_dataset(name, host, path, settings=settings, limit=limit), json)
