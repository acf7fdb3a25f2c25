"""Builds the predictor that the configuration asks for: ours, or the release's."""

from __future__ import annotations

from dyadbench.api import (
    Setup,
    Tokenizer,
)  # fmt: skip
from dyadbench_dense_fsq.config import PredictorConfig
from dyadbench_dense_fsq.predictor import CrossModalAR


def build(config: PredictorConfig, setup: Setup, *, tokenizer: Tokenizer) -> CrossModalAR:
    """The predictor that `config.mode` names. Raises DyadbenchError for a tokenizer without one token per frame."""
    if config.mode == "released":
        from dyadbench_dense_fsq.released import ReleasedAR

        return ReleasedAR(config, setup, tokenizer)
    return CrossModalAR(config, setup, tokenizer)
