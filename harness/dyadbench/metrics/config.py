"""Configurations of suites; importing them is cheap."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from dyadbench.api import Config


class L2LSuiteConfig(Config):
    """Clusters of the Shannon index, and the seed of their k-means."""

    clusters: Mapping[str, int] = {"expression": 15, "rotation": 9}
    seed: int = 0


class DyadSuiteConfig(Config):
    """Which groups of channels of the motion space are scored, and by which metrics (none named: all)."""

    groups: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()


class DualTalkSuiteConfig(Config):
    """Whose k-means finds the clusters of the Shannon index, and its seed."""

    fit: Literal["own", "sklearn"] = "own"
    seed: int = 0
