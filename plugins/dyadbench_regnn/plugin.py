"""Registers REGNN; importing it is cheap."""

from __future__ import annotations

from dyadbench.api import Config, PredictorEntry
from dyadbench.hookspecs import hookimpl
from dyadbench_regnn.config import PRESETS, MotionConfig, OnlineConfig, RegnnConfig

CITE = "REGNN, Reversible Graph Neural Network-based Reaction Distribution Learning, arXiv 2305.15270, as the baseline of REACT 2024"


@hookimpl
def dyadbench_predictors() -> list[PredictorEntry]:
    def row(name: str, config: type[Config], summary: str) -> PredictorEntry:
        return PredictorEntry(
            name, 1, "dyadbench_regnn.predictor:RegnnPredictor", config, summary, CITE, presets=PRESETS
        )

    return [
        row(
            "regnn",
            RegnnConfig,
            "a reversible graph network on 2 s of emotion; its input is motion and emotion, not pixels",
        ),
        row("regnn-online", OnlineConfig, "REGNN in which each 2 s react to the speaker's 2 s before"),
        row("regnn-motion", MotionConfig, "REGNN on the channels of motion"),
    ]
