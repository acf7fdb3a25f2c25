"""Soft-DTW as a divergence, batched over anti-diagonals (Cuturi & Blondel 1703.01541; Blondel et al. 2010.08354).

Plain soft-DTW can be negative, and two equal sequences do not minimise it. Subtracting half of each sequence's distance to
itself gives a divergence: zero for equal sequences and positive otherwise.
"""

from __future__ import annotations

import torch
from torch import Tensor

FAR = 1e10  # cost outside the table; infinity would give NaN gradients


def soft_dtw(x: Tensor, y: Tensor, gamma: float) -> Tensor:
    """Soft minimum over monotone alignments of summed squared differences: x (B, n), y (B, m) -> (B,)."""
    (rows, n), m = x.shape, y.shape[1]
    cost = (x[:, :, None] - y[:, None]).square()  # (B, n, m)
    far = cost.new_full((rows, 1), FAR)
    # Diagonal d holds cells (i, d - i), i from 0 to n, over the (n + 1) x (m + 1) table; row and column 0 are the border.
    before = torch.cat([cost.new_zeros(rows, 1), far.expand(-1, n)], 1)  # d = 0
    last = far.expand(-1, n + 1)  # d = 1
    for d in range(2, n + m + 1):
        first, stop = max(1, d - m), min(n, d - 1) + 1
        i = torch.arange(first, stop, device=x.device)
        ways = torch.stack([before[:, i - 1], last[:, i - 1], last[:, i]], -1)
        inner = cost[:, i - 1, d - i - 1] - gamma * torch.logsumexp(-ways / gamma, -1)
        before, last = last, torch.cat([far.expand(-1, first), inner, far.expand(-1, n + 1 - stop)], 1)
    return last[:, n]


def divergence(x: Tensor, y: Tensor, gamma: float) -> Tensor:
    """soft_dtw(x, y) - (soft_dtw(x, x) + soft_dtw(y, y)) / 2 per row: x, y (B, n) -> (B,). All three in one batch."""
    both = soft_dtw(torch.cat([x, x, y]), torch.cat([y, x, y]), gamma).view(3, -1)
    return both[0] - (both[1] + both[2]) / 2
