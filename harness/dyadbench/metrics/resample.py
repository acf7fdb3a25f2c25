"""Per-clip values that average to a metric: means over clips, or jackknife pseudo-values."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dyadbench.api import Result

Floats = NDArray[np.float64]


def clip_mean(values: ArrayLike, undefined: int = 0) -> Result:
    """A metric that is the mean over the clips (N,) where it is defined.

    `undefined`: how many of its values are undefined, where a clip has several; 0: as many as there are clips without one.
    """
    per_clip = np.asarray(values, np.float64)
    missing = int(np.isnan(per_clip).sum())
    return Result(None if missing == len(per_clip) else float(np.nanmean(per_clip)), per_clip, undefined or missing)


def jackknife(value: float, without: Floats) -> Result:
    """Pseudo-values of a pooled metric from its values without each clip (N,), re-centred so that their mean is it."""
    n = len(without)
    pseudo = n * value - (n - 1) * without
    return Result(value, pseudo + (value - pseudo.mean()))
