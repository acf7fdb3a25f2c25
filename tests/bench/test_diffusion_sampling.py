"""Speed of DiffListener's sampling loop: what computing the speaker once is worth, in one run.

Run `pytest tests/bench/test_diffusion_sampling.py`; SIZE=paper takes that preset, STEPS and FRAMES are what they say and
CUDA=1 takes a GPU. Weights are random, one thread, ten samples of one clip in one window. Compare
- `recomputed` with `shared`: speaker, keys and values again for every sample at every step, against once for all;
- `keys` with `shared`: the speaker given, its keys and values again, whose ratio cannot exceed about 1.8;
- `reactions`: everything that `sample` does with the preset's own windows; `realtime_factor` is over all samples.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from dyadbench.api import FACEVERSE_58, AudioSpec, Context, Setup
from dyadbench.cell.noise import CellNoise
from dyadbench.nn.diffusion import Denoise
from dyadbench.nn.sampling import uniforms
from dyadbench_difflistener.blocks import plan
from dyadbench_difflistener.config import (
    ONLINE_PRESETS,
    PREDICTOR_PRESETS,
    TOKENIZER_PRESETS,
    CausalTokenizerConfig,
    OnlinePredictorConfig,
    PredictorConfig,
    TokenizerConfig,
)
from dyadbench_difflistener.predictor import TokenDiffusion
from dyadbench_difflistener.tokenizer import ConvTokenizer

SIZE, STEPS, K = os.environ.get("SIZE", "small"), int(os.environ.get("STEPS", "25")), 10
FRAMES, DEVICE = int(os.environ.get("FRAMES", "750")), "cuda" if os.environ.get("CUDA") else "cpu"
SETUP = Setup(FACEVERSE_58, {"mfcc-78": AudioSpec(78)}, True, seed=0, device=DEVICE)


def _predictor(**config: object) -> TokenDiffusion:
    torch.set_num_threads(1)
    tokenizer = ConvTokenizer(TokenizerConfig(**TOKENIZER_PRESETS[SIZE]), SETUP)
    full_config = PredictorConfig(**{**PREDICTOR_PRESETS[SIZE], "sample_steps": STEPS, **config})
    return TokenDiffusion(full_config, SETUP, tokenizer)


def _online() -> TokenDiffusion:
    torch.set_num_threads(1)
    tokenizer = ConvTokenizer(CausalTokenizerConfig(**TOKENIZER_PRESETS[SIZE]), SETUP)
    return TokenDiffusion(OnlinePredictorConfig(**ONLINE_PRESETS[SIZE]), SETUP, tokenizer)


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

    output = benchmark.pedantic(synchronised, rounds=3, warmup_rounds=1)
    seconds = benchmark.stats.stats.min
    benchmark.extra_info.update(seconds_a_clip=seconds, realtime_factor=K * FRAMES / 25 / seconds)
    return output


@pytest.mark.parametrize("mode", ["offline", "online"])
def test_reactions(sampling_bench: Any, mode: str) -> None:
    predictor = _predictor() if mode == "offline" else _online()
    spent = sampling_bench(predictor, k=K, frames=FRAMES, device=DEVICE, rounds=3)
    assert spent.reaction.motion.shape == (1, K, FRAMES, 58)


@pytest.mark.parametrize("loop", ["shared", "keys", "recomputed"])
@pytest.mark.parametrize("memory", ["tokens", "frames"])
@torch.no_grad()
def test_denoising(benchmark: Any, loop: str, memory: str) -> None:
    """Tokens of one window that holds the clip, without drawing: `steps` passes of the network."""
    tokens = -(-FRAMES // 8)
    predictor = _predictor(window=tokens, overlap=0, memory=memory)
    (block,), speaker, length = (
        plan(predictor.config, tokens),
        predictor._speaker(_context()),
        torch.tensor([FRAMES]).to(DEVICE),
    )
    ids = torch.full((K, tokens), predictor.net.process.codes, device=DEVICE)
    face, sound, _ = speaker
    assert sound is not None
    repeated = (face.repeat_interleave(K, 0), sound.repeat_interleave(K, 0), None)
    lengths = length.repeat_interleave(K, 0)

    def denoiser_of(fused: Tensor) -> Denoise:
        return lambda ids, t: predictor.net.denoiser(
            ids, torch.tensor([t], device=DEVICE), predictor.net.denoiser.memory(fused)
        )

    def run() -> Tensor:
        if loop == "shared":
            denoise = predictor.denoise(block, speaker, length, K)
            return [denoise(ids, t) for t in range(STEPS, 0, -1)][-1]
        if loop == "keys":
            heard = torch.ones(K, tokens * 8, dtype=torch.bool, device=DEVICE)
            padded = [torch.nn.functional.pad(x, (0, 0, 0, tokens * 8 - FRAMES)) for x in repeated[:2] if x is not None]
            fused = predictor.net.fusion(*padded, None, heard)[0]
            return [denoiser_of(fused)(ids, t) for t in range(STEPS, 0, -1)][-1]
        return [predictor.denoise(block, repeated, lengths, 1)(ids, t) for t in range(STEPS, 0, -1)][-1]

    assert _timed(benchmark, run).shape == (K, tokens, predictor.net.process.codes)


def test_shared_and_recomputed_give_equal_tokens() -> None:
    """The comparison is between equal results."""
    tokens = 8
    predictor = _predictor(window=tokens, overlap=0, sample_steps=4)
    (block,), speaker, length = (
        plan(predictor.config, tokens),
        predictor._speaker(_context(64)),
        torch.tensor([64]).to(DEVICE),
    )
    uniform = uniforms(CellNoise(0), ["clip"], K, 4 * tokens * 3, device=DEVICE).unflatten(1, (4, tokens, 3))
    face, sound, _ = speaker
    assert sound is not None
    repeated = (face.repeat_interleave(K, 0), sound.repeat_interleave(K, 0), None)
    with torch.no_grad():
        one = predictor.net.process.sample(predictor.denoise(block, speaker, length, K), uniform)
        two = predictor.net.process.sample(
            lambda ids, t: predictor.denoise(block, repeated, length.repeat_interleave(K, 0), 1)(ids, t), uniform
        )
    assert torch.equal(one, two)
