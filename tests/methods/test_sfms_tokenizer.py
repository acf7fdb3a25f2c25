"""Keyframes: drawn and placed exactly, with gradients; codes and painting; a planted corpus is recovered."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from math import comb
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from torch import Tensor

from dyadbench.api import (
    DECA_56,
    FACEVERSE_58,
    Clip,
    Drawable,
    Dyad,
    DyadbenchError,
    MotionSpace,
    Setup,
    Tokenizer,
    Track,
    Trainable,
    WindowBatch,
)  # fmt: skip
from dyadbench.datasets.tiny_corpus import TinyCorpus
from dyadbench.metrics.tokenizer import score_tokenizer
from dyadbench.training.loop import FitOptions, fit
from dyadbench_sfms.config import TOKENIZER_PRESETS, TokenizerConfig, VQConfig
from dyadbench_sfms.network import SparseNet
from dyadbench_sfms.selection import (
    adaptive_set,
    counts,
    gumbel,
    hard_set,
    neighbours,
    relaxed_khot,
    straight_through,
    uniform_set,
)
from dyadbench_sfms.tokenizer import SparseTokenizer, temperature

PLACEMENTS = ["dynamic", "static", "none", "threshold", "penalty"]


def _tokenizer(space: MotionSpace = FACEVERSE_58, **config: Any) -> SparseTokenizer:
    full_config = TokenizerConfig(**{**TOKENIZER_PRESETS["smoke"], **config})
    return SparseTokenizer(full_config, Setup(space, {}, False, seed=0))


def _motion(frames: int, space: MotionSpace = FACEVERSE_58, rows: int = 2) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((rows, frames, space.dim)).astype(np.float32)


def _batch(tokenizer: SparseTokenizer, rows: int = 3, progress: float = 0.5) -> WindowBatch:
    window = tokenizer.config.window
    x = torch.from_numpy(_motion(window, tokenizer.setup.space, rows))
    return WindowBatch(("",) * rows, x, x, None, None, {}, torch.ones(rows, window, dtype=torch.bool), 5, progress)


# --- which frames are keyframes -------------------------------------------------------------------------


@pytest.mark.parametrize("tau", [0.05, 0.5, 2.0])
@pytest.mark.parametrize("k", [1, 7, 48])
def test_the_relaxed_khot_sums_to_k_and_its_gradient_is_finite(k: int, tau: float) -> None:
    torch.manual_seed(0)
    scores = (3 * torch.randn(5, 48)).requires_grad_()
    valid, number = torch.ones(5, 48, dtype=torch.bool), torch.full((5,), k)
    soft = relaxed_khot(scores, number, tau, valid)
    assert torch.allclose(soft.sum(-1), number.float(), atol=1e-3)
    assert (soft >= 0).all()
    (soft * torch.randn(48)).sum().backward()
    assert scores.grad is not None
    assert torch.isfinite(scores.grad).all()
    if k < 48 and tau > 0.1:
        assert scores.grad.abs().max() > 0


def test_short_windows_get_their_share_and_nothing_beyond_their_end() -> None:
    valid = torch.arange(48) < torch.tensor([48, 20, 3, 1])[:, None]
    number = counts(valid, 7)
    assert number.tolist() == [7, 3, 1, 1]
    scores = torch.linspace(0, 1, 48).expand(4, -1)  # the end is the most wanted
    for chosen_set in (hard_set(scores, number, valid), uniform_set(number, valid)):
        assert chosen_set.sum(1).tolist() == [7, 3, 1, 1]
        assert not (chosen_set & ~valid).any()
    assert torch.allclose(relaxed_khot(scores, number, 0.5, valid).sum(1), number.float(), atol=1e-4)


def test_the_hard_set_is_the_exact_top_k() -> None:
    scores = torch.from_numpy(np.random.default_rng(1).standard_normal((200, 48)))
    hard = hard_set(scores, torch.full((200,), 7), torch.ones(200, 48, dtype=torch.bool))
    for row, chosen in zip(scores, hard, strict=True):
        assert set(chosen.nonzero().flatten().tolist()) == set(row.argsort(descending=True)[:7].tolist())


def test_drawn_sets_have_the_probabilities_of_draws_without_replacement() -> None:
    """Inclusion probabilities of two of four, summed by hand over ordered pairs: p_i p_j / (1 - p_i)."""
    torch.manual_seed(0)
    scores = torch.tensor([2.0, 1.0, 0.0, -1.0])
    p = scores.softmax(0)
    pairs = p[:, None] * p / (1 - p[:, None])
    pairs.fill_diagonal_(0)
    expected = pairs.sum(0) + pairs.sum(1)
    many = scores.expand(40_000, -1)
    hard = hard_set(many + gumbel(many.shape), torch.full((40_000,), 2), torch.ones(many.shape, dtype=torch.bool))
    assert torch.allclose(hard.float().mean(0), expected, atol=0.01)


def test_straight_through_is_hard_forward_and_soft_backward() -> None:
    soft = torch.rand(3, 6, requires_grad=True)
    hard = torch.rand(3, 6) > 0.5
    gate = straight_through(hard, soft)
    assert torch.allclose(gate, hard.float(), atol=1e-6)
    weights = torch.randn(3, 6)
    (gate * weights).sum().backward()
    assert torch.equal(soft.grad, weights)


def test_adaptive_sets_follow_the_threshold_and_are_never_empty() -> None:
    scores = torch.tensor([[3.0, -1.0, 0.1, -2.0], [-3.0, -1.0, -2.0, -4.0]])
    valid = torch.ones(2, 4, dtype=torch.bool)
    assert adaptive_set(scores, 0.5, valid).tolist() == [[True, False, True, False], [False, True, False, False]]
    valid[1, 1] = False
    assert adaptive_set(scores, 0.5, valid)[1].tolist() == [False, False, True, False]


def test_neighbours_are_strictly_before_and_after() -> None:
    keys = torch.tensor([[0, 1, 0, 0, 1, 0], [0, 0, 0, 0, 0, 1]]).bool()
    before, after = neighbours(keys)
    assert before.tolist() == [[-1, -1, 1, 1, 1, 4], [-1] * 6]
    assert after.tolist() == [[1, 4, 4, 4, 6, 6], [5, 5, 5, 5, 5, 6]]


def test_the_temperature_falls_and_then_stays() -> None:
    config = TokenizerConfig(objective="best-of-s")
    assert temperature(config, 0.0) == pytest.approx(2.0)
    assert temperature(config, 0.3) == pytest.approx((2.0 * 0.2) ** 0.5)
    assert temperature(config, 0.6) == temperature(config, 1.0) == pytest.approx(0.2)
    assert temperature(TokenizerConfig(objective="best-of-s", tau_schedule="constant"), 0.9) == 2.0


# --- the network ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("config", [TokenizerConfig(), VQConfig()], ids=["fsq", "vq"])
def test_paper_preset_has_the_papers_size(config: TokenizerConfig) -> None:
    with torch.device("meta"):
        net = SparseNet(config, 58)
    assert sum(p.numel() for p in net.parameters()) == pytest.approx(9.6e6, rel=0.05)


def test_k_equal_to_the_window_is_plain_autoencoding() -> None:
    whole, plain = _tokenizer(keyframes=48, selection="top-k"), _tokenizer(placement="none")
    plain.net.load_state_dict({k: v for k, v in whole.net.state_dict().items() if not k.startswith("scorer.")})
    motion = _motion(48)
    sparse, dense = whole.encode(motion), plain.encode(motion)
    assert sparse.keyframes is not None
    assert sparse.keyframes.all()
    assert np.array_equal(sparse.ids, dense.ids)
    assert plain.tokens.frames_per_token == 1
    assert np.allclose(whole.decode(sparse, 48)[0], plain.decode(dense, 48)[0], atol=1e-5)


@pytest.mark.parametrize("axis", ["frame", "channel"])
def test_keyframes_placed_by_hand_are_kept_and_alone_are_read(axis: str) -> None:
    tokenizer = _tokenizer(keyframe_axis=axis)
    motion = torch.from_numpy(_motion(48, rows=1))
    keys = torch.zeros(1, 48, dtype=torch.bool)
    keys[0, [2, 17, 40]] = True
    if axis == "channel":
        keys = keys[..., None].repeat(1, 1, 58)
    ids, keys_back = tokenizer.encode_frames(motion, keys)
    assert torch.equal(keys_back, keys)
    assert not ids[~keys].any()
    moved = motion.clone()
    moved[:, [0, 5, 30, 47]] += 5.0  # no keyframe among them
    assert torch.equal(tokenizer.encode_frames(moved, keys)[0], ids)
    moved[:, 17] += 5.0
    assert not torch.equal(tokenizer.encode_frames(moved, keys)[0], ids)
    noise = torch.where(keys, ids, 7)  # ids where no keyframe is are not read
    assert torch.allclose(tokenizer.inpaint(noise, keys), tokenizer.inpaint(ids, keys))


def test_each_channel_is_painted_from_its_own_keyframes() -> None:
    tokenizer = _tokenizer(keyframe_axis="channel")
    motion = torch.from_numpy(_motion(48, rows=1))
    ids, keys = tokenizer.encode_frames(motion)
    assert len({tuple(row) for row in keys[0].T.tolist()}) > 1
    other = ids.clone()
    other[..., 3] = (other[..., 3] + 1) % tokenizer.tokens.codes
    changed = (tokenizer.inpaint(other, keys) - tokenizer.inpaint(ids, keys)).abs().amax((0, 1)) > 1e-7
    assert changed.nonzero().flatten().tolist() == [3]


def test_with_across_the_channels_of_a_window_are_painted_together_and_no_other_window() -> None:
    tokenizer = _tokenizer(keyframe_axis="channel", across=True)
    motion = torch.from_numpy(_motion(48, rows=2))
    ids, keys = tokenizer.encode_frames(motion)
    other = ids.clone()
    other[0, :, 3] = (other[0, :, 3] + 1) % tokenizer.tokens.codes
    changed = (tokenizer.inpaint(other, keys) - tokenizer.inpaint(ids, keys)).abs().amax(1) > 1e-7  # (2, D)
    assert changed[0].sum() > 40
    assert not changed[1].any()
    assert torch.allclose(tokenizer.inpaint(ids[1:], keys[1:]), tokenizer.inpaint(ids, keys)[1:], atol=1e-5)
    with pytest.raises(ValueError, match="needs keyframe_axis 'channel'"):
        TokenizerConfig(across=True)
    assert "across" not in TokenizerConfig().model_dump(), "fits of before stay valid"


@pytest.mark.parametrize("objective", ["reinforce", "best-of-s"])
@pytest.mark.parametrize("quantizer", ["fsq", "vq"])
@pytest.mark.parametrize("placement", PLACEMENTS)
def test_every_optimiser_gets_finite_gradients(placement: str, quantizer: str, objective: str) -> None:
    tokenizer = _tokenizer(placement=placement, quantizer=quantizer, objective=objective, book="gradient")
    torch.manual_seed(0)
    loss = tokenizer._loss(_batch(tokenizer))
    rest = [p for n, p in tokenizer.net.named_parameters() if not n.startswith("scorer.")]
    for name, parameters in (
        ("rest", rest),
        ("scores", list((tokenizer.net.scorer or torch.nn.Module()).parameters())),
    ):
        assert (name in loss.total) == bool(parameters)
        if parameters:
            grads = torch.autograd.grad(loss.total[name], parameters, retain_graph=True, allow_unused=True)
            with_gradient = [g for g in grads if g is not None]
            assert all(torch.isfinite(g).all() for g in with_gradient)
            assert max(float(g.abs().max()) for g in with_gradient) > 0


def test_scores_rest_while_everything_else_warms_up_on_uniform_sets() -> None:
    tokenizer = _tokenizer()
    assert tokenizer.net.scorer is not None
    with torch.no_grad():
        tokenizer.net.scorer.head.weight.mul_(200.0)
    chosen = []
    random_sets = tokenizer.random_sets
    tokenizer.random_sets = lambda *args: chosen.append(random_sets(*args)) or chosen[-1]  # type: ignore[method-assign]
    for progress in (0.01, 0.5):
        torch.manual_seed(0)
        loss = tokenizer._loss(_batch(tokenizer, rows=40, progress=progress))
        grad = torch.autograd.grad(loss.total["scores"], tokenizer.net.scorer.head.weight)[0]
        assert bool(grad.abs().max() > 0) == (progress > 0.1)
    spread = [draw.keys.float().mean(0).std() for draw in chosen]
    assert spread[0] < 0.06 < spread[1], "the warm-up must not follow the scores"


# --- use ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("axis", ["frame", "channel"])
@pytest.mark.parametrize("frames", [1, 48, 75])
@pytest.mark.parametrize("space", [FACEVERSE_58, DECA_56])
def test_tokens_of_any_length_and_back(space: MotionSpace, frames: int, axis: str) -> None:
    tokenizer = _tokenizer(space, keyframe_axis=axis, keyframes=5)
    assert isinstance(tokenizer, Tokenizer)
    assert isinstance(tokenizer, Trainable)
    assert isinstance(tokenizer, Drawable)
    tokens = tokenizer.encode(_motion(frames, space))
    number = {1: 1, 48: 5, 75: 8}[frames]
    assert tokens.ids.shape == ((2, number, space.dim, 1) if axis == "channel" else (2, number))
    assert tokens.keyframes is not None
    assert (tokens.keyframes.sum(1) == number).all()
    motion, emotion = tokenizer.decode(tokens, frames)
    assert motion.shape == (2, frames, space.dim)
    assert np.isfinite(motion).all()
    assert emotion is None


def test_clips_with_different_numbers_of_tokens_decode_as_alone() -> None:
    tokenizer = _tokenizer(placement="threshold")
    motion = _motion(100, rows=4)
    assert tokenizer.net.scorer is not None
    with torch.no_grad():  # so that about half of the frames are chosen
        scores = tokenizer.net.scores(*tokenizer.windows(torch.from_numpy(motion)))
        tokenizer.net.scorer.head.bias -= scores.median()
    tokens = tokenizer.encode(motion)
    assert tokens.keyframes is not None
    number = tokens.keyframes.sum(1)
    assert len(set(number.tolist())) > 1
    assert tokens.ids.shape == (4, number.max())
    for row in range(4):
        alone = tokenizer.encode(motion[row : row + 1])
        assert np.array_equal(alone.ids[0], tokens.ids[row, : number[row]])
        assert np.allclose(tokenizer.decode(alone, 100)[0][0], tokenizer.decode(tokens, 100)[0][row], atol=1e-5)


def test_what_does_not_fit_is_said_in_a_sentence() -> None:
    tokenizer = _tokenizer()
    tokens = tokenizer.encode(_motion(48))
    assert tokens.keyframes is not None
    for wrong, what in (
        (dataclasses.replace(tokens, keyframes=None), "need keyframes"),
        (dataclasses.replace(tokens, ids=tokens.ids + 80), "book of 80"),
        (dataclasses.replace(tokens, ids=tokens.ids[:, :2]), "one id each"),
        (dataclasses.replace(tokens, keyframes=tokens.keyframes & False), "no keyframe"),
        (dataclasses.replace(tokens, keyframes=tokens.keyframes[:, :9]), "do not cover 48 frames"),
    ):
        with pytest.raises(ValueError, match=what):
            tokenizer.decode(wrong, 48)
    with pytest.raises(DyadbenchError, match="check the dataset"):
        tokenizer.encode(_motion(48, DECA_56))
    with pytest.raises(ValueError, match="more than the 48 frames of a window"):
        TokenizerConfig(keyframes=49)
    with pytest.raises(ValueError, match="another number of tokens"):
        TokenizerConfig(keyframe_axis="channel", placement="penalty")
    with pytest.raises(ValueError, match="fewer keyframes in one channel than in another"):
        TokenizerConfig(keyframe_axis="channel", selection="spread")
    assert TokenizerConfig(keyframe_axis="channel").selection == "top-k"


@pytest.mark.parametrize(("axis", "books"), [("frame", 1), ("channel", 58)])
def test_the_token_scores_count_keyframes_alone(axis: str, books: int) -> None:
    tokenizer = _tokenizer(keyframe_axis=axis, keyframes=6)
    scores = score_tokenizer(tokenizer, list(_motion(96)), FACEVERSE_58)
    assert scores["bits-per-second"].value == pytest.approx(25 * 6 / 48 * books * np.log2(80))
    assert scores["position-bits-per-second"].value == pytest.approx(25 / 96 * books * np.log2(comb(96, 12)))
    assert scores["reconstruction"].value is not None
    assert 0 < (scores["utilisation"].value or 0) <= 1


# --- training -------------------------------------------------------------------------------------------

SPACE = MotionSpace("planted", 25.0, ("a", "b"), {"all": (0, 2)})


def _planted(rng: np.random.Generator, frames: int) -> tuple[np.ndarray, np.ndarray]:
    """A face at rest but for one frame in every 8, anywhere among them: motion (T, 2), and which frames those are."""
    keys = np.zeros(frames, bool)
    keys[np.arange(0, frames, 8) + rng.integers(8, size=frames // 8)] = True
    motion = np.zeros((frames, 2), np.float32)
    motion[keys] = rng.uniform(0.7, 1.0, (frames // 8, 2)) * np.stack(
        [np.ones(frames // 8), rng.choice([-1, 1], frames // 8)], 1
    )
    return motion, keys


class Planted:
    def clips(self, split: str) -> list[Clip]:
        return [Clip(f"{split}{i}", str(i), 96) for i in range(48 if split == "train" else 4)]

    def dyads(self, split: str, audio: Sequence[str] = ()) -> Iterator[Dyad]:
        rng = np.random.default_rng(len(split))
        for clip in self.clips(split):
            motion, _ = _planted(rng, 96)
            yield Dyad(clip, Track(motion), Track(motion))


def _f1(keyframes: Tensor, true: np.ndarray) -> float:
    there = torch.from_numpy(true)
    return float(2 * (keyframes & there).sum() / (keyframes.sum() + there.sum()))


def test_planted_keyframes_are_recovered_where_uniform_places_miss_them(tmp_path: Path) -> None:
    tokenizer = _tokenizer(
        SPACE,
        window=24,
        keyframes=3,
        samples=4,
        levels=(8, 8),
        steps=150,
        batch=32,
        lr=5e-3,
        score_lr=3e-3,
        quantisation=0.1,
    )
    fit(tokenizer, Planted(), {}, FitOptions(tmp_path, seed=0))
    rng = np.random.default_rng(99)
    motion, keys = (np.stack(x) for x in zip(*(_planted(rng, 24) for _ in range(200)), strict=True))
    placed = tokenizer.encode_frames(torch.from_numpy(motion))[1]
    even = uniform_set(torch.full((200,), 3), torch.ones(200, 24, dtype=torch.bool))
    assert _f1(even, keys) < 0.3
    assert _f1(placed, keys) > 0.9


def test_training_lowers_the_error_and_resumes_to_the_same_weights(tmp_path: Path) -> None:
    corpus = TinyCorpus()
    trained = _tokenizer(steps=60)
    fit(trained, corpus, {}, FitOptions(tmp_path / "a", seed=0))
    motion = np.stack([dyad.listener.motion for dyad in corpus.dyads("train")])
    errors = []
    for tokenizer in (trained, _tokenizer()):
        tokenizer.net.mean.copy_(trained.net.mean)
        tokenizer.net.scale.copy_(trained.net.scale)
        decoded = tokenizer.decode(tokenizer.encode(motion), motion.shape[1])[0]
        errors.append(float(((decoded - motion) ** 2).mean()))
    assert errors[0] < 0.8 * errors[1]
    again = _tokenizer(steps=60)
    fit(again, corpus, {}, FitOptions(tmp_path / "a", seed=0))
    assert all(
        torch.equal(a, b) for a, b in zip(trained.state_dict().values(), again.state_dict().values(), strict=True)
    )


@pytest.mark.parametrize("axis", ["frame", "channel"])
def test_pictures_are_svg_with_a_mark_for_every_keyframe(axis: str) -> None:
    tokenizer = _tokenizer(keyframe_axis=axis)
    dyad = next(TinyCorpus().dyads("test"))
    (svg,) = tokenizer.draw(dyad, channels=2).values()
    root = ElementTree.fromstring(svg)
    lines = root.findall("{*}polyline")
    assert len(lines) == 4
    assert all(len((line.get("points") or "").split()) == 96 for line in lines)
    marks = [path.get("d") or "" for path in root.findall("{*}path")]
    assert [mark.count("M") for mark in marks] == [14, 14]
    assert any("exp" in (text.text or "") for text in root.findall("{*}text"))
