"""Configurations of the baselines."""

from __future__ import annotations

from pydantic import Field

from dyadbench.api import Config


class NoConfig(Config):
    """Nothing to set."""


class OracleSetConfig(Config):
    include_true: bool = True  # the true listener is one of the appropriate ones


class RandomConfig(Config):
    """Nothing to set; motion is drawn per channel with the training listeners' mean and standard deviation."""


class LagConfig(Config):
    seconds: float = Field(0.7, ge=0)  # reactions about 700 ms late feel most natural (Kroczek & Muehlberger 2023)


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
