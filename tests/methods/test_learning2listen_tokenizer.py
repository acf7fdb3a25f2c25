"""The window tokenizer: sizes, the token axis, books, losses, scales."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from dyadbench.api import (
    DECA_56,
    FACEVERSE_58,
    DyadbenchError,
    MotionSpace,
    Setup,
    Tokenizer,
    Tokens,
    Trainable,
    WindowBatch,
)  # fmt: skip
from dyadbench.datasets.tiny_corpus import TinyCorpus
from dyadbench.training.loop import FitOptions, fit
from dyadbench_l2l.config import TOKENIZER_PRESETS, TokenizerConfig
from dyadbench_l2l.network import LearntBook, WindowVQ
from dyadbench_l2l.tokenizer import WindowTokenizer, noam


def _tokenizer(space: MotionSpace = FACEVERSE_58, **config: object) -> WindowTokenizer:
    full_config = TokenizerConfig(**{**TOKENIZER_PRESETS["smoke"], **config})
    return WindowTokenizer(full_config, Setup(space, {}, False, seed=0))


def _motion(frames: int, space: MotionSpace = FACEVERSE_58, rows: int = 2) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((rows, frames, space.dim)).astype(np.float32)


def _batch(listener: torch.Tensor, valid: torch.Tensor) -> WindowBatch:
    return WindowBatch(("",) * len(listener), listener, listener, None, None, {}, valid, 0, 0.0)


def test_paper_preset_has_the_released_size() -> None:
    with torch.device("meta"):
        net, released = (WindowVQ(TokenizerConfig(network=network), 56) for network in ("own", "released"))
    assert sum(p.numel() for p in released.parameters()) == 13_034_552
    assert sum(p.numel() for p in net.parameters()) == pytest.approx(13_034_552, rel=5e-3)
    assert net.quantizer.codes == 200
    assert net.tokens == 4


def test_released_layers_scale_by_the_model_s_width_and_end_in_zeros() -> None:
    """One layer of attention and the last convolution, against the formulas written out."""
    net = _tokenizer(network="released").net
    block, (heads, dim) = net.encoder[0], (2, 16)
    assert isinstance(net.encoder[-1], torch.nn.Identity)
    torch.manual_seed(0)
    x = 10 * torch.randn(1, 4, dim)
    attention = block.attention  # type: ignore[union-attr]
    q, k, v = (
        (x @ part.weight.T).unflatten(-1, (heads, -1)) for part in (attention.query, attention.key, attention.value)
    )  # type: ignore[union-attr, operator]
    weights = (torch.einsum("bihd,bjhd->bhij", q, k) * dim**-0.5).softmax(-1)
    expected = attention.out(torch.einsum("bhij,bjhd->bihd", weights, v).flatten(2))  # type: ignore[union-attr, operator]
    with torch.no_grad():
        assert torch.allclose(attention(x), expected, atol=1e-5)  # type: ignore[operator]
        hidden = block.mlp[0](x)  # type: ignore[union-attr, index]
        tanh = 0.5 * hidden * (1 + torch.tanh((2 / np.pi) ** 0.5 * (hidden + 0.044715 * hidden**3)))
        assert torch.allclose(block.mlp(x), block.mlp[2](tanh), atol=1e-5)  # type: ignore[union-attr, operator, index]
        y = torch.randn(1, dim, 32)
        first = torch.einsum("cdk,dk->c", net.motion.weight[:, :, 2:], y[0, :, :3]) + net.motion.bias
        assert torch.allclose(net.motion(y)[0, :, 0], first, atol=1e-5)


@pytest.mark.parametrize("axis", ["time", "channel_slice"])
@pytest.mark.parametrize("frames", [1, 32, 75])
@pytest.mark.parametrize("space", [FACEVERSE_58, DECA_56])
def test_whole_windows_of_tokens_and_back_for_any_length(axis: str, frames: int, space: MotionSpace) -> None:
    tokenizer = _tokenizer(space, token_axis=axis)
    assert isinstance(tokenizer, Tokenizer)
    assert isinstance(tokenizer, Trainable)
    tokens = tokenizer.encode(_motion(frames, space))
    assert tokens.ids.shape == (2, 4 * -(-frames // 32))
    motion, emotion = tokenizer.decode(tokens, frames)
    assert motion.shape == (2, frames, space.dim)
    assert emotion is None
    assert tokenizer.tokens.frames_per_token == 8
    alone, _ = tokenizer.decode(Tokens(tokens.ids[:1]), frames)
    assert np.abs(alone - motion[:1]).max() < 1e-4


def test_one_patch_is_one_token_in_time_and_a_share_of_every_slice_in_the_release() -> None:
    z = torch.randn(5, 4, 16, generator=torch.Generator().manual_seed(0))
    moved = z.clone()
    moved[:, 2] = -10 * moved[:, 2]
    for axis, touched in (("time", {2}), ("channel_slice", {0, 1, 2, 3})):
        net = _tokenizer(token_axis=axis).net
        before, after = net.quantise(z)[1], net.quantise(moved)[1]
        assert {int(i) for i in (before != after).any(0).nonzero()} == touched
        assert torch.equal(net._turned_back(net._turned(z)), z)
    rows = net._turned(z)
    assert torch.equal(rows[0, 1].view(4, 4), z[0, :, 4:8].T), "row 1 is channels 4 to 7 of all patches"


def test_decoded_ids_are_the_quantised_vectors() -> None:
    for axis in ("time", "channel_slice"):
        net = _tokenizer(token_axis=axis).net
        with torch.no_grad():
            quantised, ids, _ = net.encode(torch.from_numpy(_motion(32)))
            expected = net.unfold(quantised) * net.scale + net.mean
            assert torch.allclose(net.decode(ids), expected, atol=1e-4)


def test_learnt_book_pulls_codes_to_vectors_and_a_quarter_back() -> None:
    torch.manual_seed(0)
    book = LearntBook(6, 3, commitment=0.25)
    z = torch.randn(7, 3, requires_grad=True)
    quantised, ids, aux = book(z)
    nearest = torch.cdist(z, book.book).argmin(1)
    assert torch.equal(ids, nearest)
    assert torch.allclose(quantised, book.book[ids], atol=1e-6)
    assert float(aux.detach()) == pytest.approx(1.25 * float((book.book[ids] - z).detach().square().mean()), rel=1e-5)
    pull_z, pull_book = torch.autograd.grad(aux, (z, book.book), retain_graph=True)
    assert torch.allclose(pull_z, 0.25 * 2 * (z - book.book[ids]) / z.numel(), atol=1e-6)
    assert pull_book[ids].abs().sum() > 0
    (through,) = torch.autograd.grad(quantised.sum(), z)
    assert torch.equal(through, torch.ones_like(z))
    with pytest.raises(ValueError, match="6 codes"):
        book.decode(torch.tensor([6]))


@pytest.mark.parametrize("book", ["gradient", "ema"])
def test_training_lowers_the_error(book: str, tmp_path: Path) -> None:
    corpus, tokenizer = TinyCorpus(), _tokenizer(book=book, steps=60)
    x = next(iter(corpus.dyads("train"))).listener.motion[None]

    def error() -> float:
        return float(np.abs(tokenizer.decode(tokenizer.encode(x), x.shape[1])[0] - x).mean())

    before = error()
    outcome = fit(tokenizer, corpus, {}, FitOptions(tmp_path, seed=0))
    assert error() < 0.8 * before
    assert list(outcome) == ["tokenizer"]


def test_frames_after_the_end_and_group_sizes_do_not_weigh() -> None:
    tokenizer = _tokenizer()
    listener, valid = torch.from_numpy(_motion(32)), torch.arange(32) < torch.tensor([[32], [8]])
    with torch.no_grad():
        quantised, _, aux = tokenizer.net.encode(listener, valid[:, :: tokenizer.config.patch])
        error = (tokenizer.net.unfold(quantised) - listener).abs()
        rows = torch.cat([error[0], error[1, :8]])
        expected = sum(rows[:, start:stop].mean() for start, stop in FACEVERSE_58.groups.values()) + aux
        loss = tokenizer._loss(_batch(listener, valid))
    assert float(loss.total["all"]) == pytest.approx(float(expected), rel=1e-5)


def test_scales() -> None:
    corpus = TinyCorpus()
    clips = [dyad.listener.motion for dyad in corpus.dyads("train")]
    for scale, expected in (("std", np.concatenate(clips).std(0)), ("released", np.std([c.std(0) for c in clips], 0))):
        tokenizer = _tokenizer(scale=scale)
        next(tokenizer.stages(corpus))
        assert np.allclose(tokenizer.net.scale.numpy(), expected, rtol=1e-3)
        assert np.allclose(tokenizer.net.mean.numpy(), np.concatenate(clips).mean(0), atol=1e-5)


def test_noam_peaks_at_the_end_of_its_warmup() -> None:
    factor = noam(10)
    assert factor(9) == pytest.approx(1.0)
    assert factor(0) == pytest.approx(0.1)
    assert factor(39) == pytest.approx(0.5)


def test_bad_requests_are_refused() -> None:
    tokenizer = _tokenizer()
    with pytest.raises(DyadbenchError, match="faceverse-58"):
        tokenizer.encode(_motion(40, DECA_56))
    with pytest.raises(ValueError, match="32 codes"):
        tokenizer.decode(Tokens(np.full((1, 4), 32)), 32)
    with pytest.raises(ValueError, match="5 tokens, got 4"):
        tokenizer.decode(Tokens(np.zeros((1, 4), np.int64)), 33)
    with pytest.raises(ValueError, match="power of two"):
        TokenizerConfig(patch=6, block=24)
    with pytest.raises(ValueError, match="slices"):
        TokenizerConfig(token_axis="channel_slice", dim=90)
