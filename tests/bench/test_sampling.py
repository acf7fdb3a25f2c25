"""Speed of the sampling loops: what sharing the speaker and caching keys are worth, in one run.

Run `pytest tests/bench/test_sampling.py`; FRAMES=320 makes it shorter, SIZE=small takes the small preset and CUDA=1 a
GPU. Weights are random. Each row's `extra_info` has ms a frame and the real-time factor over all samples. Compare
- `released` with `window`: every sample recomputing the speaker against once for all samples of a clip;
- `uncached` with `cached`: one model, equal reactions. `recompute` is the window loop's cost for that model (each
  patch computes one context of the listener again), whose ratio to `cached` cannot exceed context / patch = 8.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest
import torch

from dyadbench.api import FACEVERSE_58, AudioSpec, Context, Setup
from dyadbench.cell.noise import CellNoise
from dyadbench.nn.sampling import Step, autoregress, uniforms
from dyadbench_dense_fsq.config import PREDICTOR_PRESETS, TOKENIZER_PRESETS, PredictorConfig, TokenizerConfig
from dyadbench_dense_fsq.factory import build
from dyadbench_dense_fsq.predictor import CrossModalAR
from dyadbench_dense_fsq.tokenizer import FrameTokenizer

FRAMES, SIZE, K = int(os.environ.get("FRAMES", "750")), os.environ.get("SIZE", "paper"), 10
DEVICE = "cuda" if os.environ.get("CUDA") else "cpu"


@pytest.fixture(scope="module")
def tokenizer() -> FrameTokenizer:
    torch.set_num_threads(1)
    setup = Setup(FACEVERSE_58, {"mfcc-78": AudioSpec(78)}, True, seed=0, device=DEVICE)
    return FrameTokenizer(TokenizerConfig(**TOKENIZER_PRESETS[SIZE]), setup)


def _predictor(tokenizer: FrameTokenizer, **config: object) -> CrossModalAR:
    full_config = PredictorConfig(**{**PREDICTOR_PRESETS[SIZE], **config})
    return build(full_config, tokenizer.setup, tokenizer=tokenizer)


def _context(frames: int = FRAMES) -> Context:
    rng = np.random.default_rng(0)
    motion, sound = (rng.standard_normal((1, frames, n)).astype(np.float32) for n in (58, 78))
    return Context(("clip",), np.array([frames]), motion, None, {"mfcc-78": sound})


def _timed(benchmark: Any, call: Any) -> Any:
    def synchronised() -> Any:
        result = call()
        if DEVICE == "cuda":
            torch.cuda.synchronize()
        return result

    output = benchmark.pedantic(synchronised, rounds=1, warmup_rounds=int(DEVICE == "cuda"))
    seconds = benchmark.stats.stats.mean
    benchmark.extra_info.update(ms_per_frame=1e3 * seconds / FRAMES, realtime_factor=K * FRAMES / 25 / seconds)
    return output


@pytest.mark.parametrize(
    "config",
    [
        {"mode": "released"},
        {},
        {"attention": "block-causal"},
        {"attention": "block-causal", "cache": False},
    ],
    ids=["released", "window", "cached", "uncached"],
)
def test_reactions(sampling_bench: Any, tokenizer: FrameTokenizer, config: dict[str, object]) -> None:
    """Everything that `sample` does: speaker, listener, drawing, decoding."""
    spent = sampling_bench(_predictor(tokenizer, **config), k=K, frames=FRAMES, device=DEVICE)
    assert spent.reaction.motion.shape == (1, K, FRAMES, 58)


@pytest.mark.parametrize("loop", ["cached", "uncached", "recompute"])
@torch.no_grad()
def test_listener_of_the_block_causal_model(benchmark: Any, tokenizer: FrameTokenizer, loop: str) -> None:
    """Tokens only, the speaker given."""
    predictor = _predictor(tokenizer, attention="block-causal")
    patch, width = predictor.config.patch, predictor.config.context
    padded = FRAMES + -FRAMES % patch
    speaker = predictor._speaker(_context(), padded)
    fused = predictor.net.speaker(speaker)
    uniform = uniforms(CellNoise(0), ["clip"], K, padded, device=DEVICE)

    def recompute() -> Step:
        def step(first: int, history: torch.Tensor) -> torch.Tensor:
            ids = torch.nn.functional.pad(predictor._stream(history), (width, 0))[:, -width:]
            heard = torch.nn.functional.pad(fused, (0, 0, width, 0))[:, first + patch : first + patch + width]
            return predictor.net.listener(ids, predictor.net.memory(heard))[:, -patch:]

        return step

    loops = {"cached": lambda: predictor._cached(speaker), "uncached": lambda: predictor._uncached(speaker)}
    make = loops.get(loop, recompute)
    ids = _timed(benchmark, lambda: autoregress(make(), uniform, patch=patch, top_k=512))
    assert ids.shape == (K, padded)
