"""Configurations of the dataset adapters; importing them is cheap."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, PositiveInt

from dyadbench.api import Config

Gaze = Literal["partner", "code"]
Normalise = Literal["zero-centre", "standardise", "none"]


class ReactConfig(Config):
    """REACT 2023 and 2024."""

    adjustable = frozenset({"wav2vec2"})  # one more audio feature for those who need it
    machine_paths = frozenset({"wav2vec2"})
    added = frozenset({"audio_features"})
    normalise: Normalise = "zero-centre"  # what all public code does: subtract mean_face.npy, do not scale
    frames: PositiveInt = 750  # rows of an emotion file; motion has one more, which is cut
    mirrored_train: bool = True  # both role assignments of every training pair, as for val and test
    audio: bool = True  # false without recordings: methods that use sound then run without it, if they can
    wav2vec2: str | None = None  # folder or hub id of a wav2vec 2.0 model; adds "wav2vec2" and "wav2vec2-conv"
    video_features: str | None = None  # folder of a split with (frames, features) npy files; adds "video-features"
    audio_features: str | None = (
        None  # the same of the sound, at the motion's rate; adds "audio-features", which "auto" takes
    )


class MarsConfig(Config):
    """MARS: REACT 2025 and 2026."""

    adjustable = frozenset({"aligner", "eeg"})
    machine_paths = frozenset({"aligner"})
    normalise: Normalise = "zero-centre"
    bidirectional: bool = True  # every listener as a speaker, too
    frames: int = Field(default=0, ge=0)  # of each clip at most; 0: all
    audio: bool = True  # false where there are no recordings
    eeg: bool = False  # adds the speaker's EEG as the feature "eeg"
    aligner: str | None = None  # TorchScript file of the challenge's length aligner (datasets/mars_aligner)


class SeamlessConfig(Config):
    """Seamless Interaction: pairs of vendor V00, cut into runs of valid frames."""

    adjustable = frozenset({"audio"})
    label: Literal["improvised", "naturalistic", "both"] = "both"
    least: float = Field(default=10.0, gt=0)  # seconds of a run that is kept
    window: float = Field(default=30.0, gt=0)  # seconds of a clip at most
    listening: float = Field(
        default=0.5, ge=0, le=1
    )  # least share of the speech in a clip that is the partner's; 0: all clips
    audio: bool = True  # false where there are no recordings


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
    gaze: Gaze = "partner"  # 1 at the partner's face, else 0; code: the stored number of the region, 0 to 3
    test: PositiveInt = 6  # dyads of the test split, the last by number
    validation: int = Field(default=2, ge=0)  # dyads of the rest that are held out to choose weights


class OpenFaceConfig(Config):
    """Any lab's dyads: OpenFace csv files listed in dyads.csv."""

    fps: float = Field(default=30.0, ge=5, le=240)  # every recording is resampled to it
    window: float = Field(default=30.0, gt=0)  # seconds of a clip
    gap: float = Field(default=0.5, gt=0)  # seconds; across longer gaps nothing is interpolated
    good: float = Field(default=0.8, ge=0, le=1)  # least share of a window's frames that were measured, for both people
    confidence: float = Field(default=0.8, ge=0, le=1)  # of a row that counts
    rate: float | None = Field(
        default=None, gt=0
    )  # frames per second of all files, for files whose timestamps do not say
    groups: tuple[Literal["au", "blink", "rotation", "translation", "gaze"], ...] = Field(
        default=("au", "blink", "rotation", "translation", "gaze"), min_length=1
    )
    test: float = Field(default=0.2, gt=0, lt=1)  # share of sessions, where dyads.csv names no splits
    validation: float = Field(default=0.15, gt=0, lt=1)  # share of sessions
    seed: int = Field(default=0, ge=0)  # decides which sessions those are


class DualTalkConfig(Config):
    """DualTalk: both sides of a conversation."""

    adjustable = frozenset({"audio", "own_voice"})  # which features there are, not what is evaluated
    audio: bool = True  # False for a folder without wav files
    own_voice: bool = False  # also the voice of the person who is generated, as features named own-...
    validation: float = Field(default=0.15, gt=0, lt=1)  # share of the training videos
