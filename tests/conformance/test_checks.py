"""`dyadbench check`: a refusal in one sentence is no broken promise, as long as something is left to check."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from dyadbench.api import Context, DyadbenchError, Needs, Noise, Reaction, Setup, TokenSpec
from dyadbench.conformance.check import check
from dyadbench.conformance.checks import check_factory, refused
from dyadbench.conformance.report import Report
from dyadbench.datasets.tiny_corpus import TinyCorpus
from dyadbench.registry.host import Host


class Still:
    needs = Needs()

    def __init__(self, setup: Setup):
        self.channels = setup.space.dim

    def sample(self, context: Context, k: int, noise: Noise) -> Reaction:
        return Reaction(np.zeros((len(context.clips), k, context.frames, self.channels), np.float32))


def _raising(error: Exception) -> Callable[[Setup], Any]:
    def build(setup: Setup) -> Any:
        raise error

    return build


def test_a_method_of_emotion_may_refuse_a_dataset_without_it() -> None:
    report = check("regnn", Host())
    refused = [item for item in report.items if item.refusal]
    assert report.ok
    assert [item.what for item in refused] == [
        "deca-56: refuses this kind of dataset",
        "own-6: refuses this kind of dataset",
    ]
    assert "take regnn-motion" in refused[0].detail
    assert len(report.items) > 5, "on the other kind of dataset all is checked"


def test_a_method_of_voices_may_refuse_a_dataset_without_sound() -> None:
    report = check("nearest-audio", Host())
    refused = [item for item in report.items if item.what == "own-6: refuses this kind of dataset"]
    assert report.ok and "take nearest-face" in refused[0].detail


@pytest.mark.parametrize("error", [DyadbenchError("not here"), ValueError("broken")])
def test_what_cannot_be_built_anywhere_fails(error: Exception) -> None:
    report = check_factory("never", _raising(error))
    assert not report.ok
    assert str(error) in report.items[0].detail


def test_what_can_be_built_is_checked() -> None:
    report = check_factory("still", Still)
    assert report.ok
    assert not any(item.refusal for item in report.items)


class Hearing(Still):
    needs = Needs(audio=("mfcc-78",))


def test_a_method_that_hears_is_not_checked_where_there_is_no_sound() -> None:
    corpus, report = TinyCorpus(sound=False), Report("hearing")
    assert refused(report, "here", lambda: Hearing(Setup(corpus.space, corpus.audio, True, seed=0)), corpus)
    assert report.ok and "needs the audio feature 'mfcc-78'" in report.items[0].detail
    assert not refused(report, "here", lambda: Still(Setup(corpus.space, corpus.audio, True, seed=0)), corpus)


def test_a_text_where_names_are_due_and_a_count_that_is_none_are_refused() -> None:
    with pytest.raises(TypeError, match="audio is the text 'mfcc-78'; names are due"):
        Needs(audio=("mfcc-78"))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"lookahead is 2\.5; a whole number is due"):
        Needs(lookahead=2.5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="codes is 0; it must be at least 1"):
        TokenSpec(0, 1)
    spec = TokenSpec(np.prod([5, 5]), np.int32(4))  # type: ignore[arg-type]
    assert type(spec.codes) is type(spec.frames_per_token) is type(Needs(lookahead=np.int64(3)).lookahead) is int  # type: ignore[arg-type]


class Deaf(Still):
    """Moves at random, whoever speaks."""

    def sample(self, context: Context, k: int, noise: Noise) -> Reaction:
        shape = k, context.frames, self.channels
        values = [noise.stream(clip, 0).standard_normal(shape) for clip in context.clips]
        return Reaction(np.array(values, np.float32))


class Copy(Still):
    def sample(self, context: Context, k: int, noise: Noise) -> Reaction:
        return Reaction(np.repeat(context.speaker_motion[:, None], k, 1))


@pytest.mark.parametrize("method, deaf", [(Still, True), (Deaf, True), (Copy, False)])
def test_a_method_that_ignores_the_speaker_is_told_so(method: type[Still], deaf: bool) -> None:
    check_item = next(item for item in check_factory("each", method).items if item.what.endswith("speaker"))
    assert check_item.ok, "a reference may ignore the speaker"
    assert (check_item.detail == "this method ignores the speaker") is deaf


def test_a_network_that_hears_says_so_after_a_few_steps() -> None:
    details = [item.detail for item in check("tcn", Host()).items if item.what.endswith("speaker")]
    gain = r"another speaker, another reaction; speaker gain in the unit of its loss: -?\d"
    assert all(re.match(gain, detail) for detail in details) and len(details) == 3
    assert "(face and sound)" in details[0] and "(sound)" in details[0]
    assert "(" not in details[2], "the third corpus has no sound, so that there is one number"


class Padded(Still):
    """Its level is the mean of the batch's frames, those after a clip's end among them."""

    def sample(self, context: Context, k: int, noise: Noise) -> Reaction:
        level = context.speaker_motion.mean(1, keepdims=True)[:, None] + np.zeros((1, k, context.frames, 1), np.float32)
        return Reaction(level.astype(np.float32))


def test_what_lies_after_the_end_of_a_clip_must_not_matter() -> None:
    report = check_factory("padded", Padded)
    (failure,) = [item for item in report.items if not item.ok and "batch does not matter" in item.what]
    assert "clip 2 of a batch" in failure.detail and "nothing after a clip's own length" in failure.detail
