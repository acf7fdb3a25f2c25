"""Where the names and numbers of points stand in a picture, so that they cover each other and the points least."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from markupsafe import escape
from numpy.typing import NDArray

WIDTH, HEIGHT = 520, 320
LEFT, RIGHT, TOP, BOTTOM = 58, 14, 14, 44
LETTER, LINE = 6.4, 14  # width and height of a letter at 12 px, a little generous
SHIFTS = (0, -12, 12, -24, 24, -36, 36, -48, 48)  # where labels are tried above and below a point


def names(labels: Sequence[str], places: Sequence[tuple[float, float]], occupied: Sequence[tuple[float, ...]] = ()) -> list[str]:  # fmt: skip
    """The labels of points, each where it covers no other label and no point, else where it covers least.

    A label that stands away from its point is joined to it by a thin line.
    """
    full = [*occupied, *((x - 7, y - 7, x + 7, y + 7) for x, y in places)]
    parts = []
    for label, (x, y) in sorted(zip(labels, places, strict=True), key=lambda each: each[1][1]):
        wide = LETTER * len(label)
        spots = [(x + side * 10, y + 4 + down, "start" if side > 0 else "end") for down in SHIFTS for side in (1, -1)]
        boxes = []
        for left, base, anchor in spots:
            start = left if anchor == "start" else left - wide
            boxes.append((start, base - 11, start + wide, base - 11 + LINE))
        away = [50 * _outside(box) + n for n, box in enumerate(boxes)]
        best = int(np.argmin(_overlaps(np.array(boxes), np.array(full)) + away))
        full.append(boxes[best])
        left, base, anchor = spots[best]
        if abs(base - 4 - y) > 12:
            parts.append(f'<line class="grid" x1="{x:.1f}" y1="{y:.1f}" x2="{left:.1f}" y2="{base - 4:.1f}"/>')
        parts.append(
            f'<text class="number" x="{left:.1f}" y="{base:.1f}" text-anchor="{anchor}">{escape(label)}</text>'
        )
    return parts


def _overlaps(boxes: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """(B,) areas that each of (B, 4) boxes, left, top, right and bottom, shares with (N, 4) others."""
    low, high = (
        np.maximum(boxes[:, None, :2], others[:, :2]),
        np.minimum(boxes[:, None, 2:], others[:, 2:]),
    )  # (B, N, 2)
    areas: NDArray[np.float64] = np.maximum(high - low, 0).prod(-1).sum(-1)
    return areas


def _outside(box: tuple[float, ...]) -> float:
    """By how many pixels a box leaves the frame of the axes."""
    return (
        max(0.0, LEFT - box[0])
        + max(0.0, box[2] - WIDTH + 2)
        + max(0.0, TOP - 10 - box[1])
        + max(0.0, box[3] - HEIGHT + BOTTOM)
    )


def number_places(points: Sequence[tuple[float, float]], indices: Sequence[int]) -> list[tuple[float, float]]:
    """Where the number of each of the points at `indices` stands: the first of some places round it that nothing else takes."""
    occupied: list[tuple[float, float]] = list(points)
    places = []
    for x, y in [points[n] for n in indices]:
        around = [(x + r * math.cos(a), y + r * math.sin(a)) for r in (13, 20, 28) for a in np.linspace(-0.8, 5.5, 9)]

        def free(place: tuple[float, float]) -> bool:
            inside = LEFT - 4 < place[0] < WIDTH - 4 and TOP - 8 < place[1] < HEIGHT - BOTTOM + 4
            return inside and all(abs(place[0] - a) > 13 or abs(place[1] - b) > 11 for a, b in occupied)

        place = next((spot for spot in around if free(spot)), around[0])
        occupied.append(place)
        places.append((place[0], place[1] + 4))
    return places
