"""Registers the baselines; importing it is cheap."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from dyadbench.api import Config, PredictorEntry
from dyadbench.hookspecs import hookimpl
from dyadbench_baselines.config import (
    TCN_PRESETS,
    LagConfig,
    MeanConfig,
    MimeConfig,
    MismatchedConfig,
    NearestConfig,
    NoConfig,
    OracleSetConfig,
    RandomConfig,
    RidgeConfig,
    RidgeMatchedConfig,
    TcnConfig,
)  # fmt: skip

# Nothing in them is random: another seed gives the same reactions.
FIXED = (
    "oracle",
    "oracle-motion",
    "mime",
    "lagged-mime",
    "mean",
    "mean-sequence",
    "median",
    "nearest-face",
    "nearest-audio",
    "ridge",
    "ridge-matched",
    "ridge-two-sided",
)


@hookimpl
def dyadbench_predictors() -> list[PredictorEntry]:
    def row(
        name: str,
        where: str,
        summary: str,
        config: type[Config] = NoConfig,
        *,
        calibration: bool = False,
        presets: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
        version: int = 1,
    ) -> PredictorEntry:
        return PredictorEntry(
            name,
            version,
            f"dyadbench_baselines.{where}",
            config,
            summary,
            calibration=calibration,
            deterministic=name in FIXED,
            presets=presets,
        )

    return [
        row("oracle", "truth:Oracle", "the true listener, K times: the official ground-truth row", calibration=True),
        row("oracle-motion", "truth:OracleMotion", "the true listener's motion, emotion read out of it: the ceiling of methods that give motion alone", calibration=True),
        row("oracle-set", "truth:OracleSet", "K appropriate listeners: what a perfect one-to-many model approaches", OracleSetConfig, calibration=True),
        row("fresh-listener", "truth:FreshListener", "K new people who hear the same speaker: the ceiling that a perfect method reaches", calibration=True),
        row("random", "chance:Random", "uniform noise, as in REACT 2023 and 2024", RandomConfig, calibration=True),
        row("random-2025", "chance:Random2025", "plausible noise, as in REACT 2025", RandomConfig, calibration=True),
        row("mime", "mirror:Mime", "the speaker, copied", MimeConfig, calibration=True),
        row("lagged-mime", "mirror:LaggedMime", "the speaker, copied 0.7 s later", LagConfig, calibration=True),
        row("mean", "average:MeanFrame", "the mean training frame", MeanConfig, calibration=True),
        row("mean-sequence", "average:MeanSequence", "the mean training clip, frame by frame", MeanConfig, calibration=True),
        row("median", "average:MedianFrame", "the median training frame", MeanConfig, calibration=True),
        row("mismatched-listener", "retrieval:Mismatched", "listeners of other conversations", MismatchedConfig, calibration=True),
        row("nearest-face", "retrieval:NearestFace", "listeners of the training speakers whose motion is nearest", NearestConfig),
        row("nearest-audio", "retrieval:NearestAudio", "listeners of the training speakers who sound nearest", NearestConfig),
        row("ridge", "ridge:Ridge", "linear regression on the last 3 s of the speaker's face and voice", RidgeConfig),
        row("ridge-sampled", "ridge:RidgeSampled", "ridge plus residuals of training listeners, one per sample", RidgeConfig),
        row("ridge-two-sided", "ridge:RidgeTwoSided", "ridge that also hears the listener's own voice; two-sided benchmarks only", RidgeConfig),
        row("ridge-matched", "matched:RidgeMatched", "linear regression with the variance of training listeners", RidgeMatchedConfig),
        row("tcn", "tcn:Tcn", "a causal convolution network that regresses the listener, plus residuals, one per sample", TcnConfig, presets=TCN_PRESETS, version=2),
    ]  # fmt: skip
