"""The simulated corpus through the real adapters, with what only a simulation has: words, a voice, new listeners."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from dyadbench.api import Dyad, Track, Word
from dyadbench.datasets.config import L2LDatasetConfig, ReactConfig
from dyadbench.datasets.l2l import WINDOW, L2LDataset
from dyadbench.datasets.react import ReactDataset
from dyadbench.datasets.simdyad.coefficients import to_deca, to_emotion, to_faceverse
from dyadbench.datasets.simdyad.config import SimConfig
from dyadbench.datasets.simdyad.dyads import Person, Scripts, draw_person, scripts_of, stream
from dyadbench.datasets.simdyad.layouts import PERSON, ROLES, context_voice, l2l_place
from dyadbench.datasets.simdyad.voice import RATE
from dyadbench.datasets.simdyad.words import backchannels
from dyadbench.datasets.words import words_within

FRESH = 1000  # numbers of new listeners begin here; those of the corpus are below
DYADS = 9  # at most, of a context: each has draws of its own


@lru_cache(maxsize=64)
def _scripts(config: SimConfig, split: str, context: int) -> Scripts:
    return scripts_of(config, split, context)


@lru_cache(maxsize=64)
def _words_of(config: SimConfig, split: str, context: int, who: int) -> tuple[Word, ...]:
    """What the voice of one side says: its script's words, and the backchannels of the context's first dyad."""
    scripts = _scripts(config, split, context)
    person = draw_person(config, split, context, 0, who, scripts, 25.0, round(config.seconds * 25))
    silent = [
        word
        for word in backchannels([event.time for event in person.reactions if event.kind == "verbal"])
        if not any(start < word.end and word.start < end for start, end in scripts[who].ipus)
    ]
    return tuple(sorted((*scripts[who].words, *silent), key=lambda word: word.start))


def _new_person(
    config: SimConfig, split: str, context: int, dyad: int, who: int, draw: int, fps: float, frames: int
) -> tuple[Person, int]:
    """A person whom the corpus does not hold, on side `who` of a context, and their number."""
    number = FRESH + DYADS * draw + dyad
    return draw_person(config, split, context, number, who, _scripts(config, split, context), fps, frames), number


class SimulatedReact(ReactDataset):
    """api.Dataset and api.DrawsListeners in the layout of REACT 2024."""

    def __init__(self, config: SimConfig, folder: Path):
        super().__init__(ReactConfig(frames=round(config.seconds * 25)), folder)
        self.simulation = config

    def _place(self, path: str) -> tuple[str, int, int, int]:
        """(split, context, side, dyad) of SITE/<split><context>/<role>/<dyad from 1>."""
        _, chat, role, clip = path.split("/")
        return chat[:-4], int(chat[-4:]), [name for name, _ in ROLES].index(role), int(clip) - 1

    def dyad(self, split: str, index: int, audio: Sequence[str] = ()) -> Dyad:
        dyad = super().dyad(split, index, audio)
        of, context, side, _ = self._place(self._pairs_cached(split)[index][0])
        speaker, listener = (
            words_within(_words_of(self.simulation, of, context, who), 0.0, self.simulation.seconds)
            for who in (side, 1 - side)
        )
        return Dyad(
            dyad.clip,
            dataclasses.replace(dyad.speaker, words=speaker),
            dataclasses.replace(dyad.listener, words=listener),
        )

    def fresh(self, split: str, index: int, draw: int) -> Track:
        of, context, who, dyad = self._place(self._pairs_cached(split)[index][1])
        fps, frames = self.space.fps, self.config.frames
        person, number = _new_person(self.simulation, of, context, dyad, who, draw, fps, frames + 1)
        raw = to_faceverse(stream(self.simulation, of, context, number, who, "faceverse"), person.face)
        felt = to_emotion(person.face, fps)[:frames]
        return Track(self.normalised(raw[:frames]), np.round(felt, 5))


class SimulatedL2L(L2LDataset):
    """api.Dataset and api.DrawsListeners in the layout of Learning2Listen. The listener only listens."""

    def __init__(self, config: SimConfig, folder: Path):
        super().__init__(L2LDatasetConfig(person=PERSON), folder)
        self.simulation = config

    def _place(self, split: str, index: int) -> tuple[str, int, int, int]:
        half, runs = self._chosen(split)
        _, video, windows = runs[index]
        return l2l_place(self.simulation, int(video), self.places(half)[windows[0]][1])

    def dyad(self, split: str, index: int, audio: Sequence[str] = ()) -> Dyad:
        dyad = super().dyad(split, index, audio)
        of, context, _, first = self._place(split, index)
        start, end = first / self.space.fps, (first + dyad.clip.frames) / self.space.fps
        speaker, listener = (words_within(_words_of(self.simulation, of, context, who), start, end) for who in (0, 1))
        return Dyad(
            dyad.clip,
            dataclasses.replace(dyad.speaker, words=speaker),
            dataclasses.replace(dyad.listener, words=listener),
        )

    def voice(self, split: str, index: int) -> tuple[np.ndarray, int]:
        """The speaker's (samples,) in [-1, 1] and their rate."""
        of, context, _, first = self._place(split, index)
        samples = context_voice(self.simulation, of, context, 0)[round(first / self.space.fps * RATE) :]
        return samples.astype(np.float64) / 32768, RATE

    def fresh(self, split: str, index: int, draw: int) -> Track:
        of, context, dyad, first = self._place(split, index)
        fps, frames = self.space.fps, int(self.simulation.seconds * self.space.fps) // WINDOW * WINDOW
        person, number = _new_person(self.simulation, of, context, dyad, 1, draw, fps, frames)
        motion = to_deca(stream(self.simulation, of, context, number, 1, "deca"), person.face)
        return Track(motion[first : first + self.clips(split)[index].frames])
