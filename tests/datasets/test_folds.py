"""What a fold is: every session tested once, and nothing of a tested session in training or validation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from dyadbench.api import AudioSpec, Clip, Dataset, Dyad, DyadbenchError, MotionSpace, Track
from dyadbench.datasets.folds import FoldedDataset, PooledDataset, deal, natural

SIZES = {"train": 13, "val": 3, "test": 4}  # sessions, named s1 ... s20 in this order


class Counted:
    """Two clips per session, whose motion is their session's number."""

    space = MotionSpace("one", 10.0, ("x",), {"all": (0, 1)})
    audio: Mapping[str, AudioSpec] = {}  # never changed
    has_emotion = False
    simulated = True
    digest = "d"
    kind = "none"

    def normalisation(self) -> Mapping[str, Any]:
        return {"kind": self.kind, "split": "train"}

    def _numbers(self, split: str) -> list[int]:
        first = 1 + sum(size for name, size in SIZES.items() if list(SIZES).index(name) < list(SIZES).index(split))
        return [number for number in range(first, first + SIZES[split]) for _ in range(2)]

    def clips(self, split: str) -> Sequence[Clip]:
        return [Clip(f"s{number}/{n % 2}", f"s{number}", 4) for n, number in enumerate(self._numbers(split))]

    def dyad(self, split: str, index: int, audio: Sequence[str] = ()) -> Dyad:
        track = Track(np.full((4, 1), self._numbers(split)[index], np.float32))
        return Dyad(self.clips(split)[index], track, track)

    def appropriate(self, split: str) -> np.ndarray:
        numbers = self._numbers(split)
        return np.array([[one == two for two in numbers] for one in numbers])


def test_every_session_is_tested_once_and_never_seen_by_its_fold() -> None:
    tested: list[str] = []
    for fold in range(5):
        data = FoldedDataset(Counted(), fold, 5)
        assert isinstance(data, Dataset)
        sessions = {split: {clip.session for clip in data.clips(split)} for split in ("train", "val", "test")}
        assert [len(sessions[split]) for split in sessions] == [14, 2, 4]
        assert len(set.union(*sessions.values())) == 20
        assert not sessions["test"] & (sessions["train"] | sessions["val"]) and not sessions["train"] & sessions["val"]
        tested += [clip.id for clip in data.clips("test")]
        for split in sessions:
            for index, clip in enumerate(data.clips(split)):
                dyad = data.dyad(split, index)
                assert dyad.clip == clip and f"s{dyad.listener.motion[0, 0]:g}" == clip.session
    assert sorted(tested) == sorted(clip.id for clip in PooledDataset(Counted()).clips("test"))


def test_all_folds_together_are_in_natural_order_with_what_is_appropriate() -> None:
    pooled = PooledDataset(Counted())
    assert [clip.id for clip in pooled.clips("test")][:4] == ["s1/0", "s1/1", "s2/0", "s2/1"]
    assert natural("s9") < natural("s11") and natural("a2b10") > natural("a2b9")
    assert natural("s1\u00b2") > natural("s1"), "a raised 2 is no number of a name"
    matrix = pooled.appropriate("test")
    assert matrix.shape == (40, 40) and np.array_equal(matrix, np.kron(np.eye(20), np.ones((2, 2))).astype(bool))
    fold = FoldedDataset(Counted(), 1, 5)
    assert fold.appropriate("test").sum() == 16
    with pytest.raises(DyadbenchError, match="no split 'train'"):
        pooled.clips("train")


def test_too_few_sessions_and_statistics_of_training_are_refused() -> None:
    assert deal(["b", "a", "c", "a"], 3) == [("a",), ("b",), ("c",)]
    with pytest.raises(DyadbenchError, match="5 folds need at least 5 sessions, and the dataset has 3"):
        deal(["a", "b", "c"], 5)
    data = Counted()
    data.kind = "standardise"
    with pytest.raises(DyadbenchError, match="holds sessions that folds test"):
        FoldedDataset(data, 0, 5)
