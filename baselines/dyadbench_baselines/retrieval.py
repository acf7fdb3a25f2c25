"""Listeners of the training split, taken at random or by how alike the speakers are."""

from __future__ import annotations

import numpy as np

from dyadbench.api import Array, Context, Dyad, DyadbenchError, Needs, Noise, Reaction, Setup, State, TrainData
from dyadbench_baselines.config import MismatchedConfig, NearestConfig
from dyadbench_baselines.tracks import Tracks


def first_audio(setup: Setup) -> tuple[str, ...]:
    """The handcrafted feature of this dataset: MFCC for REACT, mel for Learning2Listen."""
    return next(((name,) for name in ("mfcc-78", "mel-128") if name in setup.audio), ())


def describe(values: Array, bins: int) -> np.ndarray:
    """(T, F) -> (2 bins F,): mean and deviation in `bins` equal parts of the clip."""
    parts = [part for part in np.array_split(values.astype(np.float64), bins) if len(part)]
    parts += [parts[-1]] * (bins - len(parts))
    return np.concatenate([np.concatenate([part.mean(0), part.std(0)]) for part in parts])


class _Pool:
    """Listeners of up to `size` training clips, evenly spread over the split."""

    def __init__(self, setup: Setup, size: int):
        self.size, self.has_emotion = size, setup.has_emotion
        self.motion = Tracks.of([np.zeros((1, setup.space.dim), np.float32)])
        self.emotion = Tracks.of([np.zeros((1, 25), np.float32)])

    def fill(self, data: TrainData, audio: tuple[str, ...] = ()) -> list[Dyad]:
        total = len(data.clips("train"))
        step = max(1, -(-total // self.size))
        dyads = [dyad for i, dyad in enumerate(data.dyads("train", audio)) if i % step == 0]
        self.motion = Tracks.of([dyad.listener.motion for dyad in dyads])
        if self.has_emotion:
            self.emotion = Tracks.of([d.listener.emotion for d in dyads if d.listener.emotion is not None])
        return dyads

    def state_dict(self) -> State:
        return {**self.motion.state("motion"), **self.emotion.state("emotion")}

    def parameters(self) -> tuple[Array, ...]:
        """None: clips are kept, nothing is learnt of them."""
        return ()

    def load_state_dict(self, state: State) -> None:
        self.motion, self.emotion = Tracks.from_state(state, "motion"), Tracks.from_state(state, "emotion")

    def reactions(self, picks: np.ndarray, frames: int) -> Reaction:
        """picks: (B, K) rows of the pool. A listener shorter than the clip starts over."""
        emotion = self.emotion.looped(picks, frames) if self.has_emotion else None
        return Reaction(self.motion.looped(picks, frames), emotion)


class Mismatched(_Pool):
    """K listeners of other conversations, at random. The null to beat: lifelike, diverse, and deaf to the speaker."""

    needs = Needs(face=False)

    def __init__(self, config: MismatchedConfig, setup: Setup):
        super().__init__(setup, config.pool)

    def fit(self, data: TrainData) -> None:
        self.fill(data)

    def sample(self, context: Context, k: int, noise: Noise) -> Reaction:
        picks = [[int(noise.stream(clip, s).integers(len(self.motion))) for s in range(k)] for clip in context.clips]
        return self.reactions(np.array(picks), context.frames)


class _Nearest(_Pool):
    """Retrieval by the distance of whole-clip descriptions of speakers, each dimension standardised."""

    def __init__(self, config: NearestConfig, setup: Setup):
        super().__init__(setup, config.pool)
        self.bins = config.bins
        self.mean = self.scale = np.zeros(1)
        self.described = np.zeros((1, 1))  # (P, 2 bins F)

    def learn(self, described: list[np.ndarray]) -> None:
        raw = np.stack(described)
        self.mean, self.scale = raw.mean(0), raw.std(0) + 1e-6
        self.described = (raw - self.mean) / self.scale

    def state_dict(self) -> State:
        return {**super().state_dict(), "mean": self.mean, "scale": self.scale, "described": self.described}

    def load_state_dict(self, state: State) -> None:
        super().load_state_dict(state)
        self.mean, self.scale, self.described = state["mean"], state["scale"], state["described"]

    def nearest(self, values: list[Array], k: int, frames: int) -> Reaction:
        picks = []
        for each in values:
            point = (describe(each, self.bins) - self.mean) / self.scale
            order = np.argsort(((self.described - point) ** 2).sum(1), kind="stable")
            picks.append([int(order[s % len(order)]) for s in range(k)])
        return self.reactions(np.array(picks), frames)


class NearestFace(_Nearest):
    """Nearest neighbour by speaker motion (Learning2Listen's NN motion). Needs the whole clip."""

    needs = Needs(lookahead=None)

    def fit(self, data: TrainData) -> None:
        self.learn([describe(dyad.speaker.motion, self.bins) for dyad in self.fill(data)])

    def sample(self, context: Context, k: int, noise: Noise) -> Reaction:
        clips = [motion[:length] for motion, length in zip(context.speaker_motion, context.lengths, strict=True)]
        return self.nearest(clips, k, context.frames)


class NearestAudio(_Nearest):
    """Nearest neighbour by speaker audio (Learning2Listen's NN audio). Needs the whole clip."""

    def __init__(self, config: NearestConfig, setup: Setup):
        super().__init__(config, setup)
        self.needs = Needs(audio=first_audio(setup), face=False, lookahead=None)
        if not self.needs.audio:
            raise DyadbenchError(
                "nearest-audio compares voices as mfcc-78 or mel-128, and this dataset has neither; take nearest-face"
            )

    def fit(self, data: TrainData) -> None:
        [name] = self.needs.audio
        self.learn([describe(dyad.speaker.audio[name], self.bins) for dyad in self.fill(data, self.needs.audio)])

    def sample(self, context: Context, k: int, noise: Noise) -> Reaction:
        [audio] = [context.audio[name] for name in self.needs.audio]
        rate = audio.shape[1] // context.frames
        clips = [sound[: length * rate] for sound, length in zip(audio, context.lengths, strict=True)]
        return self.nearest(clips, k, context.frames)
