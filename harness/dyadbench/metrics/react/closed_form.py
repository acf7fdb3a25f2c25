"""FRCorr, FRDiv and FRVar of one clip as pure functions, in float64, equal to the official code; sums for FRDvs.

Shapes: pred (K, T, 25); listeners (J, T, 25), the clip's appropriate ones. FRDist and FRSyn have modules of their own.
"""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    # Two passes per sequence, the mean and then the variance about it: one pass (sum of squares less squared mean) would
    # lose every digit of a channel that moves little around a large value.
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
                moment = sums[c::channels].sum() / frames
                if squared:
                    variance[n, c] = moment
                else:
                    mean[n, c] = origin[c] + moment
                    for i in range(c, width, channels):  # a slice would compile two seconds longer
                        origin[i] += moment
        for c in range(channels):
            row, centre = out[c, n], origin[c]
            for t in range(frames):
                # Channels first, so that the product in `ccc` reads contiguous time.
                row[t] = x[n, t, c] - centre
    return out, mean, variance


def frcorr(pred: np.ndarray, listeners: Sequence[np.ndarray] | np.ndarray, *, corrected: bool = False) -> float:
    """FRCorr of one clip: how closely its samples follow the appropriate listener that each is closest to.

        sum_k max_j (1/C) sum_c CCC_c(p_k, l_j),    CCC_c = 2 cov / (v_p + v_l + (m_p - m_l)^2 + 1e-8)

    with moments over time, ddof 0. Source: REACT 2024, metric/FRC.py. Without unit; more is better; -K to K.

    `corrected` takes the mean over samples instead of the sum (-1 to 1), compares listeners of another length over the
    frames that both have, and leaves out channels that are constant on both sides, because they show nothing; constant on
    one side only is a failure to follow and counts 0 in both. It is NaN where nothing is left.

    Args:
        pred: (K, T, C) samples.
        listeners: J of (T, C), of one length unless `corrected`.

    >>> wave = np.sin(np.arange(100.0))[:, None]
    >>> f"{frcorr(np.stack([wave, -wave]), [wave]):.3f}"
    '0.000'
    >>> f"{frcorr(np.stack([wave, -wave]), [wave, -wave], corrected=True):.3f}"
    '1.000'
    """
    if not corrected:
        return float(ccc(pred, np.asarray(listeners))[0].mean(2).max(1).sum())  # (K, J, C) -> (K, J) -> (K,)
    # One call of `ccc` per common length: within it all listeners are one array.
    best = np.full(len(pred), -np.inf)
    for frames in {min(pred.shape[1], len(listener)) for listener in listeners}:
        alike = [listener[:frames] for listener in listeners if min(pred.shape[1], len(listener)) == frames]
        values, silent = ccc(pred[:, :frames], np.stack(alike))  # (K, J, C)
        with np.errstate(invalid="ignore"):
            mean = np.where(silent, 0.0, values).sum(2) / (~silent).sum(2)  # (K, J)
        best = np.fmax(best, np.fmax.reduce(mean, 1))
    return float("nan") if not np.isfinite(best).all() else float(best.mean())


def frdiv(pred: np.ndarray) -> float:
    """FRDiv (S-MSE) of one clip: how much its samples differ.

        sum_{a,b} ||p_a - p_b||^2 / (K (K - 1) T C)

    Source: REACT 2024, metric/S_MSE.py. Squared units of the data; 0 for one sample. pred: (K, T, C).

    >>> frdiv(np.stack([np.zeros((50, 25)), np.ones((50, 25))]))
    1.0
    """
    return moments(pred)[0]


def frvar(pred: np.ndarray) -> float:
    """FRVar of one clip: how much its samples move.

        (1 / K C) sum_k sum_c var_t(p_kc), divided by T - 1

    Source: REACT 2024, metric/FRVar.py. Squared units of the data; NaN for one frame. pred: (K, T, C).

    >>> frvar(np.tile(np.array([0.0, 1.0, 2.0])[:, None], (2, 1, 25)))
    1.0
    """
    return moments(pred)[1]


def ccc(pred: np.ndarray, listeners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(K, J, C) concordance correlation, ddof 0 moments and the official 1e-8 in the denominator (FRC.py).

    A channel that is constant on either side gives 0, also where both are the same constant; the second result says
    where both are constant.
    """
    (x, mx, vx), (y, my, vy) = (
        _centred(np.ascontiguousarray(side)) for side in (pred, listeners)
    )  # x (C, K, T), mx (K, C)
    # One product for all pairs and channels: (C, K, T) @ (C, T, J)
    cov = np.matmul(x, y.transpose(0, 2, 1)).transpose(1, 2, 0) / x.shape[2]  # (K, J, C)
    # CCC = 2 cov / (v_x + v_y + (m_x - m_y)^2); EPSILON is the official code's and keeps 0 / 0 away.
    concordance = 2 * cov / (vx[:, None] + vy[None] + (mx[:, None] - my[None]) ** 2 + EPSILON)
    return concordance, (vx == 0)[:, None] & (vy == 0)[None]


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
    # Block by block, so that the running sums stay in the first-level cache while every sample is read once. By
    # sum_{a,b} |p_a - p_b|^2 = 2 K sum_k |d_k|^2 - 2 |sum_k d_k|^2 no pair of samples is ever formed; d is the difference from
    # the first sample, which keeps a large common offset out of the squares.
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
    # Equal samples can round to a tiny negative number; a mean of squares is never below 0.
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


def demand_one_length(clip: int, frames: int, listeners: Mapping[int, int]) -> None:
    """Raises ValueError where an appropriate listener (place -> frames) is longer or shorter than the clip."""
    for listener, length in listeners.items():
        if length != frames:
            raise ValueError(
                f"clip {clip} has {frames} frames and its appropriate listener {listener} {length}; the official metrics take "
                "one length: cut them, or use react2024"
            )
