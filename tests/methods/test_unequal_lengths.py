"""Clips of different length: a reaction is that of the clip alone, whichever clips are in its batch."""

from __future__ import annotations

from typing import Any

import pytest
from tests.fixtures.corpora import UnequalCorpus
from tests.fixtures.hosts import shared_host

from dyadbench.api import Setup
from dyadbench.cell.noise import CellNoise
from dyadbench.cell.react import largest_gap, react, row_of

CASES: dict[str, tuple[str, dict[str, Any], str, dict[str, Any]]] = {
    "vqtalker": ("grfsq", {"block": 8}, "coarse-to-fine", {}),
    "vqtalker-chunked": ("grfsq", {"block": 8}, "coarse-to-fine-chunked", {}),
    "learning2listen": ("window-vq", {}, "patch-ar", {}),
    "learning2listen, decode=window": ("window-vq", {}, "patch-ar", {"decode": "window"}),
    "sfms": ("sparse-fsq", {}, "keyframe-ar", {}),
    "sfms, decode=windows": ("sparse-fsq", {}, "keyframe-ar", {"decode": "windows"}),
    "sfms on frames": ("frame-fsq", {"block": 16}, "keyframe-ar", {}),
    "dense-fsq": ("frame-fsq", {"block": 16}, "crossmodal-ar", {}),
    "difflistener": ("conv-vq", {}, "token-diffusion", {}),
    "reconstruction of keyframes": ("sparse-fsq", {}, "reconstruction", {}),
    "reconstruction of convolutions": ("conv-vq", {}, "reconstruction", {}),
    "trans-vae-online, tail=zeros": ("", {}, "trans-vae-online", {"tail": "zeros"}),
    "regnn": ("", {}, "regnn", {}),
}


@pytest.mark.parametrize("name", CASES)
def test_a_clip_alone_and_in_a_batch_with_longer_ones(name: str) -> None:
    tokenizer, its, predictor, settings = CASES[name]
    corpus, host = UnequalCorpus((69, 40, 101, 50)), shared_host()
    setup = Setup(corpus.space, corpus.audio, corpus.emotion, 0)
    tokens = host.build("tokenizer", tokenizer, _smoke("tokenizer", tokenizer) | its, setup) if tokenizer else None
    model = host.build(
        "predictor",
        predictor,
        _smoke("predictor", predictor) | settings,
        setup,
        **({"tokenizer": tokens} if tokens else {}),
    )
    rows = range(4)
    batch = react(model.sample, corpus.context(rows, model.needs), 2, CellNoise(0), corpus.space, predictor)
    for row in rows:
        alone = react(model.sample, corpus.context([row], model.needs), 2, CellNoise(0), corpus.space, predictor)
        length = int(corpus.lengths[row])
        assert largest_gap(row_of(batch, row, length), row_of(alone, 0, length)) < 1e-4, f"clip of {length} frames"


def _smoke(kind: str, name: str) -> dict[str, Any]:
    return dict(shared_host().get(kind, name).presets.get("smoke", {}))
