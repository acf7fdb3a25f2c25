"""Dynamic time warping as a strip-mined wavefront, in numba.

A strip is LANES blocks of ROWS consecutive rows; lane l works on column s - l at step s, so all lanes are
independent and one vector instruction serves them all. Only the strip's last row is kept for the next one.

What makes numba vectorise it: flat buffers, one slice for each offset, constant trip counts, and rows written out by
hand. Channels come in fours (zero-padded, which changes no sum), so that the accumulators are loaded once for four.
Sums run over channels in order and then add the minimum, without contraction in float64: the same operations in the
same order as the reference recursion, hence the same bits.
"""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import overload

LANES, ROWS, FOUR = 16, 8, 4
STRIP = LANES * ROWS
TOP, CORNER, FRESH = 2 * STRIP, 2 * STRIP + 2 * LANES, 2 * STRIP + 4 * LANES  # places in the work buffer
WORK = FRESH + LANES
HUGE = 1e17  # a padded column's value: its squared distance outweighs every path, and stays finite in float32
FAST = {"contract", "nsz"}


def padded(channels: int) -> int:
    return -(-channels // FOUR) * FOUR


def pack_rows(x: np.ndarray) -> np.ndarray:
    """(T, C) -> flat (strips, C', ROWS, LANES): row strip * STRIP + lane * ROWS + r; zeros after the end."""
    frames, channels = x.shape
    strips = -(-frames // STRIP)
    whole = np.zeros((strips * STRIP, padded(channels)), x.dtype)
    whole[:frames, :channels] = x
    return np.ascontiguousarray(whole.reshape(strips, LANES, ROWS, -1).transpose(0, 3, 2, 1)).reshape(-1)


def pack_columns(y: np.ndarray) -> np.ndarray:
    """(T, C) -> flat (C', T + 2 (LANES - 1)), time reversed, so that lanes read ascending addresses."""
    frames, channels = y.shape
    rows = np.zeros((padded(channels), frames + 2 * (LANES - 1)), y.dtype)
    rows[0] = HUGE
    rows[:channels, LANES - 1 : LANES - 1 + frames] = y[::-1].T
    return rows.reshape(-1)


@njit(inline="always")
def least(a: Any, b: Any, c: Any) -> Any:
    """Minimum of three without NaN handling, which would keep the loop scalar."""
    d = a if a < b else b
    return d if d < c else c


def _strip_steps(x: Any, y: Any, width: Any, blocks: Any, steps: Any, above: Any, below: Any, w: Any) -> None:
    """Runs one strip. above/below: (columns + 1,) boundary rows, index 0 being column -1.

    `w` holds, in this order, costs (ROWS, LANES), the last column (ROWS, LANES), the row above each lane at this and
    at the previous column, and each lane's last row: one buffer, so that the compiler sees that nothing overlaps.
    """
    w[STRIP:] = np.inf
    w[TOP] = above[0]
    for s in range(steps):
        for i in range(LANES):
            w[CORNER + i] = w[TOP + i]
        for i in range(LANES - 1):
            w[TOP + 1 + i] = w[FRESH + i]
        w[TOP] = above[s + 1] if s + 1 < above.size else np.inf
        start = width - LANES - s
        for b in range(blocks):
            a = x[b * FOUR * STRIP : (b + 1) * FOUR * STRIP]
            first = b * FOUR * width + start
            y0, y1 = y[first : first + LANES], y[first + width : first + width + LANES]
            y2 = y[first + 2 * width : first + 2 * width + LANES]
            y3 = y[first + 3 * width : first + 3 * width + LANES]
            if b == 0:
                w[:STRIP] = 0
            for i in range(LANES):
                v0, v1, v2, v3 = y0[i], y1[i], y2[i], y3[i]
                c0, c1, c2, c3 = w[i], w[16 + i], w[32 + i], w[48 + i]
                c4, c5, c6, c7 = w[64 + i], w[80 + i], w[96 + i], w[112 + i]
                c0 += (a[i] - v0) * (a[i] - v0)
                c1 += (a[16 + i] - v0) * (a[16 + i] - v0)
                c2 += (a[32 + i] - v0) * (a[32 + i] - v0)
                c3 += (a[48 + i] - v0) * (a[48 + i] - v0)
                c4 += (a[64 + i] - v0) * (a[64 + i] - v0)
                c5 += (a[80 + i] - v0) * (a[80 + i] - v0)
                c6 += (a[96 + i] - v0) * (a[96 + i] - v0)
                c7 += (a[112 + i] - v0) * (a[112 + i] - v0)
                c0 += (a[128 + i] - v1) * (a[128 + i] - v1)
                c1 += (a[144 + i] - v1) * (a[144 + i] - v1)
                c2 += (a[160 + i] - v1) * (a[160 + i] - v1)
                c3 += (a[176 + i] - v1) * (a[176 + i] - v1)
                c4 += (a[192 + i] - v1) * (a[192 + i] - v1)
                c5 += (a[208 + i] - v1) * (a[208 + i] - v1)
                c6 += (a[224 + i] - v1) * (a[224 + i] - v1)
                c7 += (a[240 + i] - v1) * (a[240 + i] - v1)
                c0 += (a[256 + i] - v2) * (a[256 + i] - v2)
                c1 += (a[272 + i] - v2) * (a[272 + i] - v2)
                c2 += (a[288 + i] - v2) * (a[288 + i] - v2)
                c3 += (a[304 + i] - v2) * (a[304 + i] - v2)
                c4 += (a[320 + i] - v2) * (a[320 + i] - v2)
                c5 += (a[336 + i] - v2) * (a[336 + i] - v2)
                c6 += (a[352 + i] - v2) * (a[352 + i] - v2)
                c7 += (a[368 + i] - v2) * (a[368 + i] - v2)
                c0 += (a[384 + i] - v3) * (a[384 + i] - v3)
                c1 += (a[400 + i] - v3) * (a[400 + i] - v3)
                c2 += (a[416 + i] - v3) * (a[416 + i] - v3)
                c3 += (a[432 + i] - v3) * (a[432 + i] - v3)
                c4 += (a[448 + i] - v3) * (a[448 + i] - v3)
                c5 += (a[464 + i] - v3) * (a[464 + i] - v3)
                c6 += (a[480 + i] - v3) * (a[480 + i] - v3)
                c7 += (a[496 + i] - v3) * (a[496 + i] - v3)
                w[i], w[16 + i], w[32 + i], w[48 + i] = c0, c1, c2, c3
                w[64 + i], w[80 + i], w[96 + i], w[112 + i] = c4, c5, c6, c7
        for i in range(LANES):
            up, diagonal, left = w[TOP + i], w[CORNER + i], w[STRIP + i]
            up = least(up, left, diagonal) + w[i]
            diagonal, left = left, w[144 + i]
            w[128 + i] = up
            up = least(up, left, diagonal) + w[16 + i]
            diagonal, left = left, w[160 + i]
            w[144 + i] = up
            up = least(up, left, diagonal) + w[32 + i]
            diagonal, left = left, w[176 + i]
            w[160 + i] = up
            up = least(up, left, diagonal) + w[48 + i]
            diagonal, left = left, w[192 + i]
            w[176 + i] = up
            up = least(up, left, diagonal) + w[64 + i]
            diagonal, left = left, w[208 + i]
            w[192 + i] = up
            up = least(up, left, diagonal) + w[80 + i]
            diagonal, left = left, w[224 + i]
            w[208 + i] = up
            up = least(up, left, diagonal) + w[96 + i]
            diagonal, left = left, w[240 + i]
            w[224 + i] = up
            up = least(up, left, diagonal) + w[112 + i]
            w[240 + i] = up
            w[FRESH + i] = up
        if s >= LANES - 1:
            below[s - LANES + 2] = w[FRESH + LANES - 1]


steps32 = njit(cache=True, nogil=True, fastmath=FAST)(_strip_steps)
steps64 = njit(cache=True, nogil=True)(_strip_steps)


def run_strip(*arguments: Any) -> None:
    """steps32 or steps64, by the dtype of x."""


@overload(run_strip)
def _choose_strip(x: Any, y: Any, width: Any, blocks: Any, steps: Any, above: Any, below: Any, w: Any) -> Any:
    kernel = steps32 if x.dtype == types.float32 else steps64

    def call(x: Any, y: Any, width: Any, blocks: Any, steps: Any, above: Any, below: Any, w: Any) -> Any:
        kernel(x, y, width, blocks, steps, above, below, w)

    return call


@njit(cache=True, nogil=True)
def dtw(x: Any, y: Any, rows: Any, columns: Any, blocks: Any, bound: Any, scratch: Any) -> Any:
    """Squared DTW cost of packed x (rows) and y (columns), or inf as soon as it must exceed `bound`."""
    width = columns + 2 * (LANES - 1)
    size = columns + 1
    above, below = scratch[:size], scratch[size : 2 * size]
    w = scratch[2 * size : 2 * size + WORK]
    above[:] = np.inf
    above[0] = 0
    strips = (rows + STRIP - 1) // STRIP
    length = blocks * FOUR * STRIP
    for strip in range(strips - 1):
        below[0] = np.inf
        run_strip(x[strip * length : (strip + 1) * length], y, width, blocks, columns + LANES - 1, above, below, w)
        lowest = below[1]
        for j in range(1, size):
            lowest = min(lowest, below[j])
        if lowest > bound:
            return np.inf
        above, below = below, above
    within = rows - 1 - (strips - 1) * STRIP
    lane, row = within // ROWS, within % ROWS
    last = x[(strips - 1) * length : strips * length]
    run_strip(last, y, width, blocks, columns + lane, above, below, w)
    return w[STRIP + row * LANES + lane]


def scratch_size(columns: int) -> int:
    return 2 * (columns + 1) + WORK
