"""Speed of SFMS: the k-hot relaxation for all rows at once, and rolling inference that hears the speaker once.

Run `pytest tests/bench/test_keyframes.py`; SIZE=paper takes the paper preset, FRAMES=320 makes it shorter, CUDA=1 takes a
GPU. Weights are random. The ratio of the two sampling loops, measured in one run, is printed: `apart` gives each of the
ten samples a speaker of its own, for the same work otherwise.
"""

from __future__ import annotations

import os
import time
from typing import Any

import numpy as np
import pytest
import torch

from dyadbench.api import FACEVERSE_58, AudioSpec, Context, Setup
from dyadbench.cell.noise import CellNoise
from dyadbench_sfms.config import PREDICTOR_PRESETS, TOKENIZER_PRESETS, PredictorConfig, TokenizerConfig
from dyadbench_sfms.predictor import KeyframeAR
from dyadbench_sfms.selection import relaxed_khot
from dyadbench_sfms.tokenizer import SparseTokenizer

FRAMES, SIZE, K = int(os.environ.get("FRAMES", "750")), os.environ.get("SIZE", "small"), 10
CLIPS = 4  # sampled together
DEVICE = "cuda" if os.environ.get("CUDA") else "cpu"
SETUP = Setup(FACEVERSE_58, {"mfcc-78": AudioSpec(78)}, True, seed=0, device=DEVICE)


@pytest.fixture(scope="module")
def predictor() -> KeyframeAR:
    torch.set_num_threads(1)
    tokenizer = SparseTokenizer(TokenizerConfig(**TOKENIZER_PRESETS[SIZE]), SETUP)
    model = KeyframeAR(PredictorConfig(**PREDICTOR_PRESETS[SIZE]), SETUP, tokenizer=tokenizer)
    model.net.opening[0] = 1
    return model


def _seconds(call: Any) -> float:
    """Of this process, which a busy machine does not stretch; of the clock where a GPU does the work."""
    clock = time.perf_counter if DEVICE == "cuda" else time.process_time
    started = clock()
    call()
    if DEVICE == "cuda":
        torch.cuda.synchronize()
    return clock() - started


@pytest.mark.parametrize("how", ["all rows", "row by row"])
def test_relaxed_khot(benchmark: Any, how: str) -> None:
    """64 windows x 4 samples, 10 keyframes of 48 frames, forward and backward."""
    torch.set_num_threads(1)
    scores = torch.randn(256, 48, device=DEVICE, requires_grad=True)
    valid, k = torch.ones(256, 48, dtype=torch.bool, device=DEVICE), torch.full((256,), 10, device=DEVICE)

    def run() -> None:
        if how == "all rows":
            relaxed_khot(scores, k, 0.5, valid).square().sum().backward()
            return
        rows = [relaxed_khot(scores[n : n + 1], k[n : n + 1], 0.5, valid[n : n + 1]) for n in range(256)]
        torch.cat(rows).square().sum().backward()

    run()
    benchmark.pedantic(run, rounds=3)
    assert scores.grad is not None


def test_rolling_inference_hears_the_speaker_once(benchmark: Any, predictor: KeyframeAR) -> None:
    """Classes of K reactions of each clip, nothing decoded."""
    rng = np.random.default_rng(0)
    motion, sound = (rng.standard_normal((CLIPS, FRAMES, n)).astype(np.float32) for n in (58, 78))
    shared = Context(tuple("abcd"[:CLIPS]), np.full(CLIPS, FRAMES), motion, None, {"mfcc-78": sound})
    apart = Context(
        tuple(f"clip{n}" for n in range(CLIPS * K)), np.full(CLIPS * K, FRAMES), np.repeat(motion, K, 0), None,
        {"mfcc-78": np.repeat(sound, K, 0)},
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(predictor, "_reaction", lambda classes, *rest: classes)
        predictor.sample(shared, K, CellNoise(0))
        benchmark.pedantic(lambda: predictor.sample(shared, K, CellNoise(0)), rounds=1)
        pairs = [
            (
                _seconds(lambda: predictor.sample(shared, K, CellNoise(0))),
                _seconds(lambda: predictor.sample(apart, 1, CellNoise(0))),
            )
            for _ in range(3)
        ]
    once, often = (float(np.median([pair[n] for pair in pairs])) for n in (0, 1))
    benchmark.extra_info.update(ratio=often / once, ms_per_frame=1e3 * once / FRAMES)
    print(f"\nspeaker once {once:.2f} s, for each of {K} samples {often:.2f} s, ratio {often / once:.2f}")
    assert predictor.sample(shared, 2, CellNoise(0)).motion.shape == (CLIPS, 2, FRAMES, 58)
