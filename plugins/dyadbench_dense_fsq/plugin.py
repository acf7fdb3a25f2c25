"""Registers Dense-FSQ; importing it is cheap."""

from __future__ import annotations

from dyadbench.api import Config, MethodEntry, PredictorEntry, TokenizerEntry
from dyadbench.hookspecs import hookimpl
from dyadbench_dense_fsq.config import (
    PREDICTOR_PRESETS,
    TOKENIZER_PRESETS,
    LFQConfig,
    PredictorConfig,
    TokenizerConfig,
    VQConfig,
)

CITE = "Dense-FSQ, winner of the REACT 2024 challenge (FG 2024), github.com/ais-lab/FaceAIS_REACT24"


@hookimpl
def dyadbench_tokenizers() -> list[TokenizerEntry]:
    def row(name: str, config: type[Config], summary: str) -> TokenizerEntry:
        where = "dyadbench_dense_fsq.tokenizer:FrameTokenizer"
        return TokenizerEntry(name, 1, where, config, summary, CITE, presets=TOKENIZER_PRESETS)

    return [
        row("frame-fsq", TokenizerConfig, "one finite scalar code per frame"),
        row("frame-vq", VQConfig, "one vector-quantised code per frame; the codebook learns by moving averages"),
        row("frame-lfq", LFQConfig, "one lookup-free binary code per frame"),
    ]


@hookimpl
def dyadbench_predictors() -> list[PredictorEntry]:
    return [
        PredictorEntry(
            "crossmodal-ar", 2, "dyadbench_dense_fsq.factory:build", PredictorConfig,
            "generates patches of frame tokens, given the speaker's face and voice", CITE, presets=PREDICTOR_PRESETS,
        )
    ]  # fmt: skip


@hookimpl
def dyadbench_methods() -> list[MethodEntry]:
    def row(name: str, tokenizer: str, summary: str) -> MethodEntry:
        return MethodEntry(name, 1, summary=summary, cite=CITE, predictor="crossmodal-ar", tokenizer=tokenizer)

    return [
        row("dense-fsq", "frame-fsq", "finite scalar frame tokens, generated patch by patch"),
        row("dense-vq", "frame-vq", "Dense-FSQ with a vector-quantised codebook"),
        row("dense-lfq", "frame-lfq", "Dense-FSQ with lookup-free codes"),
    ]
