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
    LISTS,
    Data,
    DataSettings,
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
from dyadbench.engines.local import cores
from dyadbench.errors import Interrupted, number_of


class Engines(StrEnum):
    inline = "inline"
    local = "local"
    slurm = "slurm"


@dataclasses.dataclass(frozen=True)
class Work:
    """The cells to run, and what the options say of their records."""

    cells: list[Any]
    host: Any  # registry.host.Host
    base: Path  # where `leaderboards` lies
    runtime: Any  # cell.runtime.Runtime
    replace: bool
    fresh: bool
    json: bool

    def tally(self) -> Tally:
        return Tally(self.host, self.base, self.runtime.home, len(self.cells), self.json)


def run(
    context: typer.Context,
    matrix: Annotated[Path | None, typer.Argument(help="A matrix file (TOML).")] = None,
    benchmark: Annotated[list[str] | None, typer.Option("-b", "--benchmark", help="Instead of a matrix; repeatable.")] = None,
    method: Annotated[list[str] | None, typer.Option("-m", "--method", help="With --benchmark; repeatable.")] = None,
    preset: Annotated[str | None, typer.Option(help="paper, small or smoke; with --method.")] = None,
    seeds: Annotated[str | None, typer.Option(help="With --method: seeds, separated by commas. Default: 0.")] = None,
    setting: Annotated[list[str] | None, typer.Option("-s", "--set", metavar="FIELD=VALUE", help=f"With --method: override; `dyadbench show METHOD` lists its fields. {LISTS}")] = None,
    label: Annotated[str | None, typer.Option("--as", metavar="NAME", help="With one --method: the row's name, for a second configuration of a method.")] = None,
    of: Annotated[str | None, typer.Option("--of", metavar="METHOD", help="With --method: the row is an ablation of METHOD, shown below it and never ranked.")] = None,
    data_setting: DataSettings = None,
    raw_units: Annotated[bool, typer.Option("--raw-action-units", help="Score action units as methods emit them, not as 0 and 1.")] = False,
    quarter: Annotated[bool, typer.Option("--quarter", help="Train every row for a quarter of its steps, as a row NAME-quarter: the second budget of the claims.")] = False,
    clips: Annotated[int, typer.Option("--clips", min=0, metavar="N", help="Score only N clips of the split, as a benchmark of another name; training sees all.")] = 0,
    root: Root = None,
    home: Home = None,
    data: Data = None,
    device: Device = "cpu",
    threads: Threads = DEFAULT_THREADS,
    batch: Annotated[int, typer.Option(min=1, help="Clips sampled at once. Changes no number but for the order of sums.")] = 8,
    on: Annotated[Engines, typer.Option("--on", help="Where cells run: here one by one, as processes here, as Slurm jobs.")] = Engines.inline,
    slots: Annotated[int | None, typer.Option(min=1, help="With --on local: cells at once; more than there are GPUs share them. Default: one a GPU, or as the cores allow.")] = None,
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
    from dyadbench.matrix.cells import cells_of, demand_bases
    from dyadbench.matrix.quarter import quarter_of
    from dyadbench.registry.host import Host

    chosen = _from_command_line(context, "device", "threads")
    # More threads than cores wait for each other: twice as many cost five times.
    if slots and "threads" not in chosen:
        threads = max(1, min(threads, cores() // slots))
    set_threads(threads)
    host = Host()
    request = _request(matrix, benchmark, method, preset, seeds, setting, data_setting or [], label, of)
    demand_bases(host, request)
    if raw_units:
        request = request.model_copy(update={"action_units": "raw"})
    if quarter:
        request = quarter_of(host, request)
    if clips:
        request = request.model_copy(update={"clips": clips})
    if slots is not None and on is not Engines.local:
        raise DyadbenchError("--slots is of --on local; leave it out, or add --on local")
    cells = cells_of(host, request, limit)
    base = find_root(root)
    folders = data_folders(data, list(dict.fromkeys(cell.dataset.name for cell in cells)))
    if not json:
        from dyadbench.cli.costs import costs

        for line in costs(host, request.method):
            print(line, file=sys.stderr, flush=True)
    if dry_run and on is not Engines.slurm:
        if json:
            print_json([cell.model_dump(mode="json") for cell in cells])
            return
        from dyadbench.records.record import record_path

        recorded = [record_path(base / "leaderboards", cell).is_file() for cell in cells]
        for cell, done in zip(cells, recorded, strict=True):
            typer.echo(cell.name + ("  (has a record)" if done else ""))
        typer.echo(f"{sum(recorded)} of {number_of(len(cells), 'cell')} with a record in {base}", err=True)
        return
    from dyadbench.cell.runtime import Runtime, demand_device

    if on is Engines.slurm:
        if chosen:
            raise DyadbenchError(
                f"--{min(chosen)} is of runs on this machine; what a Slurm job gets is in the matrix: [slurm], gpus and cpus"
            )
        device, threads = "cuda" if request.slurm.gpus else device, request.slurm.cpus
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
    work = Work(cells, host, base, runtime, replace, fresh, json)
    shares = {spec.name: devices or spec.devices for spec in request.method}
    if on is Engines.inline and max(shares.values()) == 1:
        raise typer.Exit(_run_here(work))
    engine = _engine(on, runtime, request.slurm, slots, max(shares.values()))
    raise typer.Exit(_preview(work, engine, shares) if dry_run else _run_away(work, engine, shares))


def _request(
    matrix: Path | None, benchmark: list[str] | None, method: list[str] | None, preset: str | None,
    seeds: str | None, setting: list[str] | None, data_setting: list[str], label: str | None, of: str | None,
) -> Any:  # fmt: skip
    """The matrix that the options ask for. Options without an effect are refused."""
    from dyadbench.matrix.cells import Matrix, MethodSpec, read_matrix
    from dyadbench.matrix.settings import merge, nest, parse_settings

    if matrix is not None:
        options = {
            "--benchmark": benchmark,
            "--method": method,
            "--preset": preset,
            "--seeds": seeds,
            "-s": setting,
            "--as": label,
            "--of": of,
        }
        if unused := [name for name, value in options.items() if value is not None]:
            raise DyadbenchError(f"a matrix file says this itself: leave {unused[0]} out, or write it into {matrix}")
        request = read_matrix(matrix)
    elif benchmark and method:
        if label is not None and len(method) > 1:
            raise DyadbenchError(f"--as names one row, and {len(method)} methods are given; give one --method")
        specs = tuple(
            MethodSpec(
                name=m if label is None else label,
                method="" if label is None else m,
                of=of or "",
                preset=preset,
                settings=parse_settings(setting or []),
            )
            for m in method
        )
        request = Matrix(benchmarks=tuple(benchmark), seeds=_seeds("0" if seeds is None else seeds), method=specs)
    else:
        raise DyadbenchError("nothing to run: give a matrix file, or --benchmark NAME --method NAME")
    if overrides := nest(parse_settings(data_setting, "--data-set")):
        tables = {name: merge(request.datasets.get(name, {}), overrides) for name in request.benchmarks}
        request = request.model_copy(update={"datasets": tables})
    return request


def _seeds(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise DyadbenchError(f"--seeds takes whole numbers separated by commas, not {text!r}") from None


def _from_command_line(context: typer.Context, *names: str) -> set[str]:
    sources = {name: context.get_parameter_source(name) for name in names}
    return {name for name, source in sources.items() if source and source.name == "COMMANDLINE"}


def _run_here(work: Work) -> int:
    from dyadbench.engines.at_work import ended_without_a_word
    from dyadbench.engines.inline import run_cells
    from dyadbench.progress import cells as counted
    from dyadbench.progress import stages

    runtime, boards = work.runtime, work.base / "leaderboards"
    for left in ended_without_a_word(runtime.home):
        print(
            f"dyadbench: an earlier run ended at {left} without a word: a plugin ended the program (os._exit, a crash), "
            "or the system killed it; `--on local` runs each cell in a process of its own",
            file=sys.stderr, flush=True,
        )  # fmt: skip
    tally = work.tally()
    with counted(len(work.cells)) as advance, stages("") as report:
        runtime = dataclasses.replace(runtime, report=report)
        outcomes = run_cells(work.cells, work.host, runtime, boards, replace=work.replace, fresh=work.fresh)
        for cell, outcome in outcomes:
            if not isinstance(outcome, Exception):
                _warn_of_other_version(cell, outcome, work.host)
            tally.take(cell, outcome)
            advance()
    if runtime.draw and not work.json and (runtime.home / "pictures").is_dir():
        print(f"pictures are in {runtime.home / 'pictures'}")
    return tally.finish()


def _engine(on: Engines, runtime: Any, slurm: Any, slots: int | None, most: int) -> Any:
    """The engine of `--on`; `most` is how many devices one cell may ask for."""
    from dyadbench.engines.local import LocalEngine, slots_of
    from dyadbench.engines.slurm import SlurmEngine

    if runtime.draw:
        raise DyadbenchError("--draw needs cells that run here one by one; leave --on and --devices out")
    if on is Engines.slurm:
        SlurmEngine.check()
        return SlurmEngine(slurm)
    pool = slots_of(runtime.device, runtime.threads, slots if on is Engines.local else most, most)
    return LocalEngine(runtime.store, runtime.device, pool)


def _tickets(work: Work, devices: dict[str, int]) -> list[Any]:
    """A ticket per cell, or (cell, error) of a cell that cannot be sent."""
    from dyadbench.engines.detached import tickets_of

    boards = work.base / "leaderboards"
    return list(
        tickets_of(work.cells, work.host, work.runtime, boards, devices, replace=work.replace, fresh=work.fresh)
    )


def _preview(work: Work, engine: Any, devices: dict[str, int]) -> int:
    """Says what would be sent, and writes nothing: data that are simulated and digests that are noted lie in folders of links
    to the files that are there, and go away with them."""
    import shutil
    import tempfile

    from dyadbench.engines.slurm import preview

    with tempfile.TemporaryDirectory() as folder:
        data: dict[str, Path] = {}
        for name in {cell.dataset.name for cell in work.cells}:
            data[name] = Path(folder) / name
            existing = work.runtime.folder_of(name)
            if existing.is_dir():
                shutil.copytree(
                    existing, data[name], copy_function=lambda file, link: Path(link).symlink_to(Path(file).resolve())
                )
            else:
                data[name].mkdir()
        runtime = dataclasses.replace(work.runtime, data=data)
        items = _tickets(dataclasses.replace(work, runtime=runtime, fresh=False), devices)  # nothing is thrown away
        refused = [item for item in items if isinstance(item, tuple)]
        tickets = [item for item in items if not isinstance(item, tuple)]
        jobs = preview(engine, tickets, fresh=work.fresh)
    for cell, error in refused:
        name = cell.dataset.name
        text = str(error).replace(str(data[name]), str(work.runtime.folder_of(name)))
        print(f"{cell.name} cannot be sent: {text}", file=sys.stderr, flush=True)
    if work.json:
        print_json(jobs)
        return 1 if refused else 0
    typer.echo(
        f"{len(jobs)} of {len(tickets)} cells would be sent"
        + ("; the others have their records" if len(jobs) < len(tickets) else "")
    )
    for count in sorted({job["devices"] for job in jobs}):
        alike = [job for job in jobs if job["devices"] == count]
        typer.echo("\n".join([*(f"  {job['cell']}" for job in alike), "each as", alike[0]["script"]]))
    return 1 if refused else 0


def _run_away(work: Work, engine: Any, devices: dict[str, int]) -> int:
    from dyadbench.engines.detached import run_on

    tally, tickets = work.tally(), _tickets(work, devices)
    try:
        for cell, outcome in run_on(engine, tickets):
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
