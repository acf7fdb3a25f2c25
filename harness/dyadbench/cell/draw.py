"""Pictures of a method's own, drawn on request: `dyadbench run --draw N`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from dyadbench.api import Drawable, DyadbenchError
from dyadbench.store.folders import atomic_write

if TYPE_CHECKING:
    from dyadbench.cell.run import CellRun


def draw_clips(run: CellRun, count: int) -> list[Path]:
    """Draws the first `count` clips of the cell's split and returns the files, below `pictures` in the home folder.

    Raises DyadbenchError where neither the predictor nor its tokenizer has pictures.
    """
    predictor, _ = run.fit()
    parts = [part for part in (getattr(predictor, "tokenizer", None), predictor) if isinstance(part, Drawable)]
    if not parts:
        raise DyadbenchError(f"{run.cell.method} has no pictures of its own; leave --draw out")
    folder = run.runtime.home / "pictures" / _plain(run.cell.name)
    drawn = []
    for index, clip in enumerate(run.split.clips[:count]):
        dyad = run.dataset.dyad(run.cell.setting.split, index)
        for part in parts:
            for name, svg in part.draw(dyad).items():
                drawn.append(folder / f"{_plain(clip.id)}-{name}.svg")
                atomic_write(drawn[-1], svg)
    return drawn


def _plain(name: str) -> str:
    """A name as part of a path."""
    return re.sub(r"[^\w.=-]+", "-", name)
