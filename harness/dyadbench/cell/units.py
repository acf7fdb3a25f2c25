"""From a method's reactions to training clips to the thresholds of its action units: the rule of datasets/readout, for what
is sampled here and for what comes as a file."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from dyadbench.api import ACTION_UNITS, Array
from dyadbench.cell.split import Split
from dyadbench.datasets.limit import LimitedDataset
from dyadbench.datasets.readout import CALIBRATION_CLIPS, fit_thresholds, true_rates


def calibration_split(split: Split) -> Split:
    """The training clips to which a method reacts, CALIBRATION_SAMPLES times each, for its thresholds on `split`."""
    return Split(LimitedDataset(split.dataset, CALIBRATION_CLIPS), "train")


def thresholds_of(reactions: Iterable[Array], split: Split) -> tuple[float, ...]:
    """Of the 15 action units, from emotion (K, T, 25) for each clip of `calibration_split(split)`.

    Frames after a clip's end do not count. Raises DyadbenchError where a training clip has no emotion.
    """
    values = [
        emotion[:, : clip.frames, ACTION_UNITS].reshape(-1, ACTION_UNITS.stop)  # (K * T, 15)
        for emotion, clip in zip(reactions, calibration_split(split).clips, strict=True)
    ]
    thresholds = fit_thresholds(np.concatenate(values), true_rates(split.training_emotions()))
    return tuple(float(threshold) for threshold in thresholds)
