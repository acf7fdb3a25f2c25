"""Which seconds of which clips are shown: those in which the speaker is active and the listener reacts."""

from __future__ import annotations

import numpy as np

from dyadbench.api import FACEVERSE_58, Clip, Dyad, Track
from dyadbench.cell.excerpts import SECONDS, telling_windows
from dyadbench.datasets.vc_dyads import SPACE

FPS, FRAMES = 25, 750
SESSIONS = ["a", "a", "b", "b", "c", "c"]


class Corpus:
    """Six clips of 30 s. In clip 3 the listener moves while the speaker speaks, in its last ten seconds."""

    space = FACEVERSE_58

    def __init__(self, *, sound: bool):
        if sound:
            self.voice = self._voice

    def dyad(self, split: str, row: int) -> Dyad:
        rng = np.random.default_rng(row)
        speaker, listener = (0.01 * rng.standard_normal((FRAMES, 58)).astype(np.float32) for _ in range(2))
        if row == 3:
            listener[500:] *= 30
            speaker[500:] *= 30
        if row == 0:  # the listener fidgets while nothing is said
            listener[:250] *= 30
        return Dyad(Clip(str(row), SESSIONS[row], FRAMES), Track(speaker), Track(listener))

    def _voice(self, split: str, row: int) -> tuple[np.ndarray, int]:
        sound = np.full(30 * 1000, 1e-3)
        if row == 3:
            sound[20_000:] = 1.0
        return sound, 1000


def test_speech_and_a_reaction_together_are_shown_first() -> None:
    for sound in (True, False):
        chosen = telling_windows(Corpus(sound=sound), "test", SESSIONS)  # type: ignore[arg-type]
        row, second = chosen[0]
        assert row == 3 and second + SECONDS == 30.0, chosen
        assert len({SESSIONS[row] for row, _ in chosen}) == len(chosen) == 2, "of different sessions"


class Smiles:
    """Six clips with three groups: in all but clip 4 a movement of large numbers jitters, in clip 4 both people smile."""

    space = SPACE

    def dyad(self, split: str, row: int) -> Dyad:
        rng = np.random.default_rng(row)
        speaker, listener = (np.zeros((FRAMES, 4), np.float32) for _ in range(2))
        for motion in (speaker, listener):
            motion[:, 2] = (0.8 if row == 4 else 1.0) * rng.standard_normal(FRAMES)
            if row == 4:
                motion[300:, :2] = 0.2 * rng.standard_normal((FRAMES - 300, 2))
        return Dyad(Clip(str(row), SESSIONS[row], FRAMES), Track(speaker), Track(listener))


def test_the_group_with_the_largest_numbers_does_not_choose_alone() -> None:
    row, second = telling_windows(Smiles(), "test", SESSIONS)[0]  # type: ignore[arg-type]
    assert row == 4 and second >= 300 / SPACE.fps - 2
