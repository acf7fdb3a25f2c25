"""Registers DiffListener; importing it is cheap."""

from __future__ import annotations

from dyadbench.api import MethodEntry, PredictorEntry, TokenizerEntry
from dyadbench.hookspecs import hookimpl
from dyadbench_difflistener.config import (
    ONLINE_PRESETS,
    PREDICTOR_PRESETS,
    TOKENIZER_PRESETS,
    CausalTokenizerConfig,
    OnlinePredictorConfig,
    PredictorConfig,
    TokenizerConfig,
)

CITE = "DiffListener: Discrete Diffusion Model for Listener Generation, ICASSP 2025, arXiv 2502.06822"


@hookimpl
def dyadbench_tokenizers() -> list[TokenizerEntry]:
    where = "dyadbench_difflistener.tokenizer:ConvTokenizer"
    return [
        TokenizerEntry(
            "conv-vq", 1, where, TokenizerConfig, "one vector-quantised code per 8 frames, from a convolutional network", CITE,
            presets=TOKENIZER_PRESETS,
        ),
        TokenizerEntry(
            "conv-vq-causal", 1, where, CausalTokenizerConfig, "conv-vq whose decoder uses only the tokens so far", CITE,
            presets=TOKENIZER_PRESETS,
        ),
    ]  # fmt: skip


@hookimpl
def dyadbench_predictors() -> list[PredictorEntry]:
    where = "dyadbench_difflistener.predictor:TokenDiffusion"
    return [
        PredictorEntry(
            "token-diffusion", 3, where, PredictorConfig, "discrete diffusion of all tokens of a window together, given the speaker",
            CITE, presets=PREDICTOR_PRESETS,
        ),
        PredictorEntry(
            "token-diffusion-online", 3, where, OnlinePredictorConfig, "token-diffusion in short blocks without look-ahead",
            CITE, presets=ONLINE_PRESETS,
        ),
    ]  # fmt: skip


@hookimpl
def dyadbench_methods() -> list[MethodEntry]:
    return [
        MethodEntry(
            "difflistener", 1, summary="discrete diffusion over 8-frame tokens of a whole window", cite=CITE,
            predictor="token-diffusion", tokenizer="conv-vq",
        ),
        MethodEntry(
            "difflistener-online", 1, summary="DiffListener in blocks of 16 frames without look-ahead", cite=CITE,
            predictor="token-diffusion-online", tokenizer="conv-vq-causal",
        ),
    ]  # fmt: skip
