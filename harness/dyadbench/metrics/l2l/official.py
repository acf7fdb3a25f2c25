"""The one number the Learning2Listen repository computes itself (Ng et al. 2022, arXiv 2204.08451).

Windows of 64 frames are smoothed in time, standardised with statistics of the training windows, and compared over
their second half by the Euclidean norm of a frame. Two habits of that code are kept because they set the scale:
its standard deviation is the spread *between clips* of the standard deviation within a clip, several times smaller
than the ordinary one; and only the reference is smoothed, since predictions are made in standardised space.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dyadbench.metrics.l2l.bilateral import bilateral

Floats = NDArray[np.float64]

WINDOW = 64  # frames of a window
FIRST = 32  # the first frame that is scored; the ones before are the past a method is given
PARTS = {"": slice(0, 56), ".expression": slice(0, 50), ".pose": slice(50, 56), ".rotation": slice(50, 53)}


def statistics(train: ArrayLike) -> tuple[Floats, Floats]:
    """Mean (D,) over clips and frames, and std over clips of the std within a clip, of training windows (N, T, D)."""
    x = np.asarray(train, np.float64)
    if x.ndim != 3 or len(x) < 2:
        raise ValueError(f"training windows must be (N, T, D) with N >= 2, got {x.shape}")
    return x.mean((0, 1)), x.std(1).std(0) + 1e-10


def official_l2(
    pred: ArrayLike, target: ArrayLike, train: ArrayLike, *, standardised: bool = False
) -> dict[str, float]:
    """Mean over windows and frames 32..63 of the norm of a frame's error; min; source: learning2listen, version 1.

    pred, target (N, T >= 64, 56), of which the first 64 frames are used; train (M, T', 56); all in coefficient units,
    or `pred` already standardised, as the official model emits it. Returns `l2l.L2` in standardised units, the same
    formula for `.expression`, `.pose` (6), `.rotation` (3), and `l2l.L2.raw` in coefficient units. Every window given
    is scored; the official loop stops at 1024 windows and drops an incomplete last batch.
    """
    p, t = np.asarray(pred, np.float64), np.asarray(target, np.float64)
    if p.shape != t.shape or p.ndim != 3 or p.shape[1] < WINDOW or p.shape[2] != 56:
        raise ValueError(f"pred {p.shape} and target {t.shape} must both be (N, T, 56) with at least {WINDOW} frames")
    mean, std = statistics(train)
    t = (bilateral(t[:, :WINDOW]) - mean) / std
    p = p[:, :WINDOW] if standardised else (p[:, :WINDOW] - mean) / std
    error = (p - t)[:, FIRST:]
    out = {f"l2l.L2{part}": float(np.linalg.norm(error[..., at], axis=-1).mean()) for part, at in PARTS.items()}
    return out | {"l2l.L2.raw": float(np.linalg.norm(error * std, axis=-1).mean())}
