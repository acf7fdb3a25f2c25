"""Pictures of a method's own, drawn on request: `dyadbench run --draw N`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dyadbench.api import Dataset, Drawable, DyadbenchError, OnTokens
from dyadbench.errors import PluginError
from dyadbench.files.atomic import atomic_write
from dyadbench.records.record import Record


class NoPictures(DyadbenchError):
    """Pictures cannot be drawn. That costs no numbers: `record` is whole."""

    def __init__(self, error: DyadbenchError, record: Record):
        super().__init__(f"its record is written, and its pictures cannot be drawn: {error}")
        self.record = record


def draw_clips(predictor: Any, dataset: Dataset, split: str, folder: Path, count: int) -> list[Path]:
    """Draws the first `count` clips of a split into `folder` and returns the files.

    Raises DyadbenchError where neither the predictor nor its tokenizer has pictures.
    """
    parts = [
        part
        for part in (predictor.tokenizer if isinstance(predictor, OnTokens) else None, predictor)
        if isinstance(part, Drawable)
    ]
    if not parts:
        raise DyadbenchError("this method has no pictures of its own; leave --draw out")
    paths = []
    for index, clip in enumerate(dataset.clips(split)[:count]):
        dyad = dataset.dyad(split, index, predictor.needs.audio)
        for part in parts:
            pictures = part.draw(dyad)
            if not isinstance(pictures, Mapping) or not all(
                isinstance(text, str) for pair in pictures.items() for text in pair
            ):
                raise PluginError(
                    f"{type(part).__name__}.draw returned no pictures; return names and the text of an SVG each"
                )
            for name, svg in pictures.items():
                # A plugin chooses the name, so it is made a plain file name: it cannot lead out of the folder.
                paths.append(folder / f"{plain_name(clip.id)}-{plain_name(name)}.svg")
                atomic_write(paths[-1], svg)
    return paths


def plain_name(name: str) -> str:
    """A name as one part of a path: letters, digits, `_`, `=`, `-` and inner dots."""
    return re.sub(r"[^\w.=-]+", "-", name).lstrip(".") or "unnamed"
