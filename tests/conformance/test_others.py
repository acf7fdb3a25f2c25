"""`dyadbench check` for tokenizers, suites and datasets: what is right passes, what lies is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.fixtures.hosts import shared_host
from tests.fixtures.vc_dyads import write_vc_dyads

from dyadbench.api import Column, DyadbenchError, Result, Tokens
from dyadbench.conformance import others
from dyadbench.conformance.check import check
from dyadbench.conformance.others import check_dataset, check_suite
from dyadbench.conformance.report import Report
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
