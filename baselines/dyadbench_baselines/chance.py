"""Noise. It maximises naive diversity metrics, which is why those are matched to the ground truth instead."""

from __future__ import annotations

import numpy as np

from dyadbench.api import Array, Context, Needs, Noise, Reaction, Setup, State, TrainData
from dyadbench_baselines.config import RandomConfig


class Random:
    """U(0, 1) in every emotion channel and frame (REACT 2023/24 B_Random); motion is white Gaussian noise.

    Calibrates the floor of FRCorr, and where action units are raw FRVar 1/12 and FRDiv 1/6, which no listener should be near.
    """

    needs = Needs(face=False)

    def __init__(self, config: RandomConfig, setup: Setup):
        self.emotion = setup.has_emotion
        self.mean = np.zeros(setup.space.dim, np.float32)
        self.spread = np.ones(setup.space.dim, np.float32)

    def fit(self, data: TrainData) -> None:
        """Mean and deviation of training listeners by channel."""
        count, total, square = 0, np.zeros(len(self.mean)), np.zeros(len(self.mean))
        for dyad in data.dyads("train"):
            motion = dyad.listener.motion.astype(np.float64)
            count, total, square = count + len(motion), total + motion.sum(0), square + (motion**2).sum(0)
        self.mean = (total / count).astype(np.float32)
        self.spread = np.sqrt(np.maximum(square / count - (total / count) ** 2, 0)).astype(np.float32)

    def state_dict(self) -> State:
        return {"mean": self.mean, "spread": self.spread}

    def load_state_dict(self, state: State) -> None:
        self.mean, self.spread = state["mean"], state["spread"]

    def draw_emotion(self, rng: np.random.Generator, frames: int) -> Array:
        return rng.random((frames, 25), np.float32)

    def sample(self, context: Context, k: int, noise: Noise) -> Reaction:
        shape = (len(context.clips), k, context.frames)
        motion = np.zeros((*shape, len(self.mean)), np.float32)
        emotion = np.zeros((*shape, 25), np.float32) if self.emotion else None
        for row, clip in enumerate(context.clips):
            own = int(context.lengths[row])  # block after block is drawn, so another length gives other numbers
            for sample in range(k):
                white = noise.stream(clip, sample, "motion").standard_normal((own, len(self.mean)), np.float32)
                motion[row, sample, :own] = self.mean + self.spread * white
                if emotion is not None:
                    emotion[row, sample, :own] = self.draw_emotion(noise.stream(clip, sample, "emotion"), own)
        return Reaction(motion, emotion)


class Random2025(Random):
    """Fair coins for action units, N(0, 0.5^2) cut to [-1, 1] for valence and arousal, normalised uniforms for expressions.

    REACT 2025's B_Random: noise that at least has the right marginals. Calibrates as `random` does.
    """

    def draw_emotion(self, rng: np.random.Generator, frames: int) -> Array:
        units = rng.integers(0, 2, (frames, 15)).astype(np.float32)
        # A normal distribution that is cut off at -1 and 1: redraw what falls outside (5 % of values) until nothing does.
        valence_arousal = rng.normal(0, 0.5, (frames, 2))
        while (outside := np.abs(valence_arousal) > 1).any():
            valence_arousal[outside] = rng.normal(0, 0.5, int(outside.sum()))
        expression = rng.random((frames, 8))
        return np.concatenate(
            [units, valence_arousal, expression / expression.sum(1, keepdims=True)], 1, dtype=np.float32
        )
