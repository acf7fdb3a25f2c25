"""The speaker, copied."""

from __future__ import annotations

import numpy as np

from dyadbench.api import Array, Context, Needs, Noise, Reaction, Setup
from dyadbench_baselines.config import LagConfig


def _copies(values: Array, k: int) -> Array:
    return np.repeat(values[:, None], k, axis=1)


class Mime:
    """The speaker K times (REACT B_Mime). Calibrates FRSyn: its true lag is 0, whatever the official number says."""

    needs = Needs()
    lagged = False

    def __init__(self, config: LagConfig, setup: Setup):
        self.lag = round(config.seconds * setup.space.fps) if self.lagged else 0

    def sample(self, context: Context, k: int, noise: Noise) -> Reaction:
        def later(values: Array) -> Array:
            start = np.repeat(values[:, :1], min(self.lag, values.shape[1]), axis=1)  # still until the first echo
            return np.concatenate([start, values[:, : values.shape[1] - start.shape[1]]], axis=1)

        emotion = None if context.speaker_emotion is None else _copies(later(context.speaker_emotion), k)
        return Reaction(_copies(later(context.speaker_motion), k), emotion)


class LaggedMime(Mime):
    """The speaker K times, 0.7 s late: in published tables this beats learned methods on FRCorr, so it belongs beside them."""

    lagged = True
