"""The frame tokenizer: sizes, losses, blocks, phases, books."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from dyadbench.api import DECA_56, FACEVERSE_58, DyadbenchError, MotionSpace, Setup, Tokenizer, Tokens, Trainable
from dyadbench.datasets.tiny_corpus import TinyCorpus
from dyadbench.nn.losses import groups_of, sum_of_group_means
from dyadbench.training.loop import FitOptions, fit
from dyadbench_dense_fsq.config import TOKENIZER_PRESETS, TokenizerConfig
from dyadbench_dense_fsq.tokenizer import FrameTokenizer, TokenizerNet


def _tokenizer(space: MotionSpace = FACEVERSE_58, emotion: bool = True, **config: object) -> FrameTokenizer:
    full_config = TokenizerConfig(**{**TOKENIZER_PRESETS["smoke"], **config})
    return FrameTokenizer(full_config, Setup(space, {}, emotion, seed=0))


def _motion(frames: int, space: MotionSpace = FACEVERSE_58, rows: int = 2) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((rows, frames, space.dim)).astype(np.float32)


def test_paper_preset_has_the_released_size() -> None:
    with torch.device("meta"):
        net = TokenizerNet(TokenizerConfig(), 58, emotion=True)
    parameters = sum(p.numel() for p in net.parameters())
    assert parameters == pytest.approx(27_570_568, rel=1e-4)
    assert net.quantizer.codes == 1000


def test_grouped_error_weighs_groups_not_channels() -> None:
    groups = groups_of(FACEVERSE_58)
    assert len(groups) == 13
    assert [i for start, stop in groups for i in range(start, stop)] == list(range(58))
    valid = torch.tensor([[True, True, False]])
    for start, stop in groups:
        error = torch.zeros(1, 3, 58)
        error[..., start] = 1.0
        error[:, 2] = 100.0  # after the clip's end
        assert float(sum_of_group_means(2 * error, groups, valid)) == pytest.approx(2 / (stop - start))


def test_no_group_of_an_unnamed_space_outweighs_its_channels() -> None:
    groups = groups_of(DECA_56)
    assert [i for start, stop in groups for i in range(start, stop)] == list(range(56))
    assert groups[-2:] == [(50, 53), (53, 56)], "rotation and jaw stay whole"
    assert sum(stop <= 50 for _, stop in groups) == 10, "50 expression channels are 10 of 12 groups, not 1 of 3"


@pytest.mark.parametrize("frames", [1, 8, 13, 40])
@pytest.mark.parametrize("space", [FACEVERSE_58, DECA_56])
def test_one_token_a_frame_and_back_for_any_length(frames: int, space: MotionSpace) -> None:
    tokenizer = _tokenizer(space, emotion=space is FACEVERSE_58)
    assert isinstance(tokenizer, Tokenizer)
    assert isinstance(tokenizer, Trainable)
    tokens = tokenizer.encode(_motion(frames, space))
    assert tokens.ids.shape == (2, frames)
    motion, emotion = tokenizer.decode(tokens, frames)
    assert motion.shape == (2, frames, space.dim)
    assert (emotion is None) == (space is DECA_56)
    if emotion is not None:
        assert emotion.shape == (2, frames, 25)
        raw = _tokenizer(clip_emotion=False).decode(tokens, frames)[1]
        assert raw is not None
        low = np.repeat([0.0, -1.0, 0.0], [15, 2, 8])
        assert np.abs(np.clip(raw, low, 1) - emotion).max() < 1e-6
        assert (raw < low).any(), "the release leaves it as it comes"
        assert emotion[..., :15].min() >= 0
        assert emotion.min() >= -1
        assert emotion.max() <= 1


def test_a_token_knows_its_block_and_nothing_beyond() -> None:
    tokenizer, motion = _tokenizer(), _motion(24)
    changed = motion.copy()
    changed[:, 8:16] += 3.0
    before, after = tokenizer.encode(motion).ids, tokenizer.encode(changed).ids
    assert np.array_equal(before[:, :8], after[:, :8])
    assert np.array_equal(before[:, 16:], after[:, 16:])
    assert (before[:, 8:16] != after[:, 8:16]).any()
    assert tokenizer.tokens.lookahead == 7


def test_wrong_input_is_named() -> None:
    tokenizer = _tokenizer()
    with pytest.raises(DyadbenchError, match="faceverse-58"):
        tokenizer.encode(_motion(8, DECA_56))
    with pytest.raises(ValueError, match="80 codes"):
        tokenizer.decode(Tokens(np.full((1, 8), 80)), 8)
    with pytest.raises(ValueError, match="tokens"):
        tokenizer.decode(Tokens(np.zeros((1, 8), np.int64)), 9)


@pytest.mark.parametrize("quantizer", ["fsq", "vq", "lfq"])
def test_training_lowers_the_error_and_phase_two_moves_the_emotion_decoder_alone(
    quantizer: str, tmp_path: Path
) -> None:
    corpus = TinyCorpus()
    tokenizer = _tokenizer(quantizer=quantizer, steps=60)
    motion = np.stack([dyad.listener.motion for dyad in corpus.dyads("train")])

    def error() -> float:
        return float(np.abs(tokenizer.decode(tokenizer.encode(motion), motion.shape[1])[0] - motion).mean())

    first = error()
    stages = tokenizer.stages(corpus)

    class One:
        def stages(self, data: TinyCorpus) -> object:
            yield next(stages)

    fit(One(), corpus, {}, FitOptions(tmp_path, seed=0))  # type: ignore[arg-type]
    assert error() < 0.8 * first
    held = {name: value.clone() for name, value in tokenizer.state_dict().items()}
    fit(One(), corpus, {}, FitOptions(tmp_path, seed=0))  # type: ignore[arg-type]
    moved = {name for name, value in tokenizer.state_dict().items() if not torch.equal(value, held[name])}
    assert moved
    assert all(name.startswith("emotion.") for name in moved)


def test_size_of_the_book_is_declared() -> None:
    assert _tokenizer().tokens.codes == math.prod(TOKENIZER_PRESETS["smoke"]["levels"])
    assert _tokenizer(quantizer="vq").tokens.codes == 64


def test_the_error_that_is_asked_for_is_the_one_that_is_minimised() -> None:
    batch = SimpleNamespace(
        listener_motion=torch.from_numpy(_motion(16, DECA_56)), valid=torch.ones(2, 16, dtype=torch.bool)
    )
    logs = {}
    for error in ("absolute", "squared"):
        tokenizer = _tokenizer(DECA_56, emotion=False, error=error)
        target = tokenizer._blocks(batch.listener_motion)
        decoded = tokenizer.net.motion(tokenizer.net.unfold(tokenizer.net.encode(target)[0])).detach()
        gap = decoded - target / tokenizer.net.scale
        gap = gap.abs() if error == "absolute" else gap.square()
        expected = sum(float(gap[..., start:stop].mean()) for start, stop in tokenizer.groups)
        logs[error] = float(tokenizer._loss(batch).log["motion"])  # type: ignore[arg-type]
        assert logs[error] == pytest.approx(expected, rel=1e-4)
    assert logs["absolute"] != pytest.approx(logs["squared"], rel=0.01)
