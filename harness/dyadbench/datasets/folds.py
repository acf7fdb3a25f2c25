"""Cross-validation by session, for any dataset: every session is tested once, by a method that never saw it.

Sessions are dealt to folds one after another, as cards are, in the natural order of their names ("s9" before "s11"). In
fold k the sessions dealt to it are the test split; of the others an even spread is held out for validation and the rest
is trained on. Nothing is random, so the folds depend on the names of the sessions alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from dyadbench.api import AppropriateBetween, Clip, Dataset, Dyad, DyadbenchError, MoreListeners
from dyadbench.datasets.limit import evenly
from dyadbench.datasets.view import listeners_of_no_clip, pass_on
from dyadbench.files.walk import natural

VERSION = 1  # raised whenever the same sessions may be dealt otherwise; part of every key of a fold
OWN_SPLITS = ("train", "val", "test")  # of the dataset that is dealt; whatever else it has stays out
VALIDATION = 0.15  # share of a fold's other sessions


@dataclass(frozen=True)
class _Place:
    """Where a clip lies in the dataset's own splits."""

    split: str
    index: int
    clip: Clip


def deal(sessions: Sequence[str], folds: int) -> list[tuple[str, ...]]:
    """The sessions that each fold tests. DyadbenchError where a fold would have nothing to train on, or nothing to test."""
    ordered = sorted(set(sessions), key=natural)
    if folds < 2:
        raise DyadbenchError(f"cross-validation needs two folds at least, not {folds}")
    if len(ordered) < max(folds, 3):
        raise DyadbenchError(
            f"{folds} folds need at least {max(folds, 3)} sessions, and the dataset has {len(ordered)}; "
            "choose fewer folds or add sessions"
        )
    return [tuple(ordered[fold::folds]) for fold in range(folds)]


class PooledDataset:
    """All clips of a dataset's splits as one split named "test", sessions in natural order."""

    def __init__(self, dataset: Dataset):
        _refuse_statistics(dataset)
        self.dataset = dataset
        self.space, self.audio, self.has_emotion = dataset.space, dataset.audio, dataset.has_emotion
        pass_on(self, dataset, self._at)
        if isinstance(dataset, MoreListeners):
            self.more_listeners = lambda split: [track for own in OWN_SPLITS for track in dataset.more_listeners(own)]

    @property
    def simulated(self) -> bool:
        return self.dataset.simulated

    @property
    def digest(self) -> str:
        return self.dataset.digest

    def normalisation(self) -> Mapping[str, Any]:
        return self.dataset.normalisation()

    @cached_property
    def _pool(self) -> list[_Place]:
        pool = [
            _Place(split, index, clip) for split in OWN_SPLITS for index, clip in enumerate(self.dataset.clips(split))
        ]
        return sorted(pool, key=lambda place: natural(place.clip.session))  # stable: clips stay in their order

    @cached_property
    def _splits(self) -> Mapping[str, list[_Place]]:
        """Split -> its clips."""
        return {"test": self._pool}

    def _places(self, split: str) -> list[_Place]:
        if split not in self._splits:
            raise DyadbenchError(
                f"there is no split {split!r} of a cross-validated dataset; it has {', '.join(self._splits)}"
            )
        return self._splits[split]

    def _at(self, split: str, index: int) -> tuple[str, int]:
        place = self._places(split)[index]
        return place.split, place.index

    def clips(self, split: str) -> Sequence[Clip]:
        return [place.clip for place in self._places(split)]

    def dyad(self, split: str, index: int, audio: Sequence[str] = ()) -> Dyad:
        return self.dataset.dyad(*self._at(split, index), audio)

    def appropriate(self, split: str) -> np.ndarray:
        """What the dataset says within its own splits, and across them where it can tell. Listeners of no clip come last."""
        places = self._places(split)
        if isinstance(self.dataset, AppropriateBetween):
            return self.dataset.appropriate_between([(place.split, place.index) for place in places])
        more = {own: listeners_of_no_clip(self.dataset, own) for own in OWN_SPLITS}
        matrix = np.zeros((len(places), len(places) + sum(more.values())), bool)
        first = len(places)
        for own in OWN_SPLITS:
            rows = [n for n, place in enumerate(places) if place.split == own]
            if rows:
                at, whole = [places[n].index for n in rows], len(self.dataset.clips(own))
                columns, sources = range(first, first + more[own]), range(whole, whole + more[own])
                matrix[np.ix_(rows, [*rows, *columns])] = self.dataset.appropriate(own)[np.ix_(at, [*at, *sources])]
            first += more[own]
        return matrix


class FoldedDataset(PooledDataset):
    """One fold of a dataset, with splits "train", "val" and "test" of its own."""

    def __init__(self, dataset: Dataset, fold: int, folds: int):
        super().__init__(dataset)
        self.fold, self.folds = fold, folds

    @cached_property
    def sessions(self) -> Mapping[str, tuple[str, ...]]:
        """Split -> its sessions."""
        dealt = deal([place.clip.session for place in self._pool], self.folds)
        rest = sorted((name for n, hand in enumerate(dealt) if n != self.fold for name in hand), key=natural)
        val_count = max(1, round(VALIDATION * len(rest)))
        val = {rest[i] for i in evenly(len(rest), val_count)}
        return {
            "train": tuple(name for name in rest if name not in val),
            "val": tuple(name for name in rest if name in val),
            "test": dealt[self.fold],
        }

    @cached_property
    def _splits(self) -> Mapping[str, list[_Place]]:
        return {
            split: [place for place in self._pool if place.clip.session in set(names)]
            for split, names in self.sessions.items()
        }


def _refuse_statistics(dataset: Dataset) -> None:
    """Statistics of the dataset's own training split would know sessions that a fold tests."""
    normalisation = dataset.normalisation()
    if normalisation.get("kind") not in ("none", None) and "train" in str(normalisation.get("split")):
        raise DyadbenchError(
            f"the dataset is normalised ({normalisation['kind']}) by statistics of its training split, which holds sessions "
            "that folds test; choose a configuration without, for cross-validation"
        )
