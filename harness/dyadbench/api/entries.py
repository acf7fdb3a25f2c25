"""What the hooks of a plugin return: one description per named thing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dyadbench.api.base import Config
from dyadbench.api.scores import BenchmarkConfig


@dataclass(frozen=True)
class Entry:
    """What a hook returns: the description of one named thing. There is one subclass for each hook."""

    name: str
    # Its author raises it whenever the same configuration may give other numbers; of a suite, the versions of its columns.
    version: int


@dataclass(frozen=True)
class ComponentEntry(Entry):
    """A thing that is built from a configuration. Nothing heavy is imported until it is built."""

    load: str  # "package.module:attribute", imported on first use
    config: type[Config] = Config
    summary: str = ""
    cite: str = ""
    presets: Mapping[str, Mapping[str, Any]] = field(
        default_factory=dict
    )  # name -> fields that differ from the default


class DatasetEntry(ComponentEntry):
    """`load` names a `DatasetFactory`."""


class TokenizerEntry(ComponentEntry):
    """`load` names a `TokenizerFactory`."""


@dataclass(frozen=True)
class PredictorEntry(ComponentEntry):
    """`load` names a `PredictorFactory`, or an `OnTokensFactory` where its method has a tokenizer."""

    calibration: bool = False  # a reference row: shown beside the methods, never ranked; only these may see the truth
    deterministic: bool = False  # the seed changes nothing, so that one seed is all there is to know


class SuiteEntry(ComponentEntry):
    """`load` names a `SuiteFactory`."""


class RendererEntry(ComponentEntry):
    """`load` names a `RendererFactory`."""


@dataclass(frozen=True)
class MethodEntry(Entry):
    """A predictor, and the tokenizer that it stands on if it has one, under one name. Their presets are the method's."""

    predictor: str
    tokenizer: str = ""
    summary: str = ""
    cite: str = ""


@dataclass(frozen=True)
class BenchmarkEntry(Entry):
    """A benchmark: all that is to be said of it is its configuration."""

    config: BenchmarkConfig
    summary: str = ""
