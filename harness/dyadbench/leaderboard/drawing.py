"""What all pictures share: the frame with its axes, plain SVG with every word escaped, and a file of its own.

Why no charting library: a page opens from disk, works without scripts and on paper, follows light and dark, and is the
same bytes on every machine. Vega and Plotly draw by scripts of 0.8 and 3.5 MB that each page would carry; matplotlib
fixes colours and fonts when it draws, and its SVG changes with its version. Five plain kinds of picture need none of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from dyadbench.leaderboard.labels import LETTER

LEFT, RIGHT, TOP, BOTTOM = 58, 14, 14, 44


@dataclass(frozen=True)
class Size:
    """Of a picture in units of its own; a text is 12 of them high."""

    width: int = 520
    height: int = 320


WIDE, NARROW, SMALL = Size(), Size(344, 400), Size(344, 230)


def both(draw: Callable[[Size], Markup]) -> Markup:
    """A picture for a screen and one for a telephone, of which the style sheet shows one: letters stay readable on both."""
    return Markup('<div class="wide">{}</div><div class="narrow">{}</div>').format(draw(WIDE), draw(NARROW))


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


class Axes:
    """Maps data to the picture; log axes take powers of ten. `side` is kept free for texts at the right."""

    def __init__(
        self, xs: Sequence[float], ys: Sequence[float], size: Size = WIDE, *, log_x: bool = False, zero_y: bool = False, side: float = 0.0
    ):  # fmt: skip
        self.log_x = log_x
        self.x = self._limits([math.log10(x) for x in xs] if log_x else xs)
        self.y = self._limits([*ys, 0.0] if zero_y else ys)
        self.left = max(LEFT, 24 + LETTER * 1.1 * max(len(plain(y)) for y in ticks(*self.y)))  # beside the axis' name
        self.right, self.bottom = size.width - RIGHT - side, size.height - BOTTOM

    @staticmethod
    def _limits(values: Sequence[float]) -> tuple[float, float]:
        low, high = min(values), max(values)
        pad = (high - low) * 0.06 or abs(high) * 0.1 or 1.0
        return (low if low == 0 else low - pad), high + pad

    def px(self, x: float) -> float:
        value = math.log10(x) if self.log_x else x
        return self.left + (value - self.x[0]) / (self.x[1] - self.x[0]) * (self.right - self.left)

    def py(self, y: float) -> float:
        return self.bottom - (y - self.y[0]) / (self.y[1] - self.y[0]) * (self.bottom - TOP)

    def frame(self, x_label: str, y_label: str) -> list[str]:
        bottom, parts = self.bottom, []
        for x in self._places():
            parts.append(f'<line class="grid" x1="{self.px(x):.1f}" x2="{self.px(x):.1f}" y1="{TOP}" y2="{bottom}"/>')
            parts.append(_text(self.px(x), bottom + 16, plain(float(f"{x:.3g}"))))
        for y in ticks(*self.y):
            parts.append(
                f'<line class="grid" x1="{self.left:.4g}" x2="{self.right}" y1="{self.py(y):.1f}" y2="{self.py(y):.1f}"/>'
            )
            parts.append(_text(self.left - 6, self.py(y) + 4, plain(y), anchor="end"))
        across = (self.left + self.right) / 2
        parts.append(_title(x_label, across, bottom + 36, 2 * min(across, self.right + RIGHT - across)))
        middle = (TOP + bottom) / 2
        parts.append(_title(y_label, 14, middle, bottom, f' transform="rotate(-90 14 {middle:.0f})"'))
        return parts

    def _places(self) -> list[float]:
        """Where the horizontal axis has its ticks."""
        if not self.log_x:
            return ticks(*self.x, max(round((self.right - self.left) / 90), 3))
        low, high = self.x
        for steps in ((1,), (1, 2, 5)):
            places = [step * 10.0**p for p in range(math.floor(low), math.floor(high) + 1) for step in steps]
            if len(places := [x for x in places if low <= math.log10(x) <= high]) > 1:
                return places
        return ticks(10**low, 10**high, 3)


def _text(x: float, y: float, text: str, *, anchor: str = "middle") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _title(text: str, x: float, y: float, room: float, turned: str = "") -> str:
    """The name of an axis, pressed together where it would leave the picture."""
    fit = f' textLength="{room:.0f}" lengthAdjust="spacingAndGlyphs"' if LETTER * 1.1 * len(text) > room else ""
    return f'<text class="axis"{turned} x="{x:.0f}" y="{y:.0f}" text-anchor="middle"{fit}>{escape(text)}</text>'


def svg(parts: Sequence[str], title: str, size: Size = WIDE) -> Markup:
    head = f'<svg class="picture" viewBox="0 0 {size.width} {size.height}" role="img" aria-label="{escape(title)}" preserveAspectRatio="xMidYMid meet">'
    return Markup(head + "".join(parts) + "</svg>")


FILE_STYLE = (  # what a picture outside the pages' style sheet needs
    "text{font:12px system-ui,sans-serif;fill:#55595f}.axis,.number{fill:#1c1e22}.number{font-size:11px}"
    ".grid{stroke:#d5d6d2}.target{stroke:#b34700;stroke-width:1.5;stroke-dasharray:5 4}.mark{stroke:#fff}"
    ".ranked,.bar.strong{fill:#0a57a4}.other{fill:#00727a}.calibration,.bar{fill:#55595f}.oracle{fill:#8a6a00}"
    ".join{fill:none;stroke:#55595f}.whisker{stroke:#1c1e22;stroke-width:2}.line{fill:none;stroke-width:2}.lead{fill:none;stroke:#55595f;stroke-width:.8}.rest{stroke:#55595f;stroke-width:.7;opacity:.6}"
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
