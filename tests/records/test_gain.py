"""Speaker gain of a method: from the stages of its fit, and from the folds of its record."""

from __future__ import annotations

from typing import Any

import pytest

from dyadbench.records.gain import gain_of
from dyadbench.records.record import Measured

DEAF: dict[str, Any] = {"loss": 0.04, "speaker_gain": 0.0}
HEARING: dict[str, Any] = {"loss": 1.2, "speaker_gain": 0.06, "speaker_gain.sound": 0.02}


@pytest.mark.parametrize("names", [("autoencoder", "diffusion"), ("vae", "diffusion")])
def test_a_stage_that_is_given_no_speaker_takes_nothing_from_the_gain(names: tuple[str, str]) -> None:
    stages = dict(zip(names, (DEAF, HEARING), strict=True))
    assert gain_of(stages) == {"face and sound": 0.06, "sound": 0.02}
    by_name = dict(sorted(stages.items()))  # as a record has them
    assert Measured(validation=by_name).speaker_gain == {"face and sound": 0.06, "sound": 0.02}


def test_of_two_stages_that_hear_the_last_one_counts_alone() -> None:
    assert gain_of({"first": HEARING, "second": {"speaker_gain": -0.01}}) == {"face and sound": -0.01}


def test_a_deaf_method_gains_nothing_and_one_that_was_never_measured_says_nothing() -> None:
    assert gain_of({"autoencoder": DEAF, "diffusion": DEAF}) == {"face and sound": 0.0}
    assert gain_of({"predictor": {"loss": 1.0}}) == {} == gain_of({})
    assert Measured(validation={"predictor": {"loss": 1.0}, "older": 0.3}).speaker_gain == {}


def test_a_cross_validated_method_has_the_mean_gain_of_its_folds() -> None:
    """A fold that is deaf counts; its auto-encoder does not."""
    folds = {
        "fold 0, autoencoder": DEAF, "fold 0, diffusion": HEARING,
        "fold 1, autoencoder": DEAF, "fold 1, diffusion": DEAF,
    }  # fmt: skip
    assert Measured(validation=folds).speaker_gain == {"face and sound": pytest.approx(0.03), "sound": 0.02}
