"""`dyadbench bench`: how fast the metrics are here, against what they replace; and how fast methods react."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from dyadbench.cli.common import LISTS, Group, Json, Verbs, print_json, print_table, set_threads

app = Group(
    cls=Verbs,
    help="Time metrics, tables and streaming methods on this machine.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.callback()
def bench() -> None:
    """Time metrics, tables and streaming methods on this machine."""


@app.command("metrics")
def metrics(
    clips: Annotated[int, typer.Option(min=2, help="Clips of 10 samples, 750 frames, 15 neighbours.")] = 8,
    only: Annotated[str, typer.Option(help="all, react, density, l2l, long or start.")] = "all",
    json: Json = False,
) -> None:
    """Times every metric on one thread against tslearn and plain loops in the same run: ratio, difference, memory."""
    set_threads(1)
    from dyadbench.api import DyadbenchError
    from dyadbench.bench import metrics as timing
    from dyadbench.bench.long_clips import long_rows
    from dyadbench.progress import stages

    parts: dict[str, Any] = {
        "start": timing.first_call_rows,
        "react": lambda: timing.metric_rows(clips),
        "density": timing.density_rows,
        "l2l": timing.l2l_rows,
        "long": long_rows,
    }
    if only != "all" and only not in parts:
        raise DyadbenchError(f"--only takes all, {', '.join(parts)}, not {only!r}")
    rows = []
    with stages("bench") as report:
        for number, name in enumerate(groups := [only] if only != "all" else list(parts)):
            report(name, number, len(groups))
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


@app.command("tables")
def tables(
    methods: Annotated[int, typer.Option(min=2)] = 100,
    seeds: Annotated[int, typer.Option(min=1)] = 5,
    benchmarks: Annotated[int, typer.Option(min=1)] = 10,
    clips: Annotated[int, typer.Option(min=2, help="Of each benchmark.")] = 1614,
    json: Json = False,
) -> None:
    """Times the tables and a comparison on this many generated records, which are deleted afterwards."""
    import tempfile
    from pathlib import Path

    from dyadbench.bench.tables import Load, table_costs
    from dyadbench.registry.host import Host

    host = Host()
    columns = {name: host.build("suite", name, {}).columns for name in ("react2024", "react2024-official")}
    load = Load(methods=methods, seeds=seeds, benchmarks=benchmarks, clips=clips)
    with tempfile.TemporaryDirectory() as folder:
        costs = list(table_costs(load, columns, Path(folder)))
    if json:
        print_json([cost.model_dump(mode="json") for cost in costs])
        return
    print_table(
        ["step", "seconds", "of processor", "peak MB", "detail"],
        [
            [cost.step, f"{cost.seconds:.2f}", f"{cost.cpu_seconds:.2f}", _text(cost.peak_mb, ".0f"), cost.detail]
            for cost in costs
        ],
    )


@app.command("latency")
def latency(
    method: Annotated[list[str] | None, typer.Argument(help="Methods or predictors; all that stream, if none.")] = None,
    preset: Annotated[str | None, typer.Option(help="Of the methods that have it. Default: small.")] = None,
    setting: Annotated[
        list[str] | None, typer.Option("-s", "--set", metavar="FIELD=VALUE", help=f"Override. {LISTS}")
    ] = None,
    frames: Annotated[int, typer.Option(min=100, help="Of the conversation.")] = 750,
    json: Json = False,
) -> None:
    """Streams one made-up conversation through each method on one core, K = 1: does every frame come in time?

    The first frame's delay holds the speaker frames to wait for; p50 and p99 are of steps of one speaker frame.
    """
    set_threads(1)
    from dyadbench.bench.latency import latency_rows
    from dyadbench.cell.latency import Latency
    from dyadbench.matrix.settings import parse_settings
    from dyadbench.registry.host import Host

    def times(of: Latency | None) -> list[str]:
        if of is None:
            return [""] * 5
        steps = (of.step_p50_ms, of.step_p99_ms, of.step_p99_cpu_ms)
        return [f"{of.first_frame_ms:.1f}", str(of.first_frame_after), *(f"{value:.2f}" for value in steps)]

    rows = list(latency_rows(Host(), method or [], preset, parse_settings(setting or []), frames))
    if json:
        print_json([{**row.model_dump(mode="json"), "verdict": row.verdict} for row in rows])
    else:
        print_table(
            ["method", "preset", "first frame ms", "after frames", "p50 ms", "p99 ms", "of processor", "in time for"],
            [[row.method, row.preset, *times(row.latency), row.verdict] for row in rows],
        )
    if any(row.failed for row in rows):
        raise typer.Exit(1)


def _text(value: float | None, digits: str) -> str:
    return "" if value is None else format(value, digits)
