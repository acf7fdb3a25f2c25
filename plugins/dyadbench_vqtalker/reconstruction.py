"""The true listener, encoded and decoded by a tokenizer. A predictor on its tokens is not expected to score better, and
the distance to `oracle` is the error of the tokens."""

from __future__ import annotations

import numpy as np

from dyadbench.api import Array, Config, Context, Needs, Noise, Reaction, Setup, Tokenizer
from dyadbench.nn.decoding import Rows, by_length, with_equal_samples


class Reconstruction:
    """K copies of decode(encode(true listener)), on any tokenizer."""

    needs = Needs(face=False, lookahead=None, truth=True)

    def __init__(self, config: Config, setup: Setup, tokenizer: Tokenizer):
        self.tokenizer = tokenizer

    def sample(self, context: Context, k: int, noise: Noise) -> Reaction:
        assert context.truth is not None
        listeners = [motion[0] for motion in context.truth.motion]

        def decode(rows: Rows, length: int) -> tuple[Array, Array | None]:
            motion = np.stack([listeners[row][:length] for row in rows])
            return self.tokenizer.decode(self.tokenizer.encode(motion), length)

        return with_equal_samples(*by_length(context.lengths, 1, context.frames, decode), k)
