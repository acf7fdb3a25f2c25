"""Registers SFMS; importing it is cheap."""

from __future__ import annotations

from dyadbench.api import Config, MethodEntry, PredictorEntry, TokenizerEntry
from dyadbench.hookspecs import hookimpl
from dyadbench_sfms.config import PREDICTOR_PRESETS, TOKENIZER_PRESETS, PredictorConfig, TokenizerConfig, VQConfig

CITE = "When Less Is More: A Sparse Facial Motion Structure For Listening Motion Learning, arXiv 2504.05748"


@hookimpl
def dyadbench_tokenizers() -> list[TokenizerEntry]:
    def row(name: str, config: type[Config], summary: str) -> TokenizerEntry:
        where = "dyadbench_sfms.tokenizer:SparseTokenizer"
        return TokenizerEntry(name, 2, where, config, summary, CITE, presets=TOKENIZER_PRESETS)

    return [
        row(
            "sparse-fsq",
            TokenizerConfig,
            "a few keyframes per window in finite scalar codes; the frames between are inpainted",
        ),
        row(
            "sparse-vq",
            VQConfig,
            "a few keyframes per window in vector-quantised codes; the frames between are inpainted",
        ),
    ]


@hookimpl
def dyadbench_predictors() -> list[PredictorEntry]:
    return [
        PredictorEntry(
            "keyframe-ar", 1, "dyadbench_sfms.predictor:KeyframeAR", PredictorConfig,
            "predicts where the next keyframes lie and their codes, from the speaker's face and voice", CITE,
            presets=PREDICTOR_PRESETS,
        )
    ]  # fmt: skip


@hookimpl
def dyadbench_methods() -> list[MethodEntry]:
    def row(name: str, tokenizer: str, summary: str) -> MethodEntry:
        return MethodEntry(name, 1, summary=summary, cite=CITE, predictor="keyframe-ar", tokenizer=tokenizer)

    return [
        row("sfms", "sparse-fsq", "sparse keyframes, generated 8 frames at a time"),
        row("sfms-vq", "sparse-vq", "SFMS with a vector-quantised codebook"),
    ]
