"""A dataset of a few seconds in memory, on which `dyadbench check` tries a plugin."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from dyadbench.api import (
    ACTION_UNITS,
    EMOTION_DIM,
    FACEVERSE_58,
    OWN_VOICE,
    AudioSpec,
    Clip,
    Context,
    Dyad,
    DyadbenchError,
    MotionSpace,
    Track,
    Truth,
    Word,
)  # fmt: skip

SOUND = {"mfcc-78": AudioSpec(78), "mel-128": AudioSpec(128, per_frame=4), "own-mfcc-78": AudioSpec(78)}
# A dataset with groups of its own, as labs have them: none is called `expression`.
OWN_SPACE = MotionSpace(
    name="own-6",
    fps=25.0,
    channels=("AU06", "AU12", "nod", "shake", "gaze_x", "gaze_y"),
    groups={"smile": (0, 2), "head": (2, 4), "gaze": (4, 6)},
)
WORDS = ("well", "yes", "I", "never", "thought", "about", "that")


def _words(row: int, seconds: float) -> tuple[Word, ...]:
    """Three words per second, others for every clip."""
    starts = np.arange(0.1, seconds, 0.33)
    return tuple(Word(WORDS[(row + n) % len(WORDS)], float(t), float(t) + 0.25) for n, t in enumerate(starts))


class TinyCorpus:
    """Random dyads, speaker and listener each for themselves; enough to fit anything for a moment."""

    def __init__(
        self,
        space: MotionSpace = FACEVERSE_58,
        *,
        frames: int = 96,
        emotion: bool = True,
        sound: bool = True,
        clips: int = 8,
    ):
        self.space, self.frames, self.emotion, self.count = space, frames, emotion, clips
        self.audio: Mapping[str, AudioSpec] = SOUND if sound else {}

    def clips(self, split: str) -> Sequence[Clip]:
        return [Clip(f"{split}/{i}", f"{split}/session{i // 2}", self.frames) for i in range(self.count)]

    def dyads(self, split: str, audio: Sequence[str] = ()) -> Iterator[Dyad]:
        for i, clip in enumerate(self.clips(split)):
            yield Dyad(clip, self._track(split, i, 0, audio), self._track(split, i, 1, ()))

    def dyad(self, split: str, index: int, audio: Sequence[str] = ()) -> Dyad:
        """The `index`-th dyad of a split."""
        return list(self.dyads(split, audio))[index]

    def appropriate(self, split: str) -> np.ndarray:
        """(N, N): the listeners of one session suit all of its speakers."""
        session = np.array([clip.session for clip in self.clips(split)])
        return session[:, None] == session

    def _track(self, split: str, index: int, person: int, audio: Sequence[str]) -> Track:
        rng = np.random.default_rng([len(split), index, person])
        motion = np.cumsum(rng.standard_normal((self.frames, self.space.dim)), 0).astype(np.float32) * 0.05
        emotion = None
        if self.emotion:
            emotion = rng.random((self.frames, EMOTION_DIM)).astype(np.float32)
            emotion[:, ACTION_UNITS] = emotion[:, ACTION_UNITS] > 0.6
        sound = {
            name: rng.standard_normal((self.frames * self.audio[name].per_frame, self.audio[name].dim)).astype(
                np.float32
            )
            for name in audio
        }
        return Track(motion, emotion, sound, _words(index, self.frames / self.space.fps))

    def _truth(self, rows: Sequence[int], frames: int) -> Truth:
        """Three listeners of each clip, its own first."""
        dyads, motion, emotion = list(self.dyads("test")), [], []
        for row in rows:
            tracks = [dyads[(row + i) % self.count].listener for i in range(3)]
            motion.append(np.stack([track.motion[:frames] for track in tracks]))  # (3, T, D)
            felt = [track.emotion[:frames] for track in tracks if track.emotion is not None]
            emotion.append(np.stack(felt) if felt else None)
        return Truth(tuple(motion), tuple(emotion))

    def context(self, rows: Sequence[int], needs: Any, frames: int) -> Context:
        own = [OWN_VOICE + name for name in needs.own_audio]
        if missing := [name for name in (*needs.audio, *own) if name not in self.audio]:
            raise DyadbenchError(
                f"it needs the audio feature {missing[0]!r}; the made-up corpus has {', '.join(self.audio) or 'none'}, so it can only "
                "be tried in a run on real data"
            )
        dyads = list(self.dyads("test", (*needs.audio, *own)))
        chosen = [dyads[row] for row in rows]

        def sound(name: str) -> np.ndarray:  # (B, frames * per_frame, F)
            return np.stack([d.speaker.audio[name][: frames * self.audio[name].per_frame] for d in chosen])

        return Context(
            clips=tuple(dyad.clip.id for dyad in chosen),
            lengths=np.full(len(rows), frames),
            speaker_motion=np.stack([dyad.speaker.motion[:frames] for dyad in chosen]),
            speaker_emotion=np.stack([d.speaker.emotion[:frames] for d in chosen if d.speaker.emotion is not None])
            if self.emotion
            else None,
            audio={name: sound(name) for name in needs.audio},
            own_audio={name: sound(OWN_VOICE + name) for name in needs.own_audio},
            own_past=np.zeros((len(rows), needs.own_past, self.space.dim), np.float32) if needs.own_past else None,
            own_past_lengths=np.zeros(len(rows), np.int64) if needs.own_past else None,
            words=tuple(_words(row, frames / self.space.fps) for row in rows) if needs.words else None,
            truth=self._truth(rows, frames) if needs.truth else None,
            fresh=(lambda row, draw: self._track("test", rows[row], 2 + draw, ())) if needs.fresh else None,
        )
