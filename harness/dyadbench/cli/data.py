"""`dyadbench data`: look at a folder before it is scored; make the built-in corpus."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dyadbench.api import DyadbenchError
from dyadbench.cli.common import Json, print_json, print_table

app = typer.Typer(help="Check data folders; write the simulated corpus.", no_args_is_help=True, rich_markup_mode=None)


@app.command("check")
def check(
    name: Annotated[str, typer.Argument(help="react2024, react2023, l2l or lm-listener.")],
    path: Annotated[Path, typer.Argument(help="The folder as it was downloaded.")],
    fix: Annotated[bool, typer.Option("--fix", help="Build what can be rebuilt (the neighbour matrices).")] = False,
    json: Json = False,
) -> None:
    """Reports what is there, missing or malformed, what can be rebuilt, and what that means. Exit 1 on errors."""
    from dyadbench.datasets.check.run import check_dataset

    report = check_dataset(name, path, fix=fix)
    if json:
        print_json(report.model_dump(mode="json"))
    else:
        print_table(
            ["level", "what", "where", "what it means", "what to do"],
            [[f.level, f.what, f.where, f.meaning, f.remedy] for f in report.findings],
        )
        typer.echo("clean" if report.ok else "not clean")
    if not report.ok:
        raise typer.Exit(1)


@app.command("simulate")
def simulate(
    folder: Annotated[Path, typer.Argument(help="An empty or new folder.")],
    layout: Annotated[str, typer.Option(help="react2024 or l2l.")] = "react2024",
    preset: Annotated[str, typer.Option(help="clear or hard.")] = "clear",
    size: Annotated[str, typer.Option(help="tiny, small or full.")] = "tiny",
    seed: Annotated[int, typer.Option(min=0)] = 0,
    link: Annotated[float, typer.Option(min=0, max=1, help="Strength of every speaker-to-listener influence.")] = 1.0,
) -> None:
    """Writes the simulated corpus simdyad in the on-disk layout of a real data set."""
    from dyadbench.datasets.simdyad import SimConfig, write
    from dyadbench.errors import first_fault
    from dyadbench.progress import bar

    if folder.exists() and any(folder.iterdir()):
        raise DyadbenchError(f"{folder} is not empty; name a new folder, nothing is overwritten")
    try:
        config = SimConfig.model_validate(
            {"layout": layout, "preset": preset, "size": size, "seed": seed, "link": link}
        )
    except ValueError as error:
        raise DyadbenchError(first_fault(error)) from None  # type: ignore[arg-type]
    with bar(f"simdyad {preset} {size}") as progress:
        write(folder, config, progress)
    typer.echo(f"wrote simulated data to {folder}; look at it with: dyadbench data check {layout} {folder}")
