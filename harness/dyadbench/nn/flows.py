"""Layers of a normalising flow: ActNorm, an invertible linear map in LU form, affine coupling (Glow, 1807.03039).

A layer acts on the last axis of (..., D). `forward` maps data to latents and also returns the log-determinant of the
Jacobian of ONE vector, in a shape that broadcasts to (...). For several vectors (the frames of a clip, the pixels of an
image) the caller sums the log-determinants over the vectors; no factor for that belongs into the layer.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class ActNorm(nn.Module):
    """A shift and a scale per channel, initialised so that the first training batch has mean 0 and deviation 1.

    `initialised` is part of the state: a restored layer must not be initialised again by the next batch. `eps` is added
    to the deviation, so a channel that is constant in that batch is multiplied by at most 1 / eps.
    """

    initialised: Tensor

    def __init__(self, channels: int, *, eps: float = 1e-6):
        super().__init__()
        self.eps = eps
        self.shift, self.log_scale = nn.Parameter(torch.zeros(channels)), nn.Parameter(torch.zeros(channels))
        self.register_buffer("initialised", torch.tensor(False))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x (..., D) -> y (..., D), log-determinant ()."""
        if self.training and not self.initialised:
            self._initialise(x)
        return (x + self.shift) * self.log_scale.exp(), self.log_scale.sum()

    def inverse(self, y: Tensor) -> Tensor:
        return y * (-self.log_scale).exp() - self.shift

    @torch.no_grad()
    def _initialise(self, x: Tensor) -> None:
        rows = x.flatten(0, -2)
        self.shift.copy_(-rows.mean(0))
        self.log_scale.copy_(-(rows.std(0, unbiased=False) + self.eps).log())
        self.initialised.fill_(True)


class LULinear(nn.Module):
    """y = W x with W = P L (U + diag(s)); P and the signs of s are fixed, W starts as a random rotation.

    `packed` has L below its diagonal, U above it and log |s| on it: D^2 numbers, all of them used.
    """

    permutation: Tensor
    sign: Tensor

    def __init__(self, channels: int):
        super().__init__()
        rotation = torch.linalg.qr(torch.randn(channels, channels))[0]
        p, lower, upper = torch.linalg.lu(rotation)
        scale = upper.diagonal()
        self.packed = nn.Parameter(lower.tril(-1) + upper.triu(1) + scale.abs().log().diag())
        self.register_buffer("sign", scale.sign())
        self.register_buffer("permutation", p.argmax(1))  # row i of W is row permutation[i] of L (U + diag(s))

    def matrix(self) -> Tensor:
        """W, (D, D)."""
        diagonal = self.packed.diagonal()
        lower = self.packed.tril(-1) + torch.eye(len(diagonal), device=diagonal.device)
        upper = self.packed.triu(1) + (self.sign * diagonal.exp()).diag()
        return (lower @ upper)[self.permutation]

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x (..., D) -> y (..., D), log-determinant ()."""
        return x @ self.matrix().T, self.packed.diagonal().sum()

    def inverse(self, y: Tensor) -> Tensor:
        return y @ torch.linalg.inv(self.matrix()).T


class AffineCoupling(nn.Module):
    """Keeps the first floor(D / 2) channels, and shifts and scales the others by numbers computed from the first ones.

    `conditioner(first, *context)` returns 2 ceil(D / 2) numbers, a shift and a raw scale in turn, and the state that it
    passes on to the next call (a recurrent state). The scale is sigmoid(raw + 2), but at least `least`.
    """

    def __init__(self, channels: int, conditioner: nn.Module, *, least: float = 1e-4):
        super().__init__()
        self.sizes, self.conditioner, self.least = (channels // 2, channels - channels // 2), conditioner, least

    def forward(self, x: Tensor, *context: Any) -> tuple[Tensor, Tensor, Any]:
        """x (..., D) -> y (..., D), log-determinants (...), and the conditioner's state."""
        first, rest = x.split(self.sizes, -1)
        shift, scale, state = self._read(first, context)
        return torch.cat([first, (rest + shift) * scale], -1), scale.log().sum(-1), state

    def inverse(self, y: Tensor, *context: Any) -> tuple[Tensor, Any]:
        first, rest = y.split(self.sizes, -1)
        shift, scale, state = self._read(first, context)
        return torch.cat([first, rest / scale - shift], -1), state

    def _read(self, first: Tensor, context: tuple[Any, ...]) -> tuple[Tensor, Tensor, Any]:
        numbers, state = self.conditioner(first, *context)  # (..., 2 ceil(D / 2))
        return numbers[..., 0::2], (numbers[..., 1::2] + 2).sigmoid().clamp_min(self.least), state
