"""Every installed tokenizer is scored, once for all predictors that stand on it, and the record says what it keeps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.fixtures.corpora import ToyDataset
from tests.fixtures.hosts import shared_host

from dyadbench.api import BenchmarkConfig, Setup
from dyadbench.cell.run import CellRun
from dyadbench.cell.runtime import Runtime
from dyadbench.datasets.tiny_corpus import TinyCorpus
from dyadbench.matrix.cells import Cell, MethodSpec, Part, PartSpec, method_parts, resolve_part
from dyadbench.metrics.tokenizer import score_tokenizer
from dyadbench.metrics.tokens import COLUMNS, FURTHER, layer_counts
from dyadbench.records.record import load_record, record_path, save_record


def _cell(method: str, tokenizer: str, predictor: str) -> Cell:
    spec = MethodSpec(name=method, preset="smoke", tokenizer={"name": tokenizer}, predictor={"name": predictor})
    component, under = method_parts(shared_host(), spec)
    return Cell(
        benchmark="toy", setting=BenchmarkConfig(dataset="toy", samples=2, suite="react2024"),
        dataset=Part(name="toy", version=1, config={}), method=method, predictor=component, tokenizer=under, seed=5,
    )  # fmt: skip


TOKENIZERS = (
    "conv-vq", "conv-vq-causal", "frame-fsq", "frame-lfq", "frame-vq", "grfsq", "grvq", "gvq", "rvq", "sparse-fsq", "sparse-vq",
    "vq", "window-vq",
)  # fmt: skip


def test_the_tokenizers_here_are_all_there_are() -> None:
    assert sorted(entry.name for entry in shared_host().entries("tokenizer")) == sorted(TOKENIZERS)


@pytest.mark.parametrize("name", TOKENIZERS)
def test_every_tokenizer_answers(name: str) -> None:
    corpus = TinyCorpus(clips=3)
    part = resolve_part(shared_host(), "tokenizer", PartSpec(name=name, preset="smoke"))
    tokenizer = shared_host().build(
        "tokenizer", name, part.config, Setup(space=corpus.space, audio=corpus.audio, has_emotion=True, seed=0)
    )
    listeners = [dyad.listener for dyad in corpus.dyads("test")]
    scores = score_tokenizer(
        tokenizer, [x.motion for x in listeners], corpus.space, emotion=[x.emotion for x in listeners]
    )
    spec, books = tokenizer.tokens, {f"g{g}r{r}" for g in range(tokenizer.tokens.groups) for r in range(tokenizer.tokens.residual)}  # fmt: skip
    assert {column.id for column in (*COLUMNS, *FURTHER)} <= set(scores)
    assert set(scores["utilisation"].detail) == set(scores["perplexity"].detail) == books
    counts = layer_counts(spec.residual) if spec.residual > 1 else []
    assert {key for key in scores if key.startswith("motion-rmse.")} == {f"motion-rmse.layers{n}" for n in counts}
    for result in scores.values():
        assert result.per_clip.shape == (3,)
        assert (result.value is None) == bool(np.isnan(result.per_clip).all())
    assert scores["motion-rmse"].value > 0 < scores["bits-per-second"].value


def test_tokens_are_scored_once_and_stand_in_the_record(tmp_path: Path) -> None:
    stages: list[str] = []
    runtime = Runtime(home=tmp_path, batch=4, report=lambda stage, done, total: stages.append(stage))
    first = CellRun(_cell("one", "frame-fsq", "reconstruction"), shared_host(), runtime, ToyDataset()).run()
    assert stages.count("score frame-fsq") == 1
    stages.clear()
    second = CellRun(_cell("two", "frame-fsq", "crossmodal-ar"), shared_host(), runtime, ToyDataset()).run()
    assert not {"fit frame-fsq", "score frame-fsq"} & set(stages)
    assert second.suites["tokens"] == first.suites["tokens"]
    assert second.measured.tokens == first.measured.tokens
    assert first.measured.tokens["frames_per_token"] == 1
    assert first.measured.tokens["fps"] == 25.0

    path = record_path(tmp_path, first)
    save_record(first, path)
    assert load_record(path).suites["tokens"].scores == first.suites["tokens"].scores
    felt = first.suites["tokens"].scores["emotion-rmse"].value
    motion, emotion = ToyDataset(), [dyad.listener.emotion for dyad in ToyDataset().dyads("train")]
    assert felt is not None
    assert motion.has_emotion
    constant = first.suites["tokens"].scores["constant-emotion-rmse"].value
    mean = np.concatenate(emotion).mean(0)
    truth = [dyad.listener.emotion for dyad in ToyDataset().dyads("test")]
    assert constant == pytest.approx(np.mean([np.sqrt(((x - mean) ** 2).mean()) for x in truth]), rel=1e-5)


def test_a_method_without_tokens_has_none(tmp_path: Path) -> None:
    predictor, _ = method_parts(shared_host(), MethodSpec(name="mime"))
    cell = _cell("copy", "frame-fsq", "reconstruction").model_copy(update={"predictor": predictor, "tokenizer": None})
    record = CellRun(cell, shared_host(), Runtime(home=tmp_path), ToyDataset()).run()
    assert "tokens" not in record.suites
    assert record.measured.tokens is None
