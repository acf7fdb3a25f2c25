"""A second file, of predictions of training clips, turns the action units of a file to 0 and 1 as they are for a method here."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dyadbench
from dyadbench.api import DyadbenchError, Predictor
from dyadbench.cell.noise import CellNoise
from dyadbench.cell.split import Split
from dyadbench.cell.units import calibration_split
from dyadbench.cli.score import score
from dyadbench.files.predictions import read_predictions
from dyadbench.python.arrays import plugins
from dyadbench.python.run import runtime_of
from dyadbench.python.score import Target, open_target, whole_split
from dyadbench.records.command import command_of
from dyadbench.records.record import Record

BENCHMARK, TINY, METHOD = "simdyad-clear-react-online", {"size": "tiny"}, "ridge-sampled"


@dataclasses.dataclass(frozen=True)
class Exported:
    """A method that ran here, and its raw reactions in two files."""

    root: Path
    target: Target

    @property
    def files(self) -> tuple[Path, Path]:
        return self.root / "test.npz", self.root / "train.npz"

    def options(self, **more: Any) -> dict[str, Any]:
        return {"benchmark": BENCHMARK, "data_setting": ["size=tiny"], "root": self.root, "threads": 1, **more}

    def recorded(self, name: str) -> Record:
        path = self.root / "leaderboards" / "records" / BENCHMARK / name / "seed0.json"
        return Record.model_validate_json(path.read_text())


def _raw(target: Target, predictor: Predictor, ids: Sequence[str], split: str, samples: int) -> np.ndarray:
    """Emotion (N, K, T, 25) before any rule. One clip per batch, as in the run, so that sums have one order."""
    whole = Split(target.dataset, split)
    rows = {clip.id: row for row, clip in enumerate(whole.clips)}
    contexts = [whole.context(range(rows[i], rows[i] + 1), predictor.needs, privileged=False) for i in ids]
    return np.concatenate([predictor.sample(context, samples, CellNoise(0)).emotion for context in contexts])


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    root = tmp_path_factory.mktemp("root")
    dyadbench.run(BENCHMARK, METHOD, dataset=TINY, root=root, batch=1)
    _, runtime = runtime_of(root, None, None, ["simdyad"])
    method = Exported(root, open_target(plugins(), BENCHMARK, TINY, runtime))
    score(method.files[0], template=True, **method.options(train=method.files[1]))
    predictor = dyadbench.load_method(METHOD, BENCHMARK, dataset=TINY, root=root).predictor
    for file, split, samples in zip(method.files, ("test", "train"), (10, 2), strict=True):
        template = dict(np.load(file))
        emotion = _raw(method.target, predictor, template["clips"], split, samples)
        assert template["emotion"].shape == emotion.shape
        # In another order: the ids say which clip is which.
        np.savez(file, clips=template["clips"][::-1], fps=template["fps"], emotion=emotion[::-1])
    return method


def test_two_files_give_the_thresholds_and_numbers_of_the_methods_own_run(
    exported: Exported, capfd: pytest.CaptureFixture[str]
) -> None:
    test, train = exported.files
    score(test, **exported.options(train=train, name="theirs"))
    captured = capfd.readouterr()
    assert captured.err.count("are turned to 0 and 1") == 1 and "not all 0 or 1" not in captured.err
    row, own = exported.recorded("theirs"), exported.recorded(METHOD)
    assert row.measured.action_units == own.measured.action_units is not None
    assert len(row.measured.action_units.thresholds) == 15
    assert set(row.suites) == set(own.suites) and len(own.suites) > 1
    for name, scores in own.suites.items():
        assert row.suites[name] == scores, name
    estimates = dyadbench.score(test, BENCHMARK, train=dict(np.load(train)), dataset=TINY, root=exported.root)
    assert estimates["react2024"]["FRCorr"].value == own.suites["react2024"].scores["FRCorr"].value
    raw = dyadbench.score(test, BENCHMARK, dataset=TINY, root=exported.root)
    assert raw["react2024"]["FRCorr"].value != estimates["react2024"]["FRCorr"].value


def test_the_key_counts_both_files_and_the_command_names_both(exported: Exported, tmp_path: Path) -> None:
    test, train = exported.files
    other = tmp_path / "other.npz"
    arrays = dict(np.load(train))
    np.savez(other, **{**arrays, "emotion": arrays["emotion"] * np.float32(0.5)})
    keys = set()
    for name, file in (("one", train), ("two", other)):
        score(test, **exported.options(train=file, name=name))
        keys.add(exported.recorded(name).key)
    assert len(keys) == 2
    row = exported.recorded("two")
    assert row.measured.action_units != exported.recorded(METHOD).measured.action_units
    assert command_of(row, plugins()).endswith("--as two --train other.npz --data-set size=tiny")


def test_what_is_0_or_1_stays_so(exported: Exported, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    test, train = exported.files
    predictions = read_predictions(test)
    emotion = predictions.arrays["emotion"]
    emotion[..., :15] = emotion[..., :15] > 0.5
    np.savez(tmp_path / "binary.npz", clips=np.array(predictions.clips), emotion=emotion)
    results = [
        dyadbench.score(tmp_path / "binary.npz", BENCHMARK, train=file, dataset=TINY, root=exported.root)
        for file in (None, train)
    ]
    assert results[0] == results[1]
    assert "action units" not in capfd.readouterr().err


def test_a_few_clips_are_scored_above_the_same_thresholds(exported: Exported) -> None:
    """The training clips of a limited dataset are others, of which the file holds none."""
    test, train = exported.files
    limited = open_target(plugins(), BENCHMARK, TINY, exported.target.runtime, limit=3)
    assert limited.dataset.clips("train") != exported.target.dataset.clips("train")
    clips = [calibration_split(whole_split(target)).clips for target in (limited, exported.target)]
    assert clips[0] == clips[1]
    scores = dyadbench.score(test, BENCHMARK, train=train, dataset=TINY, root=exported.root, limit=3)
    assert scores["react2024"]["FRDiv"].value is not None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: {**a, "clips": a["clips"][[0, *range(len(a["clips"]) - 1)]]}, "clip .* appears twice"),
        (lambda a: {**a, "clips": np.array(["test/x", *a["clips"][1:]])}, r"'test/x' is none of the \d+ that are expected"),
        (lambda a: {**a, "emotion": a["emotion"][:, :1]}, "emotion has 1 samples, 2 are expected"),
        (lambda a: {**a, "emotion": np.where(a["emotion"] == a["emotion"].max(), np.nan, a["emotion"])}, "NaN"),
    ],
)  # fmt: skip
def test_a_training_file_that_does_not_fit_is_refused(exported: Exported, change: Any, message: str) -> None:
    test, train = exported.files
    with pytest.raises(DyadbenchError, match=f"(?s)train was not scored.*{message}"):
        dyadbench.score(test, BENCHMARK, train=change(dict(np.load(train))), dataset=TINY, root=exported.root)


def test_a_row_of_raw_units_is_refused_with_the_way_out(exported: Exported) -> None:
    with pytest.raises(DyadbenchError, match=r"are not all 0 or 1; .*--train FILE; with --template .*leave --as out"):
        score(exported.files[0], **exported.options(name="raw"))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"suite": "l2l"}, "scores motion"),
        ({"action_units": "raw"}, "scores action units as they are predicted"),
        ({"folds": 5}, "is cross-validated"),
    ],
)
def test_a_benchmark_without_thresholds_has_no_use_for_training_clips(
    exported: Exported, change: dict[str, Any], reason: str
) -> None:
    target = exported.target
    suites = {**target.suites, "l2l": plugins().build("suite", "l2l", {})}
    other = dataclasses.replace(target, setting=target.setting.model_copy(update=change), suites=suites)
    with pytest.raises(DyadbenchError, match=f"{reason}.*; leave out the predictions of training clips"):
        whole_split(other)
