"""What a component may learn from: the train and validation splits of a dataset."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from dyadbench.api import Clip, Dataset, Dyad, DyadbenchError, Track

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class TrainSplits:
    """The train and validation splits, read clip by clip (api.TrainData)."""

    def __init__(self, dataset: Dataset):
        self._dataset = dataset

    def clips(self, split: str) -> Sequence[Clip]:
        """Of the frames that speaker and listener both have: what is learnt from a pair is what both do at a time."""
        clips = self._dataset.clips(split)
        if not len(clips) and split == "train":
            raise DyadbenchError(
                "split 'train' of the dataset holds no clips, so there is nothing to learn from; `dyadbench data check` says why"
            )
        return [
            clip
            if clip.listener_frames is None
            else replace(clip, frames=min(clip.frames, clip.listener_frames), listener_frames=None)
            for clip in clips
        ]

    def dyads(self, split: str, audio: Sequence[str] = ()) -> Iterator[Dyad]:
        for index, clip in enumerate(self.clips(split)):
            dyad = self._dataset.dyad(split, index, audio)
            whole = dyad.clip.listener_frames is None
            yield dyad if whole else Dyad(clip, *(cut(t, clip.frames) for t in (dyad.speaker, dyad.listener)))

    def appropriate(self, split: str) -> NDArray[np.bool_]:
        """(N, N): among the listeners of clips."""
        return self._dataset.appropriate(split)[:, : len(self._dataset.clips(split))]


def cut(track: Track, frames: int) -> Track:
    """The first frames of a track, with as much of its sound."""
    rates = {name: len(values) // len(track.motion) for name, values in track.audio.items()}
    return replace(
        track,
        motion=track.motion[:frames],
        emotion=None if track.emotion is None else track.emotion[:frames],
        audio={name: values[: frames * rates[name]] for name, values in track.audio.items()},
    )
