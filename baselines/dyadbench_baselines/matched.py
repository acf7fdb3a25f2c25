"""Ridge regression whose predictions are given back the variance of real listeners: the linear opponent to beat.

A ridge predicts the mean of what may follow, so its reactions are much too small, and every metric that looks at size
(CCC, variance, Frechet distance) punishes it. Here each channel's deviation from the training mean is multiplied by

    (deviation of the training listeners) / (deviation of the prediction on the training clips),

which changes neither its correlation with a listener nor what it knows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dyadbench.api import EMOTION_LOW, Array, Context, Needs, Noise, Reaction, Setup, State, Track, TrainData
from dyadbench_baselines.config import RidgeMatchedConfig

SILENT = 1e-8  # a deviation below this is rounding, and nothing is multiplied up from it


@dataclass(frozen=True)
class _Past:
    """What later inputs need of a speaker."""

    frames: Array  # (longest delay, C), the newest last; before the clip its first frame
    total: np.ndarray  # (C,) float64, the sum of all frames
    count: int

    @classmethod
    def before(cls, speaker: Array, reach: int) -> _Past:
        """Of a clip that begins with `speaker` (T, C)."""
        return cls(np.repeat(speaker[:1], reach, 0), np.zeros(speaker.shape[1]), 0)

    def after(self, speaker: Array) -> _Past:
        """Once `speaker` (T, C) was heard, too."""
        joined = np.concatenate([self.frames, speaker])
        return _Past(joined[len(speaker) :], self.total + speaker.sum(0, dtype=np.float64), self.count + len(speaker))


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

    def inputs(self, speaker: Array, past: _Past | None = None) -> np.ndarray:
        """(T, C) after `past`, or from a clip's start -> (T, (lags + 1) C)."""
        past = past or _Past.before(speaker, self.delays[-1])
        reach, now = len(past.frames), np.arange(len(speaker))
        joined = np.concatenate([past.frames, speaker])
        delayed = [joined[reach + now - delay] for delay in self.delays]
        sums = np.cumsum(np.concatenate([past.total[None], speaker]), 0, dtype=np.float64)[1:]
        return np.concatenate([*delayed, sums / (past.count + now + 1)[:, None]], 1, dtype=np.float64)

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

    def start(self, clips: Sequence[str], k: int, noise: Noise) -> _MatchedStream:
        return _MatchedStream(self, len(clips), k)

    def sample(self, context: Context, k: int, noise: Noise) -> Reaction:
        return self.start(context.clips, k, noise).step(context)


class _MatchedStream:
    """Conversations under way (api.Stream)."""

    def __init__(self, ridge: RidgeMatched, clips: int, k: int):
        self.ridge, self.k = ridge, k
        self.past: list[_Past | None] = [None] * clips

    def step(self, heard: Context) -> Reaction:
        ridge, dim = self.ridge, self.ridge.setup.space.dim
        out = np.zeros((len(self.past), heard.frames, len(ridge.centre)), np.float32)
        for row, past in enumerate(self.past):
            emotion = None if heard.speaker_emotion is None else heard.speaker_emotion[row]
            speaker = _channels(Track(heard.speaker_motion[row], emotion))
            past = past or _Past.before(speaker, ridge.delays[-1])
            out[row] = ridge.centre + (ridge.inputs(speaker, past) - ridge.mean) / ridge.scale @ ridge.weights
            self.past[row] = past.after(speaker)
        copies = np.repeat(out[:, None], self.k, axis=1)  # (B, K, n, C)
        if not ridge.setup.has_emotion:
            return Reaction(copies)
        return Reaction(copies[..., :dim], np.clip(copies[..., dim:], EMOTION_LOW, 1.0))

    def finish(self) -> None:
        """Every frame was given when its speaker frame was heard."""


def _channels(track: Track) -> Array:
    """(T, D), or (T, D + 25) where there is emotion, over the frames that both have."""
    if track.emotion is None:
        return track.motion
    frames = min(len(track.motion), len(track.emotion))
    return np.concatenate([track.motion[:frames], track.emotion[:frames]], 1)
