"""Seamless Interaction (Meta, 2025): two people who talk, each filmed and recorded alone, 30 frames per second.

    <label>/<split>/<BBBB>/<AAAA>/V##_S####_I########_P####[A].{npz,wav,json}      label improvised | naturalistic, split train | dev | test

Equal vendor V, session S and interaction I with two participants P are a pair; V and S are a session. Only vendor V00 has
movement. Frames that were not tracked come in blocks and hold zeros, so a pair is cut into runs in which both people
are valid, and runs into windows. Both people speak and listen: every window gives a clip for each as the listener, where the
partner does most of the talking (`metadata:vad` of the json).

Motion is `movement:FAUValue` without its three dead columns (the order of the others is not documented) and the rotation of
the head. No file of the dataset was at hand when this was written: the layout is that of its own documentation and of audits.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from dyadbench.api import OWN_VOICE, AudioSpec, Clip, Dyad, DyadbenchError, MotionSpace, Track
from dyadbench.datasets.clock import other_rate
from dyadbench.datasets.config import SeamlessConfig
from dyadbench.datasets.digest import folder_digest
from dyadbench.datasets.features import FEATURES, read_wav
from dyadbench.files.npy import BadFile, npz_shapes, read_npz, read_text
from dyadbench.files.walk import ours

FOLDERS = {"train": "train", "val": "dev", "test": "test"}  # ours -> theirs
LABELS = ("improvised", "naturalistic")
NAME = re.compile(r"(V\d+)_(S\d+)_(I\d+)_(P\d+A?)")
DEAD = (16, 17, 18)  # columns of FAUValue that never move
ALIVE = tuple(c for c in range(24) if c not in DEAD)
FAU, ROTATION, VALID = "movement:FAUValue", "movement:alignment_head_rotation", "movement:is_valid"
SIZES = {FAU: 24, ROTATION: 3, VALID: 1}
FPS = 30.0
SPACE = MotionSpace(
    name="seamless-fau",
    fps=FPS,
    channels=(*(f"fau{c}" for c in ALIVE), *(f"rot{a}" for a in "xyz")),
    groups={"expression": (0, len(ALIVE)), "rotation": (len(ALIVE), len(ALIVE) + 3)},
)


@dataclass(frozen=True)
class Pair:
    """Two files of one interaction, without their suffix."""

    session: str  # V_S
    name: str  # V_S_I
    people: tuple[Path, Path]


def pairs_of(root: Path, split: str, labels: Sequence[str] = LABELS) -> tuple[list[Pair], dict[str, int]]:
    """The pairs with movement on both sides, sorted; and how many files were left out, by reason."""
    people_of: dict[str, list[Path]] = {}
    dropped = {"unreadable name": 0, "no movement": 0, "no partner": 0, "more than two people": 0}
    for label in labels:
        folder = root / label / FOLDERS[split]
        for path in sorted(folder.glob("*/*/*.npz")):
            if not all(map(ours, path.relative_to(folder).parts)):
                continue
            match = NAME.fullmatch(path.stem)
            if match is None:
                dropped["unreadable name"] += 1
            else:
                people_of.setdefault("_".join(match.groups()[:3]), []).append(path.with_suffix(""))
    pairs = []
    for name, people in sorted(people_of.items()):
        if len(people) != 2:
            dropped["no partner" if len(people) < 2 else "more than two people"] += len(people)
        elif not all(has_movement(person) for person in people):
            dropped["no movement"] += 2
        else:
            pairs.append(Pair(name.rpartition("_")[0], name, (people[0], people[1])))
    return pairs, dropped


def has_movement(person: Path) -> bool:
    """Whether a file holds movement of one frame at least. BadFile where the arrays have other shapes than documented."""
    shapes = npz_shapes(person.with_suffix(".npz"))
    if FAU not in shapes:
        return False
    for name, size in SIZES.items():
        shape = shapes.get(name, ())
        if len(shape) != 2 or shape[1] != size or shape[0] != shapes[FAU][0]:
            raise BadFile(f"{person}.npz: array {name!r} has shape {shape or 'none'}; (frames, {size}) is expected")
    return shapes[FAU][0] > 0


def movement(person: Path) -> tuple[np.ndarray, np.ndarray]:
    """Motion (T, 24) and which frames were tracked (T,)."""
    fau, rotation, valid = read_npz(person.with_suffix(".npz"), tuple(SIZES))
    return np.concatenate([fau[:, ALIVE], rotation], 1).astype(np.float32), valid[:, 0] > 0.5


def tracked(person: Path) -> np.ndarray:
    """Which frames were tracked (T,)."""
    valid: np.ndarray = read_npz(person.with_suffix(".npz"), (VALID,))[0][:, 0] > 0.5
    return valid


def runs_of(valid: np.ndarray, least: int) -> list[tuple[int, int]]:
    """[start, stop) of every stretch of valid frames (T,) of `least` frames or more."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], valid.astype(np.int8), [0]])))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True) if b - a >= least]


def windows_of(start: int, stop: int, longest: int, least: int) -> Iterator[tuple[int, int]]:
    """A run cut into equal windows of at most `longest` frames; where these were shorter than `least`, into whole ones."""
    frames = stop - start
    count = -(-frames // longest)
    if frames // count < least:
        count, frames = frames // longest, frames // longest * longest
    yield from pairwise(start + frames * i // count for i in range(count + 1))


def speech_of(person: Path, frames: int) -> np.ndarray:
    """(frames,) whether the person speaks, by the json's voice activity. Raises BadFile."""
    path = person.with_suffix(".json")
    try:
        spans = json.loads(read_text(path))["metadata:vad"]
        times = [(round(float(span["start"]) * FPS), round(float(span["end"]) * FPS)) for span in spans]
    except (ValueError, OverflowError, KeyError, TypeError) as error:  # NaN and infinity have no frame
        raise BadFile(f"{path} has no metadata:vad of {{start, end}}: {error}") from None
    speaks = np.zeros(frames, bool)
    for start, end in times:
        speaks[max(0, start) : max(0, end)] = True
    return speaks


@dataclass(frozen=True)
class _Place:
    pair: Pair
    listener: int  # which of its two people is generated
    start: int
    stop: int


class SeamlessDataset:
    """api.Dataset over a Seamless Interaction folder. Appropriate is only the true listener.

    Two-sided: features named own-... are of the listener's own voice, and `past` gives the frames before a clip.
    """

    space = SPACE
    has_emotion = False
    simulated = False

    def __init__(self, config: SeamlessConfig, root: Path):
        self.root, self.config = root, config
        self.labels = LABELS if config.label == "both" else (config.label,)
        if not any((root / label / folder).is_dir() for label in self.labels for folder in FOLDERS.values()):
            raise DyadbenchError(f"{root} is not a Seamless folder: it has no {self.labels[0]}/train, dev or test")
        sound = {name: feature.spec for name, feature in FEATURES.items()} if config.audio else {}
        self.audio: Mapping[str, AudioSpec] = {**sound, **{OWN_VOICE + name: spec for name, spec in sound.items()}}

    @cached_property
    def digest(self) -> str:
        return folder_digest(self.root)

    def normalisation(self) -> Mapping[str, Any]:
        return {"kind": "none"}

    @lru_cache(maxsize=8)  # noqa: B019  # a dataset lives as long as the run
    def _places(self, split: str) -> list[_Place]:
        if split not in FOLDERS:
            raise DyadbenchError(f"there is no split {split!r}; Seamless has {', '.join(FOLDERS)}")
        least, longest = round(self.config.least * FPS), round(self.config.window * FPS)
        places = []
        for pair in pairs_of(self.root, split, self.labels)[0]:
            valid = [tracked(person) for person in pair.people]
            frames = min(map(len, valid))
            speaks = [speech_of(person, frames) for person in pair.people]
            for run in runs_of(valid[0][:frames] & valid[1][:frames], least):
                for start, stop in windows_of(*run, longest, least):
                    speech = [int(s[start:stop].sum()) for s in speaks]
                    for listener in (0, 1):
                        if speech[1 - listener] >= self.config.listening * max(1, sum(speech)):
                            places.append(_Place(pair, listener, start, stop))
        return places

    @lru_cache(maxsize=8)  # noqa: B019  # as above
    def clips(self, split: str) -> Sequence[Clip]:
        return [
            Clip(f"{p.pair.people[p.listener].name}:{p.start}", p.pair.session, p.stop - p.start)
            for p in self._places(split)
        ]

    @lru_cache(maxsize=64)  # noqa: B019  # as above
    def _movement(self, person: Path) -> tuple[np.ndarray, np.ndarray]:
        return movement(person)

    def dyad(self, split: str, index: int, audio: Sequence[str] = ()) -> Dyad:
        place = self._places(split)[index]
        at = slice(place.start, place.stop)
        listener, speaker = place.pair.people[place.listener], place.pair.people[1 - place.listener]
        sound = {}
        for name in audio:
            whose, plain = (listener if name.startswith(OWN_VOICE) else speaker), name.removeprefix(OWN_VOICE)
            rate = FEATURES[plain].spec.per_frame
            values = self._sound(whose, plain)
            if len(values) < place.stop * rate:
                held = len(values) / rate / FPS
                raise BadFile(f"{whose}.wav holds {held:.1f} s of sound for {place.stop / FPS:.1f} s of motion")
            sound[name] = values[place.start * rate : place.stop * rate]
        speaks, listens = (self._movement(person)[0][at] for person in (speaker, listener))
        return Dyad(self.clips(split)[index], Track(speaks, audio=sound), Track(listens))

    @lru_cache(maxsize=16)  # noqa: B019  # as above
    def _sound(self, person: Path, name: str) -> np.ndarray:
        """The feature over the whole interaction, as far as there is sound to a frame: its clips are parts of it."""
        wave, rate = read_wav(person.with_suffix(".wav"))
        frames = npz_shapes(person.with_suffix(".npz"))[FAU][0]
        if fault := other_rate(FPS, frames, len(wave) / rate):
            raise BadFile(f"{person}.wav: {fault}")
        return FEATURES[name].compute(wave, rate, min(frames, int(len(wave) / rate * FPS) + 1), FPS)

    def past(self, split: str, index: int, frames: int) -> np.ndarray:
        """(up to frames, D): the listener right before the clip, as far back as tracking reaches (api.RemembersListeners)."""
        place = self._places(split)[index]
        motion, valid = self._movement(place.pair.people[place.listener])
        first = max(0, place.start - frames)
        broken = np.flatnonzero(~valid[first : place.start])
        return motion[first + (int(broken[-1]) + 1 if len(broken) else 0) : place.start]

    def voice(self, split: str, index: int) -> tuple[np.ndarray, int] | None:
        """The speaker's (samples,) in [-1, 1] over the clip, and their rate; None where there is no recording."""
        place = self._places(split)[index]
        path = place.pair.people[1 - place.listener].with_suffix(".wav")
        if not path.exists():
            return None
        wave, rate = read_wav(path)
        return wave[round(place.start / FPS * rate) : round(place.stop / FPS * rate)], rate

    def appropriate(self, split: str) -> np.ndarray:
        return np.eye(len(self._places(split)), dtype=bool)
