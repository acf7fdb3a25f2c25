"""FRDist: exact dynamic time warping to the nearest appropriate listener (REACT 2024, metric/FRD.py).

d(x, y) = DTW(AU) / 15 + DTW(valence, arousal) + DTW(expression) / 8, each DTW a square root of the cheapest monotone
path's summed squared distances; three alignments of their own, no window, no length normalisation.

float32 finds the candidates and float64 decides among them, so the result is that of the official recursion in
float64 while most pairs are never finished: candidates go by their distance along the diagonal (an upper bound where
lengths agree), then group by group, each bounded by the best so far.
"""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from dyadbench.metrics.frdist_kernels import dtw, pack_columns, pack_rows, padded, scratch_size

GROUPS = ((0, 15), (15, 17), (17, 25))  # action units, valence and arousal, expressions
WEIGHTS = (1 / 15, 1.0, 1 / 8)
ORDER = (1, 2, 0)  # cheapest group first
MARGIN, FLOOR = 2e-4, 1e-9  # of float32 totals: relative, absolute


class Packed:
    """One sequence (T, 25) in the kernel's layouts, by group, in float32 and (when asked for) float64."""

    def __init__(self, values: np.ndarray, *, rows: bool):
        self.frames = len(values)
        self.values = np.ascontiguousarray(values, np.float32)  # the official code casts to float32 first
        self._pack = pack_rows if rows else pack_columns
        self._kept: dict[tuple[int, type], np.ndarray] = {}

    def group(self, index: int, dtype: type) -> np.ndarray:
        key = (index, dtype)
        if key not in self._kept:
            start, stop = GROUPS[index]
            self._kept[key] = self._pack(self.values[:, start:stop].astype(dtype))
        return self._kept[key]


@njit(cache=True, nogil=True)
def _diagonal(x: Any, y: Any, start: Any, stop: Any) -> Any:
    total = 0.0
    for t in range(x.shape[0]):
        for c in range(start, stop):
            d = np.float64(x[t, c]) - np.float64(y[t, c])
            total += d * d
    return total


def _blocks(index: int) -> int:
    start, stop = GROUPS[index]
    return padded(stop - start) // 4


class Scratch:
    """Work buffers of one thread."""

    def __init__(self, frames: int):
        self.f32 = np.empty(scratch_size(frames), np.float32)
        self.f64 = np.empty(scratch_size(frames), np.float64)


def distance64(x: Packed, y: Packed, scratch: Scratch) -> float:
    """The exact weighted distance; inf where it overflows."""
    parts = [
        np.sqrt(
            dtw(x.group(g, np.float64), y.group(g, np.float64), x.frames, y.frames, _blocks(g), np.inf, scratch.f64)
        )
        for g in range(3)
    ]
    return float(WEIGHTS[0] * parts[0] + WEIGHTS[1] * parts[1] + WEIGHTS[2] * parts[2])


def _bounded32(x: Packed, y: Packed, best: float, scratch: Scratch) -> float:
    """The float32 distance, or inf once it must exceed `best` by more than the margin."""
    limit, total = best * (1 + MARGIN) + FLOOR, 0.0
    for g in ORDER:
        room = (limit - total) / WEIGHTS[g]
        bound = room * room if np.isfinite(room) else np.inf
        cost = dtw(x.group(g, np.float32), y.group(g, np.float32), x.frames, y.frames, _blocks(g), bound, scratch.f32)
        total += WEIGHTS[g] * float(np.sqrt(np.float64(cost)))
        if not total <= limit:
            return float("inf")
    return total


def nearest(x: Packed, candidates: list[Packed], scratch: Scratch) -> float:
    """min over candidates of d(x, y), exact in float64."""
    if len(candidates) == 1:
        return distance64(x, candidates[0], scratch)
    upper = []
    for y in candidates:
        if y.frames != x.frames:
            upper.append(np.inf)
            continue
        upper.append(sum(w * np.sqrt(_diagonal(x.values, y.values, *g)) for w, g in zip(WEIGHTS, GROUPS, strict=True)))
    best, totals = float(np.nanmin([*upper, np.inf])), np.full(len(candidates), np.inf)
    for j in np.argsort(upper, kind="stable"):
        totals[j] = _bounded32(x, candidates[j], best, scratch)
        best = min(best, totals[j])
    close = (
        np.flatnonzero(totals <= totals.min() * (1 + MARGIN) + FLOOR)
        if np.isfinite(totals.min())
        else range(len(totals))
    )
    return min(distance64(x, candidates[j], scratch) for j in close)


def frdist_clip(pred: np.ndarray, listeners: list[Packed]) -> np.ndarray:
    """(K, T, 25) predictions of one clip -> (K,) distances to the nearest of its packed appropriate listeners.

    A prediction that holds NaN or infinity gives NaN, as the official recursion does.
    """
    scratch = Scratch(max(y.frames for y in listeners))
    out = np.full(len(pred), np.nan)
    for k, sample in enumerate(pred):
        if np.isfinite(sample).all():
            out[k] = nearest(Packed(sample, rows=True), listeners, scratch)
    return out
