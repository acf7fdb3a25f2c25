"""Sequences as the alignment kernels of `frdist_kernels` read them: one vector load per channel and step.

Rows are packed strip by strip. Within a strip, row i lies in lane i // ROWS at place i % ROWS, so that the same place of
all lanes is contiguous. Columns have LANES - 1 zeros on either side, for lanes that have not started or are past the end.
"""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

from typing import Any

import numpy as np

from dyadbench.metrics.compiled import njit
from dyadbench.metrics.react.frdist_kernels import LANES, ROWS, STRIP


@njit(nogil=True)
def pack_rows32(x: Any, first: Any, stop: Any, out: Any) -> Any:
    """(T, 25) -> strips of (norm, -2 x) in reversed time, the short strip first; returns the largest squared norm."""
    frames, depth = x.shape[0], stop - first + 1
    strips = (frames + STRIP - 1) // STRIP
    short, largest = frames - (strips - 1) * STRIP, np.float32(0)
    out[: strips * depth * STRIP] = 0
    for i in range(frames):
        t = frames - 1 - i
        # The short strip comes first: time runs backwards here, so strip boundaries are then the rows of the float64 pass's.
        place = i if i < short else i - short + STRIP
        strip, within = place // STRIP, place % STRIP
        spot = strip * depth * STRIP + (within % ROWS) * LANES + within // ROWS
        norm = np.float32(0)
        for c in range(first, stop):
            norm += x[t, c] * x[t, c]
            out[spot + (c - first + 1) * STRIP] = -2 * x[t, c]
        out[spot] = norm
        largest = max(largest, norm)
    return largest


@njit(nogil=True)
def pack_columns32(y: Any, first: Any, stop: Any, out: Any) -> Any:
    """(T, 25) -> (norm, y) channels by T + 2 (LANES - 1): of reversed time, so in natural order; the largest norm."""
    frames, width = y.shape[0], y.shape[0] + 2 * (LANES - 1)
    out[: (stop - first + 1) * width] = 0
    largest = np.float32(0)
    for t in range(frames):
        norm = np.float32(0)
        for c in range(first, stop):
            norm += y[t, c] * y[t, c]
            out[(c - first + 1) * width + LANES - 1 + t] = y[t, c]
        out[LANES - 1 + t] = norm
        largest = max(largest, norm)
    return largest


@njit(nogil=True)
def pack64(x: Any, first: Any, stop: Any, rows: Any, out: Any) -> None:
    """(T, 25) -> float64 strips (rows) or columns, forward time; columns are stored backwards, as lanes read them."""
    frames, depth = x.shape[0], stop - first
    width = frames + 2 * (LANES - 1)
    out[: depth * (((frames + STRIP - 1) // STRIP) * STRIP if rows else width)] = 0
    for t in range(frames):
        strip, within = t // STRIP, t % STRIP
        spot = strip * depth * STRIP + (within % ROWS) * LANES + within // ROWS
        for c in range(depth):
            if rows:
                out[spot + c * STRIP] = x[t, first + c]
            else:
                out[c * width + LANES - 1 + frames - 1 - t] = x[t, first + c]
