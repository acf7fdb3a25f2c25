"""REGNN's graph of a reaction's channels and the reversible network on it (`cognitive` and `motor` in the release).

W windows, K reactions per window, C channels of a reaction (the graph's nodes), T frames (a node's features), P graphs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dyadbench.nn.flows import ActNorm

Mask = Literal["top5", "union", "off"]
# ActNorm adds this to a channel's deviation. The release has 1e-5: an action unit that is constant in the first batch is
# then multiplied by 100 000, so the first window in which it moves dominates the loss.
EPS = 0.05


def neighbours(attention: Tensor, kept: int, mask: Mask) -> Tensor:
    """Mask of the entries of graphs (W, P, C, C) to keep: each row's `kept` largest and the diagonal.

    "union", as in the release: of the sum of a window's graphs, every row keeps each column that is among the largest of any.
    """
    if mask == "off":
        return torch.ones_like(attention, dtype=torch.bool)
    graphs = attention.sum(-3, keepdim=True) if mask == "union" else attention
    largest = graphs.topk(min(kept, graphs.shape[-1]), -1).indices
    entries = torch.zeros_like(graphs, dtype=torch.bool).scatter(-1, largest, True)
    if mask == "union":
        entries = entries.any(-2, keepdim=True).expand_as(attention)
    return entries | torch.eye(attention.shape[-1], dtype=torch.bool, device=attention.device)


def normalised(x: Tensor, dim: int) -> Tensor:
    """Non-negative entries that sum to 1 along `dim`."""
    return x / x.sum(dim, keepdim=True).clamp_min(1e-12)


class Cognitive(nn.Module):
    """Maps the speaker's window to a code and graphs: (W, T, perceived) -> (W, C, T), (W, P, C, C)."""

    def __init__(self, perceived: int, channels: int, frames: int, *, narrow: int, graphs: int, kept: int, mask: Mask):
        super().__init__()
        self.graphs, self.kept, self.mask = graphs, kept, mask
        self.code = nn.Sequential(nn.Linear(perceived, narrow), nn.GELU(), nn.Linear(narrow, channels))
        self.node = nn.Sequential(nn.Linear(frames, frames), nn.GELU(), nn.Linear(frames, frames))
        self.pairs = nn.Linear(frames, frames * 2 * graphs, bias=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        code = self.code(x).transpose(1, 2)  # (W, C, T)
        pairs = self.pairs(self.node(code)).unflatten(-1, (2, self.graphs, -1))  # (W, C, 2, P, T)
        query, key = pairs.permute(2, 0, 3, 1, 4)  # two of (W, P, C, T)
        attention = (query @ key.mT / math.sqrt(code.shape[-1])).softmax(-1)  # (W, P, C, C)
        rows = normalised(attention * neighbours(attention, self.kept, self.mask), -1)
        return code, rows @ normalised(rows, -2).mT


class MotorLayer(nn.Module):
    """ActNorm, then y = x + f(x, graphs), which is invertible as long as f is contractive."""

    def __init__(self, channels: int, frames: int, graphs: int):
        super().__init__()
        self.norm = ActNorm(channels, eps=EPS)
        self.pairs = nn.Linear(frames, 2 * frames)
        self.weight = nn.Parameter(torch.ones(graphs))

    @torch.no_grad()
    def bound(self) -> Tensor:
        """The divisor of f: 5 plus the spectral norm of I + 2 W_q W_k' / sqrt(T). About 6 at the start.

        It does not prove that f is contractive for every graph, so `Motor.inverse` reports what does not converge.
        """
        query, key = self.pairs.weight.chunk(2, 0)  # (T, T), q = u query'
        product = query.T @ key
        identity = torch.eye(len(product), device=product.device)
        return torch.linalg.matrix_norm(identity + 2 * product / math.sqrt(len(product)), 2) + 5

    def change(self, x: Tensor, graphs: Tensor) -> Tensor:
        """f: x (W, K, C, T), graphs (W, P, C, C) -> (W, K, C, T)."""
        u = F.elu(x).sigmoid()
        query, key = self.pairs(u).chunk(2, -1)
        attention = (query @ key.mT / math.sqrt(x.shape[-1])).softmax(-1)  # (W, K, C, C)
        # M_p = rows of (attention * graph_p), normalised; their weighted mean without (W, K, P, C, C) in memory.
        sums = torch.einsum("wkij,wpij->wkpi", attention, graphs).clamp_min(1e-12)
        mixed = torch.einsum("wkpi,wpij->wkij", self.weight[:, None] / sums, graphs)
        return (attention * mixed / self.weight.sum()) @ u / self.bound()

    def forward(self, x: Tensor, graphs: Tensor) -> Tensor:
        x = self.norm(x.mT)[0].mT
        return x + self.change(x, graphs)

    def inverse(self, y: Tensor, graphs: Tensor, iterations: int, tolerance: float) -> tuple[Tensor, Tensor]:
        """y (W, K, C, T) -> x (W, K, C, T), and which reactions (W, K) did not converge."""
        x, unsettled = settle(lambda x: y - self.change(x, graphs), y, iterations, tolerance)
        return self.norm.inverse(x.mT).mT, unsettled


def settle(step: Callable[[Tensor], Tensor], x: Tensor, iterations: int, tolerance: float) -> tuple[Tensor, Tensor]:
    """Fixed-point iteration x <- step(x) on (W, K, C, T). Each of the W x K reactions stops independently of the others.

    Returns the last x and which reactions (W, K) still moved by more than `tolerance`, or are not finite.
    """
    moving = torch.ones(x.shape[:2], dtype=torch.bool, device=x.device)
    for _ in range(iterations):
        new = step(x)
        change = (new - x).abs().amax((2, 3))
        x = torch.where(moving[..., None, None], new, x)
        moving = moving & ~(change <= tolerance)  # NaN counts as not converged
        if not moving.any():
            break
    return x, moving


class Motor(nn.Module):
    """Maps real reactions to codes, and codes back to reactions, given the speaker's graphs."""

    def __init__(self, channels: int, frames: int, *, graphs: int, layers: int):
        super().__init__()
        self.layers = nn.ModuleList(MotorLayer(channels, frames, graphs) for _ in range(layers))

    def forward(self, reactions: Tensor, graphs: Tensor) -> Tensor:
        """reactions (W, K, C, T), graphs (W, P, C, C) -> codes (W, K, C, T)."""
        for layer in self.layers:
            reactions = layer(reactions, graphs)
        return reactions

    def inverse(self, codes: Tensor, graphs: Tensor, *, iterations: int, tolerance: float) -> tuple[Tensor, Tensor]:
        """codes (W, K, C, T) -> reactions (W, K, C, T), and which of them (W, K) did not converge in some layer."""
        unsettled = torch.zeros(codes.shape[:2], dtype=torch.bool, device=codes.device)
        for layer in cast("Iterable[MotorLayer]", reversed(self.layers)):
            codes, moving = layer.inverse(codes, graphs, iterations, tolerance)
            unsettled |= moving
        return codes, unsettled
