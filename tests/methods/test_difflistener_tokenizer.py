"""The convolutional tokenizer: sizes, reach, losses, use of the book."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from dyadbench.api import (
    DECA_56,
    FACEVERSE_58,
    Dyad,
    DyadbenchError,
    MotionSpace,
    Setup,
    Stage,
    Tokenizer,
    Tokens,
    Track,
    Trainable,
    WindowBatch,
)  # fmt: skip
from dyadbench.datasets.tiny_corpus import TinyCorpus
from dyadbench.training.loop import FitOptions, fit
from dyadbench_difflistener.config import TOKENIZER_PRESETS, TokenizerConfig
from dyadbench_difflistener.tokenizer import ConvTokenizer, ConvVQ, ramp


def _tokenizer(space: MotionSpace = FACEVERSE_58, **config: object) -> ConvTokenizer:
    full_config = TokenizerConfig(**{**TOKENIZER_PRESETS["smoke"], **config})
    tokenizer = ConvTokenizer(full_config, Setup(space, {}, False, seed=0))
    with torch.no_grad():
        tokenizer.net.quantizer.book.mul_(0.1)  # among the untrained encoder's outputs
    return tokenizer


def _motion(frames: int, space: MotionSpace = FACEVERSE_58, rows: int = 2) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((rows, frames, space.dim)).astype(np.float32)


def test_paper_preset_has_the_size_of_lm_listeners() -> None:
    with torch.device("meta"):
        net = ConvVQ(TokenizerConfig(), 56)
    assert sum(p.numel() for p in net.parameters()) == pytest.approx(26.9e6, rel=0.01)
    assert net.quantizer.codes == 256
    assert net.quantizer.decay == 0.99


@pytest.mark.parametrize("frames", [1, 8, 13, 40])
@pytest.mark.parametrize("space", [FACEVERSE_58, DECA_56])
def test_a_token_is_eight_frames_and_any_length_comes_back(frames: int, space: MotionSpace) -> None:
    tokenizer = _tokenizer(space)
    assert isinstance(tokenizer, Tokenizer)
    assert isinstance(tokenizer, Trainable)
    tokens = tokenizer.encode(_motion(frames, space))
    assert tokens.ids.shape == (2, -(-frames // 8))
    motion, emotion = tokenizer.decode(tokens, frames)
    assert motion.shape == (2, frames, space.dim)
    assert emotion is None


@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("causal", [False, True])
def test_declared_reaches_are_those_of_the_networks(causal: bool, depth: int) -> None:
    tokenizer = _tokenizer(causal=causal, depth=depth)
    motion = torch.randn(1, 640, 58, requires_grad=True)
    z = tokenizer.net.encoder(motion.transpose(1, 2))
    (used,) = torch.autograd.grad(z[0, :, 30].sum(), motion)
    last = int(used.abs().sum((0, 2)).nonzero().max())
    assert last - (30 * 8 + 7) <= (tokenizer.tokens.lookahead or 0)
    ids = np.zeros((1, 80), np.int64)
    changed = np.array(ids)
    changed[0, 40] = 5
    moved = np.abs(tokenizer.decode(Tokens(changed), 640)[0] - tokenizer.decode(Tokens(ids), 640)[0]).max((0, 2))
    first = int((moved > 1e-7).argmax())
    assert 0 <= 40 * 8 - first <= tokenizer.decode_ahead
    assert (tokenizer.decode_ahead == 0) == causal
    assert (first == 40 * 8) == causal


def test_wrong_input_is_named() -> None:
    tokenizer = _tokenizer()
    with pytest.raises(DyadbenchError, match="faceverse-58"):
        tokenizer.encode(_motion(8, DECA_56))
    with pytest.raises(ValueError, match="32 codes"):
        tokenizer.decode(Tokens(np.full((1, 1), 32)), 8)
    with pytest.raises(ValueError, match="2 tokens"):
        tokenizer.decode(Tokens(np.zeros((1, 1), np.int64)), 9)
    with pytest.raises(ValueError, match="divides window"):
        TokenizerConfig(window=36)


def _batch(motion: torch.Tensor, valid: torch.Tensor | None = None) -> WindowBatch:
    there = torch.ones(motion.shape[:2], dtype=torch.bool) if valid is None else valid
    return WindowBatch(("a",) * len(motion), motion, motion, None, None, {}, there, 0, 0.0)


def test_velocity_loss_is_that_of_differences_and_can_be_left_out() -> None:
    with_it, without = _tokenizer(velocity=0.5), _tokenizer(velocity=0.0)
    motion = torch.from_numpy(_motion(32))
    parts, _ = with_it._parts(_batch(motion))
    decoded = with_it.net.unfold(with_it.net.encode(motion)[0])
    error = torch.nn.functional.smooth_l1_loss(decoded[:, 1:] - decoded[:, :-1], motion[:, 1:] - motion[:, :-1])
    assert parts["velocity"].item() == pytest.approx(0.5 * error.item(), rel=1e-4)
    assert "velocity" not in without._parts(_batch(motion))[0]


def test_groups_count_alike_and_frames_after_the_end_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = _tokenizer()
    target, decoded = torch.zeros(1, 8, 58), torch.zeros(1, 8, 58)
    decoded[..., 52:55] = 2.0  # rotation, smooth L1 of 1.5
    valid = torch.arange(8)[None] < 4
    decoded[:, 4:] = 100.0
    monkeypatch.setattr(tokenizer.net, "unfold", lambda quantised: decoded)
    assert float(tokenizer._parts(_batch(target, valid))[0]["motion"]) == pytest.approx(1.5)


class Poses(TinyCorpus):
    """Listeners who hold one of four poses for 16 frames at a time."""

    def dyads(self, split: str, audio: Sequence[str] = ()) -> Iterator[Dyad]:
        rng = np.random.default_rng(len(split))
        poses = np.random.default_rng(0).standard_normal((4, self.space.dim)).astype(np.float32)
        for clip in self.clips(split):
            motion = np.repeat(poses[rng.integers(4, size=self.frames // 16)], 16, 0)
            yield Dyad(clip, Track(motion), Track(motion))


def test_training_lowers_the_error_and_the_use_of_the_book_is_reported(tmp_path: Path) -> None:
    corpus, tokenizer = Poses(), _tokenizer(steps=120, dim=32, drop_at=1.0)
    motion = np.stack([dyad.listener.motion for dyad in corpus.dyads("train")])

    def error() -> float:
        return float(np.abs(tokenizer.decode(tokenizer.encode(motion), motion.shape[1])[0] - motion).mean())

    stages: Iterator[Stage] = tokenizer.stages(corpus)
    next(stages)  # sets the units
    first = error()
    facts = fit(tokenizer, corpus, {}, FitOptions(tmp_path, seed=0))["tokenizer"]
    assert error() < 0.6 * first
    assert 0 < facts["used"] <= 1
    assert 1 < facts["perplexity"] <= 32
    assert facts["used"] * 32 >= facts["perplexity"] - 1e-6
    assert '"used"' in (tmp_path / "tokenizer" / "metrics.jsonl").read_text()


def test_schedule_warms_up_and_drops() -> None:
    schedule = ramp(10, 100, 0.5)
    assert [schedule(step) for step in (0, 9, 49, 50)] == pytest.approx([0.1, 1.0, 1.0, 0.05])
