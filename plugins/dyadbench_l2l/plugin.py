"""Registers Learning2Listen; importing it is cheap."""

from __future__ import annotations

from dyadbench.api import Entry
from dyadbench.hookspecs import hookimpl
from dyadbench_l2l.config import PREDICTOR_PRESETS, TOKENIZER_PRESETS, PredictorConfig, TokenizerConfig

CITE = "Learning to Listen, CVPR 2022, arXiv 2204.08451, github.com/evonneng/learning2listen"


@hookimpl
def dyadbench_tokenizers() -> list[Entry]:
    return [
        Entry(
            "window-vq", 1, "dyadbench_l2l.tokenizer:WindowTokenizer", TokenizerConfig,
            "one vector-quantised code for 8 frames, in windows of 32", CITE, presets=TOKENIZER_PRESETS,
        )
    ]  # fmt: skip


@hookimpl
def dyadbench_predictors() -> list[Entry]:
    return [
        Entry(
            "patch-ar", 1, "dyadbench_l2l.predictor:PatchAR", PredictorConfig,
            "the next 8 frames' token from the speaker's last 40 frames and the last tokens", CITE, presets=PREDICTOR_PRESETS,
        )
    ]  # fmt: skip


@hookimpl
def dyadbench_methods() -> list[Entry]:
    return [
        Entry(
            "learning2listen", 1, "", summary="8-frame tokens of motion, generated one after another", cite=CITE,
            parts={"tokenizer": "window-vq", "predictor": "patch-ar"},
        )
    ]  # fmt: skip
