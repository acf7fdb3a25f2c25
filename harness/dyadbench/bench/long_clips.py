"""Timing FRDist on clips of many minutes: exact, and within a band."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from dyadbench.bench.metrics import Row, made_up, peak_of
from dyadbench.metrics.react.banded import frdist_banded
from dyadbench.metrics.react.frdist import frdist

LENGTHS = (750, 3_000, 10_000, 20_000)  # 25 s to 11 min at 30 fps
RADIUS = 300  # frames of the band, 10 s


def long_rows() -> Iterator[Row]:
    """One sample against one listener nine tenths as long, on one thread; the band's ratio and difference are to exact."""
    rng = np.random.default_rng(0)
    short = made_up(rng, 2, 60)
    frdist(short[:1], [short[1]])  # compiled
    frdist_banded(short[:1], [short[1]], 10)
    for frames in LENGTHS:
        pred, listener = made_up(rng, 1, frames), made_up(rng, 1, frames * 9 // 10)[0]
        exact, seconds, peak = peak_of(lambda p=pred, y=listener: frdist(p, [y]))  # type: ignore[misc]
        yield Row(
            metric=f"FRDist, {frames} frames",
            ratio=None,
            difference=None,
            seconds=seconds,
            peak_mb=peak,
            detail="exact",
        )
        near, spent, peak = peak_of(lambda p=pred, y=listener: frdist_banded(p, [y], RADIUS))  # type: ignore[misc]
        yield Row(
            metric=f"FRDist, {frames} frames", ratio=seconds / spent, difference=float(near[0] / exact[0] - 1), seconds=spent,
            peak_mb=peak, against="exact", detail=f"band of {RADIUS} frames, an upper bound",
        )  # fmt: skip
