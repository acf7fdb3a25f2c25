"""Ridge regression from the speaker's last three seconds: the simplest method that listens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from dyadbench.api import (
    EMOTION_LOW,
    OWN_VOICE,
    Array,
    Context,
    Dyad,
    DyadbenchError,
    Needs,
    Noise,
    Reaction,
    Setup,
    State,
    TrainData,
)
from dyadbench_baselines.config import RidgeConfig
from dyadbench_baselines.retrieval import first_audio
from dyadbench_baselines.tracks import Tracks

# Training clips, evenly spread, whose residuals are stored for sampling: at least, and fewer than twice as many.
RESIDUALS = 100


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
        self.residuals = Tracks(np.zeros((0, 1), np.float32), np.zeros(0, np.int64))  # of D + 25 channels

    @property
    def voices(self) -> tuple[str, ...]:
        """Names of the audio features in a dataset: of the speaker, then of the listener."""
        return (*self.needs.audio, *(OWN_VOICE + name for name in self.needs.own_audio))

    # --- features ---------------------------------------------------------------------------------------

    @property
    def reach(self) -> int:
        """How many earlier frames the features of a frame may depend on."""
        return int(self.edges[-1]) + 1

    def taps(self, values: Array, past: Array | None = None) -> np.ndarray:
        """(T, F) after `past` (reach, F) -> (T, taps F): causal means over stretches of the past.

        Without `past` the clip begins here; before it counts as its first frame.
        """
        padded = np.concatenate(
            [np.repeat(values[:1], self.reach, 0) if past is None else past, values], dtype=np.float64
        )
        total = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(padded, 0)])
        now = np.arange(len(values)) + self.reach + 1  # total[now] sums everything up to the current frame
        stretches = []
        for newest, oldest in zip(self.edges[:-1], np.maximum(self.edges[1:], self.edges[:-1] + 1), strict=True):
            stretches.append((total[now - newest] - total[now - oldest]) / (oldest - newest))
        return np.concatenate(stretches, 1)

    def frames_of(self, motion: Array, emotion: Array | None, voices: Sequence[Array]) -> Array:
        """(T, F) of one speaker, frame by frame; each voice is averaged to one row per frame."""
        parts = [motion] if emotion is None else [motion, emotion]
        for audio in voices:
            rate = len(audio) // len(motion)
            parts.append(audio[: rate * len(motion)].reshape(len(motion), rate, -1).mean(1))
        length = min(len(part) for part in parts)
        return np.concatenate([part[:length] for part in parts], 1)

    def _of(self, dyad: Dyad) -> tuple[np.ndarray, np.ndarray]:
        voices = [dyad.speaker.audio[name] for name in self.voices]
        inputs = self.taps(self.frames_of(dyad.speaker.motion, dyad.speaker.emotion, voices))
        listener = dyad.listener
        target = listener.motion if listener.emotion is None else np.concatenate(
            [listener.motion[: len(inputs)], listener.emotion[: len(inputs)]], 1
        )  # fmt: skip
        return inputs[: len(target)], target[: len(inputs)].astype(np.float64)

    # --- fit --------------------------------------------------------------------------------------------

    def fit(self, data: TrainData) -> None:
        pairs = [self._of(dyad) for dyad in data.dyads("train", self.voices)]
        stride = self.config.stride
        x = np.concatenate([inputs[i % stride :: stride] for i, (inputs, _) in enumerate(pairs)])
        y = np.concatenate([target[i % stride :: stride] for i, (_, target) in enumerate(pairs)])
        self.mean, self.scale = x.mean(0), x.std(0) + 1e-6
        z = np.concatenate([(x - self.mean) / self.scale, np.ones((len(x), 1))], 1)
        gram = z.T @ z + self.config.penalty * len(x) / 1000 * np.diag([*np.ones(z.shape[1] - 1), 0.0])
        self.weights = np.linalg.solve(gram, z.T @ y)
        if self.sampled:
            step = max(1, len(pairs) // RESIDUALS)
            self.residuals = Tracks.of([target - self.apply(inputs) for inputs, target in pairs[::step]])

    def apply(self, inputs: np.ndarray) -> np.ndarray:
        """(T, taps F) -> (T, C)."""
        return (inputs - self.mean) / self.scale @ self.weights[:-1] + self.weights[-1]

    def state_dict(self) -> State:
        return {"weights": self.weights, "mean": self.mean, "scale": self.scale, **self.residuals.state("residuals")}

    def parameters(self) -> tuple[np.ndarray, ...]:
        """Without the residuals, which are kept as they were and drawn from."""
        return self.weights, self.mean, self.scale

    def load_state_dict(self, state: State) -> None:
        self.weights, self.mean, self.scale = state["weights"], state["mean"], state["scale"]
        self.residuals = Tracks.from_state(state, "residuals")

    # --- sample -----------------------------------------------------------------------------------------

    def sample(self, context: Context, k: int, noise: Noise) -> Reaction:
        return self.start(context.clips, k, noise).step(context)

    def start(self, clips: Sequence[str], k: int, noise: Noise) -> _RidgeStream:
        return _RidgeStream(self, [[self._residual(noise, clip, sample) for sample in range(k)] for clip in clips])

    def _residual(self, noise: Noise, clip: str, sample: int) -> np.ndarray:
        """(T, C), repeated over the clip."""
        if not self.sampled:
            return np.zeros((1, self.weights.shape[1]), np.float32)
        return self.residuals[int(noise.stream(clip, sample).integers(len(self.residuals)))]


class _RidgeStream:
    """Conversations under way (api.Stream): what each needs of the past is its last `reach` frames."""

    def __init__(self, ridge: Ridge, residuals: list[list[np.ndarray]]):
        self.ridge, self.residuals = ridge, residuals  # clip -> sample -> (P, C)
        self.past: list[Array | None] = [None] * len(residuals)
        self.heard = 0

    def step(self, heard: Context) -> Reaction:
        ridge, frames = self.ridge, heard.frames
        setup, needs = ridge.setup, ridge.needs
        voices = [*(heard.audio[name] for name in needs.audio), *(heard.own_audio[name] for name in needs.own_audio)]
        out = np.zeros((len(self.past), len(self.residuals[0]), frames, ridge.weights.shape[1]), np.float32)
        at = self.heard + np.arange(frames)
        for row, past in enumerate(self.past):
            emotion = None if heard.speaker_emotion is None else heard.speaker_emotion[row]
            new = ridge.frames_of(heard.speaker_motion[row], emotion, [voice[row] for voice in voices])
            fitted = ridge.apply(ridge.taps(new, past))
            past = np.repeat(new[:1], ridge.reach, 0) if past is None else past
            self.past[row] = np.concatenate([past, new])[-ridge.reach :]
            for sample, residual in enumerate(self.residuals[row]):
                out[row, sample] = fitted + residual[at % len(residual)]
        self.heard += frames
        dim = setup.space.dim
        if setup.has_emotion:
            out[..., dim:] = np.clip(out[..., dim:], EMOTION_LOW, 1.0)
        return Reaction(out[..., :dim], out[..., dim:] if setup.has_emotion else None)

    def finish(self) -> None:
        """Every frame was given when its speaker frame was heard."""


class RidgeSampled(Ridge):
    """Ridge plus the residual of a training listener, another for each sample: calibrates the price of diversity."""

    sampled = True


class RidgeTwoSided(Ridge):
    """Ridge that also hears the listener's own voice, whose owner moves with it: what two-sided methods must beat."""

    def __init__(self, config: RidgeConfig, setup: Setup):
        super().__init__(config, setup)
        own = tuple(name for name in ("mfcc-78", "mel-128") if OWN_VOICE + name in setup.audio)[:1]
        if not own:
            raise DyadbenchError(
                "ridge-two-sided hears the listener's own voice, and this dataset has none; take seamless, or dualtalk with "
                "--data-set own_voice=true"
            )
        self.needs = replace(self.needs, own_audio=own)
