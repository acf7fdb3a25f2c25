"""`dyadbench verify`: whether a record is what its method gives."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

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
    print_table,
    set_threads,
)  # fmt: skip


def verify(
    record: Annotated[Path, typer.Argument(help="A record: leaderboards/records/BENCHMARK/METHOD/seedN.json.")],
    clips: Annotated[int, typer.Option(min=0, metavar="N", help="Compare a sample of at least N clips. 0: all.")] = 0,
    tolerance: Annotated[float, typer.Option(min=0.0, help="What a clip's value may differ by, as a share of its column's standard deviation over clips.")] = 1e-3,
    train: Annotated[bool, typer.Option("--train", help="Train from source too, whatever fits the store has.")] = False,
    root: Root = None,
    home: Home = None,
    data: Data = None,
    device: Device = "cpu",
    threads: Threads = DEFAULT_THREADS,
    json: Json = False,
) -> None:  # fmt: skip
    """Samples and scores a record again from source and compares it clip by clip. Exit 3 where it differs."""
    import dataclasses

    from dyadbench.cell.runtime import Runtime, demand_device
    from dyadbench.cell.verify import Verifier
    from dyadbench.progress import stages
    from dyadbench.records.record import load_record
    from dyadbench.registry.host import Host
    from dyadbench.store.lock import own_folder

    set_threads(threads)
    committed = load_record(record)  # refuses values that their clips do not average to
    demand_device(device)
    base = find_root(root)
    place = find_home(home, base)
    place.mkdir(parents=True, exist_ok=True)
    with stages("verify") as report, own_folder(place, "verify-") as scratch:
        folders = data_folders(data, [committed.dataset.name])
        runtime = Runtime(home=place, data=folders, device=device, threads=threads, report=report)
        verdict = Verifier(committed, Host(), runtime, scratch, train)(clips, tolerance)
    wrong = [each for each in verdict.differences if each.beyond]
    columns = sum(each.suite != "measured" for each in verdict.differences)
    if json:
        print_json({"holds": verdict.holds, "clips": verdict.clips, "trained": verdict.trained, "columns": columns, "differences": [dataclasses.asdict(each) for each in wrong]})  # fmt: skip
    else:
        fits = f"{', '.join(verdict.trained)} trained anew" if verdict.trained else "fits from the store"
        typer.echo(f"{verdict.clips} of {len(committed.clips)} clips sampled again, {columns} columns compared; {fits}")
        _print_differences(wrong)
        typer.echo("the record holds" if verdict.holds else "the record does not hold")
    if not verdict.holds:
        raise typer.Exit(3)


def _print_differences(wrong: Sequence[Any]) -> None:
    """A row per column of which clips differ by more than the tolerance (`cell.verify.Difference`)."""
    if wrong:
        rows = [[each.suite, each.column, f"{each.beyond} of {each.clips}", each.worst, each.recorded, each.measured] for each in wrong]  # fmt: skip
        print_table(["suite", "column", "clips that differ", "most in", "recorded", "measured"], rows)
