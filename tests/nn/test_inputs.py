"""Which features a predictor reads where its configuration leaves it open."""

from __future__ import annotations

import dataclasses

import pytest

from dyadbench.api import AUDIO_FEATURES, FACEVERSE_58, VIDEO_FEATURES, AudioSpec, DyadbenchError, Setup
from dyadbench.nn.inputs import audio_of, video_of

SETUP = Setup(
    FACEVERSE_58, {VIDEO_FEATURES: AudioSpec(12), "own": AudioSpec(3), "mel-128": AudioSpec(128)}, True, seed=0
)


def test_auto_takes_the_preferred_sound_and_never_the_video() -> None:
    assert audio_of("auto", SETUP, prefer=("mel-128",), who="it") == "mel-128"
    assert audio_of("auto", SETUP, prefer=("mfcc-78",), who="it") == "own", "the first that is sound"
    assert audio_of("auto", SETUP, prefer=(), who="it", besides="own") == "mel-128"
    only = Setup(FACEVERSE_58, {VIDEO_FEATURES: AudioSpec(12)}, True, seed=0)
    assert audio_of("auto", only, prefer=("mfcc-78",), who="it") is None


def test_auto_takes_the_sound_that_a_user_has_computed_before_any_other() -> None:
    setup = dataclasses.replace(SETUP, audio={**SETUP.audio, AUDIO_FEATURES: AudioSpec(5)})
    assert audio_of("auto", setup, prefer=("mel-128",), who="it") == AUDIO_FEATURES
    assert audio_of("mel-128", setup, prefer=("mel-128",), who="it") == "mel-128"
    assert audio_of("auto", setup, prefer=("mel-128",), who="it", besides=AUDIO_FEATURES) == "mel-128"


def test_a_named_feature_is_taken_and_an_unknown_one_refused() -> None:
    assert audio_of("none", SETUP, prefer=(), who="it") is None
    assert audio_of("own", SETUP, prefer=(), who="it") == "own"
    assert video_of("none", SETUP, who="it") is None
    assert video_of(VIDEO_FEATURES, SETUP, who="it") == VIDEO_FEATURES
    with pytest.raises(DyadbenchError, match="it: there is no audio feature 'opera'; this dataset has video-features"):
        audio_of("opera", SETUP, prefer=(), who="it")
    with pytest.raises(DyadbenchError, match="it: there is no feature 'swin'"):
        video_of("swin", SETUP, who="it")
