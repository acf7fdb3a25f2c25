"""`score`: predictions made elsewhere against a benchmark, each number with its interval."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dyadbench.api import ACTION_UNITS, EMOTION_DIM, BenchmarkConfig, Column, Dataset, DyadbenchError, Suite
from dyadbench.cell.runtime import Runtime
from dyadbench.cell.score import demand_groups, evaluate, open_suites, scores_of
from dyadbench.cell.source import open_dataset, scored_dataset
from dyadbench.cell.split import Split
from dyadbench.cell.units import calibration_split, thresholds_of
from dyadbench.datasets.readout import CALIBRATION_SAMPLES, with_binary_units
from dyadbench.errors import nearest
from dyadbench.files.arrays import floats, one_number
from dyadbench.files.folder import ClipFiles, fitted_to, open_predictions
from dyadbench.files.predictions import Predictions, Reordered, faults, id_of, refuse
from dyadbench.files.walk import expanded
from dyadbench.leaderboard.stats import bootstrap, interval
from dyadbench.matrix.cells import Part, evaluated
from dyadbench.python.arrays import plugins
from dyadbench.python.run import Data, demand_count, runtime_of
from dyadbench.records.comparable import per_clip
from dyadbench.records.record import SuiteScores
from dyadbench.registry.host import Host


@dataclass(frozen=True)
class Estimate:
    """A metric's value and its 95 % interval over sessions; None where it is undefined or cannot be said."""

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Thresholds:
    """Of the 15 action units, and the predictions of training clips that they were fitted to."""

    path: Path
    values: tuple[float, ...]


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

    def shape_of(self, split: Split, samples: int) -> tuple[int, int, int, int]:
        """(clips, samples, frames, channels) of predictions of a split's clips."""
        channels = EMOTION_DIM if self.space == "emotion" else self.dataset.space.dim
        return len(split.clips), samples, split.frames, channels


def open_target(host: Host, benchmark: str, overrides: Mapping[str, Any], runtime: Runtime, limit: int = 0) -> Target:
    """The data and suites of a benchmark. Raises DyadbenchError where there is no such thing."""
    name, setting, part = evaluated(host, benchmark, overrides)
    dataset = open_dataset(host, part, runtime, limit)
    suites = open_suites(host, (setting.suite, *setting.also))
    demand_groups(suites, dataset.space)
    emotion_only = suites[setting.suite].space == "emotion"
    split = Split(scored_dataset(dataset, setting), setting.split, emotion_only=emotion_only)
    return Target(host, runtime, name, setting, part, dataset, split, suites, limit)


def whole_split(target: Target) -> Split:
    """The benchmark's split without `limit`, whose training clips give thresholds. DyadbenchError where action units have none."""
    setting = target.setting
    reasons = {
        f"scores {target.space}": target.space != "emotion",
        "scores action units as they are predicted": setting.action_units != "binary",
        "is cross-validated, so that each fold has training clips of its own": bool(setting.folds),
    }
    for reason, holds in reasons.items():
        if holds:
            raise DyadbenchError(f"{target.benchmark} {reason}; leave out the predictions of training clips")
    if not target.limit:
        return target.split
    whole = open_dataset(target.host, target.part, target.runtime)
    return Split(scored_dataset(whole, setting), setting.split, emotion_only=True)


def fit_thresholds(target: Target, predictions: Predictions) -> Thresholds:
    """By the rule of datasets/readout, from predictions of its training clips.

    Raises DyadbenchError with the first ten faults of the file, and where the benchmark has no use for it.
    """
    split = whole_split(target)
    train = calibration_split(split)
    reactions = _ordered(target, fitted_to(predictions, CALIBRATION_SAMPLES), train, CALIBRATION_SAMPLES)
    target.runtime.report("action units", 0, len(train.clips))
    by_clip = (reactions[row] for row in range(len(reactions)))  # (K, T, 25) each
    return Thresholds(predictions.path, thresholds_of(by_clip, split))


class _Binary(Reordered):
    """Emotion with its action units 0 or 1, still read one clip at a time."""

    def __init__(self, array: Reordered, thresholds: Sequence[float]):
        super().__init__(array, range(len(array)))
        self._thresholds = thresholds

    def __getitem__(self, index: int) -> np.ndarray:
        return with_binary_units(super().__getitem__(index), self._thresholds)


def _ordered(target: Target, predictions: Predictions, split: Split, samples: int) -> Reordered:
    """Predictions in the order of the split's clips. Raises DyadbenchError with the first ten faults of the file."""
    clips = [clip.id for clip in split.clips]
    fps, space, channels = target.dataset.space.fps, target.space, target.shape_of(split, samples)[3]
    refuse(predictions.path, faults(predictions, clips, split.lengths, samples, space, channels, fps))
    row = {clip: i for i, clip in enumerate(predictions.clips)}
    ordered = Reordered(predictions.arrays[space], [row[clip] for clip in clips])
    if not any(np.any(ordered[n]) for n in range(len(ordered))):
        _say(f"every value of {predictions.path} is 0: is it the template as it was written?")
    return ordered


def score_predictions(
    target: Target, predictions: Predictions, thresholds: Thresholds | None = None
) -> dict[str, SuiteScores]:
    """Every suite of the space that was predicted, action units turned to 0 and 1 by `thresholds`.

    Raises DyadbenchError with the first ten faults of the file.
    """
    clips, space = target.clips, target.space
    if space == "motion" and any(isinstance(array, ClipFiles) for array in predictions.arrays.values()):
        groups = target.dataset.space.groups  # scripts write channels in orders of their own
        order = ", ".join(f"{name} {start}-{end - 1}" for name, (start, end) in groups.items())
        _say(f"channels are read in this order: {order}")
    predictions = fitted_to(predictions, target.setting.samples)
    if target.limit:  # a file of all clips serves as well
        scored_clips = set(clips)
        rows = [row for row, clip in enumerate(predictions.clips) if clip in scored_clips]
        arrays = {name: Reordered(array, rows) for name, array in predictions.arrays.items()}
        predictions = dataclasses.replace(
            predictions, clips=tuple(predictions.clips[row] for row in rows), arrays=arrays
        )
        _say(f"only {len(clips)} clips are scored (--limit {target.limit}); such numbers rank nowhere")
    ordered = _ordered(target, predictions, target.split, target.setting.samples)
    raw = raw_units(target, predictions)
    if thresholds:
        if raw:
            _say(
                f"action units of {predictions.path} are turned to 0 and 1, above thresholds that give those of {thresholds.path} "
                "the rates of true listeners"
            )
        ordered = _Binary(ordered, thresholds.values)
    elif raw:
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
    """Each column's value with its 95 % interval over sessions. Another draw of the method may lie outside, so tables give none."""
    boot = bootstrap([per_clip(scores, [column.id for column in columns])[None]], sessions)  # (1, N, C)
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
    train: str | Path | Mapping[str, Any] | None = None,
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
        train: predictions of the training clips by which action units are turned to 0 and 1, as every row's are; `dyadbench score
            --template --train` writes an example.
        dataset, data, root, home, threads, limit: as `run` takes them.

    Raises DyadbenchError with the first ten faults where the predictions do not fit the benchmark.
    """
    # What is wrong with a file is said before anything is read or generated.
    arrays, training = _opened(predictions), None if train is None else _opened(train, "train")
    host = plugins()
    part = evaluated(host, benchmark, dataset or {})[2]
    _, runtime = runtime_of(root, home, data, [part.name], threads=threads)
    target = open_target(host, benchmark, dataset or {}, runtime, demand_count(limit, "limit", 0))
    scored = score_predictions(target, arrays, None if training is None else fit_thresholds(target, training))
    sessions = [clip.session for clip in target.split.clips]
    return {name: estimates(scores, target.suites[name].columns, sessions) for name, scores in scored.items()}


KEYS = ("clips", "emotion", "motion", "fps")  # what `predictions` may hold


def _opened(predictions: str | Path | Mapping[str, Any], name: str = "predictions") -> Predictions:
    """A file, or arrays of any number type on any device. Raises DyadbenchError."""
    if isinstance(predictions, str | Path):
        return open_predictions(expanded(predictions))
    if not isinstance(predictions, Mapping):
        raise DyadbenchError(
            f"{name} is {type(predictions).__name__}; a file, or {{'clips': names, 'emotion': array}} (and 'motion', 'fps') is expected"
        )
    if strange := [name for name in predictions if name not in KEYS]:
        raise DyadbenchError(
            f"predictions hold {strange[0]!r}, which is none of {', '.join(KEYS)}; {nearest(strange[0], KEYS)}"
        )
    ids = np.asarray(predictions.get("clips", ())).reshape(-1).tolist()
    fps = predictions.get("fps")
    try:
        arrays = {name: floats(predictions[name], name) for name in ("emotion", "motion") if name in predictions}
        return Predictions(
            Path(name),
            tuple(map(id_of, ids)),
            None if fps is None else one_number(fps, "fps"),
            arrays,
        )
    except (ValueError, TypeError) as error:
        raise DyadbenchError(f"{name}: {error}") from None


def raw_units(target: Target, predictions: Predictions) -> str:
    """What is to be said of action units that are not 0 and 1 where all other rows have them so; empty if they are.

    The rule of datasets/readout needs reactions to training clips, and a file of the benchmark's clips holds none.
    """
    if target.space != "emotion" or target.setting.action_units != "binary":
        return ""
    emotion = predictions.arrays["emotion"]
    if all(np.isin(emotion[n][..., ACTION_UNITS], (0, 1)).all() for n in range(len(emotion))):
        return ""
    return (
        f"action units of {predictions.path} are not all 0 or 1; every row beside yours has them 0 or 1, above thresholds that give "
        "each method the true rates on training clips, so give your predictions of training clips, too (--train FILE; with "
        "--template it writes an example), or turn yours to 0 and 1 likewise"
    )


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
