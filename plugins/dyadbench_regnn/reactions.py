"""The appropriate reactions to a split's clips, from which training takes windows."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from dyadbench.api import DyadbenchError, TrainData


class Reactions:
    """Every listener of a split, and which listeners' reactions are appropriate for which clip."""

    def __init__(self, data: TrainData, split: str, channels: str):
        self._row: dict[str, int] = {}
        self._tracks: list[np.ndarray] = []  # (T, C)
        for dyad in data.dyads(split):
            track = dyad.listener.emotion if channels == "emotion" else dyad.listener.motion
            if track is None:
                raise DyadbenchError(f"clip {dyad.clip.id} has no emotion, which regnn needs; take regnn-motion")
            self._row[dyad.clip.id] = len(self._tracks)
            self._tracks.append(track)
        self._suit = [np.flatnonzero(row) for row in data.appropriate(split)]
        self.most = max((len(row) for row in self._suit), default=0)

    def draw(
        self, clips: tuple[str, ...], starts: np.ndarray, frames: int, k: int, keys: np.ndarray | None = None
    ) -> tuple[Tensor, Tensor]:
        """Up to k appropriate reactions per clip, at the frames of its window: (W, K, C, T), and which exist, (W, K).

        keys (W, most): the reactions with the smallest keys are taken; without keys, the first ones. Recordings of
        different listeners are not aligned, so a window takes the same frame numbers of each, as in the release.
        """
        rows = [self._suit[self._row[clip]] for clip in clips]
        if keys is not None:
            rows = [row[keys[i, : len(row)].argsort()] for i, row in enumerate(rows)]
        there = np.zeros((len(clips), k), bool)
        out = np.zeros((len(clips), k, frames, self._tracks[0].shape[1]), np.float32)
        for i, row in enumerate(rows):
            for j, other in enumerate(row[:k]):
                out[i, j], there[i, j] = window(self._tracks[other], int(starts[i]), frames), True
        return torch.from_numpy(out).mT, torch.from_numpy(there)


def window(track: np.ndarray, start: int, frames: int) -> np.ndarray:
    """`frames` frames of a track (T, C) from `start`, or its last ones. The last frame of a shorter track repeats."""
    start = min(start, max(0, len(track) - frames))
    part = track[start : start + frames]
    return np.concatenate([part, np.repeat(part[-1:], frames - len(part), 0)]) if len(part) < frames else part
