"""`dyadbench score`: official and corrected numbers for predictions made elsewhere."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from dyadbench.api import DyadbenchError
from dyadbench.bench.memory import PeakMemory
from dyadbench.cli.common import (
    DEFAULT_THREADS,
    Data,
    Home,
    Json,
    Limit,
    Root,
    Threads,
    data_folders,
    find_home,
    find_root,
    print_json,
    print_table,
    set_threads,
)  # fmt: skip

Board = tuple[list[str], list[list[str]], str]  # header, rows, and whom they are compared with


def score(
    file: Annotated[Path, typer.Argument(help="Predictions (.safetensors or .npz): clip ids and (N, K, T, C) arrays.")],
    benchmark: Annotated[str | None, typer.Option(help="The benchmark whose clips were predicted.")] = None,
    suite: Annotated[str | None, typer.Option(help="For a file that carries its references too: the suite to compute.")] = None,
    template: Annotated[bool, typer.Option("--template", help="Write FILE as an example with the right ids and shapes.")] = False,
    root: Root = None,
    home: Home = None,
    data: Data = None,
    data_setting: Annotated[list[str] | None, typer.Option("--data-set", metavar="FIELD=VALUE", help="Override the dataset's configuration.")] = None,
    limit: Limit = 0,
    threads: Threads = DEFAULT_THREADS,
    json: Json = False,
) -> None:  # fmt: skip
    """Checks FILE, refuses it with the first ten problems, or prints every suite's numbers."""
    from dyadbench.files.predictions import read_predictions

    set_threads(threads)
    if benchmark is None and suite is None:
        raise DyadbenchError("say what to score against: --benchmark NAME, or --suite NAME for a self-contained file")
    if not template:
        read_predictions(file)  # what is wrong with the file is said before anything is generated or read
    found: dict[str, dict[str, float | None]] | None
    boards: dict[str, Board] = {}
    started = time.monotonic()
    with PeakMemory() as peak:
        if benchmark is None:
            found = {suite or "": _score_arrays(file, suite or "", threads)}
        else:
            base = find_root(root)
            found = _score_benchmark(
                file, benchmark, template, find_home(home, base), data, data_setting or [], threads, limit,
                base / "leaderboards", boards,
            )  # fmt: skip
    if found is None:
        return
    if json:
        print_json(found)
        return
    for name, values in found.items():
        typer.echo(f"\n{name}" if len(found) > 1 else name)
        if name not in boards:
            print_table(["metric", "value"], [[k, "undefined" if v is None else f"{v:.8g}"] for k, v in values.items()])
            continue
        header, rows, told = boards[name]
        print_table(header, rows)
        typer.echo(told)
    extra = "" if peak.extra_mb is None else f", {peak.extra_mb:.0f} MB of memory on top of the program"
    typer.echo(f"\n{time.monotonic() - started:.1f} s{extra}")


def _score_arrays(file: Path, suite: str, threads: int) -> dict[str, float | None]:
    """A file with predictions and references in it; predictions are read clip by clip."""
    import numpy as np

    from dyadbench.files.predictions import LazyTensor, read_predictions
    from dyadbench.metrics.arrays import SPELLING, score_arrays
    from dyadbench.progress import bar

    arrays: dict[str, Any] = {}
    for name, value in read_predictions(file).arrays.items():
        lazy = isinstance(value, LazyTensor)
        whole = value.whole() if lazy and not (name == "pred" and suite.startswith("react")) else value
        arrays[SPELLING.get(name, name)] = whole  # of files made for other programs
    wanted = ("pred", "listener", "speaker", "appropriate" if suite.startswith("react") else "lengths")
    given: dict[str, Any] = {name: arrays[name] for name in wanted if name in arrays}
    missing = [name for name in wanted[:3] if name not in given]
    if missing:
        raise DyadbenchError(f"{file} holds no array {missing[0]!r}; suite {suite!r} needs {', '.join(wanted)}")
    try:
        with bar(f"score {suite}") as progress:
            more: dict[str, Any] = {"threads": threads, "progress": progress} if suite.startswith("react") else {}
            values = score_arrays(suite, **given, **more)
    except ValueError as error:
        raise DyadbenchError(f"{file}: {error}") from None
    return {name: None if np.isnan(value) else float(value) for name, value in values.items()}


def _score_benchmark(
    file: Path,
    benchmark: str,
    template: bool,
    home: Path,
    data: list[str] | None,
    settings: list[str],
    threads: int,
    limit: int,
    leaderboards: Path,
    boards: dict[str, Board],
) -> dict[str, dict[str, float | None]] | None:
    import numpy as np

    from dyadbench.cell.run import open_dataset
    from dyadbench.cell.runtime import Runtime
    from dyadbench.cell.score import demand_groups, evaluate, open_suites
    from dyadbench.cell.split import Split
    from dyadbench.cli.standing import standing
    from dyadbench.datasets.folds import PooledDataset
    from dyadbench.files.predictions import Reordered, faults, read_predictions, refuse, write_template
    from dyadbench.matrix.cells import evaluated
    from dyadbench.matrix.settings import nest, parse_settings
    from dyadbench.progress import stages
    from dyadbench.registry.host import Host

    host = Host()
    overrides = nest(parse_settings(settings, "--data-set"))
    _, setting, part = evaluated(host, benchmark, overrides)
    with stages("score") as report:
        runtime = Runtime(home=home, data=data_folders(data, [part.name]), threads=threads, report=report)
        dataset = open_dataset(host, part, runtime, limit)
        suites = open_suites(host, (setting.suite, *setting.also))
        space = suites[setting.suite].space
        demand_groups(suites, dataset.space)
        pooled = PooledDataset(dataset) if setting.folds else dataset
        split = Split(pooled, setting.split, emotion_only=space == "emotion")
        channels = 25 if space == "emotion" else split.dataset.space.dim
        clips = [clip.id for clip in split.clips]
        if template:
            shape = (len(clips), setting.samples, split.frames, channels)
            write_template(file, clips, shape, space, split.dataset.space.fps)
            typer.echo(f"wrote {file}: {space} of shape {shape}, zeros to be replaced")
            return None
        found = read_predictions(file)
        if limit:  # a file of all clips serves as well
            wanted = set(clips)
            kept = [row for row, clip in enumerate(found.clips) if clip in wanted]
            arrays = {name: Reordered(array, kept) for name, array in found.arrays.items()}
            found = dataclasses.replace(found, clips=tuple(found.clips[row] for row in kept), arrays=arrays)
            typer.echo(f"only {len(clips)} clips are scored (--limit {limit}); such numbers rank nowhere", err=True)
        wrong = faults(found, clips, split.lengths, setting.samples, space, channels, split.dataset.space.fps)
        refuse(file, wrong)
        row = {clip: i for i, clip in enumerate(found.clips)}
        ordered = Reordered(found.arrays[space], [row[clip] for clip in clips])
        if not any(np.any(ordered[n]) for n in range(len(ordered))):
            typer.echo(f"every value of {file} is 0: is it the template as it was written?", err=True)
        if space == "emotion" and setting.action_units == "binary":
            _warn_of_raw_units(file, ordered)
        evaluation = split.evaluation(
            ordered if space == "motion" else None, ordered if space == "emotion" else None, threads, "cpu"
        )
        scores = {
            name: {k: r.value for k, r in evaluate(host, name, s, evaluation, runtime.progress(name)).items()}
            for name, s in suites.items()
            if s.space == space
        }
        if not limit:
            for name, values in scores.items():
                boards[name] = standing(leaderboards, benchmark, name, suites[name].columns, dataset.digest, values)
        return scores


def _warn_of_raw_units(file: Path, emotion: Any) -> None:
    """A file has no reactions to training clips, so the rule of datasets/readout cannot be applied to it."""
    import numpy as np

    from dyadbench.datasets.readout import UNITS

    if all(np.isin(emotion[n][..., :UNITS], (0, 1)).all() for n in range(len(emotion))):
        return
    typer.echo(
        f"action units of {file} are not all 0 or 1 and are scored as they are; every row beside yours has them 0 or 1, above "
        "thresholds that give each method the true rates on training clips, so turn yours to 0 and 1 likewise",
        err=True,
    )
