"""FRDist of many clips at once, on any torch device: the same numbers as `frdist`, bit for bit.

float32 bounds every pair's distance from both sides, for any rounding; float64 decides among the listeners that the
bounds leave. All pairs run at once, so nothing is abandoned early.

Why the bounds hold (`nearest`), u = 2^-24:

1. A cell is sum_c (x - y)^2: a difference (u), its square (twice that, and u), C - 1 sums. All terms are positive, so it is
   off by a factor of at most (1 + u)^(C + 2), whatever the values: the difference is taken before anything is squared.
2. A path adds at most n + m - 1 cells, one rounding each: the cost is off by a factor of at most (1 + u)^(cells + C + 2), which
   is below `rate` = 1 + 1.1 (cells + C + 4) u for cells u < 0.1. The minimum over paths keeps it.
3. Where numbers below float32's normal range are dropped, each of a cell's operations loses at most 1.2e-38: `slack`.
"""

from __future__ import annotations

import importlib.util
from functools import cache

import numpy as np
import torch
from torch import Tensor

from dyadbench.metrics.react.frdist import GROUPS, UNIT, WEIGHTS

LARGEST = 1e14  # beyond it squares leave float32 to float64
VALUES = 2**25  # of one array of the wavefront


@cache
def has_triton() -> bool:
    return importlib.util.find_spec("triton") is not None


def wavefront(x: Tensor, y: Tensor, x_frames: Tensor, y_frames: Tensor, x_of: Tensor, y_of: Tensor,
              group: tuple[int, int], dtype: torch.dtype) -> Tensor:  # fmt: skip
    """`gpu_kernels.dtw` in plain torch, by anti-diagonals: what runs without Triton, and what the kernel is tested by."""
    start, stop = group
    if not len(x_of):  # no finite pair: `split` would still give an empty part
        return torch.empty(0, dtype=dtype, device=x.device)
    out, step = [], max(1, VALUES // ((stop - start) * max(x.shape[1], y.shape[1])))
    for a, b in zip(x_of.split(step), y_of.split(step), strict=True):
        n, m = x_frames[a], y_frames[b]
        rows = x[a, : int(n.max()), start:stop].to(dtype).permute(2, 0, 1)  # (C, P, n)
        columns = y[b, : int(m.max()), start:stop].to(dtype).flip(1).permute(2, 0, 1)  # (C, P, m), last frame first
        out.append(_diagonals(rows, columns, n, m))
    return torch.cat(out)


def _diagonals(rows: Tensor, columns: Tensor, n: Tensor, m: Tensor) -> Tensor:
    """(P,) costs of (C, P, most n) against (C, P, most m), of which n (P,) and m (P,) count, both padded at the end."""
    channels, count, height = rows.shape
    width = columns.shape[2]
    ends = n + m - 2
    answers, costs = set(ends.tolist()), rows.new_empty(count)
    before, last, here = rows.new_full((3, count, height + 1), torch.inf)  # place i + 1 of a diagonal is row i
    before[:, 0] = 0  # the corner above the first cell
    # Anti-diagonal d holds the cells (i, d - i), which depend on the two diagonals before and not on each other.
    for d in range(height + width - 1):
        low, high = max(0, d - width + 1), min(height, d + 1)
        # Columns are reversed, so the cells of a diagonal are two aligned slices.
        offset = width - 1 - d
        squares = (rows[:, :, low:high] - columns[:, :, low + offset : high + offset]).square_()
        cost = squares[0]
        if rows.dtype is torch.float64:  # channel after channel: the order of the sum is part of the definition
            for c in range(1, channels):
                cost += squares[c]
        else:
            cost = squares.sum(0)
        least = torch.minimum(last[:, low:high], last[:, low + 1 : high + 1])
        torch.add(cost, torch.minimum(least, before[:, low:high]), out=here[:, low + 1 : high + 1])
        here[:, low] = torch.inf  # the next two diagonals look one place beyond this one's ends
        here[:, high + 1 : high + 2] = torch.inf
        if d in answers:
            costs = torch.where(ends == d, here.gather(1, n[:, None])[:, 0], costs)
        before, last, here = last, here, before
    return costs


def dtw(x: Tensor, y: Tensor, x_frames: Tensor, y_frames: Tensor, x_of: Tensor, y_of: Tensor,
        group: tuple[int, int], dtype: torch.dtype) -> Tensor:  # fmt: skip
    """See `gpu_kernels.dtw`, which does it on CUDA where Triton is installed."""
    if x.is_cuda and has_triton():
        from dyadbench.metrics.react import gpu_kernels

        return gpu_kernels.dtw(x, y, x_frames, y_frames, x_of, y_of, group, dtype)
    return wavefront(x, y, x_frames, y_frames, x_of, y_of, group, dtype)


def nearest(x: Tensor, y: Tensor, x_frames: Tensor, y_frames: Tensor, x_of: Tensor, y_of: Tensor) -> np.ndarray:
    """(A,) min over the pairs (x_of[p], y_of[p]) of d(x, y), exact, in float64; inf for an x in no pair.

    x (A, T, 25) and y (B, T', 25) float32 and finite, of x_frames (A,) and y_frames (B,) frames; pairs (P,) int64.
    """
    order = torch.argsort(y_of, stable=True)  # neighbouring threads read the same listener
    x_of, y_of = x_of[order], y_of[order]
    large = [v.abs().amax((1, 2)) > LARGEST for v in (x, y)]
    unbounded = large[0][x_of] | large[1][y_of]
    cells = (x_frames[x_of] + y_frames[y_of] - 1).double()
    lower, upper = torch.zeros_like(cells), torch.zeros_like(cells)
    for group, weight in zip(GROUPS, WEIGHTS, strict=True):
        cost = dtw(x, y, x_frames, y_frames, x_of, y_of, group, torch.float32).double()
        depth = group[1] - group[0] + 4  # roundings of a cell's cost
        rate = 1 + 1.1 * (cells + depth) * UNIT
        slack = cells * depth * 2e-38  # were numbers below float32's normal range dropped
        lower += weight * ((cost - slack).clamp(min=0) / rate).sqrt() * (1 - 1e-9)
        upper += weight * ((cost + slack) * rate).sqrt() * (1 + 1e-9)
    lower, upper = lower.masked_fill(unbounded, 0.0), upper.masked_fill(unbounded, torch.inf)
    # The least upper bound of each x; a pair whose lower bound exceeds it cannot be the nearest.
    best = upper.new_full((len(x),), torch.inf).scatter_reduce_(0, x_of, upper, "amin")
    left = torch.nonzero(lower <= best[x_of])[:, 0]
    x_of, y_of = x_of[left], y_of[left]
    costs = [dtw(x, y, x_frames, y_frames, x_of, y_of, group, torch.float64) for group in GROUPS]
    parts = [np.sqrt(cost.cpu().numpy()) for cost in costs]  # numpy's root is rounded correctly, torch's not always
    distances = np.full(len(x), np.inf)
    np.minimum.at(distances, x_of.cpu().numpy(), WEIGHTS[0] * parts[0] + WEIGHTS[1] * parts[1] + WEIGHTS[2] * parts[2])
    return distances
