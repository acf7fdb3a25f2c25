"""What pads a clip teaches no book."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from tests.fixtures.hosts import shared_host

from dyadbench.api import FACEVERSE_58, Setup, WindowBatch
from dyadbench.datasets.tiny_corpus import TinyCorpus
from dyadbench.nn.quantize import FSQ, LFQ, VQ, quantise_where


@pytest.mark.parametrize("make", [lambda: FSQ((5, 5, 5), 8), lambda: VQ(16, 8), lambda: LFQ(16, 8)])
def test_positions_that_do_not_exist_are_not_quantised(make: Callable[[], torch.nn.Module]) -> None:
    torch.manual_seed(0)
    quantizer, z, valid = make().eval(), torch.randn(3, 6, 8), torch.ones(3, 6, dtype=torch.bool)
    valid[1, 2:] = False
    codes, ids, _ = quantise_where(quantizer, z, valid)
    whole, every, _ = quantizer(z)
    assert torch.equal(codes[valid], whole[valid]) and torch.equal(ids[valid], every[valid])
    assert torch.equal(codes[~valid], z[~valid]) and not ids[~valid].any()
    assert all(torch.equal(a, b) for a, b in zip(quantise_where(quantizer, z, None), quantizer(z), strict=True))


@pytest.mark.parametrize(("name", "per_token"), [("frame-vq", 1), ("grvq", 1), ("window-vq", 8), ("conv-vq", 8)])
def test_a_tokenizer_learns_of_frames_that_exist(name: str, per_token: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Padded frames had up to .86 of the book: `paper` windows of 736 frames, on clips of at most 240."""
    host, corpus = shared_host(), TinyCorpus()
    setup = Setup(FACEVERSE_58, corpus.audio, False, 0)
    tokenizer = host.build("tokenizer", name, dict(host.get("tokenizer", name).presets["smoke"]), setup)
    rows: list[int] = []
    quantizer = tokenizer.net.quantizer
    forward = quantizer.forward
    monkeypatch.setattr(quantizer, "forward", lambda z: (rows.append(z[..., 0].numel()), forward(z))[1])
    frames = int(next(iter(tokenizer.stages(corpus))).windows.frames)
    motion, valid = torch.randn(2, frames, 58), torch.ones(2, frames, dtype=torch.bool)
    valid[1, frames // 2 :] = False
    batch = WindowBatch(("a", "b"), motion, motion, None, None, {}, valid, 0, 0.0, generator=torch.Generator())
    assert torch.isfinite(tokenizer._loss(batch).total["all"])
    assert rows == [int(valid[:, ::per_token].sum())]
