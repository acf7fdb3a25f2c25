"""The denoiser (VQ-Diffusion, 2111.14822, section 4.2): log p(x0 | xt, t, speaker) for all tokens of a window at once."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dyadbench.nn.attention import Attention, FeedForward, sinusoid
from dyadbench_difflistener.config import PredictorConfig

Memory = list[tuple[Tensor, Tensor]]  # the speaker's keys and values, per layer


class StepNorm(nn.Module):
    """Adaptive layer norm, whose scale and shift depend on the step: (1 + a(t)) norm(x) + b(t)."""

    def __init__(self, dim: int, steps: int):
        super().__init__()
        self.norm, self.step = nn.LayerNorm(dim, elementwise_affine=False), nn.Embedding(steps + 1, dim)
        self.out = nn.Linear(dim, 2 * dim)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        """x (R, L, C), t (R,) or (1,)."""
        scale, shift = self.out(F.silu(self.step(t)))[:, None].chunk(2, -1)
        out: Tensor = self.norm(x) * (1 + scale) + shift
        return out


class Layer(nn.Module):
    """Self-attention over all tokens, cross-attention to the speaker, feed-forward."""

    def __init__(self, config: PredictorConfig):
        super().__init__()
        dim, heads, aligned = config.dim, config.heads, config.memory == "tokens"
        self.norm_self, self.norm_cross = (StepNorm(dim, config.noise_steps) for _ in range(2))
        self.own = Attention(dim, heads, dropout=config.dropout, rotary=True)
        self.cross = Attention(dim, heads, dropout=config.dropout, rotary=aligned)
        self.norm, self.mlp = nn.LayerNorm(dim), FeedForward(dim, 4 * dim, dropout=config.dropout)

    def forward(
        self, x: Tensor, t: Tensor, speaker: tuple[Tensor, Tensor], masks: tuple[Tensor | None, Tensor | None]
    ) -> Tensor:
        x = x + self.own(self.norm_self(x, t), mask=masks[0])
        x = x + self.cross(self.norm_cross(x, t), speaker, mask=masks[1])
        out: Tensor = x + self.mlp(self.norm(x))
        return out


class Denoiser(nn.Module):
    """R rows of L tokens. The speaker may have R / K rows, each shared by K neighbouring rows of tokens."""

    def __init__(self, config: PredictorConfig, codes: int, patch: int):
        super().__init__()
        self.patch, self.aligned = patch, config.memory == "tokens"
        self.token = nn.Embedding(codes + 1, config.dim)  # the last is MASK
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layers))
        self.norm, self.head = nn.LayerNorm(config.dim), nn.Linear(config.dim, codes)

    def memory(self, fused: Tensor) -> Memory:
        """The speaker's keys and values, for all steps and samples: fused (B, m + 1, C)."""
        if not self.aligned:  # frames and tokens share one time axis
            fused = fused + sinusoid(fused.shape[1], fused.shape[2], fused.device)
        return [layer.cross.keys(fused) for layer in self.layers]  # type: ignore[operator, union-attr]

    def forward(
        self, ids: Tensor, t: Tensor, memory: Memory, masks: tuple[Tensor | None, Tensor | None] = (None, None)
    ) -> Tensor:
        """ids (R, L) in 0..K, t (R,) or (1,); masks: tokens (R, 1, 1, L) and speaker (B, 1, 1, m + 1) that exist.

        Returns (R, L, codes): [MASK] is never predicted.
        """
        x = self.token(ids)
        if not self.aligned:
            clock = sinusoid(x.shape[1] * self.patch, x.shape[2], x.device)
            x = x + clock[self.patch // 2 :: self.patch]
        for layer, speaker in zip(self.layers, memory, strict=True):
            x = layer(x, t, speaker, masks)
        return torch.log_softmax(self.head(self.norm(x)).float(), -1)
