"""`dyadbench score`: official and corrected numbers for predictions made elsewhere."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dyadbench.api import DyadbenchError
from dyadbench.cli.common import (
    DEFAULT_THREADS,
    Data,
    DataSettings,
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
    refuse_unused,
    set_threads,
)  # fmt: skip
from dyadbench.errors import demand_row_name, nearest

if TYPE_CHECKING:
    from dyadbench.files.predictions import Predictions
    from dyadbench.python.score import Target
    from dyadbench.records.record import SuiteScores


def score(
    file: Annotated[Path, typer.Argument(help="Predictions (.safetensors or .npz): clip ids and (N, K, T, C) arrays; or a folder of one .npy per clip, (T, C) or (K, T, C), named after it.")],
    benchmark: Annotated[str | None, typer.Option("-b", "--benchmark", help="The benchmark whose clips were predicted; dyadbench show NAME says which array it takes and what its channels are.")] = None,
    train: Annotated[Path | None, typer.Option("--train", metavar="FILE", help="Predictions of the training clips by which action units are turned to 0 and 1, as every row's are.")] = None,
    suite: Annotated[str | None, typer.Option(help="For a file that carries its references too: the suite to compute.")] = None,
    template: Annotated[bool, typer.Option("--template", help="Write FILE, and that of --train, as an example with the right ids and shapes.")] = False,
    name: Annotated[str | None, typer.Option("--as", metavar="NAME", help="Write a record, which is an unranked row of that name.")] = None,
    replace: Annotated[bool, typer.Option("--replace", help="With --as: let a record of that name be replaced.")] = False,
    root: Root = None,
    home: Home = None,
    data: Data = None,
    data_setting: DataSettings = None,
    limit: Limit = 0,
    threads: Threads = DEFAULT_THREADS,
    json: Json = False,
) -> None:  # fmt: skip
    """Checks FILE, refuses it with the first ten problems, or prints every suite's numbers."""
    from dyadbench.files.folder import open_predictions

    set_threads(threads)
    options = {
        "--train": train,
        "--template": template,
        "--data": data,
        "--data-set": data_setting,
        "--limit": limit,
        "--root": root,
        "--home": home,
    }
    _demand_sensible(benchmark, suite, options, name, replace)
    if template:
        _demand_new(file, train)
    # Read first: what is wrong with a file is said before anything is generated.
    predictions = None if template else open_predictions(file)
    training = None if template or train is None else open_predictions(train)
    started = time.monotonic()
    from dyadbench.bench.memory import PeakMemory

    with PeakMemory() as peak:
        if benchmark is None:
            assert suite is not None and predictions is not None
            values = _score_arrays(predictions, suite, threads)
            print_json({suite: values}) if json else _print_values(suite, values)
        else:
            base = find_root(root)
            target = _open(benchmark, data, data_setting or [], find_home(home, base), threads, limit)
            if predictions is None:
                files = _write_templates(file, train, target)
                if json:
                    print_json(files)
                for each in [] if json else files:
                    typer.echo(f"wrote {each['file']}: {each['space']} of shape {each['shape']}, zeros to be replaced")
                if not json:
                    typer.echo(f"`dyadbench show {benchmark}` says what the channels are")
                return
            _score_benchmark(predictions, training, target, base / "leaderboards", name, replace, json)
    if not json:
        extra = "" if peak.extra_mb is None else f", {peak.extra_mb:.0f} MB of memory on top of the program"
        typer.echo(f"\n{time.monotonic() - started:.1f} s{extra}")


def _demand_sensible(
    benchmark: str | None, suite: str | None, options: Mapping[str, object], name: str | None, replace: bool
) -> None:
    """Raises DyadbenchError where the options contradict each other; `options` are those that need a benchmark."""
    if benchmark is None and suite is None:
        raise DyadbenchError("say what to score against: --benchmark NAME, or --suite NAME for a self-contained file")
    if benchmark is None:
        refuse_unused(options, "it needs a --benchmark; with --suite the file brings what it is compared with")
    elif suite is not None:
        raise DyadbenchError(f"--benchmark {benchmark} decides the suites; leave out --benchmark or --suite")
    if name is None:
        refuse_unused({"--replace": replace}, "it needs --as, which writes a record")
    elif benchmark is None or options["--limit"] or options["--template"]:
        raise DyadbenchError(
            "--as writes a record of a whole benchmark: give --benchmark, and neither --limit nor --template"
        )
    else:
        demand_row_name(name, "--as")


def _print_values(suite: str, values: dict[str, float | None]) -> None:
    typer.echo(suite)
    print_table(["metric", "value"], [[k, "undefined" if v is None else f"{v:.8g}"] for k, v in values.items()])


def _score_arrays(predictions: Predictions, suite: str, threads: int) -> dict[str, float | None]:
    """A file with predictions and references in it; predictions are read clip by clip."""
    import numpy as np

    from dyadbench.api import EMOTION_DIM, FACEVERSE_58
    from dyadbench.files.predictions import LazyTensor
    from dyadbench.progress import bar
    from dyadbench.python.arrays import SPACES, SPELLING, score_arrays

    names = ("pred", "listener", "speaker", "appropriate", "lengths")
    inputs: dict[str, Any] = {}
    for own_name, value in predictions.arrays.items():
        name = SPELLING.get(own_name, own_name)  # of files made for other programs
        if name not in names:
            raise DyadbenchError(
                f"{predictions.path} holds an array {own_name!r}, which no suite reads; leave it out or "
                f"rename it ({nearest(own_name, [*names, *SPELLING])})"
            )
        if name in inputs:
            raise DyadbenchError(f"{predictions.path} holds {name} twice, once as {own_name!r}; leave one of them out")
        inputs[name] = value.whole() if isinstance(value, LazyTensor) and name != "pred" else value
    missing = [name for name in names[:3] if name not in inputs]
    if missing:
        raise DyadbenchError(f"{predictions.path} holds no array {missing[0]!r}; a suite needs {', '.join(names[:3])}")
    channels = ([0, *inputs["pred"].shape])[-1]
    space = FACEVERSE_58 if channels == EMOTION_DIM else SPACES.get(channels)  # of others the suite says what is wrong
    if space is not None and predictions.fps not in (None, space.fps):
        raise DyadbenchError(
            f"{predictions.path}: fps is {predictions.fps:g}, and arrays of {channels} channels are scored at "
            f"{space.fps:g}: resample all of them and write the new rate"
        )
    try:
        with bar(f"score {suite}") as progress:
            values = score_arrays(suite, **inputs, threads=threads, progress=progress)
    except ValueError as error:
        raise DyadbenchError(f"{predictions.path}: {error}") from None
    return {name: None if np.isnan(value) else float(value) for name, value in values.items()}


def _open(benchmark: str, data: list[str] | None, settings: list[str], home: Path, threads: int, limit: int) -> Target:
    from dyadbench.cell.runtime import Runtime
    from dyadbench.matrix.cells import evaluated
    from dyadbench.matrix.settings import nest, parse_settings
    from dyadbench.progress import stages
    from dyadbench.python.score import open_target
    from dyadbench.registry.host import Host

    host = Host()
    overrides = nest(parse_settings(settings, "--data-set"))
    part = evaluated(host, benchmark, overrides)[2]
    with stages("score") as report:
        runtime = Runtime(home=home, data=data_folders(data, [part.name]), threads=threads, report=report)
        return open_target(host, benchmark, overrides, runtime, limit)


def _demand_new(file: Path, train: Path | None) -> None:
    """Raises DyadbenchError where a template would be written over predictions, or in a format that is none."""
    from dyadbench.files.predictions import demand_template

    for path in (file, train):
        if path is not None and path.exists():
            raise DyadbenchError(f"{path} is there already, and a template would replace it; name a new file")
        if path is not None:
            demand_template(path)
    if file == train:
        raise DyadbenchError(f"FILE and --train are both {file}; name two files")


def _write_templates(file: Path, train: Path | None, target: Target) -> list[dict[str, Any]]:
    """Of the benchmark's clips, and of the training clips that action units need: file, space and shape of each."""
    from dyadbench.cell.units import calibration_split
    from dyadbench.datasets.readout import CALIBRATION_SAMPLES
    from dyadbench.files.predictions import write_template
    from dyadbench.python.score import whole_split

    parts = [(file, target.split, target.setting.samples)]
    if train is not None:
        parts.append((train, calibration_split(whole_split(target)), CALIBRATION_SAMPLES))
    files = []
    for path, split, samples in parts:
        shape = target.shape_of(split, samples)
        write_template(path, [clip.id for clip in split.clips], shape, target.space, target.dataset.space.fps)
        files.append({"file": str(path), "space": target.space, "shape": shape})
    return files


def _score_benchmark(
    predictions: Predictions, training: Predictions | None, target: Target, leaderboards: Path,
    name: str | None, replace: bool, json: bool,
) -> None:  # fmt: skip
    """Scores and prints; also writes a record if the row has a name."""
    import dataclasses

    from dyadbench.progress import stages
    from dyadbench.python.score import fit_thresholds, score_predictions
    from dyadbench.python.score_record import demand_free, record_of
    from dyadbench.records.record import record_path, save_record

    if name is not None:
        demand_free(target, name, leaderboards, replace)
    with stages("score") as report:
        watched = dataclasses.replace(target, runtime=dataclasses.replace(target.runtime, report=report))
        thresholds = None if training is None else fit_thresholds(watched, training)
        scored = score_predictions(watched, predictions, thresholds)
    record = None if name is None else record_of(target, name, predictions, scored, thresholds)
    if json:
        print_json({suite: {k: v.value for k, v in scores.scores.items()} for suite, scores in scored.items()})
    else:
        _print_boards(target, scored, leaderboards)
    if record is not None:
        save_record(record, path := record_path(leaderboards, record))
        typer.echo(
            f"recorded as {name} in {path}: an unranked row, since nobody can make the predictions again", err=json
        )


def _print_boards(target: Target, scored: dict[str, SuiteScores], leaderboards: Path) -> None:
    """Every suite's numbers with their intervals, beside those of the methods and references that have records."""
    from dyadbench.cli.standing import standing
    from dyadbench.python.score import estimates

    sessions = [clip.session for clip in target.split.clips]
    for suite, scores in scored.items():
        typer.echo(f"\n{suite}" if len(scored) > 1 else suite)
        columns = target.suites[suite].columns
        mine = estimates(scores, columns, sessions)
        if target.limit:
            _print_values(suite, {name: each.value for name, each in mine.items()})
            continue
        header, rows, note = standing(leaderboards, target.benchmark, suite, columns, target.dataset.digest, mine)
        print_table(header, rows)
        typer.echo(note)
