"""Per-clip values that average to a metric: means over clips, or jackknife pseudo-values."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dyadbench.api import Result

Floats = NDArray[np.float64]


def clip_mean(values: Floats) -> Result:
    """A metric that is the mean over the clips where it is defined."""
    undefined = int(np.isnan(values).sum())
    return Result(None if undefined == len(values) else float(np.nanmean(values)), values, undefined)


def jackknife(value: float, without: Floats) -> Result:
    """Pseudo-values of a pooled metric from its values without each clip (N,), re-centred so that their mean is it."""
    n = len(without)
    pseudo = n * value - (n - 1) * without
    return Result(value, pseudo + (value - pseudo.mean()))
