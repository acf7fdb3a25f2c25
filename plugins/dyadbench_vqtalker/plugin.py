"""Registers the VQTalker-style methods; importing it is cheap."""

from __future__ import annotations

from dyadbench.api import Config, MethodEntry, PredictorEntry, TokenizerEntry
from dyadbench.hookspecs import hookimpl
from dyadbench_vqtalker.config import (
    PREDICTOR_PRESETS,
    TOKENIZER_PRESETS,
    ChunkedConfig,
    GridConfig,
    GRVQConfig,
    GVQConfig,
    PredictorConfig,
    RVQConfig,
    VQConfig,
)

CITE = "VQTalker: Towards Multilingual Talking Avatars through Facial Motion Tokenization, arXiv 2412.09892"


@hookimpl
def dyadbench_tokenizers() -> list[TokenizerEntry]:
    def row(name: str, config: type[Config], summary: str) -> TokenizerEntry:
        where = "dyadbench_vqtalker.tokenizer:GridTokenizer"
        return TokenizerEntry(name, 1, where, config, summary, CITE, presets=TOKENIZER_PRESETS[name])

    return [
        row("grfsq", GridConfig, "groups x residual layers of finite scalar codes per frame"),
        row("grvq", GRVQConfig, "groups x residual layers of learnt codes per frame"),
        row("rvq", RVQConfig, "residual layers of learnt codes per frame"),
        row("gvq", GVQConfig, "one learnt code per frame and group of channels"),
        row("vq", VQConfig, "one learnt code per frame"),
    ]


@hookimpl
def dyadbench_predictors() -> list[PredictorEntry]:
    def row(name: str, config: type[Config], summary: str, version: int = 1) -> PredictorEntry:
        where = "dyadbench_vqtalker.predictor:CoarseToFine"
        return PredictorEntry(name, version, where, config, summary, CITE, presets=PREDICTOR_PRESETS)

    return [
        row("coarse-to-fine", PredictorConfig, "predicts residual layers one after another, each for the whole clip at once", 2),
        row("coarse-to-fine-chunked", ChunkedConfig, "coarse-to-fine, but a chunk sees the speaker only up to its first frame", 3),
        PredictorEntry(
            "reconstruction", 1, "dyadbench_vqtalker.reconstruction:Reconstruction", calibration=True,
            summary="the true listener, encoded and decoded by the tokenizer",
        ),
    ]  # fmt: skip


@hookimpl
def dyadbench_methods() -> list[MethodEntry]:
    def row(name: str, predictor: str, summary: str) -> MethodEntry:
        return MethodEntry(name, 1, summary=summary, cite=CITE, predictor=predictor, tokenizer="grfsq")

    return [
        row("vqtalker", "coarse-to-fine", "group-residual tokens, predicted coarse to fine from the whole clip"),
        row("vqtalker-chunked", "coarse-to-fine-chunked", "VQTalker in chunks, which reacts while the speaker speaks"),
    ]
