"""`dyadbench bench`: how fast the metrics are here, against what they replace."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from dyadbench.cli.common import Json, print_json, print_table, set_threads

app = typer.Typer(help="Time the metrics on this machine.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def bench() -> None:
    """Time the metrics on this machine."""


@app.command("metrics")
def metrics(
    clips: Annotated[int, typer.Option(min=2, help="Clips of 10 samples, 750 frames, 15 neighbours.")] = 8,
    only: Annotated[str, typer.Option(help="all, react, density, l2l or start.")] = "all",
    json: Json = False,
) -> None:
    """Times every metric on one thread against tslearn and plain loops in the same run: ratio, difference, memory."""
    set_threads(1)
    from dyadbench import bench as timing
    from dyadbench.api import DyadbenchError
    from dyadbench.progress import stages

    parts: dict[str, Any] = {
        "start": timing.first_call_rows,
        "react": lambda: timing.metric_rows(clips),
        "density": timing.density_rows,
        "l2l": timing.l2l_rows,
    }
    if only != "all" and only not in parts:
        raise DyadbenchError(f"--only takes all, {', '.join(parts)}, not {only!r}")
    rows = []
    with stages("bench") as report:
        for number, name in enumerate(wanted := [only] if only != "all" else list(parts)):
            report(name, number, len(wanted))
            rows += list(parts[name]())
    if json:
        print_json([row.model_dump(mode="json") for row in rows])
        return
    print_table(
        ["metric", "ratio", "difference", "seconds", "peak MB", "against", "detail"],
        [[row.metric, _text(row.ratio, ".0f"), _text(row.difference, ".1e"), f"{row.seconds:.4f}", _text(row.peak_mb, ".0f"),
          row.against, row.detail] for row in rows],
    )  # fmt: skip
    typer.echo(", ".join(f"{name} {version}" for name, version in timing.versions().items()))


def _text(value: float | None, digits: str) -> str:
    return "" if value is None else format(value, digits)
