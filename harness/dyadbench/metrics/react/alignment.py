"""Listeners turned to the length of a prediction, as REACT 2025 and 2026 do inside their metric.

Officially a learnt network does it, whose checkpoint comes with the challenge: a listener that is aligned is then an output of
that network, and one of equal length is raw. `resampled` is the substitute where there is no checkpoint; its numbers are not
on the official scale.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from dyadbench.api import ACTION_UNITS, EXPRESSIONS

SEGMENT = 1000  # frames that the official network takes at a time

Network = Callable[
    [np.ndarray, int, int], np.ndarray
]  # (SEGMENT, 25) padded, frames in, frames out -> raw (frames out, 25)


def resampled(emotion: np.ndarray, frames: int) -> np.ndarray:
    """(T, 25) -> (frames, 25): action units of the nearest frame, all else by linear interpolation. Equal lengths: untouched.

    >>> resampled(np.arange(3.0)[:, None] + np.zeros((1, 25)), 5)[:, 24].tolist()
    [0.0, 0.5, 1.0, 1.5, 2.0]
    """
    if len(emotion) == frames:
        return emotion
    place = np.linspace(0, len(emotion) - 1, frames)
    places = np.arange(len(emotion))
    rest = [np.interp(place, places, emotion[:, c]) for c in range(ACTION_UNITS.stop, emotion.shape[1])]
    return np.column_stack([emotion[np.floor(place + 0.5).astype(int), ACTION_UNITS], *rest]).astype(emotion.dtype)


def by_network(emotion: np.ndarray, frames: int, network: Network) -> np.ndarray:
    """(T, 25) -> (frames, 25) as the official post-processor cuts and decodes. Equal lengths: untouched.

    The longer side sets the number of segments, S = ceil(longer / 1000). Both sides are cut into S parts of ceil(length / S)
    frames, the input padded with zeros. Decoded action units are 1 where a sigmoid reaches .5, expressions a softmax.
    Source: framework/modules/post_processor.py.
    """
    if len(emotion) == frames:
        return emotion
    count = math.ceil(max(len(emotion), frames) / SEGMENT)
    size, due = math.ceil(len(emotion) / count), math.ceil(frames / count)
    parts = []
    for first in range(0, count * size, size):
        part = emotion[first : first + size]
        padded = np.zeros((SEGMENT, emotion.shape[1]), np.float32)
        padded[: len(part)] = part
        parts.append(network(padded, size, due))
    raw = np.concatenate(parts)[:frames]
    out = raw.astype(np.float32)
    out[:, ACTION_UNITS] = raw[:, ACTION_UNITS] >= 0  # sigmoid(x) >= .5
    shifted = np.exp(raw[:, EXPRESSIONS] - raw[:, EXPRESSIONS].max(1, keepdims=True))
    out[:, EXPRESSIONS] = shifted / shifted.sum(1, keepdims=True)
    return out
