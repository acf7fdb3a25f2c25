"""The REACT metrics of one clip as pure functions, in float64, equal to the official code (METRICS in `react_suites`).

Shapes: pred (K, T, 25); listeners (J, T, 25), the clip's appropriate ones; speaker (T, 25).
"""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

LAG = 49  # frames; 2 s at 25 fps, less one
EPSILON = 1e-8


def ccc(pred: np.ndarray, listeners: np.ndarray) -> np.ndarray:
    """(K, J, C) concordance correlation, ddof 0 moments and the official 1e-8 in the denominator (FRC.py).

    A channel that is constant on either side gives 0, also where both are the same constant.
    """
    x, y = pred.astype(np.float64), listeners.astype(np.float64)
    mx, my = x.mean(1), y.mean(1)  # (K, C), (J, C)
    x, y = x - mx[:, None], y - my[:, None]
    # One product for all pairs and channels: (C, K, T) @ (C, T, J)
    cov = np.matmul(x.transpose(2, 0, 1), y.transpose(2, 1, 0)).transpose(1, 2, 0) / x.shape[1]
    vx, vy = (x**2).mean(1), (y**2).mean(1)
    return 2 * cov / (vx[:, None] + vy[None] + (mx[:, None] - my[None]) ** 2 + EPSILON)


def constant(values: np.ndarray) -> np.ndarray:
    """(..., T, C) -> (..., C): whether a channel never changes."""
    return (values == values[..., :1, :]).all(-2)


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
def _lagged(x: Any, y: Any, out: Any) -> None:
    """Pearson correlation of x (C, T) and y (C, T), both centred over the clip, at lags -LAG..LAG; (99, C).

    Lag > 0 pairs x[lag:] with y[:-lag]. Moments come from sums over heads and tails, products directly.
    """
    channels, frames = x.shape
    for c in range(channels):
        a, b = x[c], y[c]
        sa, sb, qa, qb = 0.0, 0.0, 0.0, 0.0
        for t in range(frames):
            sa += a[t]
            sb += b[t]
            qa += a[t] * a[t]
            qb += b[t] * b[t]
        for side in range(2):  # 0: lags >= 0 (x loses its head), 1: lags < 0 (y does)
            u, v = (a, b) if side == 0 else (b, a)
            su, sv, qu, qv = (sa, sb, qa, qb) if side == 0 else (sb, sa, qb, qa)
            for lag in range(LAG + 1):
                n = frames - lag
                if n < 1:
                    break
                head, tail = u[lag:], v[:n]
                product = 0.0
                for t in range(n):
                    product += head[t] * tail[t]
                if not (side == 1 and lag == 0):
                    cov = product - su * sv / n
                    spread = (qu - su * su / n) * (qv - sv * sv / n)
                    place = LAG + lag if side == 0 else LAG - lag
                    out[place, c] = cov / np.sqrt(spread) if spread > 0 else np.nan
                if lag < frames:
                    su -= u[lag]
                    qu -= u[lag] * u[lag]
                    sv -= v[frames - 1 - lag]
                    qv -= v[frames - 1 - lag] * v[frames - 1 - lag]


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


def lag_correlations(pred: np.ndarray, speaker: np.ndarray) -> np.ndarray:
    """(99, C) correlations, NaN where undefined. Inputs (T, C)."""
    x, y = (np.ascontiguousarray(v.astype(np.float64).T) for v in (pred, speaker))
    x, y = x - x.mean(1, keepdims=True), y - y.mean(1, keepdims=True)
    out = np.full((2 * LAG + 1, len(x)), np.nan)
    _lagged(x, y, out)
    out[lag_undefined(pred, speaker)] = np.nan
    return np.clip(out, -1, 1)


def official_offset(pred: np.ndarray, speaker: np.ndarray) -> int:
    """|lag| of the official TLCC for one prediction: first maximum of the float32 channel mean, a NaN counting as it.

    One channel that is constant in some window decides alone, so no correlation is computed then.
    """
    x, y = pred.astype(np.float32), speaker.astype(np.float32)
    bad = lag_undefined(x, y).any(1) | bool(np.isnan(x).any() or np.isnan(y).any())
    if bad.any():
        return abs(LAG - int(bad.argmax()))
    curve = lag_correlations(x, y)
    mean = curve.astype(np.float32).mean(1, dtype=np.float32)
    close = np.flatnonzero(mean >= mean.max() - 1e-6)
    if len(close) > 1:  # near-ties are decided by the official arithmetic
        exact = np.array([_official_mean(x, y, int(i) - LAG) for i in close], np.float32)
        return abs(LAG - int(close[exact.argmax()]))
    return abs(LAG - int(mean.argmax()))


def _official_mean(x: np.ndarray, y: np.ndarray, lag: int) -> np.float32:
    import torch

    if lag > 0:
        x, y = x[lag:], y[:-lag]
    elif lag < 0:
        x, y = x[:lag], y[-lag:]
    return np.float32(torch.mean(torch.Tensor([np.corrcoef(x[:, c], y[:, c])[0, 1] for c in range(x.shape[1])])))


def best_lag(pred: np.ndarray, speaker: np.ndarray) -> float:
    """|lag| of the strongest mean correlation over the channels that have one; NaN where no channel does.

    A channel counts if it is defined at every lag, so that lags are compared over the same channels.
    """
    curve = lag_correlations(pred, speaker)
    whole = np.isfinite(curve).all(0)
    if not whole.any():
        return float("nan")
    return float(abs(LAG - int(curve[:, whole].mean(1).argmax())))


def diversity(pred: np.ndarray) -> float:
    """Mean squared difference of ordered pairs of samples (S_MSE.py); 0 for one sample. In closed form."""
    count = len(pred)
    if count == 1:
        return 0.0
    centred = pred.astype(np.float64)
    centred = centred - centred.mean(0)  # keeps the difference of two large sums small
    return float(2 * (centred**2).sum() / ((count - 1) * centred[0].size))


def variance(pred: np.ndarray) -> float:
    """Mean over samples and channels of the unbiased variance over time (FRVar.py); NaN for one frame."""
    if pred.shape[1] < 2:
        return float("nan")
    return float(pred.astype(np.float64).var(1, ddof=1).mean())
