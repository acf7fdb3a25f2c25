"""An SVG picture of a graph over the channels of a reaction."""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import escape

import numpy as np

from dyadbench.api import Array

CELL, LEFT, TOP = 18, 90, 116  # pixels


def picture(title: str, graph: Array, names: Sequence[str]) -> str:
    """graph (C, C): a square for each edge, from clear for the lightest to opaque for the heaviest between two channels."""
    side, apart = len(names) * CELL, graph[~np.eye(len(names), dtype=bool)]
    low, high = float(apart.min()), float(apart.max())
    lines = (title, f"from {low:.3f} (white) to {high:.3f} (blue)")  # one line is wider than the graph
    parts = [f'<text x="10" y="{18 + 16 * n}" font-size="13">{escape(line)}</text>' for n, line in enumerate(lines)]
    for i, name in enumerate(names):
        middle = (i + 0.7) * CELL
        parts.append(f'<text x="{LEFT - 6}" y="{TOP + middle:.0f}" text-anchor="end">{escape(name)}</text>')
        parts.append(f'<text transform="translate({LEFT + middle:.0f},{TOP - 6}) rotate(-90)">{escape(name)}</text>')
        for j, weight in enumerate(graph[i]):
            share = min(max(float(weight) - low, 0.0) / max(high - low, 1e-9), 1.0)
            place = f'x="{LEFT + j * CELL}" y="{TOP + i * CELL}" width="{CELL}" height="{CELL}"'
            parts.append(f'<rect {place} fill="#1f6fb2" fill-opacity="{share:.2f}"/>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + side + 10}" height="{TOP + side + 10}" '
        f'font-family="sans-serif" font-size="11"><rect width="100%" height="100%" fill="white"/>{"".join(parts)}</svg>\n'
    )
