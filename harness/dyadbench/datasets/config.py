"""Configurations of the dataset adapters; importing them is cheap."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, PositiveInt

from dyadbench.api import Config

Gaze = Literal["partner", "code"]
Normalise = Literal["zero-centre", "standardise", "none"]


class ReactConfig(Config):
    """REACT 2023 and 2024."""

    normalise: Normalise = "zero-centre"  # what all public code does: subtract mean_face.npy, do not scale
    frames: PositiveInt = 750  # rows of an emotion file; motion has one more, which is cut
    mirrored_train: bool = True  # both role assignments of every training pair, as for val and test
    wav2vec2: str | None = None  # folder or hub id of a wav2vec 2.0 model; adds the feature "wav2vec2"


class L2LDatasetConfig(Config):
    """Learning2Listen, one person at a time."""

    person: str = "trevor"
    unit: Literal["video", "window"] = "video"  # consecutive windows of a video as one clip, or each on its own
    smooth: bool = False  # the release's bilateral filter along time
    standardise: Literal["none", "feature", "l2l_released"] = "none"  # l2l_released: std of per-clip stds
    validation: float = Field(default=0.15, gt=0, lt=1)  # share of training videos


class LMConfig(Config):
    """LM-Listener segments."""

    person: str = "trevor"
    frames: PositiveInt = 240  # at most; 8 s
    standardise: bool = False  # by the stored mean.npy and std.npy


class VCDyadsConfig(Config):
    """vc-dyads: windows of real videoconferences."""

    frames: PositiveInt = 900  # of a window; 30 s
    gaze: Gaze = (
        "partner"  # partner: 1 at the partner's face, else 0; code: the region's number, 0 to 3, as it is stored
    )
    test: PositiveInt = 6  # dyads of the test split, the last by number
    validation: int = Field(2, ge=0)  # dyads of the rest that are held out to choose weights
