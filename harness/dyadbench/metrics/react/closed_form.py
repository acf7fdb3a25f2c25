"""FRCorr, FRDiv, FRDvs and FRVar of one clip as pure functions, in float64, equal to the official code.

Shapes: pred (K, T, 25); listeners (J, T, 25), the clip's appropriate ones. FRDist and FRSyn have modules of their own.
"""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dyadbench.metrics.compiled import njit

EPSILON = 1e-8


@njit(nogil=True, fastmath={"contract", "reassoc", "nsz"})
def _centred(x: Any) -> Any:
    """(N, T, C) -> (C, N, T) centred, in float64, then means and variances (N, C). A constant gives exactly 0."""
    count, frames, channels = x.shape
    out = np.empty((channels, count, frames))
    mean, variance = np.empty((count, channels)), np.empty((count, channels))
    width = 8 * channels  # eight frames a step, for the processor's wide registers
    origin, sums = np.empty(width), np.empty(width)
    for n in range(count):
        flat = x[n].reshape(frames * channels)
        for i in range(width):
            origin[i] = flat[i % channels]  # so that a constant of any precision is one
        for squared in range(2):
            sums[:] = 0
            for start in range(0, len(flat), width):
                part = flat[start : start + width]
                if squared:
                    for i in range(len(part)):
                        d = part[i] - origin[i]
                        sums[i] += d * d
                else:
                    for i in range(len(part)):
                        sums[i] += part[i] - origin[i]
            for c in range(channels):
                found = sums[c::channels].sum() / frames
                if squared:
                    variance[n, c] = found
                else:
                    mean[n, c] = origin[c] + found
                    for i in range(c, width, channels):  # a slice would compile two seconds longer
                        origin[i] += found
        for c in range(channels):
            row, centre = out[c, n], origin[c]
            for t in range(frames):
                row[t] = x[n, t, c] - centre
    return out, mean, variance


def ccc(pred: np.ndarray, listeners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(K, J, C) concordance correlation, ddof 0 moments and the official 1e-8 in the denominator (FRC.py).

    A channel that is constant on either side gives 0, also where both are the same constant; the second result says
    where both are constant.
    """
    (x, mx, vx), (y, my, vy) = (_centred(np.ascontiguousarray(side)) for side in (pred, listeners))
    # One product for all pairs and channels: (C, K, T) @ (C, T, J)
    cov = np.matmul(x, y.transpose(0, 2, 1)).transpose(1, 2, 0) / x.shape[2]
    found = 2 * cov / (vx[:, None] + vy[None] + (mx[:, None] - my[None]) ** 2 + EPSILON)
    return found, (vx == 0)[:, None] & (vy == 0)[None]


@njit(nogil=True, fastmath={"contract", "reassoc", "nsz"})
def _fold(a: Any, b: Any, c: Any, d: Any, origin: Any, total: Any) -> Any:
    """Adds what four vectors are less `origin` to `total`, read once for the four; returns their squared norms."""
    aa, bb, cc, dd = 0.0, 0.0, 0.0, 0.0
    for i in range(len(origin)):
        centre = np.float64(origin[i])
        p, q, r, s = a[i] - centre, b[i] - centre, c[i] - centre, d[i] - centre
        total[i] += (p + q) + (r + s)
        aa += p * p
        bb += q * q
        cc += r * r
        dd += s * s
    return aa, bb, cc, dd


@njit(nogil=True, fastmath={"contract", "reassoc", "nsz"})
def _cross(a: Any, b: Any, c: Any, d: Any, origin: Any, total: Any) -> Any:
    aa, bb, cc, dd = 0.0, 0.0, 0.0, 0.0
    for i in range(len(origin)):
        centre, weight = np.float64(origin[i]), total[i]
        aa += (a[i] - centre) * weight
        bb += (b[i] - centre) * weight
        cc += (c[i] - centre) * weight
        dd += (d[i] - centre) * weight
    return aa, bb, cc, dd


@njit(nogil=True, fastmath={"contract", "reassoc", "nsz"})
def _over_time(x: Any) -> Any:
    """The sum over samples and channels of the unbiased variances over time of (K, T, C)."""
    count, frames, channels = x.shape
    width = 8 * channels  # eight frames a step, for the processor's wide registers
    origin, sums = np.empty(width), np.empty(width)
    square = 0.0
    for k in range(count):
        flat = x[k].reshape(frames * channels)
        sums[:] = 0
        for i in range(8):  # from the first frame on: large offsets stay out of the squares
            for c in range(channels):
                origin[i * channels + c] = flat[c]
        for start in range(0, len(flat), width):
            part = flat[start : start + width]
            for i in range(len(part)):
                d = part[i] - origin[i]
                sums[i] += d
                square += d * d
        for c in range(channels):
            square -= sums[c::channels].sum() ** 2 / frames
    return square / max(frames - 1, 1)


@njit(nogil=True, fastmath={"contract", "reassoc", "nsz"})
def _over_samples(flat: Any) -> Any:
    """The sum over entries of the variances over samples of (K, N), times K - 1."""
    count, size = flat.shape
    block = 1024
    total = np.empty(block)
    square = 0.0
    for start in range(0, size, block):
        stop = min(start + block, size)
        origin, sums = flat[0, start:stop], total[: stop - start]
        sums[:] = 0
        for k in range(1, count, 4):  # the first sample, which is the origin, fills up
            b, c, d = k + 1 if k + 1 < count else 0, k + 2 if k + 2 < count else 0, k + 3 if k + 3 < count else 0
            aa, bb, cc, dd = _fold(
                flat[k, start:stop], flat[b, start:stop], flat[c, start:stop], flat[d, start:stop], origin, sums
            )
            square += (aa + bb) + (cc + dd)
        over = 0.0
        for i in range(len(sums)):
            over += sums[i] * sums[i]
        square -= over / count
    return square


def moments(pred: np.ndarray) -> tuple[float, float]:
    """Diversity and variance of (K, T, C), in closed form and one reading.

    Diversity is the mean squared difference of ordered pairs of samples (S_MSE.py), 0 for one sample. Variance is the
    mean over samples and channels of the unbiased variance over time (FRVar.py), NaN for one frame.
    """
    count, frames, channels = pred.shape
    pred = np.ascontiguousarray(pred)
    variances, apart = _over_time(pred), _over_samples(pred.reshape(count, -1))
    pairs = max(count - 1, 1) * frames * channels
    spread = 2 * float(np.maximum(apart, 0.0)) / pairs
    return spread, float(variances / (count * channels)) if frames > 1 else float("nan")


def fold(four: Sequence[np.ndarray], origin: np.ndarray, total: np.ndarray) -> list[float]:
    """Adds x - origin to `total` for each x of at most four (all (K, T, C), contiguous): their squared norms, float64."""
    a, b, c, d = _flat(four, origin)
    return list(_fold(a, b, c, d, origin.ravel(), total.reshape(-1)))[: len(four)]


def cross(four: Sequence[np.ndarray], origin: np.ndarray, total: np.ndarray) -> list[float]:
    """The inner products of x - origin and `total` for each x of at most four, in float64."""
    a, b, c, d = _flat(four, origin)
    return list(_cross(a, b, c, d, origin.ravel(), total.ravel()))[: len(four)]


def _flat(four: Sequence[np.ndarray], origin: np.ndarray) -> list[np.ndarray]:
    """Four vectors; the origin stands in for missing ones, which adds nothing."""
    return [x.ravel() for x in (*four, *[origin] * (4 - len(four)))]
