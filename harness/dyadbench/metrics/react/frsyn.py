"""FRSyn: the lag at which a reaction correlates best with the speaker (REACT 2024, metric/TLCC.py).

Shapes: pred and speaker (T, C). Correlations at 99 lags come from products in float32 and moments in float64; where the
maximum is too close to call, those few lags are computed again, and then as the official code does.

How far a correlation may be off (`doubt` in `frsyn_kernels.lagged`), u = 2^-24:

1. The sum of T products x_t y_t runs in float32 over at least eight partial sums (four windows share a loop, and registers
   hold eight values; a property test holds it against numpy), so a product passes through at most T / 8 + 16 roundings: the
   sum is off by at most (T / 8 + 16) u sum |x_t y_t| = unit sum |x_t y_t|.
2. By Cauchy and Schwarz sum |x_t y_t| <= sqrt(sum x^2 sum y^2), over the whole clip, which is no less than over a window.
   That is `bound`; moments come from float64, whose roundings are 2^-29 of these and covered by the 16.
3. The correlation is (products - su sv / n) / sqrt(spread), so it is off by bound / sqrt(spread). A mean over channels is
   off by the mean of the doubts; where mean + doubt overlaps the highest mean - doubt, `mean_correlation` and `_exact` decide.

OFFICIAL: the published mean rounds 25 correlations of at most 1 to float32 (u), adds them in float32, in any order by at most
(1 + 2 + ... + 25) u in all, which divided by 25 is 13 u, and rounds the quotient (u): 15 u = 8.9e-7.
"""

from __future__ import annotations

import numpy as np

from dyadbench.metrics.react.frsyn_kernels import (
    LAG,
    lag_undefined,
    lagged,
    mean_correlation,
    mean_curve,
    standard,
    sums,
)

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
    offset, speaker_standard = best_lag if corrected else official_offset, standard(np.ascontiguousarray(speaker))
    return np.array([float(offset(x, speaker, speaker_standard)) for x in pred])


def _exact(x: np.ndarray, y: np.ndarray, lag: int) -> np.ndarray:
    """(C,) correlations at one lag, in float64; NaN where a window is constant."""
    a, b = (x[lag:], y[: len(y) - lag]) if lag >= 0 else (x[:lag], y[-lag:])
    a, b = a.astype(np.float64), b.astype(np.float64)
    a, b = a - a.mean(0), b - b.mean(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((a * b).sum(0) / np.sqrt((a * a).sum(0) * (b * b).sum(0)))


def lag_correlations(
    pred: np.ndarray,
    speaker: np.ndarray,
    speaker_standard: np.ndarray | None = None,
    undefined: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """(99, C) correlations, NaN where undefined, and how far each may be off. Inputs (T, C); speaker_standard: standard(speaker)."""
    if undefined is None:
        undefined = lag_undefined(pred, speaker)
    out = np.full(undefined.shape, np.nan)
    doubt = np.zeros(undefined.shape)
    # The fast path computes lags in fours and so goes beyond LAG; shorter clips are few and cheap.
    if len(pred) >= LAG + 4:
        lagged(standard(pred), standard(speaker) if speaker_standard is None else speaker_standard, out, doubt)
    else:
        for lag in range(1 - len(pred), len(pred)):
            if abs(lag) <= LAG:
                out[LAG + lag] = _exact(pred, speaker, lag)
    if undefined.any():
        out[undefined] = np.nan
    return out, doubt


def _broken_lags(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(99,) lags whose windows hold a value that is not finite."""
    a, b = (~np.isfinite(v).all(1) for v in (x, y))
    broken = []
    for lag in range(-LAG, LAG + 1):
        n = len(a) - abs(lag)
        broken.append(a[max(lag, 0) :][:n].any() or b[max(-lag, 0) :][:n].any())
    return np.array(broken)


def _close(curve: np.ndarray, doubt: np.ndarray) -> np.ndarray:
    """Where the maximum of a curve known to within `doubt` may lie."""
    return np.flatnonzero(curve + doubt >= (curve - doubt).max())


def official_offset(pred: np.ndarray, speaker: np.ndarray, speaker_standard: np.ndarray | None = None) -> int:
    """|lag| of the official TLCC for one prediction: first maximum of the float32 channel mean, a NaN counting as it.

    One channel that is constant in some window decides alone, so no correlation is computed then. speaker_standard: standard(speaker).
    """
    x, y = (np.ascontiguousarray(v, np.float32) for v in (pred, speaker))
    undefined = lag_undefined(x, y)
    broken = None if np.isfinite(sums(x.ravel())[0] + sums(y.ravel())[0]) else _broken_lags(x, y)
    if broken is not None or undefined.any():
        bad = undefined.any(1) if broken is None else undefined.any(1) | broken
        return abs(LAG - int(bad.argmax()))
    _, mean, doubt = mean_curve(*lag_correlations(x, y, speaker_standard, undefined))
    # Three sieves, each dearer and finer than the one before: float32 with its bound, float64, the official arithmetic.
    places = _close(mean, doubt + OFFICIAL)
    if len(places) > 1:
        places = places[_close(np.array([mean_correlation(x, y, place - LAG) for place in places]), np.array(OFFICIAL))]
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


def best_lag(pred: np.ndarray, speaker: np.ndarray, speaker_standard: np.ndarray | None = None) -> float:
    """|lag| of the strongest mean correlation over the channels that have one; NaN where no channel does.

    A channel counts if it is defined at every lag, so that lags are compared over the same channels.
    speaker_standard: standard(speaker).
    """
    return abs(strongest(pred, speaker, speaker_standard)[0])


def strongest(pred: np.ndarray, speaker: np.ndarray, speaker_standard: np.ndarray | None = None) -> tuple[float, float]:
    """(lag in frames, positive where the speaker leads; correlation there), as `best_lag` finds it; NaN where it is NaN."""
    whole, mean, doubt = mean_curve(*lag_correlations(pred, speaker, speaker_standard))
    if not whole.any():
        return float("nan"), float("nan")

    places = _close(mean, doubt)
    if not len(places):  # the squares of float64 values below 1e-160 are 0, and no correlation can be told
        return float("nan"), float("nan")
    if len(places) > 1:
        # Rounded to 12 digits, so that equal correlations (a periodic signal) tie on every machine; the first lag then wins.
        exact = [_exact(pred[:, whole], speaker[:, whole], int(place) - LAG).mean() for place in places]
        places = places[np.argmax(np.round(exact, 12))][None]
    return float(int(places[0]) - LAG), float(mean[int(places[0])])
