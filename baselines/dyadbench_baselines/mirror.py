"""The speaker, copied."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dyadbench.api import Array, Context, Needs, Noise, Reaction, Setup
from dyadbench_baselines.config import LagConfig


class _Echo:
    """The speakers K times, `lag` frames late; until the first echo their first frame (api.Stream)."""

    def __init__(self, lag: int, k: int):
        self.lag, self.k = lag, k
        self.late: dict[str, Array] = {}  # the last `lag` frames, (B, lag, C), that are still to be copied

    def step(self, heard: Context) -> Reaction:
        emotion = None if heard.speaker_emotion is None else self._later("emotion", heard.speaker_emotion)
        return Reaction(self._later("motion", heard.speaker_motion), emotion)

    def finish(self) -> None:
        """Every frame was given when its speaker frame was heard."""

    def _later(self, space: str, values: Array) -> Array:
        """(B, n, C) -> (B, K, n, C)."""
        late = self.late.get(space, np.repeat(values[:, :1], self.lag, axis=1))
        joined = np.concatenate([late, values], axis=1)
        self.late[space] = joined[:, values.shape[1] :]
        return np.repeat(joined[:, None, : values.shape[1]], self.k, axis=1)


class Mime:
    """The speaker K times (REACT B_Mime). Calibrates FRSyn: its true lag is 0, whatever the official number says."""

    needs = Needs()
    lagged = False

    def __init__(self, config: LagConfig, setup: Setup):
        self.lag = round(config.seconds * setup.space.fps) if self.lagged else 0

    def start(self, clips: Sequence[str], k: int, noise: Noise) -> _Echo:
        return _Echo(self.lag, k)

    def sample(self, context: Context, k: int, noise: Noise) -> Reaction:
        return self.start(context.clips, k, noise).step(context)


class LaggedMime(Mime):
    """The speaker K times, 0.7 s late: in published tables this beats learned methods on FRCorr, so it belongs beside them."""

    lagged = True
