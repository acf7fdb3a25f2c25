"""SVG pictures of keyframe probabilities over the motion of the most varying channels, after figures 7 and 8."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

import numpy as np

from dyadbench.api import Array

WIDTH, LEFT, ROW, GAP = 1000, 90, 90, 14  # pixels
TRUTH, PAINTED, PROBABILITY, KEY = "#8a8f98", "#1f6fb2", "#f2b134", "#c1352b"


@dataclass(frozen=True)
class Strip:
    """One channel of a clip, each array (T,)."""

    channel: str
    truth: Array
    painted: Array
    probability: Array  # of being a keyframe, in [0, 1]
    keys: np.ndarray  # bool


def strongest(motion: Array, number: int) -> list[int]:
    """The channels (T, D) that vary most, strongest first."""
    return [int(c) for c in np.argsort(-motion.std(0), kind="stable")[:number]]


def _path(values: Array, top: float, low: float, high: float, step: float) -> str:
    y = top + ROW - (values - low) / max(high - low, 1e-9) * ROW
    return " ".join(f"{LEFT + i * step:.1f},{v:.1f}" for i, v in enumerate(y))


def _strip(strip: Strip, top: float, step: float) -> list[str]:
    both = np.concatenate([strip.truth, strip.painted])
    low, high = float(both.min()), float(both.max())
    end = LEFT + (len(strip.truth) - 1) * step
    area = f"{LEFT},{top + ROW} {_path(strip.probability, top, 0.0, 1.0, step)} {end:.1f},{top + ROW}"
    marks = "".join(f"M{LEFT + i * step:.1f},{top}v{ROW}" for i in np.flatnonzero(strip.keys))
    return [
        f'<polygon points="{area}" fill="{PROBABILITY}" fill-opacity="0.45"/>',
        f'<path d="{marks}" stroke="{KEY}" stroke-width="1"/>',
        f'<polyline points="{_path(strip.truth, top, low, high, step)}" fill="none" stroke="{TRUTH}" stroke-width="1.5"/>',
        f'<polyline points="{_path(strip.painted, top, low, high, step)}" fill="none" stroke="{PAINTED}" stroke-width="1.5"/>',
        f'<text x="{LEFT - 8}" y="{top + ROW / 2}" text-anchor="end">{escape(strip.channel)}</text>',
    ]


def picture(title: str, strips: Sequence[Strip], fps: float) -> str:
    """One SVG document: a strip per channel over a common time axis in seconds."""
    frames = len(strips[0].truth)
    step = (WIDTH - LEFT - 10) / max(frames - 1, 1)
    foot = 40 + len(strips) * (ROW + GAP)
    legend = (
        (TRUTH, "motion"),
        (PAINTED, "inpainted from the keyframes"),
        (PROBABILITY, "keyframe probability"),
        (KEY, "keyframe"),
    )
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{foot + 50}" font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="{LEFT}" y="20" font-size="14">{escape(title)}</text>',
    ]
    for n, strip in enumerate(strips):
        parts += _strip(strip, 40 + n * (ROW + GAP), step)
    for second in range(0, int((frames - 1) / fps) + 1, max(1, round(frames / fps / 15))):
        parts.append(
            f'<text x="{LEFT + second * fps * step:.1f}" y="{foot + 6}" text-anchor="middle">{second} s</text>'
        )
    for n, (colour, word) in enumerate(legend):
        x = LEFT + n * 210
        parts += [
            f'<rect x="{x}" y="{foot + 24}" width="14" height="10" fill="{colour}"/>',
            f'<text x="{x + 20}" y="{foot + 33}">{word}</text>',
        ]
    return "\n".join([*parts, "</svg>"]) + "\n"
