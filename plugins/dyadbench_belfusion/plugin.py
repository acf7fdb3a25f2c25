"""Registers BeLFusion; importing it is cheap."""

from __future__ import annotations

from dyadbench.api import Config, PredictorEntry
from dyadbench.hookspecs import hookimpl
from dyadbench_belfusion.config import PRESETS, BeLFusionConfig, OnlineConfig

CITE = "BeLFusion, ICCV 2023, arXiv 2211.14304, as the baseline of REACT 2023 and 2024"


@hookimpl
def dyadbench_predictors() -> list[PredictorEntry]:
    def row(name: str, config: type[Config], summary: str) -> PredictorEntry:
        return PredictorEntry(
            name, 1, "dyadbench_belfusion.predictor:BeLFusion", config, summary, CITE, presets=PRESETS
        )

    return [
        row(
            "belfusion",
            BeLFusionConfig,
            "latent diffusion of 2 s emotion windows, each given the speaker's window at the same time",
        ),
        row("belfusion-online", OnlineConfig, "BeLFusion with each window given the speaker's window before it"),
    ]
