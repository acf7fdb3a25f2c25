"""The compiled loops of FRSyn. `frsyn` says what they are for and how far their results may be off."""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

from typing import Any

import numpy as np

from dyadbench.metrics.compiled import njit

LAG = 49  # frames; 2 s at 25 fps, less one


@njit(nogil=True)
def _runs(x: Any) -> Any:
    """(2, C): how many equal values a channel begins with, and ends with."""
    frames, channels = x.shape
    out = np.empty((2, channels), np.int64)
    for c in range(channels):
        # A window is constant exactly if it lies within the first or the last run, as every window touches one end.
        n = 1
        while n < frames and x[n, c] == x[0, c]:
            n += 1
        out[0, c] = n
        n = 1
        while n < frames and x[frames - 1 - n, c] == x[frames - 1, c]:
            n += 1
        out[1, c] = n
    return out


@njit(nogil=True, fastmath={"contract", "reassoc", "nsz"})
def standard(x: Any) -> Any:
    """(T, C) -> (C, T) float32, centred and of unit deviation, so that any magnitude fits; a constant gives 0.

    A speaker's can be computed once for many predictions.
    """
    frames, channels = x.shape
    mean, square = np.zeros(channels), np.zeros(channels)
    for t in range(frames):
        row = x[t]
        for c in range(channels):
            mean[c] += row[c]
    mean /= frames
    for t in range(frames):
        row = x[t]
        for c in range(channels):
            d = row[c] - mean[c]
            square[c] += d * d
    out = np.empty((channels, frames), np.float32)
    for c in range(channels):
        scale = np.sqrt(frames / square[c]) if square[c] > 0 else 0.0
        to, centre = out[c], mean[c]
        for t in range(frames):
            to[t] = (x[t, c] - centre) * scale
    return out


@njit(nogil=True, fastmath={"contract", "reassoc", "nsz"})
def _products(head: Any, tails: Any, frames: Any, lag: Any, out: Any) -> None:
    """out[i]: the sum of head[lag + i + t] tails[t] for i of 0..3 while lag + i + t < frames; float32."""
    # Four neighbouring lags share one pass over `tails`: each value is loaded once for four products.
    n = frames - lag - 3
    a, b, c, d = np.float32(0), np.float32(0), np.float32(0), np.float32(0)
    window = head[lag:]
    for t in range(n):
        y = tails[t]
        a += window[t] * y
        b += window[t + 1] * y
        c += window[t + 2] * y
        d += window[t + 3] * y
    # The shared loop ends where the shortest of the four windows does; the others have up to three products more.
    out[0] = a + window[n] * tails[n] + window[n + 1] * tails[n + 1] + window[n + 2] * tails[n + 2]
    out[1] = b + window[n + 1] * tails[n] + window[n + 2] * tails[n + 1]
    out[2] = c + window[n + 2] * tails[n]
    out[3] = d


@njit(nogil=True, fastmath={"contract", "reassoc", "nsz"})
def sums(x: Any) -> Any:
    """The sum and the sum of squares of float32 values, in float64."""
    first, second = 0.0, 0.0
    for i in range(len(x)):
        d = np.float64(x[i])
        first += d
        second += d * d
    return first, second


@njit(nogil=True)
def lagged(x: Any, y: Any, out: Any, doubt: Any) -> None:
    """Pearson correlation of x (C, T) and y (C, T), float32 centred over the clip, at lags -LAG..LAG: out (99, C).

    Lag > 0 pairs x[lag:] with y[:-lag]. Moments come from sums over heads and tails in float64, products in float32;
    `doubt` (99, C) bounds what that can be off. At least LAG + 4 frames.
    """
    channels, frames = x.shape
    four = np.empty(4, np.float32)
    products = np.empty(LAG + 4)
    unit = (frames / 8 + 16) * 2.0**-24
    for c in range(channels):
        sums_x, sums_y = sums(x[c]), sums(y[c])
        bound = unit * np.sqrt(sums_x[1] * sums_y[1])
        # Negative lags are positive ones with the roles exchanged.
        for side in range(2):  # 0: lags >= 0 (x loses its head), 1: lags < 0 (y does)
            u, v = (x[c], y[c]) if side == 0 else (y[c], x[c])
            for lag in range(0, LAG + 1, 4):
                _products(u, v, frames, lag, four)
                for i in range(4):
                    products[lag + i] = four[i]
            (su, qu), (sv, qv) = (sums_x, sums_y) if side == 0 else (sums_y, sums_x)
            for lag in range(LAG + 1):
                each = 1.0 / (frames - lag)
                if lag > 0 or side == 0:
                    # (n v_x)(n v_y), with n v = sum of squares less squared sum over n.
                    spread = (qu - su * su * each) * (qv - sv * sv * each)
                    place = LAG + lag if side == 0 else LAG - lag
                    scale = 1.0 / np.sqrt(spread) if spread > 0 else np.inf
                    out[place, c] = (products[lag] - su * sv * each) * scale if spread > 0 else 0.0
                    doubt[place, c] = bound * scale
                # One lag further, the window loses its first frame on one side and its last on the other: moments are updated, not
                # summed again.
                p, q = np.float64(u[lag]), np.float64(v[frames - 1 - lag])
                su -= p
                qu -= p * p
                sv -= q
                qv -= q * q


@njit(nogil=True, fastmath={"contract", "reassoc", "nsz"})
def mean_correlation(x: Any, y: Any, lag: Any) -> Any:
    """The mean over channels of the correlations of (T, C) pairs at one lag, in float64; no window is constant."""
    n, channels = len(x) - abs(lag), x.shape[1]
    a, b = max(lag, 0), max(-lag, 0)
    mx, my = np.zeros(channels), np.zeros(channels)
    for t in range(n):
        for c in range(channels):
            mx[c] += x[a + t, c]
            my[c] += y[b + t, c]
    mx /= n
    my /= n
    xx, yy, xy = np.zeros(channels), np.zeros(channels), np.zeros(channels)
    for t in range(n):
        for c in range(channels):
            p, q = x[a + t, c] - mx[c], y[b + t, c] - my[c]
            xx[c] += p * p
            yy[c] += q * q
            xy[c] += p * q
    total = 0.0
    for c in range(channels):
        total += xy[c] / np.sqrt(xx[c] * yy[c])
    return total / channels


@njit(nogil=True)
def lag_undefined(pred: Any, speaker: Any) -> Any:
    """(99, C): lags at which a channel's window is constant on either side (or shorter than two frames)."""
    frames, channels = pred.shape
    x, y = _runs(pred), _runs(speaker)
    out = np.empty((2 * LAG + 1, channels), np.bool_)
    for place in range(2 * LAG + 1):
        lag = place - LAG
        window = frames - abs(lag)
        for c in range(channels):  # lag > 0 keeps the end of pred and the beginning of speaker
            run = max(x[1, c], y[0, c]) if lag >= 0 else max(x[0, c], y[1, c])
            out[place, c] = window < 2 or run >= window
    return out


@njit(nogil=True)
def mean_curve(curve: Any, doubt: Any) -> Any:
    """Over the channels that are defined at every lag: which they are, the mean curve (99,), the mean doubt (99,)."""
    lags, channels = curve.shape
    # A channel that lacks some lags would pull the mean at the others: it counts everywhere or nowhere.
    whole = np.ones(channels, np.bool_)
    for i in range(lags):
        for c in range(channels):
            whole[c] &= np.isfinite(curve[i, c])
    share = 1.0 / max(whole.sum(), 1)
    mean, margin = np.zeros(lags), np.zeros(lags)
    for i in range(lags):
        for c in range(channels):
            if whole[c]:
                mean[i] += curve[i, c] * share
                margin[i] += doubt[i, c] * share
    return whole, mean, margin
