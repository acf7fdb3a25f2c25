"""Dynamic time warping as a Triton kernel: one thread a pair of sequences.

A thread walks its own matrix in strips of ROWS rows, column after column, with the strip's frames and last column in
registers and the strip's last row in memory, so that nothing passes between threads. Neighbouring threads take pairs
with the same listener (the caller sorts), which makes one transaction of their 32 loads. Short sequences are padded
at the top, by rows of infinite cost under which the matrix begins: the answer then always is in the last row.

Runs under TRITON_INTERPRET=1 on a CPU. Import only where Triton is installed; torch for CUDA brings it.
"""

# mypy: disable-error-code="untyped-decorator, assignment, misc"
# ruff: noqa: RUF005  # Triton's language has no starred tuples
from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

LANES = 32  # a warp; one number of every vector is one thread's own, so a thread reads back what it wrote itself
CHUNK = 2**27  # values of scratch
ROWS = {torch.float32: {15: 8, 2: 16, 8: 8}, torch.float64: {15: 4, 2: 8, 8: 4}}  # what fits into registers


@triton.jit
def _dtw(x, y, x_of, y_of, x_frames, y_frames, most_rows, most_columns, scratch, out,  # type: ignore[no-untyped-def]
         x_stride, y_stride, columns_stride, FIRST: tl.constexpr, CHANNELS: tl.constexpr, ROWS: tl.constexpr,
         WIDTH: tl.constexpr, LANES: tl.constexpr):  # fmt: skip
    """Squared costs of LANES pairs; all vectors are (LANES,) and tuples hold one vector a row or a channel."""
    block = tl.program_id(0)
    lane = tl.arange(0, LANES)
    place = block * LANES + lane
    a, b = tl.load(x_of + place), tl.load(y_of + place)
    n, m = tl.load(x_frames + a), tl.load(y_frames + b)
    x += a.to(tl.int64) * x_stride + FIRST
    y += b.to(tl.int64) * y_stride + FIRST
    scratch += block.to(tl.int64) * columns_stride * LANES + lane
    strips = (tl.load(most_rows + block) + ROWS - 1) // ROWS
    columns = tl.load(most_columns + block)
    for s in range(strips):
        top = s * ROWS - (strips * ROWS - n)  # the strip's first row; < 0 in the padding
        frames = ()
        left = ()
        for r in tl.static_range(ROWS):
            for c in tl.static_range(CHANNELS):
                value = tl.load(x + (top + r) * WIDTH + c, mask=top + r >= 0, other=float("inf"))
                frames = frames + (value.to(out.dtype.element_ty),)
            # Column -1 is infinite but for the corner, above the first frame
            left = left + (tl.where(top + r == -1, 0.0, float("inf")).to(out.dtype.element_ty),)
        before = tl.where(top == 0, 0.0, float("inf")).to(out.dtype.element_ty)
        for j in range(columns):
            up = tl.load(scratch + j * LANES, mask=lane + s * LANES >= LANES, other=float("inf"))
            diagonal = before
            before = up
            column = ()
            for c in tl.static_range(CHANNELS):
                column = column + (tl.load(y + j * WIDTH + c).to(out.dtype.element_ty),)
            current = ()
            for r in tl.static_range(ROWS):
                d = frames[r * CHANNELS] - column[0]
                cost = d * d
                for c in tl.static_range(1, CHANNELS):
                    d = frames[r * CHANNELS + c] - column[c]
                    cost = cost + d * d
                up = cost + tl.minimum(up, tl.minimum(left[r], diagonal))
                diagonal = left[r]
                current = current + (up,)
            left = current
            tl.store(scratch + j * LANES, up)
    tl.store(out + place, tl.load(scratch + (m - 1) * LANES))


def dtw(x: Tensor, y: Tensor, x_frames: Tensor, y_frames: Tensor, x_of: Tensor, y_of: Tensor,
        group: tuple[int, int], dtype: torch.dtype) -> Tensor:  # fmt: skip
    """(P,) squared DTW costs over channels [start, stop) of pairs (x_of[p], y_of[p]), computed in `dtype`.

    x (A, T, C) and y (B, T', C) float32, finite, with x_frames (A,) and y_frames (B,) frames each; x_of and y_of (P,)
    int64. float64 gives the bits of `reference.dtw`.
    """
    start, stop = group
    x, y = x.contiguous(), y.contiguous()
    rows, out = ROWS[dtype][stop - start], torch.empty(len(x_of), dtype=dtype, device=x.device)
    step = max(1, CHUNK // (y.shape[1] * LANES)) * LANES
    for first in range(0, len(x_of), step):
        a, b = x_of[first : first + step], y_of[first : first + step]
        count = len(a)
        spare = -count % LANES  # the last block repeats the last pair
        a, b = (torch.cat([of, of[-1:].expand(spare)]) for of in (a, b))
        blocks = len(a) // LANES
        most = [frames[of].view(blocks, LANES).amax(1) for frames, of in ((x_frames, a), (y_frames, b))]
        scratch = torch.empty(blocks * y.shape[1] * LANES, dtype=dtype, device=x.device)
        costs = torch.empty(len(a), dtype=dtype, device=x.device)
        # In float64 every product is rounded: the bits of the reference
        options: dict[str, Any] = {"num_warps": 1, "num_stages": 1, "enable_fp_fusion": dtype is torch.float32}
        with torch.cuda.device_of(x):
            _dtw[(blocks,)](
                x, y, a, b, x_frames, y_frames, *most, scratch, costs, x.stride(0), y.stride(0), y.shape[1],
                FIRST=start, CHANNELS=stop - start, ROWS=rows, WIDTH=x.shape[2], LANES=LANES, **options,
            )  # fmt: skip
        out[first : first + count] = costs[:count]
    return out
