"""Averages of training reactions: the best one can do without looking at the speaker, and the regression to avoid."""

from __future__ import annotations

import numpy as np

from dyadbench.api import Context, Needs, Noise, Reaction, Setup, State, Track, TrainData
from dyadbench_baselines.config import MeanConfig


class _Average:
    needs = Needs(face=False)

    def __init__(self, config: MeanConfig, setup: Setup):
        self.config, self.dims = config, (setup.space.dim, 25 if setup.has_emotion else 0)
        self.sequence = np.zeros((1, sum(self.dims)), np.float32)  # (T or 1, D + 25)

    def _tracks(self, data: TrainData) -> list[np.ndarray]:
        """(T, D + 25) for each training listener (and speaker, if both roles count)."""

        def joined(track: Track) -> np.ndarray:
            if track.emotion is None:
                return track.motion
            length = min(len(track.motion), len(track.emotion))
            return np.concatenate([track.motion[:length], track.emotion[:length]], 1)

        tracks = []
        for dyad in data.dyads("train"):
            tracks.append(joined(dyad.listener))
            if self.config.both_roles:
                tracks.append(joined(dyad.speaker))
        return tracks

    def state_dict(self) -> State:
        return {"sequence": self.sequence}

    def load_state_dict(self, state: State) -> None:
        self.sequence = state["sequence"]

    def sample(self, context: Context, k: int, noise: Noise) -> Reaction:
        places = np.minimum(np.arange(context.frames), len(self.sequence) - 1)
        values = np.broadcast_to(self.sequence[places], (len(context.clips), k, context.frames, sum(self.dims)))
        motion = np.ascontiguousarray(values[..., : self.dims[0]])
        return Reaction(motion, np.ascontiguousarray(values[..., self.dims[0] :]) if self.dims[1] else None)


class MeanFrame(_Average):
    """The mean training frame in every frame (B_MeanFr). Calibrates FRDist without motion; its correlations are undefined."""

    def fit(self, data: TrainData) -> None:
        self.sequence = np.concatenate(self._tracks(data)).mean(0, dtype=np.float64, keepdims=True).astype(np.float32)


class MedianFrame(_Average):
    """The median training frame in every frame (Learning2Listen's Median). Calibrates L2."""

    def fit(self, data: TrainData) -> None:
        self.sequence = np.median(np.concatenate(self._tracks(data)), axis=0, keepdims=True).astype(np.float32)


class MeanSequence(_Average):
    """The mean over training clips of each frame (B_MeanSeq). Calibrates what a clock alone can know."""

    def fit(self, data: TrainData) -> None:
        tracks = self._tracks(data)
        longest = max(len(track) for track in tracks)
        total, count = np.zeros((longest, tracks[0].shape[1])), np.zeros((longest, 1))
        for track in tracks:
            total[: len(track)] += track
            count[: len(track)] += 1
        self.sequence = (total / count).astype(np.float32)
