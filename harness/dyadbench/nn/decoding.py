"""Decoding a batch of clips of different length as each clip would be decoded alone."""

from __future__ import annotations

from collections.abc import Callable

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
    out: list[Array | None] = [None, None]
    for length in np.unique(lengths).tolist():
        clips = np.flatnonzero(lengths == length)
        rows = (clips[:, None] * k + np.arange(k)).ravel()
        for n, part in enumerate(decode(rows, length)):
            if part is None:
                continue
            if length == frames and len(clips) == len(lengths):
                out[n] = part.reshape(len(lengths), k, length, -1)
                continue
            if out[n] is None:
                out[n] = np.zeros((len(lengths), k, frames, part.shape[-1]), part.dtype)
            out[n][clips, :, :length] = part.reshape(len(clips), k, length, -1)  # type: ignore[index]
    motion, emotion = out
    assert motion is not None, "there is at least one clip"
    return motion, emotion


def decoded_by_length(tokenizer: Tokenizer, ids: Tensor, context: Context, k: int, unit: int = 1) -> Reaction:
    """The reaction of ids (R, N, ...), one a frame, to clips of which each alone would be padded to multiples of `unit` frames."""
    every = ids.cpu().numpy()

    def decode(rows: Rows, length: int) -> tuple[Array, Array | None]:
        return tokenizer.decode(Tokens(every[rows, : length + -length % unit], frames=length), length)

    return Reaction(*by_length(context.lengths, k, context.frames, decode))
