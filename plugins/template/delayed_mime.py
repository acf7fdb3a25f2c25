"""A complete dyadbench plugin: the listener echoes the speaker after a random delay, another one for each sample."""

import numpy as np

from dyadbench.api import Config, Context, Needs, Noise, PredictorEntry, Reaction, Setup
from dyadbench.hookspecs import hookimpl


class DelayConfig(Config):
    shortest: float = 0.3  # seconds
    longest: float = 1.2


class DelayedMime:
    needs = Needs(lookahead=0)  # measured on every run

    def __init__(self, config: DelayConfig, setup: Setup):
        self.low, self.high = (round(s * setup.space.fps) for s in (config.shortest, config.longest))

    def sample(self, context: Context, k: int, noise: Noise) -> Reaction:
        places = np.arange(context.frames)
        motion = np.empty((len(context.clips), k, *context.speaker_motion.shape[1:]), np.float32)
        emotion = None if context.speaker_emotion is None else np.empty((*motion.shape[:3], 25), np.float32)
        for row, clip in enumerate(context.clips):
            for s in range(k):
                delay = noise.stream(clip, s).integers(self.low, self.high + 1)
                late = np.maximum(places - delay, 0)
                motion[row, s] = context.speaker_motion[row, late]
                if emotion is not None:
                    emotion[row, s] = context.speaker_emotion[row, late]
        return Reaction(motion, emotion)


@hookimpl
def dyadbench_predictors():
    return [
        PredictorEntry(
            "delayed-mime", 1, "delayed_mime:DelayedMime", DelayConfig, "echoes the speaker after a random delay"
        )
    ]
