"""Ridge regression from the speaker's last three seconds: the simplest method that listens."""

from __future__ import annotations

import numpy as np

from dyadbench.api import Array, Context, Dyad, Needs, Noise, Reaction, Setup, State, TrainData
from dyadbench_baselines.config import RidgeConfig
from dyadbench_baselines.retrieval import first_audio

RESIDUALS = 100  # training clips whose residuals are stored for sampling


class Ridge:
    """Closed-form linear regression of every listener channel on averages of the speaker's recent face and voice.

    The context is cut into `taps` stretches that grow with their age; strictly causal (the current frame counts).
    Calibrates how much of a benchmark is linear. Deterministic: K equal samples.
    """

    sampled = False

    def __init__(self, config: RidgeConfig, setup: Setup):
        self.config, self.setup = config, setup
        self.needs = Needs(audio=first_audio(setup) if config.audio else ())
        edges = np.geomspace(1, 1 + config.seconds * setup.space.fps, config.taps + 1) - 1
        self.edges = np.maximum.accumulate(np.round(edges).astype(int) + np.arange(config.taps + 1) // config.taps)
        self.weights = np.zeros((1, 1))
        self.mean = self.scale = np.zeros(1)
        self.residuals = np.zeros((0, 1, 1), np.float32)  # (P, T, D + 25)

    # --- features ---------------------------------------------------------------------------------------

    def _taps(self, values: Array) -> np.ndarray:
        """(T, F) -> (T, taps F): causal means over stretches of the past; before the clip counts as its first frame."""
        reach = int(self.edges[-1]) + 1
        padded = np.concatenate([np.repeat(values[:1], reach, 0), values]).astype(np.float64)
        total = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(padded, 0)])
        now = np.arange(len(values)) + reach + 1  # total[now] sums everything up to the current frame
        stretches = []
        for newest, oldest in zip(self.edges[:-1], np.maximum(self.edges[1:], self.edges[:-1] + 1), strict=True):
            stretches.append((total[now - newest] - total[now - oldest]) / (oldest - newest))
        return np.concatenate(stretches, 1)

    def features(self, motion: Array, emotion: Array | None, audio: Array | None) -> np.ndarray:
        """(T, F) of one speaker; the voice is averaged to one row per frame."""
        parts = [motion] if emotion is None else [motion, emotion]
        if audio is not None:
            rate = len(audio) // len(motion)
            parts.append(audio[: rate * len(motion)].reshape(len(motion), rate, -1).mean(1))
        length = min(len(part) for part in parts)
        return self._taps(np.concatenate([part[:length] for part in parts], 1))

    def _of(self, dyad: Dyad) -> tuple[np.ndarray, np.ndarray]:
        sound = dyad.speaker.audio[self.needs.audio[0]] if self.needs.audio else None
        inputs = self.features(dyad.speaker.motion, dyad.speaker.emotion, sound)
        listener = dyad.listener
        target = listener.motion if listener.emotion is None else np.concatenate(
            [listener.motion[: len(inputs)], listener.emotion[: len(inputs)]], 1
        )  # fmt: skip
        return inputs[: len(target)], target[: len(inputs)].astype(np.float64)

    # --- fit --------------------------------------------------------------------------------------------

    def fit(self, data: TrainData) -> None:
        pairs = [self._of(dyad) for dyad in data.dyads("train", self.needs.audio)]
        stride = self.config.stride
        x = np.concatenate([inputs[i % stride :: stride] for i, (inputs, _) in enumerate(pairs)])
        y = np.concatenate([target[i % stride :: stride] for i, (_, target) in enumerate(pairs)])
        self.mean, self.scale = x.mean(0), x.std(0) + 1e-6
        z = np.concatenate([(x - self.mean) / self.scale, np.ones((len(x), 1))], 1)
        gram = z.T @ z + self.config.penalty * len(x) / 1000 * np.diag([*np.ones(z.shape[1] - 1), 0.0])
        self.weights = np.linalg.solve(gram, z.T @ y)
        if self.sampled:
            frames = min(len(inputs) for inputs, _ in pairs)
            step = max(1, len(pairs) // RESIDUALS)
            self.residuals = np.stack([(t - self._apply(i))[:frames] for i, t in pairs[::step]]).astype(np.float32)

    def _apply(self, inputs: np.ndarray) -> np.ndarray:
        return (inputs - self.mean) / self.scale @ self.weights[:-1] + self.weights[-1]

    def state_dict(self) -> State:
        return {"weights": self.weights, "mean": self.mean, "scale": self.scale, "residuals": self.residuals}

    def parameters(self) -> tuple[np.ndarray, ...]:
        """Without the residuals, which are kept as they were and drawn from."""
        return self.weights, self.mean, self.scale

    def load_state_dict(self, state: State) -> None:
        self.weights, self.mean, self.scale = state["weights"], state["mean"], state["scale"]
        self.residuals = state["residuals"]

    # --- sample -----------------------------------------------------------------------------------------

    def sample(self, context: Context, k: int, noise: Noise) -> Reaction:
        dim, frames = self.setup.space.dim, context.frames
        out = np.zeros((len(context.clips), k, frames, self.weights.shape[1]), np.float32)
        for row, clip in enumerate(context.clips):
            length = int(context.lengths[row])
            sound = context.audio[self.needs.audio[0]][row] if self.needs.audio else None
            emotion = None if context.speaker_emotion is None else context.speaker_emotion[row, :length]
            rate = 0 if sound is None else len(sound) // frames
            fitted = self._apply(
                self.features(
                    context.speaker_motion[row, :length], emotion, None if sound is None else sound[: length * rate]
                )
            )
            for sample in range(k):
                out[row, sample, :length] = fitted + self._residual(noise, clip, sample, length)
        if self.setup.has_emotion:
            out[..., dim:] = np.clip(out[..., dim:], [0.0] * 15 + [-1.0] * 2 + [0.0] * 8, 1.0)
        return Reaction(out[..., :dim], out[..., dim:] if self.setup.has_emotion else None)

    def _residual(self, noise: Noise, clip: str, sample: int, length: int) -> np.ndarray | float:
        if not self.sampled:
            return 0.0
        picked = self.residuals[noise.stream(clip, sample).integers(len(self.residuals))]
        return picked[np.arange(length) % len(picked)]


class RidgeSampled(Ridge):
    """Ridge plus the residual of a training listener, another for each sample: calibrates the price of diversity."""

    sampled = True
