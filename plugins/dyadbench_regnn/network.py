"""The whole of REGNN: the speaker's window gives a code and graphs, and the motor maps reactions to codes and back."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dyadbench_regnn.config import RegnnConfig
from dyadbench_regnn.graph import Cognitive, Motor
from dyadbench_regnn.perceptual import Perceptual


class Regnn(nn.Module):
    """W windows of T frames, K reactions, C channels of a reaction, P graphs. The speaker's streams are standardised inside."""

    seen_mean: Tensor
    seen_scale: Tensor
    sound_mean: Tensor
    sound_scale: Tensor
    threshold: Tensor
    sum: Tensor
    count: Tensor

    def __init__(self, config: RegnnConfig, *, seen: int, sound: int, channels: int):
        super().__init__()
        for name, size in (("seen", seen), ("sound", max(sound, 1))):
            self.register_buffer(f"{name}_mean", torch.zeros(size))
            self.register_buffer(f"{name}_scale", torch.ones(size))
        self.perceptual = Perceptual(
            seen, sound, config.perceived, dim=config.dim, heads=config.heads, layers=config.layers,
            hidden=config.hidden, dropout=config.dropout, embedding_dropout=config.embedding_dropout,
        )  # fmt: skip
        self.cognitive = Cognitive(
            config.perceived, channels, config.frames, narrow=config.narrow, graphs=config.edges,
            kept=config.neighbours, mask=config.mask,
        )  # fmt: skip
        self.motor = Motor(channels, config.frames, graphs=config.edges, layers=config.motor_layers)
        self.epoch = config.epoch
        # Buffers, because a resumed training must continue with the same threshold.
        self.register_buffer("threshold", torch.tensor(-1.0))  # the first epoch has none
        self.register_buffer("sum", torch.tensor(0.0))
        self.register_buffer("count", torch.tensor(0))

    def speaker(self, seen: Tensor, sound: Tensor | None) -> tuple[Tensor, Tensor]:
        """Standardised seen (W, T, S), sound (W, T, F) -> code (W, C, T), graphs (W, P, C, C)."""
        code, graphs = self.cognitive(self.perceptual(seen, sound))
        return code, graphs

    def loss(self, code: Tensor, codes: Tensor, exists: Tensor) -> tuple[Tensor, Tensor]:
        """The loss's two parts (2305.15270): code (W, C, T), the reactions' codes (W, K, C, T), exists (W, K).

        First: the squared distance of the speaker's code to the nearest reaction's code; distances below the threshold
        count 0. Second: the squared distance of the reactions' codes to their mean, so that one code serves them all.
        """
        weight = exists.to(codes)[..., None, None]  # (W, K, 1, 1)
        distance = (codes - code[:, None]).square().mean((2, 3)).masked_fill(~exists, torch.inf)  # (W, K)
        nearest = distance.amin(1)
        mean = (codes * weight).sum(1, keepdim=True) / weight.sum(1, keepdim=True)
        spread = ((codes - mean).square() * weight).mean((2, 3)).sum(1) / exists.sum(1)  # (W,)
        first = (nearest * (nearest > self.threshold)).mean()
        if self.training:
            self._update_threshold(nearest.detach().mean())
        return first, spread.mean()

    def _update_threshold(self, nearest: Tensor) -> None:
        """After each epoch the threshold is a third of that epoch's mean distance."""
        self.sum += nearest
        self.count += 1
        if int(self.count) == self.epoch:
            self.threshold.copy_(self.sum / self.count / 3)
            self.sum.zero_()
            self.count.zero_()
