"""Random numbers whose neighbours in time are correlated: R rows, T frames, G groups."""

from __future__ import annotations

import numpy as np
import torch
from scipy.signal import lfilter
from scipy.special import ndtr, ndtri
from torch import Tensor


def smooth_uniforms(uniform: Tensor, frames: float) -> Tensor:
    """Uniforms (R, T, G), independent over T, to uniforms whose neighbours are correlated over `frames` frames.

    Uniforms become normal scores, which a first-order autoregression of unit variance smooths, x_t = a x_(t-1) +
    sqrt(1 - a^2) e_t with a = exp(-1 / frames); they become uniform again after it. A number depends on earlier ones only.
    """
    return smoothed(uniform, frames, None)[0]


def smoothed(uniform: Tensor, frames: float, last: np.ndarray | None) -> tuple[Tensor, np.ndarray | None]:
    """`smooth_uniforms` of a part, after the part whose scores ended with `last` (R, G); and the scores it ends with."""
    if frames <= 0:
        return uniform, None
    keep = float(np.exp(-1 / frames))
    score = ndtri(uniform.cpu().numpy().clip(1e-12, 1 - 1e-12))
    score[:, 0 if last is not None else 1 :] *= np.sqrt(1 - keep**2)
    if last is not None:
        score[:, 0] += keep * last
    mixed = np.asarray(lfilter([1.0], [1.0, -keep], score, axis=1))
    return torch.from_numpy(ndtr(mixed)).to(uniform), mixed[:, -1]
