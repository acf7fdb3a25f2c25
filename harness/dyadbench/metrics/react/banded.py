"""FRDist within a band: for clips of many minutes, where an alignment that strays by minutes is no alignment.

The exact distance of two clips of 20 000 frames takes 4e8 cells. A band (Sakoe and Chiba 1978) allows frame i of one clip
to meet only frames within `radius` of the same share of the other. The result is never below the exact distance, and equal to
it where a cheapest path stays within the band: always for a radius of the longer length.
"""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from dyadbench.metrics.compiled import njit
from dyadbench.metrics.react.frdist import GROUPS, WEIGHTS


@njit(nogil=True)
def _banded(x: Any, y: Any, radius: int) -> Any:
    """Summed squared distances of the cheapest path within the band: (n, C), (m, C) float64; two rows of memory.

    Place j + 1 of a row is column j. A band moves to the right only, so what an older row left in a buffer lies at places
    that are not read again, but for the one before the band.
    """
    n, m, channels = x.shape[0], y.shape[0], x.shape[1]
    above, here = np.full(m + 1, np.inf), np.full(m + 1, np.inf)
    above[0] = 0.0
    for i in range(n):
        centre = i * (m - 1) // max(1, n - 1)
        low = max(0, centre - radius)
        here[low] = np.inf
        for j in range(low, min(m, centre + radius + 1)):
            cost = 0.0
            for c in range(channels):
                d = x[i, c] - y[j, c]
                cost += d * d
            here[j + 1] = cost + min(min(above[j], above[j + 1]), here[j])
        above, here = here, above
    return above[m]


def frdist_banded(pred: np.ndarray, listeners: Sequence[np.ndarray], radius: int) -> np.ndarray:
    """FRDist of one clip within a band of `radius` frames: an upper bound of `frdist`; less is better; (K,).

    The radius is at least one step of the longer clip, so that both ends are connected.

    Args:
        pred: (K, T, 25) samples.
        listeners: J of (T_j, 25), finite.
        radius: frames that a pair may lie beside the diagonal.

    >>> held = np.zeros((4, 25))
    >>> f"{frdist_banded(held[None] + 1, [held], 2)[0]:.4f}"
    '4.0519'
    """
    samples, others = (
        [[np.ascontiguousarray(v[:, a:b], np.float32).astype(np.float64) for a, b in GROUPS] for v in values]
        for values in (pred, listeners)
    )
    return np.array([min(_distance(x, y, radius) for y in others) for x in samples])


def _distance(x: Sequence[np.ndarray], y: Sequence[np.ndarray], radius: int) -> float:
    """The weighted distance of two clips, group by group (n, C) and (m, C)."""
    least = math.ceil((len(y[0]) - 1) / max(1, len(x[0]) - 1))
    parts = zip(WEIGHTS, x, y, strict=True)
    return sum(weight * math.sqrt(_banded(a, b, max(radius, least))) for weight, a, b in parts)
