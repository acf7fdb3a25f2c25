"""Sampling in residual layers: K reactions of a whole clip are R passes of the network, however long the clip.

Run `pytest tests/bench/test_layers_sampling.py`; FRAMES=320 makes it shorter, SIZE=small takes the small preset and
CUDA=1 a GPU. Weights are random. `extra_info` has the passes counted, ms a frame and the real-time factor over all
samples. `drawn` against `argmax` is the price of one-to-many: where nothing is drawn a clip's samples are one row.
"""

from __future__ import annotations

import os
from typing import Any

import pytest
import torch

from dyadbench.api import FACEVERSE_58, AudioSpec, Setup
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
def test_k_reactions_take_one_pass_a_layer(
    benchmark: Any, sampling_bench: Any, tokenizer: GridTokenizer, config: dict[str, int]
) -> None:
    full_config = PredictorConfig(**{**PREDICTOR_PRESETS[SIZE], **config})
    predictor = CoarseToFine(full_config, tokenizer.setup, tokenizer)
    passes: list[int] = []
    predictor.net.register_forward_hook(lambda module, inputs, hidden: passes.append(len(hidden)))
    spent = sampling_bench(predictor, k=K, frames=FRAMES, device=DEVICE)
    passes = passes[-tokenizer.tokens.residual :]  # those before were for the first frame
    assert spent.reaction.motion.shape == (1, K, FRAMES, 58)
    assert passes[0] == 1
    assert passes[1:] == [K if config["drawn"] else 1] * (len(passes) - 1)
    benchmark.extra_info.update(passes=len(passes))
