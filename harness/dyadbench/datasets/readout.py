"""How a reaction becomes the emotion that is scored: the readout from motion, and the one rule for action units.

The readout is for methods that emit motion only, one per dataset. It works frame by frame, so that it adds no look-ahead:
fixed random ReLU features of the standardised coefficients, ridge regression on the 25 emotion channels, clipped to their
ranges, expressions scaled to sum to 1. It is fitted once on the train split. Its error is measured on the validation split
and is printed wherever its output is scored.

Action units are 0 or 1 in the challenge's data, and methods emit numbers between. One rule turns the numbers of every
method, the readout's included, into 0 and 1: a unit is on above a threshold, and the threshold is the one with which the
method's own reactions to training clips have the unit on as often as true listeners of the training split have it. What is
0 or 1 already stays so. `BenchmarkConfig.action_units = "raw"` leaves the numbers as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dyadbench.api import (
    ACTION_UNITS,
    EMOTION_CHANNELS,
    EMOTION_LOW,
    EXPRESSIONS,
    Array,
    Clip,
    Dyad,
    DyadbenchError,
    TrainData,
)
from dyadbench.datasets.limit import evenly
from dyadbench.files.atomic import atomic_write, damaged
from dyadbench.store.folders import Store

VERSION = 1
FEATURES, PENALTY = 512, 1e-3
STRIDE = 5  # every how many frames a row is taken
CLIPS = 600  # clips of a split that the readout is fitted on, at most
UNITS_VERSION = 1  # of the rule for action units
CALIBRATION_CLIPS, CALIBRATION_SAMPLES = 48, 2  # training clips, evenly spread, and reactions to each, for thresholds
EDGE = 1e-6  # thresholds are clipped to [EDGE, 1 - EDGE]
LOW = np.array(EMOTION_LOW, np.float32)


@dataclass(frozen=True)
class EmotionReadout:
    """mean, scale (D,); inner (D + 1, H); weights (D + H + 1, 25); errors (25,) on validation frames."""

    mean: np.ndarray
    scale: np.ndarray
    inner: np.ndarray
    weights: np.ndarray
    errors: np.ndarray  # root mean square

    def __call__(self, motion: Array) -> np.ndarray:
        """(..., D) coefficients, rotations in radians -> (..., 25) emotion, float32."""
        flat = np.asarray(motion, np.float32).reshape(-1, motion.shape[-1])
        values = np.empty((len(flat), len(LOW)), np.float32)
        for start in range(0, len(flat), 65536):
            values[start : start + 65536] = self._lift(flat[start : start + 65536]) @ self.weights
        values = np.clip(values, LOW, 1.0)
        faces = values[:, EXPRESSIONS]
        faces /= np.maximum(faces.sum(1, keepdims=True), 1e-6)
        return values.reshape(*motion.shape[:-1], len(LOW))

    def _lift(self, motion: np.ndarray) -> np.ndarray:
        return _lift((motion - self.mean) / self.scale, self.inner)

    def summary(self) -> Mapping[str, float]:
        """Root mean square error of each channel on the validation split."""
        return {name: round(float(e), 4) for name, e in zip(EMOTION_CHANNELS, self.errors, strict=True)}


def _lift(z: np.ndarray, inner: np.ndarray) -> np.ndarray:
    """(F, D) standardised -> (F, D + H + 1): itself, ReLU features, one."""
    hidden = np.maximum(z @ inner[:-1] + inner[-1], 0)
    return np.concatenate([z, hidden, np.ones((len(z), 1), z.dtype)], 1)


def _rows(dyads: list[Dyad]) -> tuple[np.ndarray, np.ndarray]:
    x, y = [], []
    for i, dyad in enumerate(dyads):
        motion, emotion = dyad.listener.motion, dyad.listener.emotion
        if emotion is None:
            raise DyadbenchError(f"clip {dyad.clip.id} has no emotion, so no readout from motion can be fitted")
        frames = min(len(motion), len(emotion))
        x.append(motion[i % STRIDE : frames : STRIDE])
        y.append(emotion[i % STRIDE : frames : STRIDE])
    return np.concatenate(x).astype(np.float32), np.concatenate(y).astype(np.float32)


def _spread(data: TrainData, split: str) -> Iterator[Dyad]:
    """At most CLIPS clips, evenly spread over the split."""
    chosen = set(evenly(len(data.clips(split)), CLIPS))
    return (dyad for index, dyad in enumerate(data.dyads(split)) if index in chosen)


def fit_readout(data: TrainData) -> EmotionReadout:
    """Fits on the train split; measures on validation, or on every tenth training clip where there is none.

    Raises DyadbenchError where a clip has no emotion.
    """
    train = list(_spread(data, "train"))
    val = list(_spread(data, "val")) if len(data.clips("val")) else []
    if not val:
        val, train = train[::10], [dyad for i, dyad in enumerate(train) if i % 10] or train
    (x, y), (x_held, y_held) = _rows(train), _rows(val)
    mean, scale = x.mean(0), x.std(0) + 1e-6
    inner = np.random.Generator(np.random.Philox(key=VERSION)).standard_normal((x.shape[1] + 1, FEATURES))
    inner[:-1] /= np.sqrt(x.shape[1])
    inner = inner.astype(np.float32)
    lifted = _lift((x - mean) / scale, inner).astype(np.float64)
    gram = lifted.T @ lifted + PENALTY * len(lifted) * np.eye(lifted.shape[1])
    weights = np.linalg.solve(gram, lifted.T @ y).astype(np.float32)
    unchecked = EmotionReadout(mean, scale, inner, weights, np.zeros(len(LOW)))
    errors = np.sqrt(((unchecked(x_held) - y_held).astype(np.float64) ** 2).mean(0))
    return EmotionReadout(mean, scale, inner, weights, errors)


def kept_readout(store: Store, key: str, data: TrainData) -> EmotionReadout:
    """The readout of a dataset from the store, fitted on first use."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file, save

    names = ("mean", "scale", "inner", "weights", "errors")
    with store.hold("readout", key, plugin=("readout", str(VERSION))) as stage:
        path = stage.folder / "readout.safetensors"
        if not stage.done:
            fitted = fit_readout(data)
            atomic_write(path, save({name: np.ascontiguousarray(getattr(fitted, name)) for name in names}))
            stage.finish()
        try:
            return EmotionReadout(**load_file(path))
        except (SafetensorError, OSError, TypeError) as error:
            raise damaged(path, error) from None


# --- action units -------------------------------------------------------------------------------------------


def true_rates(emotions: Iterable[tuple[Clip, Array | None]]) -> np.ndarray:
    """(15,) share of frames in which listeners have each action unit on, from (T, 25) of every training clip.

    Raises DyadbenchError where a clip has no emotion.
    """
    on, frames = np.zeros(ACTION_UNITS.stop), 0
    for clip, emotion in emotions:
        if emotion is None:
            raise DyadbenchError(f"clip {clip.id} has no emotion, so no rates of action units can be taken from it")
        on += (emotion[:, ACTION_UNITS] > 0.5).sum(0)
        frames += len(emotion)
    return on / frames


def fit_thresholds(values: Array, rates: np.ndarray) -> np.ndarray:
    """(15,) thresholds with which `values` (F, 15) are on in shares as near to `rates` (15,) as they can come.

    Each lies half way between two values that occur, and within (0, 1): equal values are never parted.
    """
    thresholds = np.empty(ACTION_UNITS.stop)
    for unit in range(ACTION_UNITS.stop):
        levels, counts = np.unique(np.asarray(values[:, unit], np.float64), return_counts=True)  # rising
        # Thresholds below all levels, between two, above all; and the share of values above each.
        cuts = np.concatenate([[levels[0] - EDGE], (levels[1:] + levels[:-1]) / 2, [levels[-1] + EDGE]])
        above = np.concatenate([[counts.sum()], counts.sum() - np.cumsum(counts)]) / counts.sum()
        thresholds[unit] = cuts[np.abs(above - rates[unit]).argmin()]
    return np.clip(thresholds, EDGE, 1 - EDGE)


def with_binary_units(emotion: Array, thresholds: Sequence[float] | np.ndarray) -> np.ndarray:
    """A copy of emotion (..., 25) with its action units 0 or 1."""
    binary = np.array(emotion, np.float32)
    binary[..., ACTION_UNITS] = emotion[..., ACTION_UNITS] > np.asarray(thresholds)
    return binary


def units_facts(thresholds: Sequence[float]) -> dict[str, Any]:
    """What a record says of the rule (records.BinaryUnits). No thresholds: the units were 0 or 1 already."""
    named = zip(EMOTION_CHANNELS[ACTION_UNITS], thresholds, strict=False)  # all, or none
    return {"version": UNITS_VERSION, "thresholds": {unit: round(threshold, 6) for unit, threshold in named}}
