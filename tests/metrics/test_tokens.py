"""Tokenizer metrics: bits against a published table, books against counting, bounds and refusals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dyadbench.api import MotionSpace, Tokens, TokenSpec
from dyadbench.metrics import tokens
from dyadbench.metrics.tokenizer import score_tokenizer


@pytest.mark.parametrize(
    ("groups", "residual", "codes", "kbps", "digits"),
    [
        (12, 4, 625, 11.145, 3),
        (8, 4, 625, 7.43, 2),
        (12, 2, 625, 5.57, 2),
        (12, 4, 256, 9.6, 1),
        (12, 4, 1296, 12.4, 1),
        (32, 1, 1024, 8.0, 1),
        (12, 4, 1024, 12.0, 1),
        (1, 1, 8196, 0.33, 2),
    ],
)
def test_bits_of_vqtalker_table_3(groups: int, residual: int, codes: int, kbps: float, digits: int) -> None:
    ours = tokens.bits_per_second(codes, 25, groups=groups, residual=residual) / 1000
    assert round(ours, digits) == pytest.approx(kbps)


def test_bits_fall_with_frames_per_token() -> None:
    assert tokens.bits_per_second(256, 30, frames_per_token=8) == pytest.approx(30)
    with pytest.raises(ValueError, match="positive sizes"):
        tokens.bits_per_second(256, 0)


@given(st.integers(1, 4), st.integers(1, 3), st.integers(2, 9), st.integers(0, 2**31))
def test_books_are_counted_apart(groups: int, residual: int, codes: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    ids = [rng.integers(0, codes, (int(n), groups, residual)) for n in rng.integers(1, 6, 4)]
    counts = tokens.code_counts(ids, codes)
    assert counts.sum() == sum(x.size for x in ids)
    every = np.concatenate(ids)
    for g, r in np.ndindex(groups, residual):
        assert tokens.utilisation(counts.sum(0))[g, r] == len(set(every[:, g, r])) / codes
    perplexity = tokens.perplexity(counts.sum(0))
    assert (perplexity >= 1 - 1e-12).all()
    assert (perplexity <= codes * tokens.utilisation(counts.sum(0)) + 1e-9).all()  # never more than the codes in use


def test_a_level_book_has_full_perplexity() -> None:
    counts = tokens.code_counts([np.tile(np.arange(8), 5)], 8)
    assert tokens.perplexity(counts.sum(0)) == pytest.approx(8.0)
    assert tokens.utilisation(counts.sum(0)) == pytest.approx(1.0)


@given(st.floats(0.01, 100), st.floats(-50, 50))
def test_stability_ignores_scale_and_offset(scale: float, offset: float) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 30, 4))
    plain = tokens.motion_stability(y, x)
    assert tokens.motion_stability(scale * y + offset, scale * x + offset) == pytest.approx(plain, rel=1e-6)


def test_stability_orders_smooth_true_trembling_and_frozen() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 4)).cumsum(0)
    assert tokens.motion_stability(x, x) == 1.0
    assert tokens.motion_stability(0.5 * x, x) > 1.0
    assert tokens.motion_stability(x + rng.normal(size=x.shape), x) < 1.0
    assert np.isnan(tokens.motion_stability(np.zeros_like(x), x))


def corpus() -> tuple[list[np.ndarray], list[np.ndarray], list[np.ndarray], TokenSpec]:
    rng = np.random.default_rng(1)
    motion = [rng.normal(size=(t, 5)).cumsum(0) for t in (40, 32, 24)]
    decoded = [x + 0.1 * rng.normal(size=x.shape) for x in motion]
    ids = [rng.integers(0, 16, (len(x) // 4, 2, 3)) for x in motion]
    return motion, decoded, ids, TokenSpec(codes=16, frames_per_token=4, groups=2, residual=3)


def test_every_column_and_its_clips() -> None:
    motion, decoded, ids, spec = corpus()
    scores = tokens.evaluate_tokens(motion, decoded, ids, spec, 30.0)
    assert list(scores) == [column.id for column in tokens.COLUMNS]
    for result in scores.values():
        assert result.per_clip.mean() == pytest.approx(result.value, rel=1e-9)
    assert scores["reconstruction"].value == pytest.approx(0.01, rel=0.3)
    mean = np.concatenate(motion).mean(0)
    expected = np.mean([((x - mean) ** 2).mean() for x in motion])
    assert scores["reconstruction_mean"].value == pytest.approx(expected)
    assert scores["bits-per-second"].value == pytest.approx(30 / 4 * 6 * 4)
    assert len(scores["perplexity"].detail) == 6
    assert scores["utilisation"].value == pytest.approx(np.mean(list(scores["utilisation"].detail.values())))
    assert 0.5 < scores["cluster-integrity"].value <= 1.0


def test_perfect_reconstruction() -> None:
    motion, _, ids, spec = corpus()
    scores = tokens.evaluate_tokens(motion, motion, ids, spec, 30.0)
    assert scores["reconstruction"].value == 0.0
    assert scores["cluster-integrity"].value == 1.0
    assert scores["motion-stability"].value == 1.0


def test_sparse_tokens_pay_for_the_keyframes_they_set() -> None:
    motion, decoded, _, _ = corpus()
    ids = [np.zeros(len(x) // 8, int) for x in motion]
    scores = tokens.evaluate_tokens(motion, decoded, ids, TokenSpec(codes=4, frames_per_token=None), 30.0)
    assert scores["bits-per-second"].value == pytest.approx(30 / 8 * 2)


def test_errors_by_channel_group() -> None:
    motion, decoded, ids, spec = corpus()
    channels = {"face": (0, 3), "head": (3, 5)}
    scores = tokens.evaluate_tokens(motion, decoded, ids, spec, 30.0, channels=channels)
    detail = scores["reconstruction"].detail
    assert (3 * detail["face"] + 2 * detail["head"]) / 5 == pytest.approx(scores["reconstruction"].value)
    roots = [np.sqrt(((a - b)[:, :3] ** 2).mean()) for a, b in zip(decoded, motion, strict=True)]
    assert scores["motion-rmse"].detail["face"] == pytest.approx(np.mean(roots))
    assert np.allclose(scores["motion-rmse"].per_clip ** 2, scores["reconstruction"].per_clip)


class Rounding:
    """Two decimal digits of each of two channels as two residual layers."""

    tokens = TokenSpec(codes=10, frames_per_token=1, groups=2, residual=2)

    def encode(self, motion: np.ndarray) -> Tokens:
        whole = (motion * 100).astype(int)
        return Tokens(np.stack([whole // 10, whole % 10], -1), frames=motion.shape[1])

    def decode(self, tokens: Tokens, frames: int) -> tuple[np.ndarray, None]:
        weights = np.array([0.1, 0.01])[: tokens.ids.shape[-1]]
        return (tokens.ids[:, :frames] @ weights).astype(np.float32), None


SPACE = MotionSpace("pair", 25.0, ("a", "b"), {"a": (0, 1), "b": (1, 2)})


def test_a_tokenizer_is_scored_layer_by_layer() -> None:
    rng = np.random.default_rng(0)
    motion = [(rng.integers(100, size=(t, 2)) + 0.5) / 100 for t in (200, 300)]
    scores = score_tokenizer(Rounding(), motion, SPACE)
    assert scores["motion-rmse.layers2"].value == pytest.approx(0.005, rel=1e-3)
    assert np.allclose(scores["motion-rmse.layers2"].per_clip, scores["motion-rmse"].per_clip)
    digits = (np.arange(10) / 100 + 0.005) ** 2
    assert scores["motion-rmse.layers1"].value == pytest.approx(np.sqrt(digits.mean()), rel=0.1)
    assert scores["bits-per-second"].value == pytest.approx(25 * 4 * np.log2(10))
    assert scores["position-bits-per-second"].value == 0.0
    assert scores["emotion-rmse"].value is None
    assert {tokens.version_of(name) for name in scores} == {1}


class Whole(Rounding):
    """Decodes all layers or nothing."""

    def decode(self, tokens: Tokens, frames: int) -> tuple[np.ndarray, np.ndarray]:
        if tokens.ids.shape[-1] < 2:
            raise ValueError("two layers")
        return super().decode(tokens, frames)[0], np.full((1, frames, 25), 0.5, np.float32)


def test_emotion_is_scored_where_it_is_decoded_and_prefixes_where_they_decode() -> None:
    motion = [np.full((t, 2), 0.505) for t in (20, 40)]
    emotion = [np.full((20, 25), 0.5), np.full((40, 25), 0.9)]
    scores = score_tokenizer(Whole(), motion, SPACE, emotion=emotion, emotion_mean=np.full(25, 0.7))
    assert scores["emotion-rmse"].per_clip == pytest.approx([0.0, 0.4], abs=1e-6)
    assert scores["constant-emotion-rmse"].per_clip == pytest.approx([0.2, 0.2])
    assert not any("layers" in name for name in scores)


class EveryEighth:
    """Keyframes at every eighth frame, held."""

    tokens = TokenSpec(codes=4, frames_per_token=None)

    def encode(self, motion: np.ndarray) -> Tokens:
        places = np.zeros(motion.shape[:2], bool)
        places[:, ::8] = True
        return Tokens(np.zeros((1, places.sum() + 3), np.int64), places, motion.shape[1])  # three of padding

    def decode(self, tokens: Tokens, frames: int) -> tuple[np.ndarray, None]:
        return np.zeros((1, frames, 2), np.float32), None


def test_keyframes_pay_for_their_places_and_not_for_padding() -> None:
    scores = score_tokenizer(EveryEighth(), [np.ones((32, 2))], SPACE)
    assert scores["bits-per-second"].value == pytest.approx(25 / 8 * 2)
    ways = np.log2(32 * 31 * 30 * 29 / 24)
    assert scores["position-bits-per-second"].value == pytest.approx(ways / 32 * 25)


def test_places_that_follow_from_the_length_are_free() -> None:
    class Peaks(EveryEighth):
        def encode(self, motion: np.ndarray) -> Tokens:
            places = np.zeros(motion.shape[:2], bool)
            places[:, :: int(motion.max())] = True
            return Tokens(np.zeros((1, places.sum()), np.int64), places, motion.shape[1])

    clips = [np.full((frames, 2), place) for frames, place in ((32, 8.0), (32, 4.0), (48, 8.0))]
    scores = score_tokenizer(EveryEighth(), clips, SPACE)["position-bits-per-second"]
    assert list(scores.per_clip) == [0.0, 0.0, 0.0]
    scores = score_tokenizer(Peaks(), clips, SPACE)["position-bits-per-second"]
    assert min(scores.per_clip) > 0


def test_which_layers_are_shown() -> None:
    assert tokens.layer_counts(4) == [1, 2, 3, 4]
    assert tokens.layer_counts(32) == [1, 2, 3, 4, 8, 16, 32]
    assert tokens.layer_counts(10) == [1, 2, 3, 4, 8, 10]
