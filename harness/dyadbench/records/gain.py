"""What the true speaker is worth to a trained predictor, from what its training stages measured."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean
from typing import Any

PREFIX = "speaker_gain"


def gain_of(stages: Mapping[str, Any]) -> dict[str, float]:
    """By how much the validation loss of one fit grows with a stranger's "face and sound", "face" and "sound".

    `stages` are the validation metrics of each stage of a predictor. The gain is that of the last stage that hears the
    speaker: an auto-encoder of listeners before it is given none, and its gain is exactly 0. A record has its stages in
    the order of their names. A method that is deaf in every stage has zeros, and {} says that nothing was measured.
    """
    gains = [
        {name.removeprefix(PREFIX).removeprefix(".") or "face and sound": facts[name] for name in facts if name.startswith(PREFIX) and facts[name] is not None}
        for facts in stages.values() if isinstance(facts, Mapping)
    ]  # fmt: skip
    gains = [gain for gain in gains if gain]
    hearing = [gain for gain in gains if any(gain.values())]
    return (hearing or gains or [{}])[-1]


def mean_gain(validation: Mapping[str, Any]) -> dict[str, float]:
    """`gain_of` what a record says of its validation, as a mean over folds. {} where no gain was measured."""
    folds: dict[str, dict[str, Any]] = {}
    for name, facts in validation.items():
        fold, _, stage = name.rpartition(", ")  # a cross-validated record has the stages of every fold
        folds.setdefault(fold, {})[stage] = facts
    gains = [gain for stages in folds.values() if (gain := gain_of(stages))]
    names = dict.fromkeys(name for gain in gains for name in gain)
    return {name: fmean(gain[name] for gain in gains if name in gain) for name in names}
