"""What is measured on recordings of faces, real or simulated, so that the two can be compared: pure functions of arrays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]


def noise_share(motion: Floats) -> Floats:
    """(D,) share of each channel's variance that is white: the mean power of the highest quarter of all frequencies
    over the mean power of all. An upper bound, since fast movement counts as noise. `motion` is (T, D)."""
    power = np.abs(np.fft.rfft(motion - motion.mean(0), axis=0)[1:]) ** 2
    return power[-(len(power) // 4) :].mean(0) / np.maximum(power.mean(0), 1e-20)


def autocorrelation(motion: Floats, lag: int) -> Floats:
    """(D,) correlation of each channel with itself `lag` frames later. `motion` is (T, D)."""
    x = motion - motion.mean(0)
    return (x[lag:] * x[:-lag]).mean(0) / np.maximum((x**2).mean(0), 1e-20)


def _spectrum(motion: Floats) -> Floats:
    """Shares of variance of the principal components of (T, D), largest first."""
    values = np.linalg.eigvalsh(np.cov(motion.T))[::-1].clip(0)
    return values / max(values.sum(), 1e-20)


def effective_rank(motion: Floats) -> float:
    """Exponential of the entropy of the principal components' shares (Roy & Vetterli 2007) of (T, D)."""
    shares = _spectrum(motion)
    shares = shares[shares > 0]
    return float(np.exp(-(shares * np.log(shares)).sum()))


def components(motion: Floats, share: float) -> int:
    """How many principal components hold `share` of the variance of (T, D)."""
    return int(np.searchsorted(np.cumsum(_spectrum(motion)), share) + 1)


def largest_component(motion: Floats) -> float:
    """The share of variance of the first principal component of (T, D)."""
    return float(_spectrum(motion)[0])


def common_share(takes: Sequence[Floats]) -> float:
    """What several people have in common over time: the mean covariance of two of them over their mean variance.

    `takes` are (T, D) of different people in one situation; levels are taken out, channels are summed.
    """
    x = np.stack([take - take.mean(0) for take in takes])  # (L, T, D)
    own = (x**2).mean()
    both = (x.mean(0) ** 2).mean()
    return float((len(x) * both - own) / (len(x) - 1) / max(own, 1e-20))


def bouts(on: NDArray[np.bool_], fps: float) -> Floats:
    """Durations in seconds of the stretches in which `on` (T,) is true."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], on.astype(int), [0]])))
    return (edges[1::2] - edges[::2]) / fps


def late(x: Floats, lag: int) -> Floats:
    """A copy of (T, ...) that is `lag` frames late and still until then."""
    return np.concatenate([np.repeat(x[:1], lag, axis=0), x])[: len(x)]
