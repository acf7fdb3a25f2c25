"""Speed of the samplers that draw latents: BeLFusion's and Trans-VAE's, in one run.

Run `pytest tests/bench/test_latent_sampling.py`; FRAMES=320 makes it shorter, SIZE=small takes the small preset and CUDA=1
a GPU. Weights are random, one thread, ten samples of one clip; `extra_info` has the real-time factor over all samples.
Compare `repeated` with `shared`: what BeLFusion's condition costs when every sample computes it for itself.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from dyadbench.api import FACEVERSE_58, AudioSpec, Context, Setup
from dyadbench_belfusion.config import PRESETS as BELFUSION
from dyadbench_belfusion.config import BeLFusionConfig
from dyadbench_belfusion.config import OnlineConfig as BeLFusionOnline
from dyadbench_belfusion.predictor import BeLFusion
from dyadbench_transvae.config import ONLINE_PRESETS, PRESETS, OnlineConfig, TransVAEConfig
from dyadbench_transvae.predictor import TransVAEPredictor

FRAMES, SIZE, K = int(os.environ.get("FRAMES", "750")), os.environ.get("SIZE", "paper"), 10
DEVICE = "cuda" if os.environ.get("CUDA") else "cpu"
SETUP = Setup(FACEVERSE_58, {"mfcc-78": AudioSpec(78)}, True, seed=0, device=DEVICE)


def _predictor(name: str) -> BeLFusion | TransVAEPredictor:
    torch.set_num_threads(1)
    if name == "trans-vae":
        return TransVAEPredictor(TransVAEConfig(**PRESETS[SIZE]), SETUP)
    if name == "trans-vae-online":
        return TransVAEPredictor(OnlineConfig(**ONLINE_PRESETS[SIZE]), SETUP)
    return BeLFusion((BeLFusionOnline if name == "belfusion-online" else BeLFusionConfig)(**BELFUSION[SIZE]), SETUP)


def _context() -> Context:
    rng = np.random.default_rng(0)
    motion, emotion, sound = (rng.standard_normal((1, FRAMES, n)).astype(np.float32) for n in (58, 25, 78))
    return Context(("clip",), np.array([FRAMES]), motion, emotion, {"mfcc-78": sound})


def _timed(benchmark: Any, call: Any) -> Any:
    def synchronised() -> Any:
        result = call()
        if DEVICE == "cuda":
            torch.cuda.synchronize()
        return result

    output = benchmark.pedantic(synchronised, rounds=2, warmup_rounds=1)
    seconds = benchmark.stats.stats.min
    benchmark.extra_info.update(seconds_per_clip=seconds, realtime_factor=K * FRAMES / 25 / seconds)
    return output


@pytest.mark.parametrize("name", ["belfusion", "belfusion-online", "trans-vae", "trans-vae-online"])
def test_reactions(sampling_bench: Any, name: str) -> None:
    """Everything that `sample` does."""
    spent = sampling_bench(_predictor(name), k=K, frames=FRAMES, device=DEVICE, rounds=2)
    assert spent.reaction.motion.shape == (1, K, FRAMES, 58)


@pytest.mark.parametrize("condition", ["shared", "repeated"])
@torch.no_grad()
def test_denoising(benchmark: Any, condition: str) -> None:
    """BeLFusion's ten steps for all windows and samples."""
    predictor = _predictor("belfusion")
    assert isinstance(predictor, BeLFusion)
    net, hint = predictor.net, predictor._condition(_context())[:, None]  # (1, 1, N, L)
    noise = torch.randn(1, K, *hint.shape[2:], device=DEVICE)
    if condition == "repeated":
        hint = hint.expand_as(noise).contiguous()

    def run() -> Tensor:
        return net.diffusion.sample(
            lambda x, t: net.denoiser(x, torch.full(hint.shape[:-1], t, device=DEVICE), hint), noise
        )

    assert _timed(benchmark, run).shape == noise.shape
