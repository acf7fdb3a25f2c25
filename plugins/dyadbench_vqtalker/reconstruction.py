"""The true listener, encoded and decoded by a tokenizer. A predictor on its tokens is not expected to score better, and
the distance to `oracle` is the error of the tokens."""

from __future__ import annotations

import numpy as np

from dyadbench.api import Config, Context, Needs, Noise, Reaction, Setup, Tokenizer


class Reconstruction:
    """K copies of decode(encode(true listener)), on any tokenizer."""

    needs = Needs(face=False, lookahead=None, truth=True)

    def __init__(self, config: Config, setup: Setup, tokenizer: Tokenizer):
        self.tokenizer = tokenizer

    def sample(self, context: Context, k: int, noise: Noise) -> Reaction:
        assert context.truth is not None
        listeners = np.stack([motion[0] for motion in context.truth.motion])
        motion, emotion = self.tokenizer.decode(self.tokenizer.encode(listeners), context.frames)
        copies = [None if x is None else np.repeat(x[:, None], k, 1) for x in (motion, emotion)]
        return Reaction(*copies)
