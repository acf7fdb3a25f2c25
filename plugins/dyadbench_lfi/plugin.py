"""Registers Let's Face It; importing it is cheap."""

from __future__ import annotations

from dyadbench.api import PredictorEntry
from dyadbench.hookspecs import hookimpl
from dyadbench_lfi.config import PRESETS, FlowConfig

CITE = "Let's Face It: Probabilistic Multi-modal Interlocutor-aware Generation of Facial Gestures in Dyadic Settings, IVA 2020, arXiv 2006.09888"


@hookimpl
def dyadbench_predictors() -> list[PredictorEntry]:
    return [
        PredictorEntry(
            "lfi", 1, "dyadbench_lfi.predictor:FaceFlow", FlowConfig,
            "a normalising flow per frame, given the listener's past and the speaker's face and voice", CITE, presets=PRESETS,
        )
    ]  # fmt: skip
