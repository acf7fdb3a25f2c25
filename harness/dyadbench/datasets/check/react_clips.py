"""One person's three files of a REACT clip: motion, emotion, sound, and whether they run on one clock."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from dyadbench.api import ACTION_UNITS, AFFECT, EMOTION_CHANNELS, EXPRESSIONS
from dyadbench.datasets.check.content import Contents
from dyadbench.datasets.check.finding import AGAIN, Finding, error, warn
from dyadbench.datasets.clock import disagreement
from dyadbench.datasets.features import read_sound
from dyadbench.datasets.react_files import audio_file, emotion_file, motion_file
from dyadbench.files.npy import BadFile, read_npy, read_rows

FPS, FRAMES, ROWS = 25.0, 751, 750
LOST = "the clip cannot be scored or trained on"
SILENT, CANCELLED, LOUD = 1e-4, 0.1, 1.5  # peak; what is left of two channels by averaging; peak


@dataclass
class Facts:
    """What is learnt on the way through all clips."""

    simulated: bool
    absent: set[tuple[str, str]] = field(default_factory=set)  # (split, folder) that are said to be missing as a whole
    contents: Contents = field(default_factory=Contents)
    rates: Counter[int] = field(default_factory=Counter)  # of sound
    shortest: int = ROWS  # frames that every clip of train and val has


def clip(root: Path, split: str, path: str, facts: Facts) -> Iterator[Finding]:
    """The three files of one person's clip."""
    frames = rows = seconds = None
    where = motion_file(root, split, path)
    if (split, "3D_FV_files") not in facts.absent:
        try:
            raw = read_npy(where)
            raw = raw[:, 0] if raw.ndim == 3 and raw.shape[1] == 1 else raw
            yield from _motion(raw, _name(root, where), facts)
            frames = len(raw) if raw.ndim == 2 else None
            facts.contents.add("motion", split, path, raw)
        except BadFile as problem:
            yield error(str(problem), _name(root, where), LOST, AGAIN)
    felt = emotion_file(root, split, path)
    if (split, "Emotion") not in facts.absent:
        try:
            values = read_rows(felt, EMOTION_CHANNELS)
            yield from _emotion(values, _name(root, felt), facts)
            rows = len(values)
            facts.contents.add("emotion", split, path, values)
        except BadFile as problem:
            yield error(str(problem), _name(root, felt), _without(path), AGAIN)
    sound = audio_file(root, split, path)
    if (split, "Audio_files") not in facts.absent:
        try:
            samples, rate = read_sound(sound)
            facts.rates[rate] += 1
            seconds = len(samples) / rate
            yield from _sound(samples, _name(root, sound))
        except BadFile as problem:
            meaning = LOST if sound.exists() else "methods that listen cannot use the clip"
            yield error(str(problem), _name(root, sound), meaning, AGAIN)
    if apart := disagreement(FPS, frames, rows, seconds):
        yield error(
            apart, _name(root, where), "face and voice would drift apart", "resample, or restore from the release"
        )
    if split != "test":
        facts.shortest = min(n for n in (facts.shortest, frames, rows) if n is not None)


def _motion(raw: np.ndarray, where: str, facts: Facts) -> Iterator[Finding]:
    if raw.ndim != 2 or raw.shape[1] != 58:
        shape = (len(raw), 1, *raw.shape[1:]) if raw.ndim == 2 else raw.shape
        yield error(f"shape {shape}; (frames, 1, 58) is expected", where, LOST, AGAIN)
    elif not len(raw):
        yield error("no frames", where, LOST, AGAIN)
    elif np.abs(raw).max() > 100:
        yield error(
            f"values up to {np.abs(raw).max():.3g}", where, "coefficients are of order 1: the file is damaged", AGAIN
        )
    elif len(raw) not in (FRAMES, ROWS) and not facts.simulated:
        yield warn(f"{len(raw)} frames; {FRAMES} is usual", where, "another frame rate or a cut clip")


def _emotion(values: np.ndarray, where: str, facts: Facts) -> Iterator[Finding]:
    if len(values) > ROWS and not facts.simulated:
        yield warn(f"{len(values)} rows; {ROWS} are expected", where, "clips are scored over 750 frames")
    elif len(values) < ROWS and not facts.simulated:
        yield error(f"{len(values)} rows; {ROWS} are expected", where, "the clip is too short to be scored",
                    "restore it, or score all clips over fewer frames (--data-set frames=N)")  # fmt: skip
    if not len(values):
        return
    if not np.isin(values[:, ACTION_UNITS], (0, 1)).all():
        yield error("action units that are neither 0 nor 1", where, "ground truth is occurrence", AGAIN)
    if np.abs(values[:, AFFECT]).max() > 1:
        yield error("valence or arousal outside [-1, 1]", where, "another scale", AGAIN)
    if np.abs(values[:, EXPRESSIONS].sum(1) - 1).max() > 0.02:
        yield error("expression probabilities that do not sum to 1", where, "columns are shifted or damaged", AGAIN)


def _sound(samples: np.ndarray, where: str) -> Iterator[Finding]:
    """(frames, channels) of a recording."""
    peak = float(np.abs(samples).max())
    if peak < SILENT:
        yield warn("silence", where, "methods hear nothing there", "look whether the right channel was exported")
    elif peak > LOUD:
        yield error(f"samples up to {peak:.0f}", where, "they belong into [-1, 1]: features would be of another scale",
                    "divide by the full scale (32768 for 16 bits)")  # fmt: skip
    elif samples.shape[1] > 1 and np.std(samples.mean(1)) < CANCELLED * np.std(samples):
        yield warn("the channels cancel each other", where, "averaged to mono, as all features are, little is left",
                   "export one channel, or turn one of them over")  # fmt: skip


def _without(path: str) -> str:
    recola = path.startswith("RECOLA") and path.endswith("/10")
    return "RECOLA's tenth clips have no emotion in the release; drop their csv rows" if recola else LOST


def _name(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix()
