"""New listeners for a clip, where a dataset can draw them."""

from __future__ import annotations

from dyadbench.api import Dataset, DrawsListeners, DyadbenchError, Track


def fresh_listener(dataset: Dataset, split: str, index: int, draw: int) -> Track:
    """`dataset.fresh(split, index, draw)`; DyadbenchError in one sentence where its people cannot be drawn again."""
    if not isinstance(dataset, DrawsListeners):
        raise DyadbenchError(
            "a fresh listener is not available: the people of this dataset were recorded, and only simulated people can be drawn again"
        )
    return dataset.fresh(split, index, draw)
