"""Shannon index: the entropy of how motion frames spread over clusters of the ground truth.

Clusters are found by k-means on ground-truth frames and belong to the ground truth, not to the method that is scored:
they are kept in memory under the hash of those frames, and never fitted twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
BLOCK = 2048  # frames that stay in cache with their distances to every centroid
SUMMED = 4096  # frames that k-means sums at once: the last digits of scores depend on it, so it stays

_memory: dict[str, Floats] = {}


def assign(frames: ArrayLike, centroids: ArrayLike) -> NDArray[np.int64]:
    """Index of the nearest centroid (k, D) for each frame (T, D), the first of equals -> (T,).

    float32 decides where its rounding cannot matter, float64 the rest. ValueError for shapes that do not fit.
    """
    x, c = np.asarray(frames), np.asarray(centroids, np.float64)
    if x.ndim != 2 or c.ndim != 2 or x.shape[1] != c.shape[1]:
        raise ValueError(f"frames {x.shape} and centroids {c.shape} must be (T, D) and (k, D) with the same D")
    offset, twice = (c * c).sum(1)[:, None], -2.0 * c  # |x|^2 is the same for every centroid
    labels = np.empty(len(x), np.int64)
    with np.errstate(over="ignore", invalid="ignore"):  # what float32 cannot hold is left to float64
        offset32, twice32 = offset.astype(np.float32), twice.astype(np.float32)
        reach, unit = np.abs(twice).sum(1).max(), (c.shape[1] + 6) * 2.0**-24
        tiny = (c.shape[1] + 6) * 1e-37  # products below float32's normal numbers lose all they have
        for start in range(0, len(x), BLOCK):
            block = x[start : start + BLOCK].astype(np.float32, copy=False)
            score = twice32 @ block.T  # (k, B)
            score += offset32
            slack = 2 * unit * (offset.max() + reach * max(block.max(), -block.min())) + tiny
            near = score <= score.min(0) + np.float32(slack)
            nearest = near.argmax(0)  # faster than argmin along a strided axis
            if np.count_nonzero(near) != len(block):
                doubtful = np.flatnonzero(near.sum(0) != 1)
                score64 = twice @ x[start + doubtful].astype(np.float64).T + offset
                nearest[doubtful] = (score64 == score64.min(0)).argmax(0)
            labels[start : start + BLOCK] = nearest
    return labels


def histograms(clips: Sequence[ArrayLike], centroids: ArrayLike) -> NDArray[np.int64]:
    """How many frames of each clip (T, D) fall to each of the k centroids -> (N, k)."""
    k = len(np.asarray(centroids))
    return np.stack([np.bincount(assign(x, centroids), minlength=k) for x in clips])


def entropy(histogram: ArrayLike, *, bits: bool = False, eps: float = 0.0) -> Floats:
    """Entropy of counts (..., k) over the last axis, in nats or bits.

    `eps` is added inside the logarithm only, as the DIM code does with 1e-6; 0 log 0 = 0. In [0, log k] for eps = 0.
    """
    h = np.asarray(histogram, np.float64)
    share = h / h.sum(-1, keepdims=True)
    safe = share + eps if eps else np.where(share > 0, share, 1.0)
    total: Floats = -(share * np.log(safe)).sum(-1) / (np.log(2.0) if bits else 1.0)
    return total + 0.0  # -0 for a single cluster reads badly


def kmeans(frames: ArrayLike, k: int, *, seed: int = 0, iterations: int = 100) -> Floats:
    """Lloyd's k-means in float64 after one seeded k-means++ start: frames (T, D) -> centroids (k, D).

    Stops when the centroids move by less than 1e-4 of the mean channel variance (squared), or after `iterations`.
    An empty cluster keeps its centroid. Fewer than k frames raise ValueError.
    """
    x = np.asarray(frames, np.float64)
    if x.ndim != 2 or len(x) < k:
        raise ValueError(f"k-means with {k} clusters needs frames (T, D) with T >= {k}, got {x.shape}")
    origin = x.mean(0)
    x = x - origin  # distances by expansion lose digits far from the origin
    centres = _start(x, k, np.random.default_rng(seed))
    tolerance = 1e-4 * x.var(0).mean()
    for _ in range(iterations):
        sums, sizes = np.zeros_like(centres), np.zeros(k)
        for start in range(0, len(x), SUMMED):
            block = x[start : start + SUMMED]
            member = np.equal.outer(np.arange(k), assign(block, centres)).astype(np.float64)  # (k, B)
            sums += member @ block
            sizes += member.sum(1)
        moved = np.where(sizes[:, None] > 0, sums / np.maximum(sizes, 1.0)[:, None], centres)
        shift = ((moved - centres) ** 2).sum()
        centres = moved
        if shift <= tolerance:
            break
    return centres + origin


def _start(x: Floats, k: int, rng: np.random.Generator) -> Floats:
    """k-means++ (Arthur and Vassilvitskii 2007): each next centre drawn by squared distance to the nearest."""
    centres = [x[rng.integers(len(x))]]
    nearest = np.full(len(x), np.inf)
    for _ in range(k - 1):
        nearest = np.minimum(nearest, ((x - centres[-1]) ** 2).sum(1))
        cumulative = np.cumsum(nearest)
        place = np.searchsorted(cumulative, rng.random() * cumulative[-1], side="right")
        centres.append(x[min(int(place), len(x) - 1)])
    return np.stack(centres)


def truth_hash(frames: NDArray[Any]) -> str:
    """sha256 over dtype, shape and bytes of the ground-truth frames."""
    digest = hashlib.sha256(f"{frames.dtype.str}{frames.shape}".encode())
    digest.update(np.ascontiguousarray(frames).data)
    return digest.hexdigest()


def centroids_for(frames: NDArray[Any], k: int, *, seed: int = 0) -> Floats:
    """`kmeans(frames, k, seed)` of ground-truth frames (T, D), fitted once for each ground truth of a process."""
    key = f"k{k}-s{seed}-{truth_hash(frames)[:32]}"
    if key not in _memory:
        _memory[key] = kmeans(frames, k, seed=seed)
    return _memory[key]
