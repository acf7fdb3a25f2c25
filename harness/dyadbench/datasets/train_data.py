"""What a component may learn from: the train and validation splits of a dataset."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dyadbench.api import Clip, Dataset, Dyad


class TrainSplits:
    """The train and validation splits, read clip by clip (api.TrainData)."""

    def __init__(self, dataset: Dataset):
        self._dataset = dataset

    def clips(self, split: str) -> Sequence[Clip]:
        return self._dataset.clips(split)

    def dyads(self, split: str, audio: Sequence[str] = ()) -> Iterator[Dyad]:
        for index in range(len(self._dataset.clips(split))):
            yield self._dataset.dyad(split, index, audio)
