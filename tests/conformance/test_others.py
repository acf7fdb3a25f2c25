"""`dyadbench check` for tokenizers, suites and datasets: what is right passes, what lies is named."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.fixtures.hosts import shared_host
from tests.fixtures.vc_dyads import write_vc_dyads

from dyadbench.api import Clip, Column, Dyad, DyadbenchError, Result, Tokens, Track
from dyadbench.conformance import others
from dyadbench.conformance.check import check
from dyadbench.conformance.others import check_dataset, check_suite
from dyadbench.conformance.report import Report
from dyadbench.datasets.vc_dyads import VCDyadsDataset
from dyadbench.registry.host import Host


def _failures(report: Report) -> dict[str, str]:
    return {item.what: item.detail for item in report.items if not item.ok}


def test_a_tokenizer_of_ours_keeps_the_contract() -> None:
    report = check("frame-fsq", shared_host())
    assert not _failures(report)
    assert any(item.what.endswith("an id outside the book is refused") for item in report.items)


class Book:
    """Two codes; `lie` names what it does wrong."""

    def __init__(self, lie: str = "") -> None:
        from dyadbench.api import TokenSpec

        self.tokens, self.lie = TokenSpec(2, frames_per_token=1), lie

    def encode(self, motion: np.ndarray) -> Tokens:
        ids = (motion[:, :, 0] > 0).astype(np.int64)
        return Tokens(ids + (5 if self.lie == "book" else 0), frames=motion.shape[1])

    def decode(self, tokens: Tokens, frames: int) -> tuple[np.ndarray, None]:
        if self.lie != "any id" and tokens.ids.max() >= 2:
            raise ValueError("no such code")
        frames += self.lie == "frames"
        return np.zeros((len(tokens.ids), frames, 58), np.float32), None


@pytest.mark.parametrize(
    ("lie", "what"),
    [
        ("", ""),
        ("book", "ids"),
        ("frames", "decodes exactly 64 frames"),
        ("any id", "an id outside the book is refused"),
    ],
)
def test_a_tokenizer_that_lies_is_named(lie: str, what: str) -> None:
    report = Report("book")
    motion = np.random.default_rng(0).standard_normal((3, 96, 58)).astype(np.float32)
    others._check_codes(report, "here", Book(lie), motion)
    assert (f"here: {what}" in _failures(report)) == bool(lie)
    assert report.ok == (not lie)


class Scaled(Book):
    """Learns a scale, which its state leaves out."""

    scale = 1.0

    def fit(self, data: Any) -> None:
        self.scale = 2.0

    def state_dict(self) -> dict[str, np.ndarray]:
        return {"ids": np.zeros(1)}

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None: ...

    def decode(self, tokens: Tokens, frames: int) -> tuple[np.ndarray, None]:
        motion, _ = super().decode(tokens, frames)
        return motion + np.float32(self.scale), None


def test_a_tokenizer_whose_state_leaves_something_out_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host()
    monkeypatch.setattr(host, "build", lambda kind, name, config, setup: Scaled())
    failures = _failures(check("frame-fsq", host))
    assert failures["faceverse-58: state survives saving"].startswith("a restored tokenizer decodes another motion")


def test_a_tokenizer_may_refuse_a_dataset_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    host, build = Host(), Host.build

    def wary(self: Host, kind: Any, name: str, config: Any, /, *args: Any, **more: Any) -> Any:
        if not args[0].has_emotion:
            raise DyadbenchError("it codes emotion, which this dataset does not have")
        return build(self, kind, name, config, *args, **more)

    monkeypatch.setattr(Host, "build", wary)
    report = check("frame-fsq", host)
    assert report.ok and sum(item.refusal for item in report.items) == 2


@pytest.mark.parametrize("name", ["react2024", "over-time-motion", "l2l"])
def test_suites_of_ours_keep_the_contract(name: str) -> None:
    assert not _failures(check_suite(name, shared_host()))


def test_a_suite_whose_value_is_not_its_mean_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    class Skewed:
        columns = (Column("x", "max"),)
        space = "emotion"

        def evaluate(self, data: Any, progress: Any = None) -> dict[str, Result]:
            return {"x": Result(5.0, np.zeros(len(data.clips)))}

    host = Host()
    monkeypatch.setattr(host, "build", lambda kind, name, config: Skewed())
    failures = _failures(check_suite("react2024", host))
    assert failures["faceverse-58: scores"].startswith("suite react2024, x: its value is 5")


class Bad:
    """A suite with one fault."""

    columns = (Column("x", "max", low=0.0, high=1.0),)
    space = "emotion"

    def __init__(self, fault: str):
        self.fault, self.rng = fault, np.random.default_rng(0)

    def evaluate(self, data: Any, progress: Any = None) -> dict[str, Result]:
        count = len(data.clips)
        if self.fault == "in place":
            listener = data.listener_emotion
            listener -= listener.mean(1, keepdims=True)
        values: Any = {"random": self.rng.random(count), "text": np.full(count, "0.5"), "high": np.full(count, 7.5)}
        per_clip = values.get(self.fault, np.full(count, 0.5))
        return {"x": Result(float(np.mean(per_clip.astype(float))), per_clip)}


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("none", ""), ("in place", "read-only"), ("random", "x: two calls give other values"), ("text", "where numbers are due"),
        ("high", "suite react2024 gave 7.5 for x, which is declared to lie from 0.0 to 1.0"),
    ],
)  # fmt: skip
def test_a_suite_that_would_spoil_numbers_is_named(monkeypatch: pytest.MonkeyPatch, fault: str, words: str) -> None:
    host = Host()
    monkeypatch.setattr(host, "build", lambda kind, name, config: Bad(fault))
    failures = _failures(check_suite("react2024", host))
    assert words in failures["faceverse-58: scores"] if words else not failures


def test_what_is_wrong_is_one_short_sentence_whatever_was_raised() -> None:
    def no_words() -> None:
        raise AssertionError

    def many_words() -> None:
        raise ValueError("long\n" * 9000)

    report = Report("it")
    for what in (no_words, many_words):
        assert not report.note(what.__name__, what)
    first, second = (item.detail for item in report.items)
    assert "an assertion failed (" in first and "test_others.py" in first
    assert len(second) < 600 and "\n" not in second


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("leak", "sessions are in train and in val, the first is one; scores would flatter"),
        ("alien", "its own listener is not appropriate"),
        ("random", "two calls of dyad() give other motion of the speaker"),
        ("order", "two calls of clips() give other clips, or another order"),
    ],
)
def test_a_dataset_that_breaks_what_the_walkthrough_demands_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str, words: str
) -> None:
    write_vc_dyads(tmp_path)
    clips, dyad, rng = VCDyadsDataset.clips, VCDyadsDataset.dyad, np.random.default_rng(0)

    def changed_clips(self: Any, split: str) -> list[Clip]:
        if fault == "leak":
            return [dataclasses.replace(clip, session="one") for clip in clips(self, split)]
        return [clips(self, split)[i] for i in rng.permutation(len(clips(self, split)))]

    def changed_dyad(self: Any, split: str, index: int, audio: Sequence[str] = ()) -> Dyad:
        pair = dyad(self, split, index, audio)
        return dataclasses.replace(pair, speaker=Track(pair.speaker.motion + rng.random()))

    if fault in ("leak", "order"):
        monkeypatch.setattr(VCDyadsDataset, "clips", changed_clips)
    elif fault == "random":
        monkeypatch.setattr(VCDyadsDataset, "dyad", changed_dyad)
    else:
        monkeypatch.setattr(
            VCDyadsDataset, "appropriate", lambda self, split: ~np.eye(len(clips(self, split)), dtype=bool)
        )
    report = check_dataset("vc-dyads", shared_host(), tmp_path, settings={"frames": 60, "test": 1, "validation": 1})
    assert any(words in detail for detail in _failures(report).values()), _failures(report)


def test_a_dataset_is_checked_where_it_lies(tmp_path: Path) -> None:
    write_vc_dyads(tmp_path)
    report = check_dataset("vc-dyads", shared_host(), tmp_path, settings={"frames": 60, "test": 1, "validation": 1})
    assert not _failures(report)
    assert any(item.what.startswith("test: every clip") and "sessions" in item.detail for item in report.items)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("frame-fqs", {}, "there is no method, tokenizer, suite or dataset 'frame-fqs'; did you mean .*frame-fsq"),
        ("vc-dyads", {}, "say where it lies with --data FOLDER"),
        ("react2024", {"preset": "smoke"}, "--preset is of methods and tokenizers, and 'react2024' is a suite"),
        ("mime", {"root": Path()}, "--data is of datasets, and 'mime' is a predictor"),
    ],
)
def test_a_wrong_check_is_one_sentence(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(DyadbenchError, match=message):
        check(name, shared_host(), **options)
