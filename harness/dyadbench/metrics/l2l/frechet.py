"""Frechet distance between Gaussians, by symmetric eigendecomposition.

    FD = |m1 - m2|^2 + tr S1 + tr S2 - 2 tr (S1 S2)^(1/2),      tr (S1 S2)^(1/2) = sum sqrt eig(R S2 R^T), S1 = R^T R

(Dowson and Landau 1982). Against scipy's sqrtm this needs no complex part to drop and no retry with an epsilon where
a covariance is singular, which in a 64-frame window of 100 channels it always is; and R is found once for a ground
truth, whatever the number of predictions compared with it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

TOLERANCE = 1e-10  # of both traces: the doubt beyond which small eigenvalues are worth a second, slower computation


@dataclass(frozen=True)
class Moments:
    """Mean (..., D) and unbiased covariance (..., D, D) of frames."""

    mean: Floats | NDArray[np.float32]
    cov: Floats

    def part(self, start: int, stop: int) -> Moments:
        return Moments(self.mean[..., start:stop], self.cov[..., start:stop, start:stop])


def moments(frames: ArrayLike, *, single: bool = False) -> Moments:
    """Moments of (..., T, D) over T, covariance with T - 1; in float64. T = 1 raises ValueError.

    `single` takes the mean in float32, as the published codes do with float32 files: a few 1e-7 of a pooled distance.
    """
    x = np.asarray(frames, np.float64)
    if x.shape[-2] < 2:
        raise ValueError(
            f"a covariance needs at least 2 frames, got {x.shape[-2]}: drop the clip or score a longer one"
        )
    mean = x.mean(-2)
    x = x - mean[..., None, :]
    reported = np.asarray(frames, np.float32).mean(-2) if single else mean
    return Moments(reported, x.swapaxes(-1, -2) @ x / (x.shape[-2] - 1))


def root(cov: Floats) -> Floats:
    """R (..., r, D) with R^T R = cov; r is the largest rank in the batch.

    Directions below rounding are left out rather than kept as noise, whose square roots would add up to 1e-6.
    """
    values, vectors = np.linalg.eigh(cov)  # ascending
    values = np.where(values > _floor(values), values, 0.0)
    first = cov.shape[-1] - int(np.count_nonzero(values, axis=-1).max(initial=0))
    return np.sqrt(values[..., first:, None]) * vectors.swapaxes(-1, -2)[..., first:, :]


def distance_from_root(truth: Moments, truth_root: Floats, other: Moments) -> Floats:
    """`frechet_distance(truth, other)` where `root(truth.cov)` is at hand. Leading axes broadcast."""
    product = truth_root @ other.cov @ truth_root.swapaxes(-1, -2)
    both = _trace(truth.cov) + _trace(other.cov)
    if product.shape[-1]:
        values = np.asarray(np.linalg.eigvalsh(product), np.float64)
        noise = _floor(values)
        certain = values > noise
        roots = np.sqrt(np.where(certain, values, 1.0))
        cross = np.where(certain, roots, 0.0).sum(-1)
        doubt = np.where(certain, noise / roots, np.sqrt(noise)).sum(-1)
        rough = doubt > TOLERANCE * both
        if rough.any():
            cross = np.where(rough, _cross_exact(truth_root, other.cov), cross)
    else:
        cross = np.zeros(product.shape[:-2])
    apart = ((truth.mean - other.mean) ** 2).sum(-1)
    total: Floats = apart + both - 2.0 * cross
    return total


def frechet_distance(truth: Moments, other: Moments) -> Floats:
    """Frechet distance of two Gaussians, batched over leading axes.

    Squared units of the data, no square root; min; 0 for equal moments up to about 1e-14 of the traces, which may be
    negative. Version 1.
    """
    return distance_from_root(truth, root(truth.cov), other)


def leave_one_out(frames: NDArray[np.int64], sums: Floats, products: Floats) -> Moments:
    """Moments (N, D) of all clips but one, from each clip's frame count (N,), sum (N, D) and outer products (N, D, D).

    Centre the frames on a common origin first: the covariance is a difference of second moments.
    """
    count = (frames.sum() - frames)[:, None].astype(np.float64)
    mean = (sums.sum(0) - sums) / count
    second = products.sum(0) - products
    cov = (second - count[..., None] * mean[:, :, None] * mean[:, None, :]) / (count[..., None] - 1.0)
    return Moments(mean, cov)


def pooled(frames: NDArray[np.int64], sums: Floats, products: Floats) -> Moments:
    """Moments (D,) of all clips together, from the same statistics as `leave_one_out`."""
    count = float(frames.sum())
    mean = sums.sum(0) / count
    return Moments(mean, (products.sum(0) - count * np.outer(mean, mean)) / (count - 1.0))


def _cross_exact(truth_root: Floats, cov: Floats) -> Floats:
    """tr (S1 S2)^(1/2) as the nuclear norm of R1 R2^T, which does not square the condition number but costs thrice."""
    out: Floats = np.linalg.svd(truth_root @ root(cov).swapaxes(-1, -2), compute_uv=False).sum(-1)
    return out


def _trace(cov: Floats) -> Floats:
    return np.trace(cov, axis1=-2, axis2=-1)


def _floor(values: Floats) -> Floats:
    """Below this an eigenvalue is rounding: `values` (..., D) ascending -> (..., 1)."""
    return np.maximum(values[..., -1:], 0.0) * np.finfo(np.float64).eps * 4.0
