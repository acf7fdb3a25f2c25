"""Sampling from flows: frames one after another (lfi) and windows through an inverted network (regnn).

Run `pytest tests/bench/test_flow_sampling.py`; FRAMES=250 makes it shorter, SIZE=small takes the small preset and CUDA=1
a GPU. Weights are random. `extra_info` has ms per frame and the real-time factor over all samples. Compare
- `shared` with `apart` (lfi): what is heard computed once for a clip's samples, or once per sample;
- `5` with `50` (regnn): the release's limit of iterations and ours, which stops where nothing moves.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest
import torch

from dyadbench.api import FACEVERSE_58, AudioSpec, Context, Setup
from dyadbench.cell.noise import CellNoise
from dyadbench_lfi.config import PRESETS as LFI
from dyadbench_lfi.config import FlowConfig
from dyadbench_lfi.predictor import FaceFlow
from dyadbench_regnn.config import PRESETS as REGNN
from dyadbench_regnn.config import RegnnConfig
from dyadbench_regnn.predictor import RegnnPredictor

FRAMES, SIZE, K = int(os.environ.get("FRAMES", "750")), os.environ.get("SIZE", "paper"), 10
DEVICE = "cuda" if os.environ.get("CUDA") else "cpu"


@pytest.fixture(scope="module")
def setup() -> Setup:
    torch.set_num_threads(1)
    return Setup(FACEVERSE_58, {"mfcc-78": AudioSpec(78)}, True, seed=0, device=DEVICE)


def _context(clips: int = 1, frames: int = FRAMES) -> Context:
    rng = np.random.default_rng(0)
    motion, sound, emotion = (
        np.repeat(rng.standard_normal((1, frames, n)).astype(np.float32), clips, 0) for n in (58, 78, 25)
    )
    names = tuple(f"clip{i}" for i in range(clips))
    return Context(names, np.full(clips, frames), motion, emotion, {"mfcc-78": sound})


def _timed(benchmark: Any, call: Any) -> Any:
    found = benchmark.pedantic(call, rounds=1)  # reactions come back on the CPU, so a GPU has finished
    seconds = benchmark.stats.stats.mean
    benchmark.extra_info.update(ms_per_frame=1e3 * seconds / FRAMES, realtime_factor=K * FRAMES / 25 / seconds)
    return found


@pytest.mark.parametrize("mode", ["shared", "apart"])
def test_frames_one_after_another(benchmark: Any, setup: Setup, mode: str) -> None:
    predictor = FaceFlow(FlowConfig(**LFI[SIZE]), setup)
    predictor.sample(_context(frames=10), 1, CellNoise(0))
    clips, k = (1, K) if mode == "shared" else (K, 1)
    reaction = _timed(benchmark, lambda: predictor.sample(_context(clips), k, CellNoise(0)))
    assert reaction.motion.shape == (clips, k, FRAMES, 58)


@pytest.mark.parametrize("iterations", [5, 50])
def test_windows_through_the_inverted_motor(benchmark: Any, setup: Setup, iterations: int) -> None:
    predictor = RegnnPredictor(RegnnConfig(**{**REGNN[SIZE], "iterations": iterations, "tolerance": 1e-3}), setup)
    predictor.sample(_context(frames=50), 1, CellNoise(0))
    calls: list[int] = []
    for layer in predictor.net.motor.layers:
        layer.pairs.register_forward_hook(lambda module, given, out: calls.append(1))
    reaction = _timed(benchmark, lambda: predictor.sample(_context(), K, CellNoise(0)))
    assert reaction.emotion.shape == (1, K, FRAMES, 25)
    assert len(calls) <= iterations * predictor.config.motor_layers
    benchmark.extra_info.update(iterations=len(calls))
