"""What a component may learn from: the train and validation splits of a dataset."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from dyadbench.api import Clip, Dataset, Dyad

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class TrainSplits:
    """The train and validation splits, read clip by clip (api.TrainData)."""

    def __init__(self, dataset: Dataset):
        self._dataset = dataset

    def clips(self, split: str) -> Sequence[Clip]:
        return self._dataset.clips(split)

    def dyads(self, split: str, audio: Sequence[str] = ()) -> Iterator[Dyad]:
        for index in range(len(self._dataset.clips(split))):
            yield self._dataset.dyad(split, index, audio)

    def appropriate(self, split: str) -> NDArray[np.bool_]:
        return self._dataset.appropriate(split)
