"""Guidance on the speaker: what it does to probabilities, and that every predictor of tokens has it."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from tests.fixtures.hosts import shared_host

from dyadbench.api import FACEVERSE_58, DyadbenchError, Setup
from dyadbench.cell.lookahead import measure_lookahead
from dyadbench.cell.noise import CellNoise
from dyadbench.conformance.checks import learn
from dyadbench.datasets.tiny_corpus import TinyCorpus
from dyadbench.matrix.cells import MethodSpec, method_parts
from dyadbench.nn.guidance import guided, guided_step, without_speaker

METHODS = ("dense-fsq", "learning2listen", "vqtalker-chunked", "difflistener-online", "sfms")


def test_a_scale_of_one_is_no_guidance_and_of_zero_is_deaf() -> None:
    conditional, free = torch.randn(2, 3, 7), torch.randn(2, 3, 7)
    assert torch.allclose(guided(conditional, free, 1.0), conditional.log_softmax(-1), atol=1e-6)
    assert torch.allclose(guided(conditional, free, 0.0), free.log_softmax(-1), atol=1e-6)


def test_what_the_speaker_changes_counts_scale_times() -> None:
    conditional, free = torch.tensor([0.2, -0.2]), torch.tensor([0.0, 0.0])
    odds = guided(conditional, free, 5.0)
    assert float(odds[0] - odds[1]) == pytest.approx(5 * 0.4)
    step = guided_step(lambda first, past: conditional, lambda first, past: free, 5.0)
    assert torch.equal(step(0, torch.zeros(1, 0)), odds)


@pytest.mark.parametrize("name", METHODS)
def test_every_predictor_of_tokens_can_be_guided(name: str) -> None:
    """Trained with and without the speaker; a scale of 1 samples as ever, another one otherwise, and no farther ahead."""
    corpus = TinyCorpus()
    setup = Setup(corpus.space, corpus.audio, True, seed=0)

    def guided(**settings: float) -> Any:
        spec = MethodSpec(name=name, preset="smoke", settings={f"predictor.{k}": v for k, v in settings.items()})
        predictor, tokenizer = method_parts(shared_host(), spec)
        assert tokenizer is not None
        return shared_host().build(
            "predictor", predictor.name, predictor.config, setup,
            tokenizer=shared_host().build("tokenizer", tokenizer.name, tokenizer.config, setup),
        )  # fmt: skip

    plain, strong = guided(null=0.3, guidance=1.0), guided(null=0.3, guidance=6.0)
    for part in (plain.tokenizer, plain):
        learn(part, corpus)
    strong.tokenizer.load_state_dict(plain.tokenizer.state_dict())
    strong.load_state_dict(plain.state_dict())

    def sampled(model: Any) -> np.ndarray:
        return np.asarray(model.sample(corpus.context([0, 1], model.needs, 64), 2, CellNoise(0)).motion)

    assert not np.array_equal(sampled(plain), sampled(strong))
    assert np.array_equal(sampled(strong), sampled(strong))
    assert strong.needs.lookahead == plain.needs.lookahead
    measured = measure_lookahead(strong, corpus.context([0], strong.needs, 96), CellNoise(0), FACEVERSE_58.fps)
    assert measured is not None and measured <= strong.needs.lookahead


@pytest.mark.parametrize("name", METHODS)
def test_guidance_by_a_network_that_always_heard_the_speaker_is_refused(name: str) -> None:
    settings = {"predictor.guidance": 3.0, "predictor.null": 0.0}
    with pytest.raises(DyadbenchError, match=r"guidance = 3 needs a network .* set null to the share"):
        method_parts(shared_host(), MethodSpec(name=name, preset="smoke", settings=settings))


def test_rows_without_a_speaker_are_drawn_in_training_alone() -> None:
    class Rows:
        step, listener_motion = 0, torch.zeros(1000, 1, 1)

        def draw_rows(self, draw: Any, *shape: int) -> torch.Tensor:
            return draw((1000, *shape), generator=torch.Generator().manual_seed(0))

    rows: Any = Rows()
    dropped = without_speaker(rows, 0.25)
    assert dropped is not None and 200 < int(dropped.sum()) < 300
    rows.step = -1
    assert without_speaker(rows, 0.25) is None
    assert without_speaker(rows, 0.0) is None


def test_a_gate_that_begins_open_hears_the_speaker_before_anything_is_learnt() -> None:
    """At 0, Dense-FSQ's start, an untrained network gives the same to every speaker, and so no gradient to open it."""
    corpus = TinyCorpus()
    setup = Setup(corpus.space, corpus.audio, True, seed=0)

    def reaction(gate: float, clip: int) -> np.ndarray:
        predictor, tokenizer = method_parts(
            shared_host(), MethodSpec(name="dense-fsq", preset="smoke", settings={"predictor.gate_start": gate})
        )
        assert tokenizer is not None
        codec = shared_host().build("tokenizer", tokenizer.name, tokenizer.config, setup)
        model = shared_host().build("predictor", predictor.name, predictor.config, setup, tokenizer=codec)
        with torch.no_grad():
            for values in model.net.state_dict().values():
                if values.is_floating_point() and values.dim() == 2:
                    values.mul_(30)  # so that a small difference moves a code
        context = corpus.context([clip], model.needs, 64)
        named = dataclasses.replace(context, clips=("same noise",))
        return np.asarray(model.sample(named, 4, CellNoise(0)).motion)

    assert np.array_equal(reaction(0.0, 0), reaction(0.0, 1))
    assert not np.array_equal(reaction(0.5, 0), reaction(0.5, 1))
