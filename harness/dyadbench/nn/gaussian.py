"""Gaussian diffusion of vectors by a denoiser that predicts x0: cosine schedule, deterministic DDIM sampling.

Steps are t = 0..T-1. x_t = sqrt(a_t) x_0 + sqrt(1 - a_t) noise, where a_t is the cumulative product of 1 - beta (2006.11239,
eq. 4). Shapes: x (..., L) of any leading axes; t broadcasts over them.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

Denoise = Callable[[Tensor, int], Tensor]  # x_t (..., L), step t -> x_0 (..., L)


def cosine_schedule(steps: int) -> Tensor:
    """a_t at t = 0..T-1, float64, from f(s) = cos^2((s + 0.008) / 1.008 * pi / 2) with beta at most 0.999 (2102.09672, eq. 17)."""
    s = torch.arange(steps + 1, dtype=torch.float64) / steps
    level = ((s + 0.008) / 1.008 * math.pi / 2).cos() ** 2
    beta = (1 - level[1:] / level[:-1]).clamp_max(0.999)
    return (1 - beta).cumprod(0)


def step_embedding(t: Tensor, dim: int) -> Tensor:
    """Steps (...) -> (..., dim): cosines, then sines, of t at `dim` / 2 rates from 1 to 1/10000. `dim` is even."""
    rates = torch.exp(torch.arange(dim // 2, device=t.device) * (-math.log(10000.0) / (dim // 2)))
    angle = t[..., None].float() * rates
    return torch.cat([angle.cos(), angle.sin()], -1)


class GaussianDiffusion(nn.Module):
    """The forward process and DDIM (2010.02502, eq. 12 with sigma = 0); the denoiser is any function that gives x0."""

    level: Tensor  # (T,), a_t

    def __init__(self, steps: int):
        super().__init__()
        self.steps = steps
        self.register_buffer("level", cosine_schedule(steps).float(), persistent=False)

    def noised(self, x0: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        """x_t for x0 and noise (..., L) at steps t, an integer tensor that broadcasts to (...)."""
        level = self.level[t][..., None]
        return level.sqrt() * x0 + (1 - level).sqrt() * noise

    def sample(self, denoise: Denoise, noise: Tensor, clip: float | None = 1.0) -> Tensor:
        """x_0 (..., L) from standard normal noise (..., L), in T steps; every x_0 on the way is clipped to +-`clip`."""
        x, x0 = noise, noise
        for t in range(self.steps - 1, -1, -1):
            x0 = denoise(x, t)
            if clip is not None:
                x0 = x0.clamp(-clip, clip)
            if t:
                now, then = self.level[t], self.level[t - 1]
                x = then.sqrt() * x0 + (1 - then).sqrt() * (x - now.sqrt() * x0) / (1 - now).sqrt()
        return x0
