"""Configurations of the baselines."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator

from dyadbench.api import Config


class NoConfig(Config):
    """Nothing to set."""


class OracleSetConfig(Config):
    include_true: bool = True  # the true listener is one of the appropriate ones


class RandomConfig(Config):
    """Nothing to set; motion is drawn per channel with the training listeners' mean and standard deviation."""


class LagConfig(Config):
    seconds: float = Field(0.7, ge=0)  # reactions about 700 ms late feel most natural (Kroczek & Muehlberger 2023)


class MimeConfig(LagConfig):
    """There is nothing to set."""

    seconds: float = 0.7  # never read: it stays, at this value alone, because it is in the keys of records

    @field_validator("seconds")
    @classmethod
    def _not_late(cls, seconds: float) -> float:
        if seconds != cls.model_fields["seconds"].default:
            raise ValueError("mime copies at once and reads no `seconds`; lagged-mime is late by them")
        return seconds


class MeanConfig(Config):
    both_roles: bool = False  # True: speakers and listeners together, as the REACT 2023/24 scripts average


class MismatchedConfig(Config):
    pool: int = Field(200, ge=1)  # training listeners to draw from


class NearestConfig(Config):
    pool: int = Field(400, ge=1)  # training clips searched
    bins: int = Field(10, ge=1)  # a clip is described by means and deviations in this many equal parts


class RidgeConfig(Config):
    seconds: float = Field(3.0, gt=0)  # of speaker context
    taps: int = Field(8, ge=1)  # averages over log-spaced stretches of that context
    penalty: float = Field(3.0, gt=0)
    audio: bool = True
    stride: int = Field(5, ge=1)  # frames between two training rows


class RidgeMatchedConfig(Config):
    seconds: float = Field(default=3.0, gt=0)  # the longest delay
    lags: int = Field(default=19, ge=1)  # delays from 0 to that: every sixth of a second
    penalty: float = Field(
        default=1e5, gt=0
    )  # on standardised inputs, beside the sum of squares over all training frames


class TcnConfig(Config):
    sampling: ClassVar[frozenset[str]] = frozenset({"spread"})

    # What makes a regression move as much as a listener: residuals of one listener per sample, or a factor per channel.
    spread: Literal["sampled", "matched", "none"] = "sampled"
    audio: str = "auto"  # a feature's name, "auto" (mfcc-78, else the first) or "none"
    width: int = Field(32, ge=1)
    layers: int = Field(7, ge=1)  # with dilations 1, 2, 4, ...: 7 of kernel 3 see 255 frames, 8.5 s at 30 per second
    kernel: int = Field(3, ge=2)
    dropout: float = Field(0.3, ge=0, lt=1)
    seconds: float = Field(30.0, gt=0)  # of a training window and of a stored residual
    residuals: int = Field(100, ge=1)  # clips whose residuals are stored
    batch: int = Field(8, ge=1)
    steps: int = Field(300, ge=1)
    warmup: int = Field(20, ge=0)
    lr: float = Field(1e-3, gt=0)
    weight_decay: float = Field(0.1, ge=0)
    validate_every: int = Field(20, ge=0)


TCN_PRESETS: dict[str, dict[str, Any]] = {
    "small": {},
    "smoke": {"width": 8, "layers": 2, "seconds": 2.0, "residuals": 4, "batch": 4, "steps": 6, "validate_every": 3},
}
