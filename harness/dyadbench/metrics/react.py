"""The REACT metrics of one clip as pure functions, in float64, equal to the official code (METRICS in `react_suites`).

Shapes: pred (K, T, 25); listeners (J, T, 25), the clip's appropriate ones; speaker (T, 25).
"""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit

LAG = 49  # frames; 2 s at 25 fps, less one
EPSILON = 1e-8


@njit(cache=True, nogil=True)
def _centred(x: Any) -> Any:
    """(N, T, C) -> (C, N, T) centred, in float64, then means and variances (N, C). A constant gives exactly 0."""
    count, frames, channels = x.shape
    out = np.empty((channels, count, frames))
    mean, variance = np.empty((count, channels)), np.empty((count, channels))
    for n in range(count):
        for c in range(channels):
            origin = np.float64(x[n, 0, c])  # so that a constant of any precision is one
            total = 0.0
            for t in range(frames):
                total += x[n, t, c] - origin
            centre = total / frames
            mean[n, c] = origin + centre
            square = 0.0
            for t in range(frames):
                d = x[n, t, c] - origin - centre
                out[c, n, t] = d
                square += d * d
            variance[n, c] = square / frames
    return out, mean, variance


def ccc(pred: np.ndarray, listeners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(K, J, C) concordance correlation, ddof 0 moments and the official 1e-8 in the denominator (FRC.py).

    A channel that is constant on either side gives 0, also where both are the same constant; the second result says
    where both are constant.
    """
    (x, mx, vx), (y, my, vy) = _centred(pred), _centred(listeners)
    # One product for all pairs and channels: (C, K, T) @ (C, T, J)
    cov = np.matmul(x, y.transpose(0, 2, 1)).transpose(1, 2, 0) / x.shape[2]
    found = 2 * cov / (vx[:, None] + vy[None] + (mx[:, None] - my[None]) ** 2 + EPSILON)
    return found, (vx == 0)[:, None] & (vy == 0)[None]


@njit(cache=True, nogil=True)
def _runs(x: Any) -> Any:
    """(2, C): how many equal values a channel begins with, and ends with."""
    frames, channels = x.shape
    out = np.empty((2, channels), np.int64)
    for c in range(channels):
        n = 1
        while n < frames and x[n, c] == x[0, c]:
            n += 1
        out[0, c] = n
        n = 1
        while n < frames and x[frames - 1 - n, c] == x[frames - 1, c]:
            n += 1
        out[1, c] = n
    return out


@njit(cache=True, nogil=True, fastmath={"contract", "reassoc", "nsz"})
def _standard(x: Any) -> Any:
    """(T, C) -> (C, T) float32, centred and of unit deviation, so that any magnitude fits; a constant gives 0."""
    frames, channels = x.shape
    mean, square = np.zeros(channels), np.zeros(channels)
    for t in range(frames):
        for c in range(channels):
            mean[c] += x[t, c]
    mean /= frames
    for t in range(frames):
        for c in range(channels):
            d = x[t, c] - mean[c]
            square[c] += d * d
    out = np.empty((channels, frames), np.float32)
    for c in range(channels):
        scale = np.sqrt(frames / square[c]) if square[c] > 0 else 0.0
        for t in range(frames):
            out[c, t] = (x[t, c] - mean[c]) * scale
    return out


@njit(cache=True, nogil=True, fastmath={"contract", "reassoc", "nsz"})
def _products(head: Any, tails: Any, frames: Any, lag: Any, out: Any) -> None:
    """out[i]: the sum of head[lag + i + t] tails[t] for i of 0..3 while lag + i + t < frames; float32."""
    n = frames - lag - 3
    a, b, c, d = np.float32(0), np.float32(0), np.float32(0), np.float32(0)
    window = head[lag:]
    for t in range(n):
        y = tails[t]
        a += window[t] * y
        b += window[t + 1] * y
        c += window[t + 2] * y
        d += window[t + 3] * y
    out[0] = a + window[n] * tails[n] + window[n + 1] * tails[n + 1] + window[n + 2] * tails[n + 2]
    out[1] = b + window[n + 1] * tails[n] + window[n + 2] * tails[n + 1]
    out[2] = c + window[n + 2] * tails[n]
    out[3] = d


@njit(cache=True, nogil=True)
def _lagged(x: Any, y: Any, out: Any, doubt: Any) -> None:
    """Pearson correlation of x (C, T) and y (C, T), float32 centred over the clip, at lags -LAG..LAG: out (99, C).

    Lag > 0 pairs x[lag:] with y[:-lag]. Moments come from sums over heads and tails in float64, products in float32;
    `doubt` (99, C) bounds what that can be off. At least LAG + 4 frames.
    """
    channels, frames = x.shape
    four = np.empty(4, np.float32)
    products = np.empty(LAG + 4)
    unit = (frames / 8 + 16) * 2.0**-24
    for c in range(channels):
        for side in range(2):  # 0: lags >= 0 (x loses its head), 1: lags < 0 (y does)
            u, v = (x[c], y[c]) if side == 0 else (y[c], x[c])
            for lag in range(0, LAG + 1, 4):
                _products(u, v, frames, lag, four)
                for i in range(4):
                    products[lag + i] = four[i]
            su, sv, qu, qv = 0.0, 0.0, 0.0, 0.0
            for t in range(frames):
                p, q = np.float64(u[t]), np.float64(v[t])
                su += p
                sv += q
                qu += p * p
                qv += q * q
            for lag in range(LAG + 1):
                n = frames - lag
                if lag > 0 or side == 0:
                    cov = products[lag] - su * sv / n
                    spread = (qu - su * su / n) * (qv - sv * sv / n)
                    place = LAG + lag if side == 0 else LAG - lag
                    out[place, c] = cov / np.sqrt(spread) if spread > 0 else np.nan
                    doubt[place, c] = unit * np.sqrt(qu * qv / spread) if spread > 0 else np.nan
                p, q = np.float64(u[lag]), np.float64(v[frames - 1 - lag])
                su -= p
                qu -= p * p
                sv -= q
                qv -= q * q


def _exact(x: np.ndarray, y: np.ndarray, lag: int) -> np.ndarray:
    """(C,) correlations at one lag, in float64; NaN where a window is constant."""
    a, b = (x[lag:], y[: len(y) - lag]) if lag >= 0 else (x[:lag], y[-lag:])
    a, b = a.astype(np.float64), b.astype(np.float64)
    a, b = a - a.mean(0), b - b.mean(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((a * b).sum(0) / np.sqrt((a * a).sum(0) * (b * b).sum(0)))


def lag_undefined(pred: np.ndarray, speaker: np.ndarray) -> np.ndarray:
    """(99, C): lags at which a channel's window is constant on either side (or shorter than two frames)."""
    frames = len(pred)
    runs_x, runs_y = _runs(pred), _runs(speaker)
    lags = np.arange(-LAG, LAG + 1)
    window = (frames - np.abs(lags))[:, None]
    positive = (lags >= 0)[:, None]
    kept_x = np.where(positive, runs_x[1], runs_x[0])  # lag > 0 keeps the end of pred and the beginning of speaker
    kept_y = np.where(positive, runs_y[0], runs_y[1])
    whole = np.maximum(kept_x, kept_y) >= window
    return whole | (window < 2)


def lag_correlations(
    pred: np.ndarray, speaker: np.ndarray, undefined: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """(99, C) correlations, NaN where undefined, and how far each may be off. Inputs (T, C)."""
    if undefined is None:
        undefined = lag_undefined(pred, speaker)
    out = np.full(undefined.shape, np.nan)
    doubt = np.zeros(undefined.shape)
    if len(pred) >= LAG + 4:
        _lagged(_standard(pred), _standard(speaker), out, doubt)
    else:
        for lag in range(1 - len(pred), len(pred)):
            if abs(lag) <= LAG:
                out[LAG + lag] = _exact(pred, speaker, lag)
    if undefined.any():
        out[undefined] = np.nan
    return out, doubt


@njit(cache=True, nogil=True)
def _mean_curve(curve: Any, doubt: Any) -> Any:
    """Over the channels that are defined at every lag: which they are, the mean curve (99,), the mean doubt (99,)."""
    lags, channels = curve.shape
    whole = np.ones(channels, np.bool_)
    for i in range(lags):
        for c in range(channels):
            whole[c] &= np.isfinite(curve[i, c])
    count = max(whole.sum(), 1)
    mean, margin = np.zeros(lags), np.zeros(lags)
    for i in range(lags):
        for c in range(channels):
            if whole[c]:
                mean[i] += curve[i, c] / count
                margin[i] += doubt[i, c] / count
    return whole, mean, margin


def _broken_lags(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(99,) lags whose windows hold a value that is not finite."""
    a, b = (~np.isfinite(v).all(1) for v in (x, y))
    found = []
    for lag in range(-LAG, LAG + 1):
        n = len(a) - abs(lag)
        found.append(a[max(lag, 0) :][:n].any() or b[max(-lag, 0) :][:n].any())
    return np.array(found)


def _first_best(curve: np.ndarray, doubt: np.ndarray, exact: Callable[[int], float]) -> int:
    """The place of the first maximum of a (99,) curve known to within `doubt`; near-ties go to `exact(lag)`."""
    close = np.flatnonzero(curve + doubt >= (curve - doubt).max())
    if len(close) == 1:
        return int(close[0])
    return int(close[np.argmax([exact(int(place) - LAG) for place in close])])


def official_offset(pred: np.ndarray, speaker: np.ndarray) -> int:
    """|lag| of the official TLCC for one prediction: first maximum of the float32 channel mean, a NaN counting as it.

    One channel that is constant in some window decides alone, so no correlation is computed then.
    """
    x, y = (np.ascontiguousarray(v, np.float32) for v in (pred, speaker))
    undefined = lag_undefined(x, y)
    broken = None if np.isfinite(x.sum() + y.sum()) else _broken_lags(x, y)
    if broken is not None or undefined.any():
        bad = undefined.any(1) if broken is None else undefined.any(1) | broken
        return abs(LAG - int(bad.argmax()))
    _, mean, doubt = _mean_curve(*lag_correlations(x, y, undefined))
    # 1e-6 more: near-ties are decided by the official arithmetic, whose mean is float32
    return abs(LAG - _first_best(mean, doubt + 5e-7, lambda lag: _official_mean(x, y, lag)))


def _official_mean(x: np.ndarray, y: np.ndarray, lag: int) -> float:
    import torch

    if lag > 0:
        x, y = x[lag:], y[:-lag]
    elif lag < 0:
        x, y = x[:lag], y[-lag:]
    return float(torch.mean(torch.Tensor([np.corrcoef(x[:, c], y[:, c])[0, 1] for c in range(x.shape[1])])))


def best_lag(pred: np.ndarray, speaker: np.ndarray) -> float:
    """|lag| of the strongest mean correlation over the channels that have one; NaN where no channel does.

    A channel counts if it is defined at every lag, so that lags are compared over the same channels.
    """
    whole, mean, doubt = _mean_curve(*lag_correlations(pred, speaker))
    if not whole.any():
        return float("nan")

    def exact(lag: int) -> float:
        return float(np.round(_exact(pred[:, whole], speaker[:, whole], lag).mean(), 12))

    found = _first_best(mean, doubt, exact)
    return float(abs(LAG - found))


@njit(cache=True, nogil=True, fastmath={"contract", "reassoc", "nsz"})
def _moments(x: Any, out: Any) -> None:
    """out: the sum of unbiased variances over samples and channels; the sum over (t, c) of variances times K - 1."""
    count, frames, channels = x.shape
    flat = x.reshape(count, frames * channels)
    first, second = np.empty(channels), np.empty(channels)
    for k in range(count):
        first[:] = 0
        second[:] = 0
        for t in range(frames):
            for c in range(channels):  # from the first frame on: large offsets stay out of the squares
                d = np.float64(x[k, t, c]) - np.float64(x[k, 0, c])
                first[c] += d
                second[c] += d * d
        for c in range(channels):
            out[0] += (second[c] - first[c] * first[c] / frames) / max(frames - 1, 1)
    block = 512
    sums, squares = np.empty(block), np.empty(block)
    for start in range(0, flat.shape[1], block):
        stop = min(start + block, flat.shape[1])
        origin = flat[0, start:stop]
        sums[:] = 0
        squares[:] = 0
        for k in range(1, count):
            row = flat[k, start:stop]
            for i in range(stop - start):
                d = np.float64(row[i]) - np.float64(origin[i])
                sums[i] += d
                squares[i] += d * d
        total = 0.0
        for i in range(stop - start):
            total += squares[i] - sums[i] * sums[i] / count
        out[1] += total


def moments(pred: np.ndarray) -> tuple[float, float]:
    """Diversity and variance of (K, T, C), in closed form and one reading.

    Diversity is the mean squared difference of ordered pairs of samples (S_MSE.py), 0 for one sample. Variance is the
    mean over samples and channels of the unbiased variance over time (FRVar.py), NaN for one frame.
    """
    count, frames, channels = pred.shape
    sums = np.zeros(2)
    _moments(np.ascontiguousarray(pred), sums)
    pairs = max(count - 1, 1) * frames * channels
    spread = 2 * float(np.maximum(sums[1], 0.0)) / pairs
    return spread, float(sums[0] / (count * channels)) if frames > 1 else float("nan")


@njit(cache=True, nogil=True, fastmath={"contract", "reassoc", "nsz"})
def _fold(x: Any, origin: Any, total: Any) -> Any:
    square = 0.0
    for i in range(len(x)):
        d = np.float64(x[i]) - np.float64(origin[i])
        total[i] += d
        square += d * d
    return square


@njit(cache=True, nogil=True, fastmath={"contract", "reassoc", "nsz"})
def _cross(x: Any, origin: Any, total: Any) -> Any:
    product = 0.0
    for i in range(len(x)):
        product += (np.float64(x[i]) - np.float64(origin[i])) * total[i]
    return product


def fold(pred: np.ndarray, origin: np.ndarray, total: np.ndarray) -> float:
    """Adds pred - origin to `total` (all (K, T, C), contiguous) and returns its squared norm, in float64."""
    return float(_fold(pred.ravel(), origin.ravel(), total.reshape(-1)))


def cross(pred: np.ndarray, origin: np.ndarray, total: np.ndarray) -> float:
    """The inner product of pred - origin and `total`, in float64."""
    return float(_cross(pred.ravel(), origin.ravel(), total.ravel()))
