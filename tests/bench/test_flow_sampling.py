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

from dyadbench.api import FACEVERSE_58, AudioSpec, Context, Needs, Setup
from dyadbench.datasets.tiny_corpus import TinyCorpus
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


def _equal_speakers(clips: int) -> Context:
    """One speaker, as often as asked for."""
    one = TinyCorpus(frames=FRAMES, clips=1).context([0], Needs(audio=("mfcc-78",)), FRAMES)
    again = lambda values: np.repeat(values, clips, 0)  # noqa: E731  # a name for one expression
    names = tuple(f"clip{i}" for i in range(clips))
    sound = {name: again(values) for name, values in one.audio.items()}
    return Context(names, again(one.lengths), again(one.speaker_motion), again(one.speaker_emotion), sound)


@pytest.mark.parametrize("mode", ["shared", "apart"])
def test_frames_one_after_another(sampling_bench: Any, setup: Setup, mode: str) -> None:
    predictor = FaceFlow(FlowConfig(**LFI[SIZE]), setup)
    clips, k = (1, K) if mode == "shared" else (K, 1)
    spent = sampling_bench(predictor, k=k, frames=FRAMES, context=_equal_speakers(clips), device=DEVICE)
    assert spent.reaction.motion.shape == (clips, k, FRAMES, 58)


@pytest.mark.parametrize("iterations", [5, 50])
def test_windows_through_the_inverted_motor(benchmark: Any, sampling_bench: Any, setup: Setup, iterations: int) -> None:
    predictor = RegnnPredictor(RegnnConfig(**{**REGNN[SIZE], "iterations": iterations, "tolerance": 1e-3}), setup)
    calls: list[int] = []
    for layer in predictor.net.motor.layers:
        layer.pairs.register_forward_hook(lambda module, inputs, out: calls.append(1))
    spent = sampling_bench(predictor, k=K, frames=FRAMES, device=DEVICE)
    assert spent.reaction.emotion.shape == (1, K, FRAMES, 25)
    assert len(calls) <= 3 * iterations * predictor.config.motor_layers  # two calls for the first frame
    benchmark.extra_info.update(iterations=len(calls))
