"""Layers of a normalising flow: ActNorm, an invertible linear map in LU form, affine coupling (Glow, 1807.03039).

A layer acts on the last axis of (..., D). `forward` goes from data to latent and also returns the log-determinant of
the Jacobian for ONE vector, of a shape that broadcasts to (...). Whoever has several vectors (the frames of a clip, the
pixels of an image) adds up as many log-determinants: a factor inside the layer is how one is counted D times.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class ActNorm(nn.Module):
    """A shift and a scale for each channel, set so that the first training batch has mean 0 and deviation 1.

    `initialised` is part of the state: a restored layer must not be set anew by the next batch it sees. `eps` is added
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

    `packed` holds L below its diagonal, U above it and log |s| on it: D^2 numbers, none of them idle.
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
    """Leaves the first floor(D / 2) channels as they are and shifts and scales the others by what those say.

    `conditioner(first, *given)` returns 2 ceil(D / 2) numbers, a shift and a raw scale in turn, and whatever it
    carries on to the next call (a recurrent state). The scale is sigmoid(raw + 2), never below `least`.
    """

    def __init__(self, channels: int, conditioner: nn.Module, *, least: float = 1e-4):
        super().__init__()
        self.sizes, self.conditioner, self.least = (channels // 2, channels - channels // 2), conditioner, least

    def forward(self, x: Tensor, *given: Any) -> tuple[Tensor, Tensor, Any]:
        """x (..., D) -> y (..., D), log-determinants (...), what the conditioner carries on."""
        first, rest = x.split(self.sizes, -1)
        shift, scale, carried = self._read(first, given)
        return torch.cat([first, (rest + shift) * scale], -1), scale.log().sum(-1), carried

    def inverse(self, y: Tensor, *given: Any) -> tuple[Tensor, Any]:
        first, rest = y.split(self.sizes, -1)
        shift, scale, carried = self._read(first, given)
        return torch.cat([first, rest / scale - shift], -1), carried

    def _read(self, first: Tensor, given: tuple[Any, ...]) -> tuple[Tensor, Tensor, Any]:
        numbers, carried = self.conditioner(first, *given)  # (..., 2 ceil(D / 2))
        return numbers[..., 0::2], (numbers[..., 1::2] + 2).sigmoid().clamp_min(self.least), carried
