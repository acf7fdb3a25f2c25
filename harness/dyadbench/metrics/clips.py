"""Clips of unequal length in one padded array, cut where they are read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dyadbench.files.arrays import floats


@dataclass(frozen=True)
class Clips:
    """`clips[n]` is clip n without its padding, float32 or float64.

    >>> clips = Clips(np.zeros((2, 10, 750, 25), np.float32), np.array([750, 600]))
    >>> [clip.shape for clip in clips]
    [(10, 750, 25), (10, 600, 25)]
    """

    values: Any  # (N, ..., T, C), an array or what is read clip by clip
    lengths: NDArray[np.int64]  # (N or more,) frames of each

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, n: int) -> NDArray[Any]:
        return floats(self.values[n], "a clip")[..., : self.lengths[n], :]  # (..., length, C)

    def __iter__(self) -> Iterator[NDArray[Any]]:
        return (self[n] for n in range(len(self)))
