"""FRSyn: the lag at which a reaction correlates best with the speaker (REACT 2024, metric/TLCC.py).

Shapes: pred and speaker (T, C). Correlations at 99 lags come from products in float32 and moments in float64; where the
maximum is too close to call, those few lags are computed again, and then as the official code does.

How far a correlation may be off (`doubt` in `_lagged`), u = 2^-24:

1. The sum of T products x_t y_t runs in float32 over at least eight partial sums (four windows share a loop, and registers
   hold eight values; a property test holds it against numpy), so a product passes through at most T / 8 + 16 roundings: the
   sum is off by at most (T / 8 + 16) u sum |x_t y_t| = unit sum |x_t y_t|.
2. By Cauchy and Schwarz sum |x_t y_t| <= sqrt(sum x^2 sum y^2), over the whole clip, which is no less than over a window.
   That is `bound`; moments come from float64, whose roundings are 2^-29 of these and covered by the 16.
3. The correlation is (products - su sv / n) / sqrt(spread), so it is off by bound / sqrt(spread). A mean over channels is
   off by the mean of the doubts; where mean + doubt overlaps the highest mean - doubt, `_finer` and `_exact` decide.

OFFICIAL: the published mean rounds 25 correlations of at most 1 to float32 (u), adds them in float32, in any order by at most
(1 + 2 + ... + 25) u in all, which divided by 25 is 13 u, and rounds the quotient (u): 15 u = 8.9e-7.
"""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

from typing import Any

import numpy as np

from dyadbench.metrics.compiled import njit

LAG = 49  # frames; 2 s at 25 fps, less one
OFFICIAL = 1e-6  # that the official mean, of float32 values in float32, may be off


def frsyn(pred: np.ndarray, speaker: np.ndarray, *, corrected: bool = False) -> np.ndarray:
    """FRSyn of one clip: the time offset, in frames, at which each of its samples correlates best with the speaker.

        |argmax_tau (1/C) sum_c r(p_k[t + tau, c], s[t, c])|,    tau in -49..49, over the frames that overlap

    Source: REACT 2024, metric/TLCC.py, whose number is the mean over clips of the first sample's. It averages correlations
    in float32, and a correlation that is undefined, as where a channel stands still, counts as the highest: 49 then.

    `corrected` averages over the channels that are defined at every offset, so that all offsets are compared over the same
    channels; NaN where there is none.

    Args:
        pred: (K, T, C) samples.
        speaker: (T, C).

    Returns (K,) offsets in frames, 0 to 49.

    >>> speaker = np.random.default_rng(0).standard_normal((200, 25)).cumsum(0)
    >>> late = np.roll(speaker, 7, axis=0)
    >>> frsyn(np.stack([speaker, late]), speaker).tolist()
    [0.0, 7.0]
    """
    offset, heard = best_lag if corrected else official_offset, standard(np.ascontiguousarray(speaker))
    return np.array([float(offset(x, speaker, heard)) for x in pred])


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
def _sums(x: Any) -> Any:
    """The sum and the sum of squares of float32 values, in float64."""
    first, second = 0.0, 0.0
    for i in range(len(x)):
        d = np.float64(x[i])
        first += d
        second += d * d
    return first, second


@njit(nogil=True)
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
        sums_x, sums_y = _sums(x[c]), _sums(y[c])
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
def _finer(x: Any, y: Any, lag: Any) -> Any:
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


def _exact(x: np.ndarray, y: np.ndarray, lag: int) -> np.ndarray:
    """(C,) correlations at one lag, in float64; NaN where a window is constant."""
    a, b = (x[lag:], y[: len(y) - lag]) if lag >= 0 else (x[:lag], y[-lag:])
    a, b = a.astype(np.float64), b.astype(np.float64)
    a, b = a - a.mean(0), b - b.mean(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((a * b).sum(0) / np.sqrt((a * a).sum(0) * (b * b).sum(0)))


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


def lag_correlations(
    pred: np.ndarray, speaker: np.ndarray, heard: np.ndarray | None = None, undefined: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """(99, C) correlations, NaN where undefined, and how far each may be off. Inputs (T, C); heard: standard(speaker)."""
    if undefined is None:
        undefined = lag_undefined(pred, speaker)
    out = np.full(undefined.shape, np.nan)
    doubt = np.zeros(undefined.shape)
    # The fast path computes lags in fours and so goes beyond LAG; shorter clips are few and cheap.
    if len(pred) >= LAG + 4:
        _lagged(standard(pred), standard(speaker) if heard is None else heard, out, doubt)
    else:
        for lag in range(1 - len(pred), len(pred)):
            if abs(lag) <= LAG:
                out[LAG + lag] = _exact(pred, speaker, lag)
    if undefined.any():
        out[undefined] = np.nan
    return out, doubt


@njit(nogil=True)
def _mean_curve(curve: Any, doubt: Any) -> Any:
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


def _broken_lags(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(99,) lags whose windows hold a value that is not finite."""
    a, b = (~np.isfinite(v).all(1) for v in (x, y))
    found = []
    for lag in range(-LAG, LAG + 1):
        n = len(a) - abs(lag)
        found.append(a[max(lag, 0) :][:n].any() or b[max(-lag, 0) :][:n].any())
    return np.array(found)


def _close(curve: np.ndarray, doubt: np.ndarray) -> np.ndarray:
    """Where the maximum of a curve known to within `doubt` may lie."""
    return np.flatnonzero(curve + doubt >= (curve - doubt).max())


def official_offset(pred: np.ndarray, speaker: np.ndarray, heard: np.ndarray | None = None) -> int:
    """|lag| of the official TLCC for one prediction: first maximum of the float32 channel mean, a NaN counting as it.

    One channel that is constant in some window decides alone, so no correlation is computed then. heard: standard(speaker).
    """
    x, y = (np.ascontiguousarray(v, np.float32) for v in (pred, speaker))
    undefined = lag_undefined(x, y)
    broken = None if np.isfinite(_sums(x.ravel())[0] + _sums(y.ravel())[0]) else _broken_lags(x, y)
    if broken is not None or undefined.any():
        bad = undefined.any(1) if broken is None else undefined.any(1) | broken
        return abs(LAG - int(bad.argmax()))
    _, mean, doubt = _mean_curve(*lag_correlations(x, y, heard, undefined))
    # Three sieves, each dearer and finer than the one before: float32 with its bound, float64, the official arithmetic.
    places = _close(mean, doubt + OFFICIAL)
    if len(places) > 1:
        places = places[_close(np.array([_finer(x, y, place - LAG) for place in places]), np.array(OFFICIAL))]
    if len(places) > 1:  # near-ties are decided by the official arithmetic
        places = places[np.argmax([_official_mean(x, y, int(place) - LAG) for place in places])][None]
    return abs(LAG - int(places[0]))


def _official_mean(x: np.ndarray, y: np.ndarray, lag: int) -> float:
    import torch

    if lag > 0:
        x, y = x[lag:], y[:-lag]
    elif lag < 0:
        x, y = x[:lag], y[-lag:]
    return float(torch.mean(torch.Tensor([np.corrcoef(x[:, c], y[:, c])[0, 1] for c in range(x.shape[1])])))


def best_lag(pred: np.ndarray, speaker: np.ndarray, heard: np.ndarray | None = None) -> float:
    """|lag| of the strongest mean correlation over the channels that have one; NaN where no channel does.

    A channel counts if it is defined at every lag, so that lags are compared over the same channels. heard:
    standard(speaker).
    """
    return abs(strongest(pred, speaker, heard)[0])


def strongest(pred: np.ndarray, speaker: np.ndarray, heard: np.ndarray | None = None) -> tuple[float, float]:
    """(lag in frames, positive where the speaker leads; correlation there), as `best_lag` finds it; NaN where it is NaN."""
    whole, mean, doubt = _mean_curve(*lag_correlations(pred, speaker, heard))
    if not whole.any():
        return float("nan"), float("nan")

    places = _close(mean, doubt)
    if len(places) > 1:
        # Rounded to 12 digits, so that equal correlations (a periodic signal) tie on every machine; the first lag then wins.
        exact = [_exact(pred[:, whole], speaker[:, whole], int(place) - LAG).mean() for place in places]
        places = places[np.argmax(np.round(exact, 12))][None]
    return float(int(places[0]) - LAG), float(mean[int(places[0])])
