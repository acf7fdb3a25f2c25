"""A part of a dataset, for a first try: some clips of every split. Whatever is measured on it ranks nowhere."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from dyadbench.api import Clip, Dataset, Dyad, Track, Voiced
from dyadbench.datasets.fresh import fresh_listener


class LimitedDataset:
    """At most `limit` clips of every split, spread evenly over it so that sessions stay as many as can be.

    The digest tells it from the whole, so nothing that was learnt or made on a part is ever taken for the whole's.
    """

    def __init__(self, dataset: Dataset, limit: int):
        self._dataset, self._limit = dataset, limit
        self.space, self.audio, self.has_emotion = dataset.space, dataset.audio, dataset.has_emotion

    @property
    def simulated(self) -> bool:
        return self._dataset.simulated

    @cached_property
    def digest(self) -> str:
        return hashlib.sha256(f"{self._dataset.digest}, {self._limit} clips per split".encode()).hexdigest()

    def normalisation(self) -> Mapping[str, Any]:
        return self._dataset.normalisation()

    @lru_cache(maxsize=8)  # noqa: B019  # a dataset lives as long as the run
    def _rows(self, split: str) -> list[int]:
        count = len(self._dataset.clips(split))
        chosen = min(self._limit, count)
        return [int((i + 0.5) * count / chosen) for i in range(chosen)]

    @lru_cache(maxsize=8)  # noqa: B019  # as above
    def clips(self, split: str) -> Sequence[Clip]:
        every = self._dataset.clips(split)
        return [every[row] for row in self._rows(split)]

    def dyad(self, split: str, index: int, audio: Sequence[str] = ()) -> Dyad:
        return self._dataset.dyad(split, self._rows(split)[index], audio)

    def appropriate(self, split: str) -> np.ndarray:
        """Among the clips that are left; a clip is always appropriate for itself."""
        rows = self._rows(split)
        return self._dataset.appropriate(split)[np.ix_(rows, rows)] | np.eye(len(rows), dtype=bool)

    def fresh(self, split: str, index: int, draw: int) -> Track:
        """A new listener where the dataset can draw one (api.DrawsListeners)."""
        return fresh_listener(self._dataset, split, self._rows(split)[index], draw)

    def voice(self, split: str, index: int) -> tuple[np.ndarray, int] | None:
        """The speaker's (samples,) and their rate where the dataset has sound to play."""
        return self._dataset.voice(split, self._rows(split)[index]) if isinstance(self._dataset, Voiced) else None

    def listeners(self, split: str) -> list[str] | None:
        """Who listens in each clip, where the dataset knows."""
        listeners = getattr(self._dataset, "listeners", None)
        return [listeners(split)[row] for row in self._rows(split)] if listeners else None
