"""Sampling in residual layers: K reactions of a whole clip are R passes of the network, however long the clip.

Run `pytest tests/bench/test_layers_sampling.py`; FRAMES=320 makes it shorter, SIZE=small takes the small preset and
CUDA=1 a GPU. Weights are random. `extra_info` has the passes counted, ms a frame and the real-time factor over all
samples. `drawn` against `argmax` is the price of one-to-many: where nothing is drawn a clip's samples are one row.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest
import torch

from dyadbench.api import FACEVERSE_58, AudioSpec, Context, Setup
from dyadbench.cell.noise import CellNoise
from dyadbench_vqtalker.config import PREDICTOR_PRESETS, TOKENIZER_PRESETS, GridConfig, PredictorConfig
from dyadbench_vqtalker.predictor import CoarseToFine
from dyadbench_vqtalker.tokenizer import GridTokenizer

FRAMES, SIZE, K = int(os.environ.get("FRAMES", "750")), os.environ.get("SIZE", "paper"), 10
DEVICE = "cuda" if os.environ.get("CUDA") else "cpu"


@pytest.fixture(scope="module")
def tokenizer() -> GridTokenizer:
    torch.set_num_threads(1)
    setup = Setup(FACEVERSE_58, {"mfcc-78": AudioSpec(78)}, True, seed=0, device=DEVICE)
    return GridTokenizer(GridConfig(**TOKENIZER_PRESETS["grfsq"][SIZE]), setup)


@pytest.mark.parametrize(
    "config", [{"drawn": 1}, {"drawn": 0}, {"drawn": 1, "chunk": 8}], ids=["drawn", "argmax", "chunked"]
)
def test_k_reactions_take_one_pass_a_layer(benchmark: Any, tokenizer: GridTokenizer, config: dict[str, int]) -> None:
    made = PredictorConfig(**{**PREDICTOR_PRESETS[SIZE], **config})
    predictor = CoarseToFine(made, tokenizer.setup, tokenizer)
    passes: list[int] = []
    predictor.net.register_forward_hook(lambda module, given, hidden: passes.append(len(hidden)))
    rng = np.random.default_rng(0)
    motion, sound = (rng.standard_normal((1, FRAMES, n)).astype(np.float32) for n in (58, 78))
    context = Context(("clip",), np.array([FRAMES]), motion, None, {"mfcc-78": sound})
    if DEVICE == "cuda":
        predictor.sample(context, K, CellNoise(0))

    def sample() -> Any:
        passes.clear()
        return predictor.sample(context, K, CellNoise(0))  # ends on the CPU, so a GPU has finished

    reaction = benchmark.pedantic(sample, rounds=1)
    seconds = benchmark.stats.stats.mean
    assert reaction.motion.shape == (1, K, FRAMES, 58)
    assert len(passes) == tokenizer.tokens.residual
    assert passes[0] == 1
    assert passes[1:] == [K if config["drawn"] else 1] * (len(passes) - 1)
    benchmark.extra_info.update(
        passes=len(passes), ms_per_frame=1e3 * seconds / FRAMES, realtime_factor=K * FRAMES / 25 / seconds
    )
