"""Tracks of training clips, each of its own length, from which reactions are drawn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dyadbench.api import Array, State


class Tracks:
    """P tracks end to end: `values` (sum of frames, C) and `frames` (P,)."""

    def __init__(self, values: Array, frames: Array):
        self.values, self.frames = values, frames
        self._first = np.cumsum(frames) - frames

    @staticmethod
    def of(tracks: Sequence[Array]) -> Tracks:
        return Tracks(np.concatenate(tracks).astype(np.float32), np.array([len(track) for track in tracks]))

    @staticmethod
    def from_state(state: State, name: str) -> Tracks:
        """What `state` wrote. Before tracks had their own lengths it was one array (P, T, C)."""
        values = np.asarray(state[name])
        if f"{name}_frames" in state:
            return Tracks(values, np.asarray(state[f"{name}_frames"]))
        return Tracks(values.reshape(-1, values.shape[-1]), np.full(len(values), values.shape[1]))

    def state(self, name: str) -> State:
        return {name: self.values, f"{name}_frames": self.frames}

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, row: int) -> Array:
        """(T, C)."""
        return self.values[self._first[row] : self._first[row] + self.frames[row]]

    def looped(self, picks: Array, frames: int) -> Array:
        """(B, K) rows to (B, K, `frames`, C); a track that is shorter starts over."""
        places = np.arange(frames) % self.frames[picks][..., None]
        return self.values[self._first[picks][..., None] + places]
