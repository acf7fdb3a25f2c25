"""REGNN's perceptual network: face and voice of a window in two transformer encoders (after MulT, 1906.00295).

B windows, T frames per window, C channels.
"""

from __future__ import annotations

import math

from torch import Tensor, nn

from dyadbench.nn.attention import Attention, sinusoid


class Layer(nn.Module):
    """Pre-norm attention and feed-forward. One LayerNorm serves queries, keys and values."""

    def __init__(self, dim: int, heads: int, hidden: int, dropout: float):
        super().__init__()
        self.norm, self.norm_forward = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attention, self.drop = Attention(dim, heads), nn.Dropout(dropout)
        self.forward_part = nn.Sequential(
            nn.Linear(dim, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, dim), nn.Dropout(dropout)
        )

    def forward(self, x: Tensor, memory: Tensor | None) -> Tensor:
        x = x + self.drop(self.attention(self.norm(x), None if memory is None else self.norm(memory)))
        out: Tensor = x + self.forward_part(self.norm_forward(x))
        return out


class Encoder(nn.Module):
    """Layers of attention from `x` to `memory`, or to itself; no mask, so every frame depends on the whole window."""

    def __init__(self, dim: int, *, heads: int, layers: int, hidden: int, dropout: float, embedding_dropout: float):
        super().__init__()
        self.layers = nn.ModuleList(Layer(dim, heads, hidden, dropout) for _ in range(layers))
        self.norm, self.drop = nn.LayerNorm(dim), nn.Dropout(embedding_dropout)

    def embedded(self, x: Tensor) -> Tensor:
        frames, dim = x.shape[1:]
        out: Tensor = self.drop(x * math.sqrt(dim) + sinusoid(frames, dim, x.device, offset=1))
        return out

    def forward(self, x: Tensor, memory: Tensor | None = None) -> Tensor:
        """x (B, T, dim), memory (B, T, dim) -> (B, T, dim)."""
        x, memory = self.embedded(x), None if memory is None else self.embedded(memory)
        for layer in self.layers:
            x = layer(x, memory)
        out: Tensor = self.norm(x)
        return out


class Perceptual(nn.Module):
    """The face attends to the voice, then the result to itself: (B, T, seen), (B, T, sound) -> (B, T, out).

    Without sound the face attends to itself. Sound that already has `dim` channels has no input layer.
    """

    def __init__(
        self, seen: int, sound: int, out: int, *, dim: int, heads: int, layers: int, hidden: int, dropout: float,
        embedding_dropout: float,
    ):  # fmt: skip
        super().__init__()
        self.seen_in = nn.Linear(seen, dim, bias=False)
        self.sound_in = nn.Linear(sound, dim, bias=False) if sound not in (0, dim) else None
        self.cross, self.own = (
            Encoder(
                dim, heads=heads, layers=layers, hidden=hidden, dropout=dropout, embedding_dropout=embedding_dropout
            )
            for _ in range(2)
        )
        self.mix = nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, dim))
        self.out = nn.Linear(dim, out)

    def forward(self, seen: Tensor, sound: Tensor | None) -> Tensor:
        if sound is not None and self.sound_in is not None:
            sound = self.sound_in(sound)
        x = self.own(self.cross(self.seen_in(seen), sound))
        out: Tensor = self.out(x + self.mix(x))
        return out
