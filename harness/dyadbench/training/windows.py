"""Training windows: how they are cut from clips, and which rows each process gets."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dyadbench.api import AudioSpec, DyadbenchError, TrainData, WindowBatch, Windows


@dataclass
class _Tracks:
    """The tracks of one split in memory."""

    clips: list[str] = field(default_factory=list)
    motion: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)  # speaker, listener (T, D)
    emotion: list[tuple[np.ndarray, np.ndarray] | None] = field(default_factory=list)
    audio: list[Mapping[str, np.ndarray]] = field(default_factory=list)


class WindowSource:
    """Draws windows of a split. A batch depends only on its random generator, not on the batches before it."""

    def __init__(self, data: TrainData, split: str, audio: Sequence[str], specs: Mapping[str, AudioSpec]):
        self._specs = {name: specs[name] for name in audio}
        self._tracks = _Tracks()
        for dyad in data.dyads(split, tuple(audio)):
            self._tracks.clips.append(dyad.clip.id)
            self._tracks.motion.append((dyad.speaker.motion, dyad.listener.motion))
            both = dyad.speaker.emotion is not None and dyad.listener.emotion is not None
            self._tracks.emotion.append((dyad.speaker.emotion, dyad.listener.emotion) if both else None)  # type: ignore[arg-type]
            self._tracks.audio.append({name: dyad.speaker.audio[name] for name in audio})
        if not self._tracks.clips:
            raise DyadbenchError(f"cannot train: split {split!r} has no clips")

    def draw(
        self, windows: Windows, rng: np.random.Generator, device: torch.device, step: int, progress: float
    ) -> WindowBatch:
        rows = rng.integers(len(self._tracks.clips), size=windows.batch)
        return self._batch(
            [(int(row), self._start(int(row), windows.frames, rng)) for row in rows], windows, device, step, progress
        )

    def sweep(self, windows: Windows, device: torch.device, limit: int) -> Iterator[WindowBatch]:
        """Fixed validation windows: the middle one of each clip, in order, at most `limit` batches."""
        places = []
        for row, (speaker, _) in enumerate(self._tracks.motion):
            places.append((row, max(0, (len(speaker) - windows.frames) // 2)))
        for first in range(0, min(len(places), limit * windows.batch), windows.batch):
            yield self._batch(places[first : first + windows.batch], windows, device, -1, 1.0)

    def _start(self, row: int, frames: int, rng: np.random.Generator) -> int:
        spare = len(self._tracks.motion[row][0]) - frames
        return int(rng.integers(spare + 1)) if spare > 0 else 0

    def _batch(
        self, places: Sequence[tuple[int, int]], windows: Windows, device: torch.device, step: int, progress: float
    ) -> WindowBatch:
        t = self._tracks

        def stack(arrays: Sequence[np.ndarray], per_frame: int = 1) -> Tensor:
            size = windows.frames * per_frame
            out = np.zeros((len(arrays), size, arrays[0].shape[1]), np.float32)
            for i, ((_, start), array) in enumerate(zip(places, arrays, strict=True)):
                part = array[start * per_frame : start * per_frame + size]
                out[i, : len(part)] = part
            return torch.from_numpy(out).to(device)

        rows = [row for row, _ in places]
        emotions = [t.emotion[row] for row in rows]
        complete = [pair for pair in emotions if pair is not None]
        all_have_emotion = len(complete) == len(emotions)
        lengths = torch.tensor([len(t.motion[row][0]) - start for row, start in places])
        return WindowBatch(
            clips=tuple(t.clips[row] for row in rows),
            speaker_motion=stack([t.motion[row][0] for row in rows]),
            listener_motion=stack([t.motion[row][1] for row in rows]),
            speaker_emotion=stack([pair[0] for pair in complete]) if all_have_emotion else None,
            listener_emotion=stack([pair[1] for pair in complete]) if all_have_emotion else None,
            audio={
                name: stack([t.audio[row][name] for row in rows], spec.per_frame) for name, spec in self._specs.items()
            },
            valid=(torch.arange(windows.frames)[None] < lengths[:, None]).to(device),
            step=step,
            progress=progress,
            starts=np.array([start for _, start in places]),
        )


def rows_of_rank(batch: WindowBatch, rank: int, world: int, seed: int) -> WindowBatch:
    """This process's rows of a batch that all processes drew. `seed` starts the random numbers that losses draw for all rows."""
    if world == 1:
        return batch
    rows = ("speaker_motion", "listener_motion", "speaker_emotion", "listener_emotion", "valid", "clips", "starts")
    mine: dict[str, Any] = {
        name: None if (value := getattr(batch, name)) is None else value[rank::world] for name in rows
    }
    return dataclasses.replace(
        batch, audio={k: v[rank::world] for k, v in batch.audio.items()}, rank=rank, processes=world,
        rows=len(batch.clips), generator=torch.Generator().manual_seed(seed), **mine,
    )  # fmt: skip
