"""The bilateral filter that Learning2Listen's release puts over every window before everything else."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def bilateral(motion: ArrayLike, *, size: int = 5, colour: float = 20.0, space: float = 20.0) -> NDArray[np.float64]:
    """Smoothing over time that keeps edges, (..., T, D): OpenCV's bilateralFilter of each channel as an image one pixel wide.

    Such an image is continued sideways by its own pixels, so the disc of radius `size // 2` weighs a frame by how many
    of its copies fall inside: at size 5 five for the frame itself, three for its neighbours, one two frames away. Ends
    are mirrored without repeating the last frame. ValueError where T is not above the radius.
    """
    x, radius = np.asarray(motion, np.float64), size // 2
    if x.ndim < 2 or x.shape[-2] <= radius:
        raise ValueError(f"smoothing needs (..., T, D) of at least {radius + 1} frames, got {x.shape}")
    steps = np.arange(-radius, radius + 1)
    square = steps[:, None] ** 2 + steps[None, :] ** 2
    disc = np.where(square <= radius**2, np.exp(-square / (2.0 * space**2)), 0.0).sum(1)  # (size,)
    edges = [(0, 0)] * (x.ndim - 2)
    padded = np.pad(x, (*edges, (radius, radius), (0, 0)), mode="reflect")
    total, weight = np.zeros_like(x), np.zeros_like(x)
    for first, near in enumerate(disc):
        other = padded[..., first : first + x.shape[-2], :]
        w = near * np.exp(-((other - x) ** 2) / (2.0 * colour**2))
        total += w * other
        weight += w
    return total / weight
