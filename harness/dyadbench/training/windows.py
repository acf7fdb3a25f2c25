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
    sessions: list[str] = field(default_factory=list)
    motion: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)  # speaker, listener (T, D)
    emotion: list[tuple[np.ndarray, np.ndarray] | None] = field(default_factory=list)
    audio: list[Mapping[str, np.ndarray]] = field(default_factory=list)


class WindowSource:
    """Draws windows of a split. A batch depends only on its random generator, not on the batches before it."""

    def __init__(self, data: TrainData, split: str, audio: Sequence[str], specs: Mapping[str, AudioSpec]):
        if lacking := [name for name in audio if name not in specs]:
            raise DyadbenchError(
                f"its training asks for the audio feature {lacking[0]!r}, which these data do not have; they have {', '.join(specs) or 'none'}"
            )
        self._specs = {name: specs[name] for name in audio}
        self._tracks = _Tracks()
        for dyad in data.dyads(split, tuple(audio)):
            self._tracks.clips.append(dyad.clip.id)
            self._tracks.sessions.append(dyad.clip.session)
            self._tracks.motion.append((dyad.speaker.motion, dyad.listener.motion))
            both = dyad.speaker.emotion is not None and dyad.listener.emotion is not None
            self._tracks.emotion.append((dyad.speaker.emotion, dyad.listener.emotion) if both else None)  # type: ignore[arg-type]
            self._tracks.audio.append({name: dyad.speaker.audio[name] for name in audio})
        if not self._tracks.clips:
            raise DyadbenchError(f"cannot train: split {split!r} has no clips")

    def draw(
        self, windows: Windows, rng: np.random.Generator, device: torch.device, step: int, progress: float
    ) -> WindowBatch:
        # With replacement: the batch then follows from the generator alone, and no epoch's order has to be stored.
        rows = rng.integers(len(self._tracks.clips), size=windows.batch)
        return self._batch(
            [(int(row), self._start(int(row), windows.frames, rng)) for row in rows], windows, device, step, progress
        )

    def sweep(
        self, windows: Windows, device: torch.device, limit: int, *, stranger: Sequence[str] = ()
    ) -> Iterator[WindowBatch]:
        """Fixed validation windows: the middle one of each clip, in order, at most `limit` batches.

        Where there are more clips than that, they are taken at even distances: neighbours in a list are of one conversation.
        `stranger` names what comes from a speaker of another session instead: "face" (motion and emotion), "sound" (and words).
        """
        places = [(row, self._middle(row, windows)) for row in range(len(self._tracks.clips))]
        others = [(row, self._middle(row, windows)) for row in self._elsewhere()] if stranger else places
        faces, voices = (others if what in stranger else places for what in ("face", "sound"))
        rows = np.linspace(0, len(places) - 1, min(len(places), limit * windows.batch)).round().astype(int)
        for first in range(0, len(rows), windows.batch):
            mine, face, voice = (
                [at[row] for row in rows[first : first + windows.batch]] for at in (places, faces, voices)
            )
            yield self._batch(mine, windows, device, -1, 1.0, faces=face, voices=voice)

    @property
    def has_strangers(self) -> bool:
        """Whether there are two sessions, so that somebody of another conversation can be found."""
        return len(set(self._tracks.sessions)) > 1

    def _elsewhere(self) -> list[int]:
        """For each clip the next one, around the end, of another session, so that nobody gets a speaker of the own session."""
        sessions, count = self._tracks.sessions, len(self._tracks.sessions)
        return [
            next(other for n in range(1, count) if sessions[other := (row + n) % count] != sessions[row])
            for row in range(count)
        ]

    def _middle(self, row: int, windows: Windows) -> int:
        return max(0, (len(self._tracks.motion[row][0]) - windows.frames) // 2)

    def _start(self, row: int, frames: int, rng: np.random.Generator) -> int:
        spare = len(self._tracks.motion[row][0]) - frames
        return int(rng.integers(spare + 1)) if spare > 0 else 0

    def _batch(
        self,
        places: Sequence[tuple[int, int]],
        windows: Windows,
        device: torch.device,
        step: int,
        progress: float,
        *,
        faces: Sequence[tuple[int, int]] | None = None,
        voices: Sequence[tuple[int, int]] | None = None,
    ) -> WindowBatch:
        """The windows at `places` (clip, first frame); the speaker's face and voice may come from other places."""
        t = self._tracks
        faces, voices = faces or places, voices or places

        def stack(arrays: Sequence[np.ndarray], at: Sequence[tuple[int, int]], per_frame: int = 1) -> Tensor:
            return torch.from_numpy(_cut(arrays, at, windows.frames, per_frame)).to(device)

        rows = [row for row, _ in places]
        felt = [pair[1] for row in rows if (pair := t.emotion[row]) is not None]
        speaker_emotion = [pair[0] for row, _ in faces if (pair := t.emotion[row]) is not None]
        # All rows or none: a batch of which half has emotion would need a mask in every loss.
        all_have_emotion = len(felt) == len(speaker_emotion) == len(rows)
        lengths = torch.tensor([len(t.motion[row][0]) - start for row, start in places])
        return WindowBatch(
            clips=tuple(t.clips[row] for row in rows),
            speaker_motion=stack([t.motion[row][0] for row, _ in faces], faces),
            listener_motion=stack([t.motion[row][1] for row in rows], places),
            speaker_emotion=stack(speaker_emotion, faces) if all_have_emotion else None,
            listener_emotion=stack(felt, places) if all_have_emotion else None,
            audio={
                name: stack([t.audio[row][name] for row, _ in voices], voices, spec.per_frame)
                for name, spec in self._specs.items()
            },
            valid=(torch.arange(windows.frames)[None] < lengths[:, None]).to(device),
            step=step,
            progress=progress,
            starts=np.array([start for _, start in places]),
            voices=tuple((t.clips[row], start) for row, start in voices),
        )


def rows_of_rank(batch: WindowBatch, rank: int, world: int, seed: int) -> WindowBatch:
    """This process's rows of a batch that all processes drew. `seed` starts the random numbers that losses draw for all rows."""
    if world == 1:
        return batch
    # Every size-th row, not a block: rows that a loss treats by their position spread evenly over processes.
    rows = (
        "speaker_motion", "listener_motion", "speaker_emotion", "listener_emotion", "valid", "clips", "starts", "voices",
    )  # fmt: skip
    mine: dict[str, Any] = {
        name: None if (value := getattr(batch, name)) is None else value[rank::world] for name in rows
    }
    return dataclasses.replace(
        batch, audio={k: v[rank::world] for k, v in batch.audio.items()}, rank=rank, processes=world,
        rows=len(batch.clips), generator=torch.Generator().manual_seed(seed), **mine,
    )  # fmt: skip


def _cut(arrays: Sequence[np.ndarray], at: Sequence[tuple[int, int]], frames: int, per_frame: int) -> np.ndarray:
    """`frames` frames of each clip's array from its place (clip, first frame) on: (B, frames * per_frame, C).

    Zeros after a clip's end; `WindowBatch.valid` says where that is, so that a loss can leave it out.
    """
    size = frames * per_frame
    out = np.zeros((len(arrays), size, arrays[0].shape[1]), np.float32)
    for i, ((_, start), array) in enumerate(zip(at, arrays, strict=True)):
        part = array[start * per_frame : start * per_frame + size]
        out[i, : len(part)] = part
    return out
