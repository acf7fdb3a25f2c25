"""The REACT metrics of many clips at once as torch functions, in float64, on any device: the same numbers as `react`.

How far a correlation may be off (`doubt` in `_lagged`), e = 2^-53:

1. Both signals are standardised, so their squares add up to T. Sums over a window, over squares and (by Fourier transform,
   log2 of its size times e) over products pass through at most T + 64 roundings: each is off by at most
   d = 16 (T + 64) e T = 2^-49 (T + 64) T, the 16 paying for the transform's constant and for differences of sums.
2. r = p / sqrt(vx vy) with |r| <= 1 moves by at most d / sqrt(vx vy) with p and by d / (2 vx) + d / (2 vy) with the variances.
3. As 1 / sqrt(vx vy) <= (1 / vx + 1 / vy) / 2, both together are at most d (1 / vx + 1 / vy).

Where float64 cannot tell two lags apart, and for clips shorter than the lags, `react` itself decides. Shapes: pred
(N, K, T, C), listeners (M, T', C), padded after each sequence's frames; a pair is (clip, listener appropriate to it).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from dyadbench.metrics.react import frsyn
from dyadbench.metrics.react.closed_form import EPSILON
from dyadbench.metrics.react.frsyn import OFFICIAL
from dyadbench.metrics.react.frsyn_kernels import LAG

VALUES = 2**26  # of one float64 array
ROUNDED = 1e-11  # `frsyn.best_lag` compares means rounded to 12 digits: closer ones than this are its to decide


def alike(frames: np.ndarray, values: int) -> Iterator[tuple[int, np.ndarray]]:
    """(frames, which) of things of equal length, as many at a time as memory allows at `values` numbers per frame."""
    for length in np.unique(frames):
        chosen = np.flatnonzero(frames == length)
        step = max(1, VALUES // (values * int(length)))
        for first in range(0, len(chosen), step):
            yield int(length), chosen[first : first + step]


def table(pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The clips of pairs in order of clip, (n,), and the listeners of each, (n, J), filled up with its first."""
    clips, first, row, count = np.unique(pairs[:, 0], return_index=True, return_inverse=True, return_counts=True)
    out = np.repeat(pairs[first, 1:], count.max(), 1)
    out[row, np.arange(len(pairs)) - first[row]] = pairs[:, 1]
    return clips, out


def _centred(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(..., T, C) centred over time, the means and the variances (..., C); a constant gives exactly 0."""
    origin = x[..., :1, :].double()
    d = x.double() - origin
    mean = d.mean(-2, keepdim=True)
    d = d - mean
    return d, (origin + mean)[..., 0, :], d.square().mean(-2)


def frcorr(pred: Tensor, listeners: Tensor, pairs: np.ndarray, common: np.ndarray, *, corrected: bool) -> Tensor:
    """(N,) FRCorr as `closed_form.frcorr` has it.

    pairs (P, 2) in order of clip; common (P,): the frames that both sides have.
    """
    n, k, _, channels = pred.shape
    best = torch.full((n, k), -torch.inf, dtype=torch.float64, device=pred.device)
    # Pairs of one common length at a time, so that no sum over time needs a mask.
    for frames in np.unique(common).tolist():
        clips, near = (torch.from_numpy(v).to(pred.device) for v in table(pairs[common == frames]))
        step = max(1, VALUES // ((k + near.shape[1]) * channels * frames))
        for clip, listener in zip(clips.split(step), near.split(step), strict=True):
            mean = _concordance(pred[clip, :, :frames], listeners[listener, :frames], corrected=corrected)
            best[clip] = torch.maximum(best[clip], mean.amax(2))  # a NaN is the largest, as in numpy
    if corrected:
        return torch.where(best.isfinite().all(1), best.mean(1), torch.nan)
    return best.sum(1)


def _concordance(pred: Tensor, listeners: Tensor, *, corrected: bool) -> Tensor:
    """(n, K, J) channel means of the CCC of (n, K, T, C) with (n, J, T, C); see `closed_form.ccc`."""
    (x, mx, vx), (y, my, vy) = _centred(pred), _centred(listeners)
    cov = torch.einsum("nktc,njtc->nkjc", x, y) / x.shape[2]  # (n, K, J, C)
    (mx, vx), (my, vy) = ((v[:, :, None] for v in (mx, vx)), (v[:, None] for v in (my, vy)))
    ccc = 2 * cov / (vx + vy + (mx - my) ** 2 + EPSILON)  # (n, K, J, C)
    if not corrected:
        return ccc.mean(3)
    silent = (vx == 0) & (vy == 0)
    mean = ccc.masked_fill(silent, 0.0).sum(3) / (~silent).sum(3)
    return mean.masked_fill(mean.isnan(), -torch.inf)


def variance(x: Tensor) -> Tensor:
    """(N,) FRVar of (N, K, T, C): see `closed_form.moments`."""
    if x.shape[2] == 1:
        return x.new_full((len(x),), torch.nan, dtype=torch.float64)
    return (x.double() - x[:, :, :1].double()).var(2).mean((1, 2))


def diversity(x: Tensor, count: Tensor | int) -> Tensor:
    """(N,) FRDiv of (N, K, T, C): see `closed_form.moments`. Of the K, `count` are samples and the rest copies of the first."""
    d = x.double() - x[:, :1].double()
    each = torch.as_tensor(count, device=x.device)
    total = (d.square().sum(1) - d.sum(1).square() / each.view(-1, 1, 1)).sum((1, 2)).clamp(min=0)
    value = 2 * total / ((each - 1).clamp(min=1) * x.shape[2] * x.shape[3])
    return torch.where(each == 1, 0.0, value)  # one sample is apart from nothing, also where it holds NaN


def _undefined(x: Tensor, y: Tensor) -> Tensor:
    """(B, 99, C): `frsyn_kernels.lag_undefined` of (B, T, C) pairs."""
    frames = x.shape[1]

    def run(v: Tensor) -> Tensor:  # (B, 1, C): how many equal values a channel begins with
        other = v != v[:, :1]
        return torch.where(other.any(1), other.int().argmax(1), frames)[:, None]

    lags = torch.arange(-LAG, LAG + 1, device=x.device)[:, None]
    kept_x = torch.where(lags >= 0, run(x.flip(1)), run(x))
    kept_y = torch.where(lags >= 0, run(y), run(y.flip(1)))
    window = frames - lags.abs()
    return (torch.maximum(kept_x, kept_y) >= window) | (window < 2)


def _lagged(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """(B, 99, C) correlations of (B, T, C) pairs at lags -LAG..LAG and how far each may be off; at least LAG + 4 frames.

    Products by Fourier transform of the standardised signals, windows as the whole less its ends.
    """
    frames = x.shape[1]

    def standard(v: Tensor) -> Tensor:
        centred, _, var = _centred(v)
        return centred * torch.where(var > 0, var.rsqrt(), 0.0)[:, None]

    def windows(v: Tensor, heads_first: bool) -> Tensor:
        """(B, 99, C): sums over what is left of v when, lag by lag, its end and then its head go, or the reverse."""
        head, tail = v[:, :LAG].cumsum(1), v[:, -LAG:].flip(1).cumsum(1)
        first, second = (head, tail) if heads_first else (tail, head)
        return v.sum(1, keepdim=True) - torch.cat([first.flip(1), torch.zeros_like(v[:, :1]), second], 1)

    x, y = standard(x), standard(y)
    # Padded by at least LAG zeros, so that the circular correlation does not wrap around into the lags that are read.
    size = 1 << (frames + LAG).bit_length()
    circular = torch.fft.irfft(torch.fft.rfft(x, size, 1) * torch.fft.rfft(y, size, 1).conj(), size, 1)
    products = torch.cat([circular[:, -LAG:], circular[:, : LAG + 1]], 1)
    count = frames - torch.arange(-LAG, LAG + 1, device=x.device).abs()[:, None]
    # A lag > 0 drops the head of x and the tail of y, a lag < 0 the reverse.
    sx, sy = windows(x, False), windows(y, True)
    vx, vy = windows(x.square(), False) - sx**2 / count, windows(y.square(), True) - sy**2 / count
    defined = (vx > 0) & (vy > 0)
    curve = torch.where(defined, (products - sx * sy / count) * (vx * vy).rsqrt(), 0.0)
    doubt = 2.0**-49 * (frames + 64) * frames * (1 / vx + 1 / vy)
    return curve, torch.where(defined, doubt, torch.inf)


Offset = Callable[[np.ndarray, np.ndarray], float]


def _decided(mean: Tensor, doubt: Tensor, x: Tensor, y: Tensor, on_cpu: Offset) -> Tensor:
    """(B,) |lag| of the maximum of each (99,) curve known to within `doubt`; `on_cpu` where there are several."""
    # All lags whose interval reaches the highest lower end: one of them holds the maximum.
    close = mean + doubt >= (mean - doubt).amax(1, keepdim=True)
    offsets = (LAG - mean.argmax(1)).abs().double()
    several = torch.nonzero(close.sum(1) != 1)[:, 0]
    offsets[several] = _each(x[several], y[several], on_cpu)
    return offsets


def _each(x: Tensor, y: Tensor, on_cpu: Offset) -> Tensor:
    pairs = zip(x.cpu().numpy(), y.cpu().numpy(), strict=True)
    return torch.tensor([float(on_cpu(*pair)) for pair in pairs], dtype=torch.float64, device=x.device)


def official_offsets(x: Tensor, y: Tensor) -> Tensor:
    """(B,): `frsyn.official_offset` of (B, T, C) predictions and speakers."""
    if x.shape[1] < LAG + 4:
        return _each(x, y, frsyn.official_offset)
    x, y = x.float(), y.float()
    bad = _undefined(x, y).any(2)
    offsets = (LAG - bad.int().argmax(1)).abs().double()
    whole = x.isfinite().all(2).all(1) & y.isfinite().all(2).all(1)
    offsets[~whole] = _each(x[~whole], y[~whole], frsyn.official_offset)
    left = torch.nonzero(whole & ~bad.any(1))[:, 0]
    if not len(left):
        return offsets
    x, y = x[left], y[left]
    curve, doubt = _lagged(x, y)
    # OFFICIAL more: near-ties are decided by the official arithmetic, whose mean is float32
    offsets[left] = _decided(curve.mean(2), doubt.mean(2) + OFFICIAL, x, y, frsyn.official_offset)
    return offsets


def best_lags(x: Tensor, y: Tensor) -> Tensor:
    """(B,): `frsyn.best_lag` of (B, T, C) predictions and speakers; NaN where no channel has a correlation."""
    if x.shape[1] < LAG + 4:
        return _each(x, y, frsyn.best_lag)
    whole = ~_undefined(x, y).any(1, keepdim=True)  # (B, 1, C)
    curve, doubt = _lagged(x, y)
    count = whole.sum(2)
    left = torch.nonzero(count[:, 0])[:, 0]
    mean, margin = ((v.masked_fill(~whole, 0.0).sum(2) / count)[left] for v in (curve, doubt))
    offsets = x.new_full((len(x),), torch.nan, dtype=torch.float64)
    offsets[left] = _decided(mean, margin + ROUNDED, x[left], y[left], frsyn.best_lag)
    return offsets
