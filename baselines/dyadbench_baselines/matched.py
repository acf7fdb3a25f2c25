"""Ridge regression whose predictions are given back the variance of real listeners: the linear opponent to beat.

A ridge predicts the mean of what may follow, so its reactions are much too small, and every metric that looks at size
(CCC, variance, Frechet distance) punishes it. Here each channel's deviation from the training mean is multiplied by

    (deviation of the training listeners) / (deviation of the prediction on the training clips),

which changes neither its correlation with a listener nor what it knows.
"""

from __future__ import annotations

import numpy as np

from dyadbench.api import Array, Context, Needs, Noise, Reaction, Setup, State, Track, TrainData
from dyadbench_baselines.config import RidgeMatchedConfig

SILENT = 1e-8  # a deviation below this is rounding, and nothing is multiplied up from it


class RidgeMatched:
    """Strictly causal; deterministic, so the K samples are equal. Motion, and emotion where the dataset has it.

    The inputs are the speaker's channels at `lags` delays of up to `seconds`, the current frame included (before the
    first frame counts as it), and their running mean since the clip's start; all standardised over the training frames.
    """

    needs = Needs()

    def __init__(self, config: RidgeMatchedConfig, setup: Setup):
        self.config, self.setup = config, setup
        self.delays = np.unique(np.round(np.linspace(0, config.seconds * setup.space.fps, config.lags)).astype(int))
        self.weights: np.ndarray = np.zeros((1, 1))  # (F, C) from standardised inputs to deviations, already multiplied
        self.mean = self.scale = np.zeros(1)  # (F,)
        self.centre = np.zeros(1)  # (C,) mean training listener

    def inputs(self, speaker: Array) -> np.ndarray:
        """(T, C) -> (T, (lags + 1) C)."""
        now = np.arange(len(speaker))
        delayed = [speaker[np.maximum(now - delay, 0)] for delay in self.delays]
        running = np.cumsum(speaker, 0, dtype=np.float64) / (now + 1)[:, None]
        return np.concatenate([*delayed, running], 1, dtype=np.float64)

    def fit(self, data: TrainData) -> None:
        """One pass that sums moments: the size of the training data does not matter to memory."""
        frames, sums, products = 0, 0.0, 0.0
        for dyad in data.dyads("train"):
            x, y = self.inputs(_channels(dyad.speaker)), _channels(dyad.listener)
            length = min(len(x), len(y))
            joined = np.concatenate([x[:length], y[:length]], 1)  # (T, F + C)
            frames, sums, products = frames + length, sums + joined.sum(0), products + joined.T @ joined
        mean = np.asarray(sums) / frames
        covariance = np.asarray(products) / frames - np.outer(mean, mean)
        features = len(mean) - (self.setup.space.dim + (25 if self.setup.has_emotion else 0))
        self.mean, self.centre = mean[:features], mean[features:]
        deviation = np.sqrt(np.maximum(np.diag(covariance), 0))
        self.scale = deviation[:features] + 1e-6
        gram = covariance[:features, :features] / np.outer(self.scale, self.scale)
        cross = covariance[:features, features:] / self.scale[:, None]
        weights = np.linalg.solve(gram + self.config.penalty / frames * np.eye(features), cross)
        predicted = np.sqrt(np.maximum((weights * (gram @ weights)).sum(0), 0))  # (C,)
        varies = predicted > SILENT
        self.weights = np.asarray(weights) * np.where(varies, deviation[features:] / np.where(varies, predicted, 1), 0)

    def state_dict(self) -> State:
        return {"weights": self.weights, "mean": self.mean, "scale": self.scale, "centre": self.centre}

    def load_state_dict(self, state: State) -> None:
        self.weights, self.mean = state["weights"], state["mean"]
        self.scale, self.centre = state["scale"], state["centre"]

    def sample(self, context: Context, k: int, noise: Noise) -> Reaction:
        dim = self.setup.space.dim
        out = np.zeros((len(context.clips), context.frames, len(self.centre)), np.float32)
        for row, length in enumerate(context.lengths):
            emotion = None if context.speaker_emotion is None else context.speaker_emotion[row, :length]
            x = self.inputs(_channels(Track(context.speaker_motion[row, :length], emotion)))
            out[row, :length] = self.centre + (x - self.mean) / self.scale @ self.weights
        copies = np.repeat(out[:, None], k, axis=1)  # (B, K, T, C)
        if not self.setup.has_emotion:
            return Reaction(copies)
        return Reaction(copies[..., :dim], np.clip(copies[..., dim:], [0.0] * 15 + [-1.0] * 2 + [0.0] * 8, 1.0))


def _channels(track: Track) -> Array:
    """(T, D), or (T, D + 25) where there is emotion, over the frames that both have."""
    if track.emotion is None:
        return track.motion
    frames = min(len(track.motion), len(track.emotion))
    return np.concatenate([track.motion[:frames], track.emotion[:frames]], 1)
