"""The networks of BeLFusion in REACT: a recurrent auto-encoder of windows, and a denoiser of its latents.

R rows, W frames per window, C channels (25 of emotion, or D of motion), D motion channels, L numbers per latent.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from dyadbench.nn.gaussian import GaussianDiffusion, step_embedding
from dyadbench_belfusion.config import BeLFusionConfig


class WindowVAE(nn.Module):
    """A window of W frames <-> one latent of L numbers, by GRUs. Channels are standardised inside (emotion with mean 0, scale 1)."""

    mean: Tensor  # (C,)
    scale: Tensor

    def __init__(self, config: BeLFusionConfig, channels: int, motion: int):
        super().__init__()
        size = config.code
        self.window, self.latent = config.window, config.latent
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("scale", torch.ones(channels))
        self.encoder = nn.GRU(channels, size, batch_first=True)
        self.mu, self.log_variance, self.inward = (nn.Linear(size, size) for _ in range(3))
        self.cell = nn.GRUCell(size + channels, size)
        self.out = nn.Sequential(
            nn.Linear(size, config.decoder), nn.Tanh(), nn.Linear(config.decoder, config.decoder), nn.Tanh(),
            nn.Linear(config.decoder, channels),
        )  # fmt: skip
        self.head = (  # the motion of an emotion frame, in the dataset's units
            nn.Sequential(nn.Linear(channels, size), nn.Tanh(), nn.Linear(size, motion)) if motion else None
        )

    def state(self, frames: Tensor) -> Tensor:
        """(R, W, C) -> h (R, L), the encoder's last state."""
        _, last = self.encoder((frames - self.mean) / self.scale)
        return last[0]

    def encode(self, frames: Tensor) -> Tensor:
        """(R, W, C) -> the latent that is diffused (R, L): mu, or with latent="h" the GRU's state as in the release."""
        h = self.state(frames)
        return self.mu(h) if self.latent == "mu" else h

    def decode(self, latent: Tensor) -> Tensor:
        """(R, L) -> frames (R, W, C). Each frame follows from the latent and the generated frame before it, in training too."""
        code = self.inward(latent)  # (R, L)
        state, frame = torch.zeros_like(code), code.new_zeros(len(code), self.mean.shape[0])
        frames = []
        for _ in range(self.window):
            state = self.cell(torch.cat([code, frame], 1), state)
            frame = self.out(state)
            frames.append(frame)
        return torch.stack(frames, 1) * self.scale + self.mean


class Denoiser(nn.Module):
    """The skip MLP of Diffusion Autoencoders (2111.15640, appendix): x_t is concatenated to the input of every layer."""

    def __init__(self, config: BeLFusionConfig):
        super().__init__()
        size, width, self.embedding = config.code, config.width, config.embedding
        self.time = nn.Sequential(nn.Linear(config.embedding, size), nn.SiLU(), nn.Linear(size, size))
        self.condition = nn.Sequential(nn.Linear(size, size), nn.SiLU(), nn.Linear(size, size))
        wide = [2 * size] + [width + size] * (config.layers - 2)
        self.layers = nn.ModuleList(nn.Linear(inward, width) for inward in wide)
        self.scales = nn.ModuleList(nn.Linear(2 * size, width) for _ in wide)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in wide)
        self.last = nn.Linear(width + size, size)
        _kaiming(m for m in self.modules() if isinstance(m, nn.Linear))

    def forward(self, x: Tensor, t: Tensor, condition: Tensor) -> Tensor:
        """x_t (..., L) at steps t (...) given condition (..., L) -> x_0 (..., L).

        t and the condition have the same leading axes, which broadcast over those of x: K samples share one condition.
        """
        step_and_condition = torch.cat([self.time(step_embedding(t, self.embedding)), self.condition(condition)], -1)
        step_and_condition = nn.functional.silu(step_and_condition)  # (..., 2 L)
        h = x
        for layer, scale, norm in zip(self.layers, self.scales, self.norms, strict=True):
            h = layer(torch.cat([h, x], -1)) * (1 + scale(step_and_condition))
            h = nn.functional.silu(norm(h))
        out: Tensor = self.last(torch.cat([h, x], -1))
        return out


def _kaiming(layers: Iterable[nn.Linear]) -> None:
    for layer in layers:
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")


class BeLFusionNet(nn.Module):
    """Both stages. Latents are scaled to [-1, 1] by their range on the training split before they are diffused."""

    low: Tensor  # (L,)
    high: Tensor

    def __init__(self, config: BeLFusionConfig, channels: int, motion: int):
        super().__init__()
        self.vae = WindowVAE(config, channels, motion)
        self.denoiser = Denoiser(config)
        self.diffusion = GaussianDiffusion(config.noise_steps)
        self.register_buffer("low", -torch.ones(config.code))
        self.register_buffer("high", torch.ones(config.code))

    def encode(self, frames: Tensor) -> Tensor:
        """Windows (..., W, C) -> normalised latents (..., L); no gradient, as stage 1 is frozen here."""
        with torch.no_grad():
            latent = self.vae.encode(frames.flatten(0, -3)).unflatten(0, frames.shape[:-2])
            return 2 * (latent - self.low) / (self.high - self.low).clamp_min(1e-6) - 1

    def decode(self, latent: Tensor) -> Tensor:
        """Normalised latents (..., L) -> windows (..., W, C)."""
        raw = (latent + 1) / 2 * (self.high - self.low) + self.low
        return self.vae.decode(raw.flatten(0, -2)).unflatten(0, latent.shape[:-1])
