"""Decoding a batch of clips of different length as each clip would be decoded alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from dyadbench.api import Array, Context, Reaction, Tokenizer, Tokens

Rows = NDArray[np.int64]
# (rows (n,) of the R = B K reactions, their frames) -> motion (n, frames, D), and emotion (n, frames, 25) or None
Decode = Callable[[Rows, int], tuple[Array, Array | None]]


def by_length(lengths: Rows, k: int, frames: int, decode: Decode) -> tuple[Array, Array | None]:
    """Motion (B, K, `frames`, D) and emotion of clips with `lengths` (B,), 0 after a clip's end.

    A decoder that looks ahead or attends to a whole window would otherwise see what follows the end of a clip, and a reaction
    would hang on which clips are in its batch. Clips of one length are decoded together.
    """
    count = len(lengths)
    if (lengths == frames).all():
        motion, emotion = decode(np.arange(count * k), frames)
        shape = (count, k, frames, -1)
        return motion.reshape(shape), None if emotion is None else emotion.reshape(shape)
    groups = [(np.flatnonzero(lengths == length), length) for length in np.unique(lengths).tolist()]
    parts = [decode((clips[:, None] * k + np.arange(k)).ravel(), length) for clips, length in groups]

    def joined(values: Sequence[Array]) -> Array:
        out = np.zeros((count, k, frames, values[0].shape[-1]), values[0].dtype)
        for (clips, length), part in zip(groups, values, strict=True):
            out[clips, :, :length] = part.reshape(len(clips), k, length, -1)
        return out

    felt = [emotion for _, emotion in parts if emotion is not None]
    return joined([motion for motion, _ in parts]), joined(felt) if felt else None


def with_equal_samples(motion: Array | None, emotion: Array | None, k: int) -> Reaction:
    """A reaction of K samples; (B, 1, T, ...) where they are equal and one of each clip was decoded."""
    return Reaction(*(x if x is None or x.shape[1] == k else np.repeat(x, k, 1) for x in (motion, emotion)))


def decoded_by_length(tokenizer: Tokenizer, ids: Tensor, context: Context, k: int, unit: int = 1) -> Reaction:
    """The reaction of ids (R, N, ...), one a frame, to clips of which each alone would be padded to multiples of `unit` frames."""
    every = ids.cpu().numpy()

    def decode(rows: Rows, length: int) -> tuple[Array, Array | None]:
        return tokenizer.decode(Tokens(every[rows, : length + -length % unit], frames=length), length)

    return Reaction(*by_length(context.lengths, k, context.frames, decode))
