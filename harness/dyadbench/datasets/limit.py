"""A part of a dataset: some clips of every split (`--limit`, for a first try, whose scores are ranked nowhere), or some clips of
the split that is scored (`--clips`, a benchmark of its own)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from dyadbench.api import Clip, Dataset, Dyad, DyadbenchError, MoreListeners
from dyadbench.datasets.view import listeners_of_no_clip, pass_on


def evenly(count: int, chosen: int) -> list[int]:
    """`chosen` of the places 0 to count - 1, in order and evenly spread; all where there are no more.

    What comes first in a list of clips may be of one site, of one role or of one conversation.
    """
    chosen = min(chosen, count)
    return [int((i + 0.5) * count / chosen) for i in range(chosen)]


class LimitedDataset:
    """At most `limit` clips of every split, spread evenly over it so that sessions stay as many as can be.

    The digest tells it from the whole, so nothing that was learnt or made on a part is ever taken for the whole's.
    """

    def __init__(self, dataset: Dataset, limit: int):
        self._dataset, self._limit = dataset, limit
        self.space, self.audio, self.has_emotion = dataset.space, dataset.audio, dataset.has_emotion
        pass_on(self, dataset, self._at)
        if isinstance(dataset, MoreListeners):
            self.more_listeners = dataset.more_listeners

    @property
    def simulated(self) -> bool:
        return self._dataset.simulated

    @property
    def digest(self) -> str:
        return hashlib.sha256(f"{self._dataset.digest}, {self._limit} clips per split".encode()).hexdigest()

    def normalisation(self) -> Mapping[str, Any]:
        return self._dataset.normalisation()

    @lru_cache(maxsize=8)  # noqa: B019  # a dataset lives as long as the run
    def _rows(self, split: str) -> list[int]:
        """Which clips of the whole are left."""
        return evenly(len(self._dataset.clips(split)), self._limit)

    @lru_cache(maxsize=8)  # noqa: B019  # as above
    def clips(self, split: str) -> Sequence[Clip]:
        every = self._dataset.clips(split)
        return [every[row] for row in self._rows(split)]

    def dyad(self, split: str, index: int, audio: Sequence[str] = ()) -> Dyad:
        return self._dataset.dyad(*self._at(split, index), audio)

    def _at(self, split: str, index: int) -> tuple[str, int]:
        return split, self._rows(split)[index]

    def appropriate(self, split: str) -> np.ndarray:
        """Among the clips that are left, and the listeners of no clip; a clip is always appropriate for itself."""
        rows, whole = self._rows(split), len(self._dataset.clips(split))
        columns = [*rows, *range(whole, whole + listeners_of_no_clip(self._dataset, split))]
        return self._dataset.appropriate(split)[np.ix_(rows, columns)] | np.eye(len(rows), len(columns), dtype=bool)


class FewerClips(LimitedDataset):
    """At most `count` clips of the split that is scored. The other splits, and so all that is learnt, are the whole's."""

    def __init__(self, dataset: Dataset, split: str, count: int):
        super().__init__(dataset, count)
        self._split = split

    @property
    def digest(self) -> str:
        """Of the whole, since what is learnt is the same; keys of reactions hold the number of clips beside it."""
        return self._dataset.digest

    @lru_cache(maxsize=8)  # noqa: B019  # as above
    def _rows(self, split: str) -> list[int]:
        return super()._rows(split) if split == self._split else list(range(len(self._dataset.clips(split))))


def scored_part(dataset: Dataset, split: str, clips: int) -> Dataset:
    """The dataset with the clips that a benchmark scores; 0: all. Raises DyadbenchError where the split has fewer."""
    if clips > (there := len(dataset.clips(split))):
        raise DyadbenchError(
            f"{clips} clips are to be scored and split {split!r} has {there}; leave --clips out to score all"
        )
    return FewerClips(dataset, split, clips) if clips else dataset
