"""`dyadbench run`: cells to records."""

from __future__ import annotations

import dataclasses
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from dyadbench.api import DyadbenchError
from dyadbench.cli.common import (
    DEFAULT_THREADS,
    Data,
    Device,
    Home,
    Json,
    Limit,
    Root,
    Threads,
    data_folders,
    find_home,
    find_root,
    print_json,
    set_threads,
)  # fmt: skip
from dyadbench.cli.tally import Tally
from dyadbench.errors import Interrupted


class Engines(StrEnum):
    inline = "inline"
    local = "local"
    slurm = "slurm"


def run(
    matrix: Annotated[Path | None, typer.Argument(help="A matrix file (TOML).")] = None,
    benchmark: Annotated[list[str] | None, typer.Option("-b", "--benchmark", help="Instead of a matrix; repeatable.")] = None,
    method: Annotated[list[str] | None, typer.Option("-m", "--method", help="With --benchmark; repeatable.")] = None,
    preset: Annotated[str | None, typer.Option(help="paper, small or smoke; with --method.")] = None,
    seeds: Annotated[str | None, typer.Option(help="With --method: seeds, separated by commas. Default: 0.")] = None,
    setting: Annotated[list[str] | None, typer.Option("-s", "--set", metavar="FIELD=VALUE", help="With --method: override; `dyadbench show METHOD` lists its fields.")] = None,
    label: Annotated[str | None, typer.Option("--as", metavar="NAME", help="With one --method: the row's name, for a second configuration of a method.")] = None,
    data_setting: Annotated[list[str] | None, typer.Option("--data-set", metavar="FIELD=VALUE", help="Override the dataset's configuration.")] = None,
    raw_units: Annotated[bool, typer.Option("--raw-action-units", help="Score action units as methods emit them, not as 0 and 1.")] = False,
    clips: Annotated[int, typer.Option("--clips", min=0, metavar="N", help="Score only N clips of the split, as a benchmark of another name; training sees all.")] = 0,
    root: Root = None,
    home: Home = None,
    data: Data = None,
    device: Device = "cpu",
    threads: Threads = DEFAULT_THREADS,
    batch: Annotated[int, typer.Option(min=1, help="Clips sampled at once. Never changes a number.")] = 8,
    on: Annotated[Engines, typer.Option("--on", help="Where cells run: here one by one, as processes here, as Slurm jobs.")] = Engines.inline,
    slots: Annotated[int | None, typer.Option(min=1, help="With --on local: cells at once. Default: one a GPU, or as the cores allow.")] = None,
    devices: Annotated[int | None, typer.Option(min=1, help="GPUs (or CPU processes) a cell trains on together. Default: the matrix's.")] = None,
    timeout: Annotated[float | None, typer.Option(min=0.001, metavar="MINUTES", help="Give up on a cell after so long.")] = None,
    draw: Annotated[int, typer.Option(min=0, metavar="N", help="Also draw N clips of each cell, where its method has pictures of its own.")] = 0,
    limit: Limit = 0,
    replace: Annotated[bool, typer.Option("--replace", help="Let a record of other data or another configuration be replaced.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Throw away what the store has of these cells first: fits, reactions and scores are made again.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say which cells there are, and with --on slurm what would be sent.")] = False,
    json: Json = False,
) -> None:  # fmt: skip
    """Fits, samples and scores cells, one record each.

    What is done already is reused, and a run that was stopped goes on where it was.
    """
    from dyadbench.matrix.cells import cells_of
    from dyadbench.registry.host import Host

    set_threads(threads)
    host = Host()
    wanted = _request(matrix, benchmark, method, preset, seeds, setting, data_setting or [], label)
    if raw_units:
        wanted = wanted.model_copy(update={"action_units": "raw"})
    if clips:
        wanted = wanted.model_copy(update={"clips": clips})
    if slots is not None and on is not Engines.local:
        raise DyadbenchError("--slots is of --on local; leave it out, or add --on local")
    cells = cells_of(host, wanted, limit)
    base = find_root(root)
    folders = data_folders(data, list(dict.fromkeys(cell.dataset.name for cell in cells)))
    if not json:
        from dyadbench.cli.costs import costs

        for line in costs(host, wanted.method):
            print(line, file=sys.stderr, flush=True)
    if dry_run and on is not Engines.slurm:
        if json:
            print_json([cell.model_dump(mode="json") for cell in cells])
        else:
            typer.echo("\n".join(cell.name for cell in cells))
        return
    from dyadbench.cell.runtime import Runtime, demand_device

    if on is Engines.slurm:
        device, threads = "cuda" if wanted.slurm.gpus else device, wanted.slurm.cpus
    else:
        demand_device(device)
    runtime = Runtime(
        home=find_home(home, base),
        data=folders,
        device=device,
        threads=threads,
        batch=batch,
        timeout=timeout,
        draw=draw,
    )
    shares = {spec.name: devices or spec.devices for spec in wanted.method}
    if on is Engines.inline and max(shares.values()) == 1:
        raise typer.Exit(_run_here(cells, host, base, runtime, replace, fresh, json))
    if draw:
        raise DyadbenchError("--draw needs cells that run here one by one; leave --on and --devices out")
    raise typer.Exit(
        _run_away(cells, host, base, runtime, shares, wanted.slurm, on, slots, dry_run, replace, fresh, json)
    )


def _request(
    matrix: Path | None, benchmark: list[str] | None, method: list[str] | None, preset: str | None,
    seeds: str | None, setting: list[str] | None, data_setting: list[str], label: str | None,
) -> Any:  # fmt: skip
    """The matrix that the options ask for. Options without an effect are refused."""
    from dyadbench.matrix.cells import Matrix, MethodSpec, read_matrix
    from dyadbench.matrix.settings import merge, nest, parse_settings

    if matrix is not None:
        given = {
            "--benchmark": benchmark,
            "--method": method,
            "--preset": preset,
            "--seeds": seeds,
            "-s": setting,
            "--as": label,
        }
        if unused := [name for name, value in given.items() if value]:
            raise DyadbenchError(f"a matrix file says this itself: leave {unused[0]} out, or write it into {matrix}")
        wanted = read_matrix(matrix)
    elif benchmark and method:
        if label is not None and len(method) > 1:
            raise DyadbenchError(f"--as names one row, and {len(method)} methods are given; give one --method")
        specs = tuple(
            MethodSpec(
                name=label or m, method=m if label else "", preset=preset, settings=parse_settings(setting or [])
            )
            for m in method
        )
        wanted = Matrix(benchmarks=tuple(benchmark), seeds=_seeds(seeds or "0"), method=specs)
    else:
        raise DyadbenchError("nothing to run: give a matrix file, or --benchmark NAME --method NAME")
    if overrides := nest(parse_settings(data_setting, "--data-set")):
        tables = {name: merge(wanted.datasets.get(name, {}), overrides) for name in wanted.benchmarks}
        wanted = wanted.model_copy(update={"datasets": tables})
    return wanted


def _seeds(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise DyadbenchError(f"--seeds takes whole numbers separated by commas, not {text!r}") from None


def _run_here(cells: list[Any], host: Any, base: Path, runtime: Any, replace: bool, fresh: bool, json: bool) -> int:
    from dyadbench.engines.at_work import ended_without_a_word
    from dyadbench.engines.inline import run_cells
    from dyadbench.progress import cells as counted
    from dyadbench.progress import stages
    from dyadbench.records.record import record_path, save_record

    for left in ended_without_a_word(runtime.home):
        print(
            f"dyadbench: an earlier run ended at {left} without a word: a plugin ended the program (os._exit, a crash), "
            "or the system killed it; `--on local` runs each cell in a process of its own",
            file=sys.stderr, flush=True,
        )  # fmt: skip
    tally = Tally(host, base, runtime.home, len(cells), json)
    with counted(len(cells)) as advance, stages("") as report:
        protected = None if replace else base / "leaderboards"
        for cell, outcome in run_cells(
            cells, host, dataclasses.replace(runtime, report=report), protected, fresh=fresh
        ):
            if not isinstance(outcome, Exception):
                _warn_of_other_version(cell, outcome, host)
                save_record(outcome, record_path(base / "leaderboards", outcome))
            tally.take(cell, outcome)
            advance()
    if runtime.draw and not json:
        print(f"pictures are in {runtime.home / 'pictures'}")
    return tally.finish()


def _run_away(
    cells: list[Any], host: Any, base: Path, runtime: Any, devices: dict[str, int],
    resources: Any, on: Engines, slots: int | None, dry_run: bool, replace: bool, fresh: bool, json: bool,
) -> int:  # fmt: skip
    from dyadbench.engines.detached import run_on, tickets_of
    from dyadbench.engines.local import LocalEngine, slots_of
    from dyadbench.engines.slurm import SlurmEngine, preview
    from dyadbench.engines.submission import Engine

    engine: Engine
    if on is Engines.slurm:
        SlurmEngine.check()
        engine = SlurmEngine(resources)
    else:
        most = max(devices.values())
        pool = slots_of(runtime.device, runtime.threads, slots if on is Engines.local else most, most)
        engine = LocalEngine(runtime.store, runtime.device, pool)
    made = list(
        tickets_of(cells, host, runtime, base / "leaderboards", devices, replace=replace, fresh=fresh and not dry_run)
    )
    if dry_run:
        assert isinstance(engine, SlurmEngine)
        typer.echo(preview(engine, [item for item in made if not isinstance(item, tuple)]))
        return 0
    tally = Tally(host, base, runtime.home, len(cells), json)
    try:
        for cell, outcome in run_on(engine, made):
            tally.take(cell, outcome)
    except (KeyboardInterrupt, Interrupted):
        if engine.detached:
            print("dyadbench: the jobs go on without this run; the same command follows them again", file=sys.stderr)
        raise
    return tally.finish()


def _warn_of_other_version(cell: Any, record: Any, host: Any) -> None:
    """Reactions are reused while the version of an entry stays the same. Only its author can know whether that is right."""
    now = host.plugin_of(host.get("predictor", cell.predictor.name))
    if record.plugin != now:
        print(
            f"{cell.name}: reactions made by {' '.join(record.plugin)} are reused with {' '.join(now)}, because version "
            f"{record.entry_version} of {cell.predictor.name!r} did not change; if its numbers did, raise Entry.version",
            file=sys.stderr, flush=True,
        )  # fmt: skip
