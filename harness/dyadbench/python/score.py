"""`score`: predictions made elsewhere against a benchmark, each number with its interval."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dyadbench.api import EMOTION_DIM, BenchmarkConfig, Column, Dataset, DyadbenchError, Suite
from dyadbench.cell.recorded import recorded_config
from dyadbench.cell.runtime import Runtime
from dyadbench.cell.score import demand_groups, evaluate, open_suites, scores_of
from dyadbench.cell.source import open_dataset, scored_dataset
from dyadbench.cell.split import Split
from dyadbench.datasets.readout import UNITS, UNITS_VERSION
from dyadbench.errors import nearest
from dyadbench.files.arrays import floats
from dyadbench.files.digest import digest_of
from dyadbench.files.folder import ClipFiles, fitted_to, open_predictions
from dyadbench.files.predictions import Predictions, Reordered, faults, id_of, refuse
from dyadbench.leaderboard.stats import bootstrap, interval
from dyadbench.matrix.cells import Part, evaluated
from dyadbench.python.arrays import plugins
from dyadbench.python.run import Data, demand_limit, runtime_of
from dyadbench.records import provenance
from dyadbench.records.record import BinaryUnits, Measured, Record, RecordedData, RecordedSetting, SuiteScores
from dyadbench.registry.host import Host

PREDICTIONS = "predictions"  # the predictor's name in a record that was scored from a file


@dataclass(frozen=True)
class Estimate:
    """A metric's value and its 95 % interval over sessions; None where it is undefined or cannot be said."""

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Target:
    """What predictions of a benchmark are scored against."""

    host: Host
    runtime: Runtime
    benchmark: str  # its name with what was changed in the data
    setting: BenchmarkConfig
    part: Part
    dataset: Dataset
    split: Split
    suites: Mapping[str, Suite]
    limit: int = 0

    @property
    def space(self) -> str:
        return self.suites[self.setting.suite].space

    @property
    def clips(self) -> list[str]:
        return [clip.id for clip in self.split.clips]

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(clips, samples, frames, channels) of predictions."""
        channels = EMOTION_DIM if self.space == "emotion" else self.dataset.space.dim
        return len(self.split.clips), self.setting.samples, self.split.frames, channels


def open_target(host: Host, benchmark: str, overrides: Mapping[str, Any], runtime: Runtime, limit: int = 0) -> Target:
    """The data and suites of a benchmark. Raises DyadbenchError where there is no such thing."""
    name, setting, part = evaluated(host, benchmark, overrides)
    dataset = open_dataset(host, part, runtime, limit)
    suites = open_suites(host, (setting.suite, *setting.also))
    demand_groups(suites, dataset.space)
    emotion_only = suites[setting.suite].space == "emotion"
    split = Split(scored_dataset(dataset, setting), setting.split, emotion_only=emotion_only)
    return Target(host, runtime, name, setting, part, dataset, split, suites, limit)


def score_predictions(target: Target, predictions: Predictions) -> dict[str, SuiteScores]:
    """Every suite of the space that was predicted. Raises DyadbenchError with the first ten faults of the file."""
    clips, space = target.clips, target.space
    if any(isinstance(array, ClipFiles) for array in predictions.arrays.values()):
        predictions = fitted_to(predictions, target.setting.samples)
        if space == "motion":  # scripts write channels in orders of their own
            groups = target.dataset.space.groups
            order = ", ".join(f"{name} {start}-{end - 1}" for name, (start, end) in groups.items())
            _say(f"channels are read in this order: {order}")
    if target.limit:  # a file of all clips serves as well
        scored_clips = set(clips)
        rows = [row for row, clip in enumerate(predictions.clips) if clip in scored_clips]
        arrays = {name: Reordered(array, rows) for name, array in predictions.arrays.items()}
        predictions = dataclasses.replace(
            predictions, clips=tuple(predictions.clips[row] for row in rows), arrays=arrays
        )
        _say(f"only {len(clips)} clips are scored (--limit {target.limit}); such numbers rank nowhere")
    fps, samples, channels = target.dataset.space.fps, target.setting.samples, target.shape[3]
    refuse(predictions.path, faults(predictions, clips, target.split.lengths, samples, space, channels, fps))
    row = {clip: i for i, clip in enumerate(predictions.clips)}
    ordered = Reordered(predictions.arrays[space], [row[clip] for clip in clips])
    if not any(np.any(ordered[n]) for n in range(len(ordered))):
        _say(f"every value of {predictions.path} is 0: is it the template as it was written?")
    if raw := raw_units(target, predictions):
        _say(f"{raw}; they are scored as they are")
    both = (ordered if space == "motion" else None, ordered if space == "emotion" else None)
    data = target.split.evaluation(*both, target.runtime.threads, "cpu")
    scored = {}
    for name, suite in target.suites.items():
        if suite.space == space:
            results = evaluate(target.host, name, suite, data, target.runtime.progress(name))
            scored[name] = scores_of({column.id: column.version for column in suite.columns}, results)
    return scored


def estimates(scores: SuiteScores, columns: Sequence[Column], sessions: Sequence[str]) -> dict[str, Estimate]:
    """Each column's value with the interval that the tables would give it."""
    per_clip = [[np.nan if v is None else v for v in scores.per_clip[column.id]] for column in columns]
    boot = bootstrap([np.array(per_clip, np.float64).T[None]], sessions)  # (1, N, C)
    out = {}
    for c, column in enumerate(columns):
        value = scores.scores[column.id].value
        has_interval = value is not None and boot.informative and column.by_clip
        span = interval(boot.draws[:, 0, c], within=column) if has_interval else None
        out[column.id] = Estimate(value, span.low if span else None, span.high if span else None)
    return out


def score(
    predictions: str | Path | Mapping[str, Any],
    benchmark: str,
    *,
    dataset: Mapping[str, Any] | None = None,
    data: Data | None = None,
    root: str | Path | None = None,
    home: str | Path | None = None,
    threads: int = 1,
    limit: int = 0,
) -> dict[str, dict[str, Estimate]]:
    """Suite -> metric -> value and 95 % interval, of predictions that were made elsewhere.

    Args:
        predictions: a file (.safetensors or .npz), a folder of one npy file per clip, or {"clips": ids, "emotion" or "motion": (N, K, T, C)}.
        benchmark: whose clips were predicted.
        dataset, data, root, home, threads, limit: as `run` takes them.

    Raises DyadbenchError with the first ten faults where the predictions do not fit the benchmark.
    """
    arrays, host = _opened(predictions), plugins()  # what is wrong with it is said before anything is read or generated
    part = evaluated(host, benchmark, dataset or {})[2]
    _, runtime = runtime_of(root, home, data, [part.name], threads=threads)
    target = open_target(host, benchmark, dataset or {}, runtime, demand_limit(limit))
    scored = score_predictions(target, arrays)
    sessions = [clip.session for clip in target.split.clips]
    return {name: estimates(scores, target.suites[name].columns, sessions) for name, scores in scored.items()}


KEYS = ("clips", "emotion", "motion", "fps")  # what `predictions` may hold


def _opened(predictions: str | Path | Mapping[str, Any]) -> Predictions:
    """A file, or arrays of any number type on any device. Raises DyadbenchError."""
    if isinstance(predictions, str | Path):
        return open_predictions(Path(predictions).expanduser())
    if strange := [name for name in predictions if name not in KEYS]:
        raise DyadbenchError(
            f"predictions hold {strange[0]!r}, which is none of {', '.join(KEYS)}; {nearest(strange[0], KEYS)}"
        )
    ids = np.asarray(predictions.get("clips", ())).reshape(-1).tolist()
    fps = predictions.get("fps")
    try:
        arrays = {name: floats(predictions[name], name) for name in ("emotion", "motion") if name in predictions}
        return Predictions(
            Path("predictions"),
            tuple(map(id_of, ids)),
            None if fps is None else float(np.asarray(fps).reshape(())),
            arrays,
        )
    except (ValueError, TypeError) as error:
        raise DyadbenchError(f"predictions: {error}") from None


def record_of(target: Target, name: str, predictions: Predictions, scores: Mapping[str, SuiteScores]) -> Record:
    """The record of a predictions file: a row that nobody can run again, so it has intervals and no rank.

    Raises DyadbenchError for action units that could not stand beside those of the other rows.
    """
    if raw := raw_units(target, predictions):
        raise DyadbenchError(f"{raw}, or leave --as out")
    binary = target.space == "emotion" and target.setting.action_units == "binary"
    rule: dict[str, Any] = {"action_units": BinaryUnits(version=UNITS_VERSION, thresholds={})} if binary else {}
    digest = digest_of(predictions.path, ".npy")
    return Record(
        key=digest,
        benchmark=target.benchmark,
        benchmark_config=RecordedSetting(**target.setting.model_dump(mode="json")),
        method=name,
        preset=None,
        method_config={"predictor": {"name": PREDICTIONS, "version": 1, "config": {"sha256": digest}}},
        plugin=("", ""),
        entry_version=1,
        calibration=False,
        scored_from=predictions.path.name,
        trained=False,
        seed=0,
        dataset=RecordedData(
            name=target.part.name,
            version=target.part.version,
            digest=target.dataset.digest,
            simulated=target.dataset.simulated,
            normalisation=dict(target.dataset.normalisation()),
            split=target.setting.split,
            config=recorded_config(target.host, target.part),
        ),
        clips=target.clips,
        sessions=[clip.session for clip in target.split.clips],
        suites=dict(scores),
        measured=Measured(lookahead=None, declared_lookahead=None, **rule),
        provenance=provenance.snapshot("cpu", target.runtime.threads),
    )


def raw_units(target: Target, predictions: Predictions) -> str:
    """What is to be said of action units that are not 0 and 1 where all other rows have them so; empty if they are.

    A file has no reactions to training clips, so the rule of datasets/readout cannot be applied to it.
    """
    if target.space != "emotion" or target.setting.action_units != "binary":
        return ""
    emotion = predictions.arrays["emotion"]
    if all(np.isin(emotion[n][..., :UNITS], (0, 1)).all() for n in range(len(emotion))):
        return ""
    return (
        f"action units of {predictions.path} are not all 0 or 1; every row beside yours has them 0 or 1, above thresholds that give "
        "each method the true rates on training clips, so turn yours to 0 and 1 likewise"
    )


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def demand_free(path: Path, replace: bool) -> None:
    """Raises DyadbenchError where another record lies in the place of a file's row."""
    if path.exists() and not replace:
        raise DyadbenchError(f"{path} holds a record already; choose another --as NAME, or give it up with --replace")
