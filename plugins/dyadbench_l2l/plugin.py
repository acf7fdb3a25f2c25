"""Registers Learning2Listen; importing it is cheap."""

from __future__ import annotations

from dyadbench.api import MethodEntry, PredictorEntry, TokenizerEntry
from dyadbench.hookspecs import hookimpl
from dyadbench_l2l.config import PREDICTOR_PRESETS, TOKENIZER_PRESETS, PredictorConfig, TokenizerConfig

CITE = "Learning to Listen, CVPR 2022, arXiv 2204.08451, github.com/evonneng/learning2listen"


@hookimpl
def dyadbench_tokenizers() -> list[TokenizerEntry]:
    return [
        TokenizerEntry(
            "window-vq", 1, "dyadbench_l2l.tokenizer:WindowTokenizer", TokenizerConfig,
            "one vector-quantised code per 8 frames, in windows of 32 frames", CITE, presets=TOKENIZER_PRESETS,
        )
    ]  # fmt: skip


@hookimpl
def dyadbench_predictors() -> list[PredictorEntry]:
    return [
        PredictorEntry(
            "patch-ar", 2, "dyadbench_l2l.predictor:PatchAR", PredictorConfig,
            "predicts the next token of 8 frames from the speaker's last 40 frames and the last tokens", CITE, presets=PREDICTOR_PRESETS,
        )
    ]  # fmt: skip


@hookimpl
def dyadbench_methods() -> list[MethodEntry]:
    return [
        MethodEntry(
            "learning2listen", 1, summary="8-frame tokens of motion, generated one after another", cite=CITE,
            predictor="patch-ar", tokenizer="window-vq",
        )
    ]  # fmt: skip
