"""Where the names of points stand in a picture: where they cover nothing, or else as numbers with a legend."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LETTER, LINE = 6.2, 13.0  # width and height of a letter at 11 px, a little generous
CLEAR, CORE = 7.0, 3.5  # pixels round a point that no text covers, and that no line to another point crosses
END = 1 / 15  # of a line that joins a name, on either side: it begins in its point and ends at its name
# From a point at which its name is tried, the nearest first.
DISTANCES = (11.0, 16.0, 24.0, 34.0, 46.0, 60.0, 76.0, 94.0, 116.0, 140.0)
Box = tuple[float, float, float, float]  # left, top, right, bottom
Boxes = NDArray[np.float64]  # (N, 4)
Segments = NDArray[np.float64]  # (N, 4): x and y of both ends


@dataclass(frozen=True)
class Spot:
    """Where a text stands, and where the line from its point ends; `joined` where it stands away from it."""

    x: float
    y: float  # of the baseline
    anchor: str  # start, middle, end
    end: tuple[float, float]
    joined: bool


def width_of(text: str) -> float:
    return LETTER * len(text)


class Room:
    """What is taken of a picture's frame: points, texts, and the lines that join them."""

    def __init__(
        self, frame: Box, points: Sequence[tuple[float, float]], texts: Sequence[Box] = (), thin: Sequence[Box] = ()
    ):
        around = [(x - CLEAR, y - CLEAR, x + CLEAR, y + CLEAR) for x, y in points]
        self.frame = frame
        self.points: Boxes = np.array(around, float).reshape(-1, 4)
        self.texts: Boxes = np.array(texts, float).reshape(-1, 4)
        self.thin: Boxes = np.array(thin, float).reshape(-1, 4)  # no text lies on these, but a line may cross them
        self.lines: Segments = np.zeros((0, 4))

    def place(self, text: str, point: tuple[float, float], *, across: bool = False) -> Spot | None:
        """The nearest place for a text beside its point that covers nothing; None where there is none.

        Its line may run `across` other points and lines where nothing else is left.
        """
        spots = _spots(text, point)
        boxes = np.array([_box(text, spot) for spot in spots])  # (S, 4)
        ways = np.array([(*point, *spot.end) for spot in spots])  # (S, 4)
        obstacles = np.concatenate([self.texts, self.points, self.thin])
        # Each test looks only at the places that the cheaper ones before it have left.
        free = np.flatnonzero(self._inside(boxes) & ~_overlap(boxes, obstacles))
        free = free[~_crosses(self.lines, boxes[free]).any(0)]
        free = free[~_crosses(ways[free], self.texts).any(1)]
        # A line that runs through another point says nothing of whose name it leads to.
        own = np.abs((self.points[:, :2] + self.points[:, 2:]) / 2 - point).max(1) < CORE
        shrunk = self.points[~own] + (np.array([1, 1, -1, -1]) * (CLEAR - CORE))
        clean = free[~_crosses(ways[free], shrunk).any(1) & ~_meet(ways[free], self.lines).any(1)]
        free = clean if len(clean) or not across else free
        if not len(free):
            return None
        best = int(free[0])
        self.texts = np.concatenate([self.texts, boxes[best : best + 1]])
        if spots[best].joined:
            self.lines = np.concatenate([self.lines, ways[best : best + 1]])
        return spots[best]

    def _inside(self, boxes: Boxes) -> NDArray[np.bool_]:
        left, top, right, bottom = self.frame
        return np.asarray((boxes[:, :2] >= (left, top)).all(1) & (boxes[:, 2:] <= (right, bottom)).all(1))


def _spots(text: str, point: tuple[float, float]) -> list[Spot]:
    x, y = point
    spots = []
    for distance in DISTANCES:
        for angle in np.linspace(0, 2 * math.pi, 24, endpoint=False):
            across, down = math.cos(angle), math.sin(angle)
            anchor = "start" if across > 0.3 else "end" if across < -0.3 else "middle"
            far = distance + (LINE / 2 - 2 if anchor == "middle" else 0)
            end = (x + far * across, y + far * down)
            spots.append(Spot(end[0], end[1] + 4, anchor, end, distance > 16))
    return spots


def _box(text: str, spot: Spot) -> Box:
    wide = width_of(text)
    left = spot.x - {"start": 0.0, "middle": wide / 2, "end": wide}[spot.anchor]
    return (left, spot.y - 10, left + wide, spot.y - 10 + LINE)


def _overlap(boxes: Boxes, others: Boxes) -> NDArray[np.bool_]:
    """(B,) whether each of (B, 4) boxes shares area with any of (N, 4) others."""
    low, high = (
        np.maximum(boxes[:, None, :2], others[:, :2]),
        np.minimum(boxes[:, None, 2:], others[:, 2:]),
    )  # (B, N, 2)
    return np.asarray(np.any(np.all(high > low, axis=-1), axis=-1))


def _crosses(lines: Segments, boxes: Boxes) -> NDArray[np.bool_]:
    """(L, B) whether a line runs through a box; its very ends, where its own point and text are, do not count."""
    start, way = lines[:, None, :2], lines[:, None, 2:] - lines[:, None, :2]  # (L, 1, 2)
    with np.errstate(divide="ignore", invalid="ignore"):  # a line along an axis enters at infinity, or nowhere
        enter, leave = (boxes[:, :2] - start) / way, (boxes[:, 2:] - start) / way  # (L, B, 2): shares of the line
    beside = (way == 0) & ((start <= boxes[:, :2]) | (start >= boxes[:, 2:]))
    first = np.fmax(np.fmin(enter, leave).max(-1), END)
    last = np.fmin(np.fmax(enter, leave).min(-1), 1 - END)
    return np.asarray((first < last) & ~beside.any(-1))


def _meet(some: Segments, others: Segments) -> NDArray[np.bool_]:
    """(A, B) whether two lines cross."""

    def side(a: Segments, b: Segments, c: Segments) -> NDArray[np.float64]:
        return np.asarray(
            (b[..., 0] - a[..., 0]) * (c[..., 1] - a[..., 1]) - (b[..., 1] - a[..., 1]) * (c[..., 0] - a[..., 0])
        )

    a, b = some[:, None, :2], some[:, None, 2:]
    c, d = others[None, :, :2], others[None, :, 2:]
    return np.asarray((side(a, b, c) * side(a, b, d) < 0) & (side(c, d, a) * side(c, d, b) < 0))


def spread(heights: Sequence[float], low: float, high: float) -> list[float]:
    """Heights of texts beside lines that end at `heights`: in their order, LINE apart, as near as may be, inside [low, high]."""
    from scipy.optimize import isotonic_regression

    if not heights:
        return []
    order, steps = np.argsort(heights, kind="stable"), LINE * np.arange(len(heights))
    placed = isotonic_regression(np.array(heights, float)[order] - steps).x
    levels = np.empty(len(heights))
    levels[order] = np.clip(placed, low, max(high - steps[-1], low)) + steps
    return [float(height) for height in levels]
