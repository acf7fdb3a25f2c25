"""Plain SVG pictures: no script, colours from the page's style sheet, every word escaped, the same bytes every time.

Why no charting library: a page opens from disk, works without scripts and on paper, follows light and dark, and is the
same bytes on every machine. Vega and Plotly draw by scripts of 0.8 and 3.5 MB that each page would carry; matplotlib
fixes colours and fonts when it draws, and its SVG changes with its version. Five plain kinds of picture need none of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup, escape

from dyadbench.leaderboard.chart_labels import BOTTOM, HEIGHT, LEFT, LETTER, RIGHT, TOP, WIDTH, names, number_places

SERIES = 8  # colours there are; more series than that share them


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


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers inside [low, high], about `count` of them."""
    span = high - low
    if span <= 0 or not math.isfinite(span):
        return [low]
    raw = span / count
    power = 10 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 12) for i in range(first, math.floor(high / step + 1e-9) + 1)]


def plain(value: float) -> str:
    """A tick's text."""
    text = f"{value:.0f}" if 1e4 <= abs(value) < 1e7 else f"{value:.4g}"
    return text.replace("e+0", "e").replace("e-0", "e-") if "e" in text else text


class _Axes:
    """Maps data to the picture; log axes take powers of ten."""

    def __init__(self, xs: Sequence[float], ys: Sequence[float], *, log_x: bool = False, zero_y: bool = False):
        self.log_x = log_x
        self.x = self._limits([math.log10(x) for x in xs] if log_x else xs)
        self.y = self._limits([*ys, 0.0] if zero_y else ys)

    @staticmethod
    def _limits(values: Sequence[float]) -> tuple[float, float]:
        low, high = min(values), max(values)
        pad = (high - low) * 0.06 or abs(high) * 0.1 or 1.0
        return (low if low == 0 else low - pad), high + pad

    def px(self, x: float) -> float:
        value = math.log10(x) if self.log_x else x
        return LEFT + (value - self.x[0]) / (self.x[1] - self.x[0]) * (WIDTH - LEFT - RIGHT)

    def py(self, y: float) -> float:
        return HEIGHT - BOTTOM - (y - self.y[0]) / (self.y[1] - self.y[0]) * (HEIGHT - TOP - BOTTOM)

    def frame(self, x_label: str, y_label: str) -> list[str]:
        bottom, parts = HEIGHT - BOTTOM, []
        places = (
            [10.0**p for p in range(math.ceil(self.x[0]), math.floor(self.x[1]) + 1)] if self.log_x else ticks(*self.x)
        )
        if self.log_x and len(places) < 2:
            places = [10**p for p in ticks(*self.x, 4)]
        for x in places:
            parts.append(f'<line class="grid" x1="{self.px(x):.1f}" x2="{self.px(x):.1f}" y1="{TOP}" y2="{bottom}"/>')
            parts.append(
                f'<text x="{self.px(x):.1f}" y="{bottom + 16}" text-anchor="middle">{plain(float(f"{x:.3g}"))}</text>'
            )
        for y in ticks(*self.y):
            parts.append(
                f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{self.py(y):.1f}" y2="{self.py(y):.1f}"/>'
            )
            parts.append(f'<text x="{LEFT - 6}" y="{self.py(y) + 4:.1f}" text-anchor="end">{plain(y)}</text>')
        parts.append(
            f'<text class="axis" x="{(LEFT + WIDTH - RIGHT) / 2:.0f}" y="{HEIGHT - 8}" text-anchor="middle">{escape(x_label)}</text>'
        )
        middle = (TOP + bottom) / 2
        parts.append(
            f'<text class="axis" transform="rotate(-90 14 {middle:.0f})" x="14" y="{middle:.0f}" text-anchor="middle">{escape(y_label)}</text>'
        )
        return parts


def _svg(parts: Sequence[str], title: str, *, width: int = WIDTH, height: int = HEIGHT) -> Markup:
    head = f'<svg class="picture" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}" preserveAspectRatio="xMidYMid meet">'
    return Markup(head + "".join(parts) + "</svg>")


FILE_STYLE = (  # what a picture outside the pages' style sheet needs
    "text{font:12px system-ui,sans-serif;fill:#55595f}.axis,.number{fill:#1c1e22}.number{font-size:11px}"
    ".grid{stroke:#d5d6d2}.target{stroke:#b34700;stroke-width:1.5;stroke-dasharray:5 4}.mark{stroke:#fff}"
    ".ranked,.bar.strong{fill:#0a57a4}.other{fill:#00727a}.calibration,.bar{fill:#55595f}.oracle{fill:#8a6a00}"
    ".join{fill:none;stroke:#55595f}.whisker{stroke:#1c1e22;stroke-width:2}.line{fill:none;stroke-width:2}"
    ".s1{stroke:#0a57a4}.s2{stroke:#b34700;stroke-dasharray:7 3}.s3{stroke:#1b6e3c;stroke-dasharray:2 3}"
    ".s4{stroke:#7b3fa0;stroke-dasharray:9 3 2 3}.s5{stroke:#8a6a00}.s6{stroke:#a8325c;stroke-dasharray:7 3}"
    ".s7{stroke:#00727a;stroke-dasharray:2 3}.s8{stroke:#55595f;stroke-dasharray:9 3 2 3}"
)


def as_file(picture: Markup) -> str:
    """A picture as an SVG file of its own: namespace, size, colours, a white ground."""
    head, rest = str(picture).split(">", 1)
    width, height = head.partition('viewBox="0 0 ')[2].partition('"')[0].split()
    head = head.replace("<svg ", f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" ', 1)
    return f'{head}>\n<style>{FILE_STYLE}</style>\n<rect width="100%" height="100%" fill="#fff"/>\n{rest}\n'


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


def scatter(
    points: Sequence[Point], title: str, x_label: str, y_label: str, *,
    target: float | None = None, target_label: str = "target", log_x: bool = False, joined: Sequence[Sequence[int]] = (), named: bool = False,
) -> Markup:  # fmt: skip
    """Numbered points (from 1, as in the table beside it), or `named` ones with their labels beside them; `target` is a dashed level; `joined` are lines through points."""
    axes = _Axes(
        [p.x for p in points], [*(p.y for p in points), *([target] if target is not None else [])], log_x=log_x
    )
    parts, boxes = axes.frame(x_label, y_label), []
    if target is not None:
        level = axes.py(target)
        parts.append(f'<line class="target" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{level:.1f}" y2="{level:.1f}"/>')
        # The label goes where fewer points are.
        crowded = sum(axes.px(p.x) > WIDTH / 2 for p in points) > len(points) / 2
        at, anchor = (LEFT + 4, "start") if crowded else (WIDTH - RIGHT - 4, "end")
        parts.append(f'<text x="{at}" y="{level - 5:.1f}" text-anchor="{anchor}">{escape(target_label)}</text>')
        wide = LETTER * len(target_label)
        boxes.append((at, level - 18, at + wide, level) if crowded else (at - wide, level - 18, at, level))
    for line in joined:
        path = " ".join(f"{axes.px(points[i].x):.1f},{axes.py(points[i].y):.1f}" for i in line)
        parts.append(f'<polyline class="join" points="{path}"/>')
    places = [(axes.px(p.x), axes.py(p.y)) for p in points]
    numbers = [n if p.number is None else p.number for n, p in enumerate(points, 1)]
    for number, point, (x, y) in zip(numbers, points, places, strict=True):
        label = f"{number} {point.label}" if number else point.label
        parts.append(f"<g><title>{escape(label)}</title>{SHAPES[point.kind](x, y)}</g>")
    if named:
        return _svg([*parts, *names([p.label for p in points], places, boxes)], title)
    with_number = [n for n, number in enumerate(numbers) if number]
    for n, (x, y) in zip(with_number, number_places(places, with_number), strict=True):
        number = numbers[n]
        parts.append(f'<text class="number" x="{x:.1f}" y="{y:.1f}" text-anchor="middle">{number}</text>')
    return _svg(parts, title)


def bars(rows: Sequence[Bar], title: str, x_label: str) -> Markup:
    """Horizontal bars from 0 with interval whiskers, one row each; names stand above their bars so that they fit."""
    height = 26 * len(rows) + 44
    reach = [
        v for r in rows for v in (r.value, 0.0, r.low if r.low is not None else 0, r.high if r.high is not None else 0)
    ]
    low, high = min(reach), max(reach) or 1.0
    left, right = 8, WIDTH - 66

    def px(value: float) -> float:
        return left + (value - low) / (high - low) * (right - left)

    parts = []
    for i, row in enumerate(rows):
        y = 26 * i + 16
        start, stop = sorted((px(0), px(row.value)))
        parts.append(f'<text x="{left}" y="{y - 3}">{escape(row.label)}</text>')
        parts.append(
            f'<rect class="bar{" strong" if row.strong else ""}" x="{start:.1f}" y="{y}" width="{max(stop - start, 1):.1f}" height="8"/>'
        )
        if row.low is not None and row.high is not None:
            parts.append(
                f'<line class="whisker" x1="{px(row.low):.1f}" x2="{px(row.high):.1f}" y1="{y + 4}" y2="{y + 4}"/>'
            )
        parts.append(f'<text x="{WIDTH - 4}" y="{y + 8}" text-anchor="end">{plain(row.value)}</text>')
    parts.append(
        f'<text class="axis" x="{WIDTH / 2:.0f}" y="{height - 10}" text-anchor="middle">{escape(x_label)}</text>'
    )
    return _svg(parts, title, height=height)


def lines(series: Mapping[str, tuple[Sequence[float], Sequence[float]]], title: str, x_label: str, y_label: str, named: bool = False) -> Markup:  # fmt: skip
    """One line per series, numbered at its end as in the legend beside it, or `named`; dashes tell them apart without colour."""
    axes = _Axes(
        [x for xs, _ in series.values() for x in xs], [y for _, ys in series.values() for y in ys], zero_y=False
    )
    parts = axes.frame(x_label, y_label)
    ends = []
    for number, (label, (xs, ys)) in enumerate(series.items(), 1):
        path = " ".join(f"{axes.px(x):.1f},{axes.py(y):.1f}" for x, y in zip(xs, ys, strict=True))
        parts.append(
            f'<g><title>{escape(label)}</title><polyline class="line s{(number - 1) % SERIES + 1}" points="{path}"/></g>'
        )
        ends.append((axes.px(xs[-1]), axes.py(ys[-1])))
    if named and len(series) > 1:
        parts += names(list(series), ends)
    elif len(series) > 1:
        for number, (x, y) in enumerate(number_places(ends, range(len(ends))), 1):
            parts.append(f'<text class="number" x="{x:.1f}" y="{y:.1f}" text-anchor="middle">{number}</text>')
    return _svg(parts, title)


def histogram(values: Sequence[float], title: str, x_label: str, bins: int = 24) -> Markup:
    """How the clips' values are spread, with their mean."""
    counts, edges = np.histogram(np.asarray(values), bins=bins)
    axes = _Axes([float(edges[0]), float(edges[-1])], [float(counts.max())], zero_y=True)
    parts = axes.frame(x_label, "clips")
    for count, start, stop in zip(counts, edges[:-1], edges[1:], strict=True):
        x, width = axes.px(float(start)), axes.px(float(stop)) - axes.px(float(start))
        top = axes.py(float(count))
        parts.append(
            f'<rect class="bar" x="{x + 0.5:.1f}" y="{top:.1f}" width="{max(width - 1, 0.5):.1f}" height="{HEIGHT - BOTTOM - top:.1f}"/>'
        )
    mean = axes.px(float(np.mean(values)))
    parts.append(f'<line class="target" x1="{mean:.1f}" x2="{mean:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>')
    parts.append(f'<text x="{mean + 4:.1f}" y="{TOP + 10}">mean</text>')
    return _svg(parts, title)
