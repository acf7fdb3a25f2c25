"""Registers Trans-VAE; importing it is cheap."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dyadbench.api import Config, PredictorEntry
from dyadbench.hookspecs import hookimpl
from dyadbench_transvae.config import ONLINE_PRESETS, PRESETS, OnlineConfig, TransVAEConfig

CITE = "Trans-VAE, baseline of REACT 2023 and 2024, arXiv 2306.06583, after ReactFace, arXiv 2305.15748"


@hookimpl
def dyadbench_predictors() -> list[PredictorEntry]:
    def row(name: str, config: type[Config], presets: Mapping[str, Mapping[str, Any]], summary: str) -> PredictorEntry:
        where = "dyadbench_transvae.predictor:TransVAEPredictor"
        return PredictorEntry(name, 1, where, config, summary, CITE, presets=presets)

    return [
        row(
            "trans-vae",
            TransVAEConfig,
            PRESETS,
            "one latent per clip from the speaker's voice and motion (instead of pixels)",
        ),
        row(
            "trans-vae-online",
            OnlineConfig,
            ONLINE_PRESETS,
            "Trans-VAE window by window, given its own past reactions",
        ),
    ]
