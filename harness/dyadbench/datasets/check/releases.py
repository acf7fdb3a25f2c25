"""The releases that `dyadbench data check` knows: what each is called, how its folder is recognised, and its rules."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from dyadbench.api import Config
from dyadbench.datasets.check import dualtalk, l2l, mars, openface, react, seamless, vc_dyads
from dyadbench.datasets.check.finding import Finding
from dyadbench.datasets.config import OpenFaceConfig, ReactConfig
from dyadbench.datasets.openface import LIST
from dyadbench.datasets.react import USER_FEATURES
from dyadbench.datasets.seamless import FOLDERS, LABELS
from dyadbench.datasets.vc_dyads import FOLDER

LISTS = ("data/train.csv", "data/val.csv", "data/test.csv")
SPLITS = ("train", "val", "test")
REACT = "REACT"
REACT_SETTINGS = frozenset(USER_FEATURES.values())


@dataclass(frozen=True)
class Release:
    """One dataset as it was released. A dataset without a line here is checked by the contract alone."""

    title: str
    here: Callable[[Path], bool]
    rules: Callable[..., Iterator[Finding]]  # of folder, fix, limit, and `config` where there is one
    fixes: bool = False  # whether --fix means something to it
    limits: bool = True  # whether --limit does
    config: type[Config] | None = None  # what its rules take as `config`, from the settings that a run would have
    settings: frozenset[str] = frozenset()  # those that mean something to the check


def _any(folder: Path, *patterns: str) -> bool:
    return any(not path.name.startswith(".") for pattern in patterns for path in folder.glob(pattern))


def _react(root: Path) -> bool:
    return any((root / each).exists() for each in LISTS)


def _mars(root: Path) -> bool:
    return any((root / split / "facial-attributes").is_dir() for split in SPLITS)


def _seamless(root: Path) -> bool:
    return any((root / label / split).is_dir() for label in LABELS for split in FOLDERS.values())


RELEASES: Mapping[str, Release] = {
    "react2024": Release(REACT, _react, react.check, fixes=True, config=ReactConfig, settings=REACT_SETTINGS),
    "react2023": Release(
        REACT, _react, partial(react.check, name="react2023"), fixes=True, config=ReactConfig, settings=REACT_SETTINGS,
    ),
    "l2l": Release("Learning2Listen", lambda root: _any(root / "data", "*/*/p?_*_clean_deca.npy"), l2l.check, limits=False),
    "lm-listener": Release("LM-Listener", lambda root: _any(root / "dataset", "*/segments_*.pth"), l2l.check_lm, limits=False),
    "vc-dyads": Release("vc-dyads", lambda root: (root / FOLDER).is_dir(), vc_dyads.check),
    "openface": Release(
        "recordings listed in dyads.csv", lambda root: (root / LIST).exists(), openface.check,
        config=OpenFaceConfig, settings=frozenset(OpenFaceConfig.model_fields),
    ),
    "dualtalk": Release("DualTalk", lambda root: _any(root / "data", "*/*_speaker[12].npz"), dualtalk.check),
    "mars": Release("MARS (REACT 2025 and 2026)", _mars, mars.check),
    "seamless": Release("Seamless Interaction", _seamless, seamless.check),
}  # fmt: skip
