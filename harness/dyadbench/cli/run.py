"""`dyadbench run`: cells to records."""

from __future__ import annotations

import sys
import time
import traceback
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
    Root,
    Threads,
    data_folders,
    find_home,
    find_root,
    print_json,
    set_threads,
)  # fmt: skip


def run(
    matrix: Annotated[Path | None, typer.Argument(help="A matrix file (TOML).")] = None,
    benchmark: Annotated[list[str] | None, typer.Option("-b", "--benchmark", help="Instead of a matrix; repeatable.")] = None,
    method: Annotated[list[str] | None, typer.Option("-m", "--method", help="With --benchmark; repeatable.")] = None,
    preset: Annotated[str | None, typer.Option(help="paper, small or smoke; with --method.")] = None,
    seeds: Annotated[str, typer.Option(help="With --method: seeds, separated by commas.")] = "0",
    setting: Annotated[list[str] | None, typer.Option("-s", "--set", metavar="FIELD=VALUE", help="With --method: override.")] = None,
    data_setting: Annotated[list[str] | None, typer.Option("--data-set", metavar="FIELD=VALUE", help="Override the data set's configuration.")] = None,
    root: Root = None,
    home: Home = None,
    data: Data = None,
    device: Device = "cpu",
    threads: Threads = DEFAULT_THREADS,
    batch: Annotated[int, typer.Option(min=1, help="Clips sampled at once. Never changes a number.")] = 8,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say which cells there are.")] = False,
    json: Json = False,
) -> None:  # fmt: skip
    """Fits, samples and scores every cell, and writes one record each. What is done is reused; a kill loses little."""
    from dyadbench.host import Host
    from dyadbench.spec import Matrix, MethodSpec, cells_of, parse_settings, read_matrix

    set_threads(threads)
    host = Host()
    overrides = parse_settings(data_setting or [])
    if matrix is not None:
        if benchmark or method:
            raise DyadbenchError("give a matrix file or --benchmark with --method, not both")
        wanted = read_matrix(matrix)
    elif benchmark and method:
        specs = tuple(MethodSpec(name=m, preset=preset, settings=parse_settings(setting or [])) for m in method)
        wanted = Matrix(benchmarks=tuple(benchmark), seeds=_seeds(seeds), method=specs)
    else:
        raise DyadbenchError("nothing to run: give a matrix file, or --benchmark NAME --method NAME")
    if overrides:
        wanted = wanted.model_copy(update={"datasets": dict.fromkeys(wanted.benchmarks, overrides)})
    cells = cells_of(host, wanted)
    if dry_run:
        if json:
            print_json([cell.model_dump(mode="json") for cell in cells])
        else:
            typer.echo("\n".join(cell.name for cell in cells))
        return
    base = find_root(root)
    names = {cell.dataset.name for cell in cells}
    folders = data_folders(data, only=names.pop() if len(names) == 1 else None)
    raise typer.Exit(_run(cells, host, base, find_home(home, base), folders, device, threads, batch, json))


def _seeds(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise DyadbenchError(f"--seeds takes whole numbers separated by commas, not {text!r}") from None


def _run(
    cells: list[Any], host: Any, base: Path, home: Path, folders: dict[str, Path],
    device: str, threads: int, batch: int, json: bool,
) -> int:  # fmt: skip
    from dyadbench.pipeline import Runtime, run_cells
    from dyadbench.progress import stages
    from dyadbench.record import record_path, save_record

    outcomes, failed = [], 0
    started = time.monotonic()
    with stages("") as report:
        runtime = Runtime(home=home, data=folders, device=device, threads=threads, batch=batch, report=report)
        for number, (cell, outcome) in enumerate(run_cells(cells, host, runtime), 1):
            seconds = time.monotonic() - started
            if isinstance(outcome, Exception):
                failed += 1
                _show_failure(cell, outcome, home)
                outcomes.append({"cell": cell.name, "error": str(outcome)})
                continue
            path = record_path(base / "leaderboards", outcome)
            save_record(outcome, path)
            outcomes.append({"cell": cell.name, "record": str(path), "key": outcome.key})
            if not json:
                main = outcome.suites[cell.setting.suite].scores
                shown = "  ".join(
                    f"{name} {round(score.value, 4) + 0.0:.4f}"
                    for name, score in list(main.items())[:3]
                    if score.value is not None
                )
                print(f"[{number}/{len(cells)}] {cell.name}: {shown} ({seconds:.0f} s)", flush=True)
    if json:
        print_json(outcomes)
    else:
        print(f"{len(cells) - failed} of {len(cells)} cells recorded in {base / 'leaderboards' / 'records'}")
    return 1 if failed else 0


def _show_failure(cell: Any, error: Exception, home: Path) -> None:
    """One sentence on the terminal; the traceback goes to the cell's log."""
    text = str(error) or type(error).__name__
    if not isinstance(error, DyadbenchError) or error.__cause__ is not None:
        log = home / "logs" / f"{cell.name.replace(' / ', '--').replace(' ', '')}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("".join(traceback.format_exception(error)), encoding="utf-8")
        text += f" (traceback in {log})"
    print(f"FAILED {cell.name}: {text}", file=sys.stderr, flush=True)
