"""Attention with a cache, transformer blocks, and the gated cross-modal block of FIBER.

Shapes: B rows, T positions, C channels, H heads. Masks are boolean, True where a query may attend, and broadcast to
(B, H, Tq, Tk). A mask that differs per row must therefore have the shape (B, 1, Tq, Tk).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class KVCache:
    """Keys and values of the positions generated so far, for one attention layer; only the last `limit` if given."""

    def __init__(self, limit: int | None = None) -> None:
        self.limit = limit
        self.k: Tensor | None = None  # (B, H, T, C / H)
        self.v: Tensor | None = None

    def append(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        self.k, self.v = self._joined(self.k, k), self._joined(self.v, v)
        return self.k, self.v

    def _joined(self, past: Tensor | None, new: Tensor) -> Tensor:
        if past is not None:
            new = torch.cat([past, new], 2)
        return new if self.limit is None else new[:, :, -self.limit :]

    @property
    def length(self) -> int:
        return 0 if self.k is None else self.k.shape[2]


def rotate(x: Tensor, positions: Tensor) -> Tensor:
    """Rotary position embedding (2104.09864): logits depend only on the distance of positions. x: (B, H, T, C / H)."""
    half = x.shape[-1] // 2
    rates = torch.exp(torch.arange(half, device=x.device) * (-math.log(10000.0) / half))
    angle = positions.to(x.device)[:, None].float() * rates  # (T, C / 2H)
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    a, b = x[..., :half], x[..., half : 2 * half]
    return torch.cat([a * cos - b * sin, a * sin + b * cos, x[..., 2 * half :]], -1)


class Attention(nn.Module):
    """Multi-head attention of `x` on itself or on `memory`.

    A row whose mask forbids every key attends as if it had no mask, instead of giving NaN. With `additive` it attends to
    all keys equally, like an implementation that adds the lowest number to each forbidden score. With `rotary`, the
    positions of a memory count on the same time axis as those of `x`.
    """

    additive = False
    scale: float | None = None  # of the scores; None: 1 / sqrt(width of a head)

    def __init__(self, dim: int, heads: int, *, dropout: float = 0.0, bias: bool = True, rotary: bool = False):
        super().__init__()
        if dim % heads:
            raise ValueError(f"attention width {dim} is not divisible by {heads} heads")
        self.heads, self.dropout, self.rotary = heads, dropout, rotary
        self.query, self.key, self.value = (nn.Linear(dim, dim, bias=bias) for _ in range(3))
        self.out = nn.Linear(dim, dim, bias=bias)

    def split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (B, H, T, C / H)

    def keys(self, memory: Tensor, offset: int = 0) -> tuple[Tensor, Tensor]:
        """Keys and values of a memory. Compute them once where many queries attend to it."""
        return self._rotated(self.split(self.key(memory)), offset), self.split(self.value(memory))

    def _rotated(self, x: Tensor, offset: int) -> Tensor:
        """(B, H, T, C / H), rotated by its positions if this attention is rotary."""
        return rotate(x, torch.arange(offset, offset + x.shape[2], device=x.device)) if self.rotary else x

    def forward(
        self,
        x: Tensor,
        memory: Tensor | tuple[Tensor, Tensor] | None = None,
        mask: Tensor | None = None,
        cache: KVCache | None = None,
        offset: int = 0,
    ) -> Tensor:
        """x: (B, Tq, C); memory: (B, Tk, C), or the result of `keys`; offset: position of the first query.

        A memory may have B / K rows. Each is then shared by K neighbouring rows of x (the samples of one clip),
        without a copy; the mask must be the same for those rows.
        """
        q = self._rotated(self.split(self.query(x)), offset)
        if isinstance(memory, tuple):
            k, v = memory
        else:
            k, v = self.keys(x, offset) if memory is None else self.keys(memory)
        if cache is not None:
            k, v = cache.append(k, v)
        if mask is not None and self.additive:
            mask = torch.zeros_like(mask, dtype=q.dtype).masked_fill(~mask, torch.finfo(q.dtype).min)
        elif mask is not None:
            mask = mask | ~mask.any(-1, keepdim=True)
        samples = q.shape[0] // k.shape[0]
        if samples > 1:  # (B / K, H, K Tq, C / H): the samples' queries side by side
            q = q.unflatten(0, (-1, samples)).transpose(1, 2).flatten(2, 3)
            if mask is not None and mask.shape[-2] > 1:
                mask = mask.repeat(*[1] * (mask.dim() - 2), samples, 1)
        out = F.scaled_dot_product_attention(
            q, k, v, attn_mask=mask, dropout_p=self.dropout if self.training else 0.0, scale=self.scale
        )
        if samples > 1:
            out = out.unflatten(2, (samples, -1)).transpose(1, 2).flatten(0, 1)
        return self.out(out.transpose(1, 2).flatten(2))


@torch.no_grad()
def look_back(attention: Attention, lags: Sequence[float], strength: float = 2.0) -> None:
    """Initialises the biases of a rotary attention so that head h first attends `lags[h]` positions back.

    A short training then need not learn first that events are local in time. The logit that the biases add at
    distance d is strength^2 / sqrt(width) x the sum over rotary rates r of cos(r (d - lag)).
    """
    width = attention.query.out_features // attention.heads
    if not attention.rotary or attention.query.bias is None or len(lags) != attention.heads:
        raise ValueError(
            f"look_back needs rotary attention with biases and one lag for each of {attention.heads} heads"
        )
    start = torch.zeros(attention.heads, width)
    start[:, : width // 2] = strength
    back = torch.stack(
        [rotate(row.view(1, 1, 1, -1), torch.tensor([-lag])).flatten() for row, lag in zip(start, lags, strict=True)]
    )
    attention.key.bias.copy_(start.flatten())
    attention.query.bias.copy_(back.flatten())


class FeedForward(nn.Sequential):
    def __init__(self, dim: int, hidden: int, *, dropout: float = 0.0, bias: bool = True):
        super().__init__(
            nn.Linear(dim, hidden, bias=bias), nn.GELU(), nn.Linear(hidden, dim, bias=bias), nn.Dropout(dropout)
        )


class Block(nn.Module):
    """Pre-norm transformer block: self-attention, then feed-forward."""

    def __init__(
        self,
        dim: int,
        heads: int,
        *,
        hidden: int | None = None,
        dropout: float = 0.0,
        bias: bool = True,
        rotary: bool = False,
    ):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(dim, bias=bias), nn.LayerNorm(dim, bias=bias)
        self.attention = Attention(dim, heads, dropout=dropout, bias=bias, rotary=rotary)
        self.mlp = FeedForward(dim, hidden or 4 * dim, dropout=dropout, bias=bias)

    def forward(self, x: Tensor, mask: Tensor | None = None, cache: KVCache | None = None, offset: int = 0) -> Tensor:
        x = x + self.attention(self.norm1(x), mask=mask, cache=cache, offset=offset)
        return x + self.mlp(self.norm2(x))


class GatedBlock(nn.Module):
    """FIBER's gated cross-modal block (2206.07643, section 3): self-attention, gated cross-attention, feed-forward.

    alpha starts at 0, so the block begins as a plain one and only alpha learns at the first step; an alpha that
    stays at 0 means that the other modality is ignored. `cross_rotary` is for a modality on the same clock; `gain`
    multiplies alpha, so that a short training can open the gate (Adam moves alpha by about lr per step). A modality that
    explains little never opens it: while alpha is 0 the cross-attention has no gradient, and untrained it is no help, so
    alpha has none either. `start` begins with an open gate. The
    queries of the cross-attention have their own norm, or share that of the self-attention (`own_norm` False).
    """

    def __init__(
        self,
        dim: int,
        heads: int,
        *,
        hidden: int | None = None,
        dropout: float = 0.0,
        bias: bool = True,
        rotary: bool = False,
        cross_rotary: bool = False,
        gain: float = 1.0,
        start: float = 0.0,
        own_norm: bool = True,
    ):
        super().__init__()
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(dim, bias=bias) for _ in range(3))
        self.norm_cross = nn.LayerNorm(dim, bias=bias) if own_norm else None
        self.attention = Attention(dim, heads, dropout=dropout, bias=bias, rotary=rotary)
        self.cross = Attention(dim, heads, dropout=dropout, bias=bias, rotary=cross_rotary)
        self.mlp = FeedForward(dim, hidden or 4 * dim, dropout=dropout, bias=bias)
        self.alpha, self.gain = nn.Parameter(torch.full((), start)), gain

    def memory(self, other: Tensor, offset: int = 0) -> tuple[Tensor, Tensor]:
        """The other modality's keys and values, computed once for all samples and steps; offset: its first position."""
        return self.cross.keys(self.norm3(other), offset)

    def forward(
        self,
        x: Tensor,
        other: Tensor | tuple[Tensor, Tensor],
        mask: Tensor | None = None,
        cross_mask: Tensor | None = None,
        cache: KVCache | None = None,
        offset: int = 0,
        last: int | None = None,
    ) -> Tensor:
        """x: (B, T, C); other: (B, S, C) or the result of `memory`, of B or fewer rows (see Attention).

        With `last`, only the last positions are computed, (B, last, C); masks must then be the same for all queries.
        """
        memory, normed = other if isinstance(other, tuple) else self.memory(other), self.norm1(x)
        keys = None
        if last is not None and last < x.shape[1]:
            keys, offset = self.attention.keys(normed, offset), offset + x.shape[1] - last
            x, normed = x[:, -last:], normed[:, -last:]
        own = self.attention(normed, keys, mask=mask, cache=cache, offset=offset)
        query = (self.norm_cross or self.norm1)(own)
        x = x + own + self.gain * self.alpha * self.cross(query, memory, mask=cross_mask, offset=offset)
        return x + self.mlp(self.norm2(x))


def sinusoid(length: int, dim: int, device: torch.device | str = "cpu", offset: int = 0) -> Tensor:
    """The fixed positional encoding of the transformer paper: (length, dim)."""
    places = torch.arange(offset, offset + length, device=device)[:, None].float()
    rates = torch.exp(torch.arange(0, dim, 2, device=device) * (-math.log(10000.0) / dim))
    table = torch.zeros(length, dim, device=device)
    table[:, 0::2] = torch.sin(places * rates)
    table[:, 1::2] = torch.cos(places * rates)[:, : dim // 2]
    return table


def block_causal_mask(
    queries: int, keys: int, block: int, device: torch.device | str = "cpu", window: int | None = None
) -> Tensor:
    """(queries, keys): the last `queries` of `keys` positions see every position of their own block and before.

    With `window`, only the last `window` positions up to the end of their own block (a multiple of `block`).
    """
    q = torch.arange(keys - queries, keys, device=device)[:, None] // block
    k = torch.arange(keys, device=device)[None] // block
    visible = q >= k
    return visible if window is None else visible & (q - k < window // block)
