"""The kinds of pictures: points, bars, lines, histograms. Each has its numbers beside it as text, which callers add."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from markupsafe import Markup, escape

from dyadbench.leaderboard.drawing import LEFT, SMALL, TOP, WIDE, Axes, Size, plain, svg
from dyadbench.leaderboard.labels import Box, Room, spread, width_of

SERIES = 8  # colours there are; more series than that share them
CROWD = 12  # bars that have all the height they want
LONGEST = 36  # letters of a name in a picture
FAR = 3.0  # spans of the middle half of the points, beyond which a point stands at the frame and not where it belongs


@dataclass(frozen=True)
class Point:
    label: str
    x: float
    y: float
    kind: str = "ranked"  # ranked, other, calibration, oracle: shape as well as colour
    number: int | None = None  # in the table beside the picture, 0: none; default: its place among the points


@dataclass(frozen=True)
class Bar:
    label: str
    value: float
    low: float | None = None
    high: float | None = None
    strong: bool = False
    text: str = ""  # of the value; default: four digits of it


SHAPES: dict[str, Callable[[float, float], str]] = {
    "ranked": lambda x, y: f'<circle class="mark ranked" cx="{x:.1f}" cy="{y:.1f}" r="5.5"/>',
    "other": lambda x, y: f'<circle class="mark other" cx="{x:.1f}" cy="{y:.1f}" r="5"/>',
    "calibration": lambda x, y: (
        f'<rect class="mark calibration" x="{x - 4.5:.1f}" y="{y - 4.5:.1f}" width="9" height="9"/>'
    ),
    "oracle": lambda x, y: (
        f'<path class="mark oracle" d="M{x:.1f} {y - 8:.1f}l2.4 5.2 5.6 .6-4.2 3.8 1.2 5.6-5-2.9-5 2.9 1.2-5.6-4.2-3.8 5.6-.6z"/>'
    ),
}


IMPORTANT = ("ranked", "calibration", "oracle", "other")  # whose name is placed first


def scatter(
    points: Sequence[Point], title: str, x_label: str, y_label: str, size: Size = WIDE, *,
    target: float | None = None, target_label: str = "target", log_x: bool = False, joined: Sequence[Sequence[int]] = (), named: bool = False,
) -> Markup:  # fmt: skip
    """Points with their numbers, as in the table beside it, or `named` ones with their names; `target` is a dashed level; `joined` are lines through points.

    A name that fits nowhere becomes a number, and the name stands below the picture. Of named points, one that is far
    from all others stands at the frame with an arrow, and its value with its name, so that the others have room.
    """
    visible, labels, arrows = _brought_in(points, log_x) if named and not joined else (points, [p.label for p in points], [""] * len(points))  # fmt: skip
    axes = Axes(
        [p.x for p in visible], [*(p.y for p in visible), *([target] if target is not None else [])], size, log_x=log_x
    )
    places = [(axes.px(p.x), axes.py(p.y)) for p in visible]
    parts, occupied, thin = axes.frame(x_label, y_label), [], []
    if target is not None:
        level = axes.py(target)
        parts.append(f'<line class="target" x1="{axes.left:.4g}" x2="{axes.right}" y1="{level:.1f}" y2="{level:.1f}"/>')
        occupied.append(_level_name(parts, axes, level, target_label, places))
        thin.append((axes.left, level - 1, axes.right, level + 1))
    for line in joined:
        path = " ".join(f"{places[i][0]:.1f},{places[i][1]:.1f}" for i in line)
        parts.append(f'<polyline class="join" points="{path}"/>')
    numbers = [n if p.number is None else p.number for n, p in enumerate(points, 1)]
    for number, point, arrow, (x, y) in zip(numbers, points, arrows, places, strict=True):
        label = point.label if named or not number else f"{number} {point.label}"
        mark = ARROW.format(kind=point.kind, x=x, y=y, turn=TURNS[arrow]) if arrow else SHAPES[point.kind](x, y)
        parts.append(f"<g><title>{escape(label)}</title>{mark}</g>")
    room = Room((axes.left - 6.0, TOP - 12.0, size.width - 2.0, axes.bottom - 1.0), places, occupied, thin)
    if named:
        order = sorted(
            (n for n, p in enumerate(points) if p.number != 0), key=lambda n: IMPORTANT.index(points[n].kind)
        )
        parts, size = _named(parts, room, {n: labels[n] for n in order}, places, size)
    else:
        parts += [
            _placed(room, str(number), place, across=True)
            for number, place in zip(numbers, places, strict=True)
            if number
        ]
    return svg(parts, title, size)


ARROW = '<path class="mark {kind}" transform="translate({x:.1f} {y:.1f}) rotate({turn})" d="M0 -7l6 11h-12z"/>'
TURNS = {"↑": 0, "→": 90, "↓": 180, "←": 270}


def _brought_in(points: Sequence[Point], log_x: bool) -> tuple[list[Point], list[str], list[str]]:
    """The points inside the fences of both axes, their labels, and the arrow of each that was moved there."""
    inside, labels, arrows = list(points), [_short(p.label) for p in points], [""] * len(points)
    for axis, ends in (("x", "←→"), ("y", "↓↑")):
        values = [math.log10(p.x) if axis == "x" and log_x else getattr(p, axis) for p in points]
        low, high = _fences(values)
        for n, value in enumerate(values):
            if low <= value <= high:
                continue
            edge = min(max(value, low), high)
            edge = 10**edge if axis == "x" and log_x else edge
            inside[n] = replace(inside[n], x=edge) if axis == "x" else replace(inside[n], y=edge)
            arrows[n] = ends[value > high]
            labels[n] += f" ({plain(float(f'{getattr(points[n], axis):.3g}'))} {arrows[n]})"
    return inside, labels, arrows


def _fences(values: Sequence[float]) -> tuple[float, float]:
    """Between what points are drawn: the outermost ones that are not far from the middle half, if these are most."""
    first, last = np.quantile(values, [0.25, 0.75])
    span = FAR * float(last - first)
    inside = [v for v in values if first - span <= v <= last + span]
    if len(values) < 6 or span == 0 or len(inside) < 0.8 * len(values):
        return min(values), max(values)
    return min(inside), max(inside)


def _level_name(parts: list[str], axes: Axes, level: float, name: str, places: Sequence[tuple[float, float]]) -> Box:
    """Writes what a level is at that end of it, above or below, where it covers fewest points. Returns the space it takes."""
    wide = width_of(name) * 1.1
    spots = [(left, base) for base in (level - 5, level + 14) for left in (axes.right - 4 - wide, axes.left + 4.0)]
    spots = [(left, base) for left, base in spots if base < axes.bottom] or spots
    covered = [
        sum(left - 8 < x < left + wide + 8 and base - 18 < y < base + 10 for x, y in places) for left, base in spots
    ]
    left, base = spots[int(np.argmin(covered))]
    parts.append(f'<text x="{left:.1f}" y="{base:.1f}">{escape(name)}</text>')
    return (left, base - 12, left + wide, base + 3)


def _placed(room: Room, text: str, point: tuple[float, float], *, across: bool = False) -> str:
    """A text beside its point; "" where nothing is free."""
    spot = room.place(text, point, across=across)
    if spot is None:
        return ""
    (x, y), (a, b) = point, spot.end
    line = f'<line class="lead" x1="{x:.1f}" y1="{y:.1f}" x2="{a:.1f}" y2="{b:.1f}"/>' if spot.joined else ""
    return (
        line
        + f'<text class="number" x="{spot.x:.1f}" y="{spot.y:.1f}" text-anchor="{spot.anchor}">{escape(text)}</text>'
    )


def _short(name: str) -> str:
    return name if len(name) <= LONGEST else name[: LONGEST - 1] + "…"


def _named(
    parts: list[str], room: Room, labels: Mapping[int, str], places: Sequence[tuple[float, float]], size: Size
) -> tuple[list[str], Size]:  # fmt: skip
    """Adds the names by place, those without a place as numbers with a legend below, and the height that needs."""
    rest = []
    for n, label in labels.items():
        text = _placed(room, label, places[n])
        parts.append(text)
        rest += [] if text else [n]
    legend: list[str] = []
    for n in sorted(rest, key=lambda n: places[n][0]):
        number = str(sum(not line.startswith("·") for line in legend) + 1)
        parts.append(text := _placed(room, number, places[n], across=True))
        legend.append(f"{number if text else '·'} {labels[n]}")
    legend.sort(key=lambda line: line.startswith("·"))
    if not legend:
        return parts, size
    column = max(map(width_of, legend)) + 14
    across = max(int((size.width - LEFT) // column), 1)
    for place, text in enumerate(legend):
        x, y = LEFT + column * (place % across), size.height + 8 + 16 * (place // across)
        parts.append(f'<text class="number" x="{x:.0f}" y="{y}">{escape(text)}</text>')
    return parts, Size(size.width, size.height + 16 * -(-len(legend) // across) + 4)


def bars(rows: Sequence[Bar], title: str, x_label: str, size: Size = WIDE) -> Markup:
    """Horizontal bars from 0 with interval whiskers, one row each; names stand above their bars, or beside many of them."""
    many = len(rows) > CROWD
    step = 16 if many else 26
    height = step * len(rows) + 44
    reach = [v for r in rows for v in (r.value, r.low, r.high, 0.0) if v is not None]
    low, high = min(reach), max(reach) or 1.0
    left, right = 8 + many * max(width_of(_short(r.label)) + 6 for r in rows), size.width - 66

    def px(value: float) -> float:
        return left + (value - low) / (high - low) * (right - left)

    parts, style = [], ' class="number"' if many else ""
    for i, row in enumerate(rows):
        y = step * i + 16
        start, stop = sorted((px(0), px(row.value)))
        parts.append(f'<text{style} x="8" y="{y + 8 if many else y - 3}">{escape(_short(row.label))}</text>')
        parts.append(
            f'<rect class="bar{" strong" if row.strong else ""}" x="{start:.1f}" y="{y}" width="{max(stop - start, 1):.1f}" height="8"/>'
        )
        if row.low is not None and row.high is not None:
            parts.append(
                f'<line class="whisker" x1="{px(row.low):.1f}" x2="{px(row.high):.1f}" y1="{y + 4}" y2="{y + 4}"/>'
            )
        parts.append(f'<text x="{size.width - 4}" y="{y + 8}" text-anchor="end">{row.text or plain(row.value)}</text>')
    parts.append(
        f'<text class="axis" x="{size.width / 2:.0f}" y="{height - 10}" text-anchor="middle">{escape(x_label)}</text>'
    )
    return svg(parts, title, Size(size.width, height))


def lines(series: Mapping[str, tuple[Sequence[float], Sequence[float]]], title: str, x_label: str, y_label: str, size: Size = WIDE) -> Markup:  # fmt: skip
    """One line per series, the first of them named at the right; dashes tell them apart without colour, the rest is thin and grey."""
    names = list(series)[:SERIES] if len(series) > 1 else []
    side = min(max(map(width_of, names), default=-16.0) + 16, 0.42 * size.width)
    axes = Axes(
        [x for xs, _ in series.values() for x in xs], [y for _, ys in series.values() for y in ys], size, side=side
    )
    parts = axes.frame(x_label, y_label)
    for number, (label, (xs, ys)) in reversed(list(enumerate(series.items(), 1))):  # the first on top
        path = " ".join(f"{axes.px(x):.1f},{axes.py(y):.1f}" for x, y in zip(xs, ys, strict=True))
        style = f"s{(number - 1) % SERIES + 1}" if number <= SERIES else "rest"
        parts.append(f'<g><title>{escape(label)}</title><polyline class="line {style}" points="{path}"/></g>')
    ends = [(axes.px(series[name][0][-1]), axes.py(series[name][1][-1])) for name in names]
    fits = int((side - 16) / width_of("x") + 1e-6)  # letters
    for number, (name, (x, y), height) in enumerate(
        zip(names, ends, spread([y for _, y in ends], TOP + 4, axes.bottom), strict=True)
    ):
        left, text = axes.right + 12, name if len(name) <= fits else name[: fits - 1] + "…"
        parts.append(
            f'<polyline class="lead s{number % SERIES + 1}" points="{x:.1f},{y:.1f} {left - 2:.1f},{height:.1f}"/>'
        )
        parts.append(f'<text class="number" x="{left:.1f}" y="{height + 4:.1f}">{escape(text)}</text>')
    return svg(parts, title, size)


def histogram(values: Sequence[float], title: str, x_label: str, size: Size = SMALL, bins: int = 24) -> Markup:
    """How the clips' values are spread, with their mean: one of many small pictures side by side, the same on a telephone."""
    counts, edges = np.histogram(np.asarray(values), bins=bins)
    axes = Axes([float(edges[0]), float(edges[-1])], [float(counts.max())], size, zero_y=True)
    parts = axes.frame(x_label, "clips")
    for count, start, stop in zip(counts, edges[:-1], edges[1:], strict=True):
        x, width = axes.px(float(start)), axes.px(float(stop)) - axes.px(float(start))
        top = axes.py(float(count))
        parts.append(
            f'<rect class="bar" x="{x + 0.5:.1f}" y="{top:.1f}" width="{max(width - 1, 0.5):.1f}" height="{axes.bottom - top:.1f}"/>'
        )
    mean = axes.px(float(np.mean(values)))
    parts.append(f'<line class="target" x1="{mean:.1f}" x2="{mean:.1f}" y1="{TOP}" y2="{axes.bottom}"/>')
    parts.append(f'<text x="{mean + 4:.1f}" y="{TOP + 10}">mean</text>')
    return svg(parts, title, size)
