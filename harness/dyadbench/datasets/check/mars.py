"""What a MARS folder (REACT 2025 and 2026) must hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterator
from pathlib import Path

import numpy as np

from dyadbench.api import ACTION_UNITS, EMOTION_DIM
from dyadbench.datasets.check.content import Contents
from dyadbench.datasets.check.finding import AGAIN, FOLDER, PART, SPLIT, Finding, error, note, unreadable, warn
from dyadbench.datasets.clock import disagreement
from dyadbench.datasets.features import sound_seconds
from dyadbench.datasets.mars import EMOTION, MOTION, OTHER, SOUND, SPACE, SPLITS, file_of, names_of
from dyadbench.files.npy import BadFile, read_npy

LONG = 9000  # frames, 5 min: arrays of a split are padded to its longest clip
ENOUGH = 10  # references that the challenge scores against


def check(root: Path, fix: bool, limit: int = 0) -> Iterator[Finding]:
    """Pairs, shapes, values, clocks; sessions of more than one split, contents that splits share, sets that are too small."""
    names = {split: {role: names_of(root, split, role) for role in OTHER} for split in SPLITS}
    if not any(names[split][role] for split in SPLITS for role in OTHER):
        yield error(f"no <split>/{EMOTION}/<role>/session<N>/*.npy", root, "there is nothing to read",
                    "give the folder that holds train, val and test", FOLDER)  # fmt: skip
        return
    if not (root / "mean_face.npy").is_file():
        yield error("mean_face.npy is missing", "mean_face.npy", "motion cannot be centred",
                    "restore it, or run with --data-set normalise=none", PART)  # fmt: skip
    contents, sessions = Contents(), dict[str, set[str]]()
    for split in SPLITS:
        yield from _split(root, split, names[split], limit, contents)
        sessions[split] = {name.partition("/")[0] for role in OTHER for name in names[split][role]}
    for split in ("val", "test"):
        if shared := sorted(sessions["train"] & sessions[split]):
            yield note(f"{len(shared)} session numbers are in train and in {split}", split,
                       "the challenge says that splits share no subjects; session numbers alone do not tell")  # fmt: skip
    yield from contents.findings()


def _split(root: Path, split: str, names: dict[str, list[str]], limit: int, contents: Contents) -> Iterator[Finding]:
    both = set(names["speaker"]) & set(names["listener"])
    for role in OTHER:
        if alone := [name for name in names[role] if name not in both]:
            yield error(f"{len(alone)} {role} files have no {OTHER[role]} of the same session and name, the first is {alone[0]}",
                        f"{split}/{EMOTION}/{role}", "the split cannot be paired", AGAIN, SPLIT)  # fmt: skip
    if not both:
        yield warn(f"{split} holds no pairs", split, "nothing can be trained or tested on it", AGAIN, SPLIT)
        return
    lengths: dict[tuple[str, str], int] = {}
    silent = not (root / split / SOUND).is_dir()
    looked = sorted(both)[: limit or None]
    for name in looked:
        for role in OTHER:
            frames = yield from _person(root, split, role, name, silent, contents)
            if frames:
                lengths[role, name] = frames
    yield from unreadable(2 * len(looked) - len(lengths), 2 * len(looked), f"{split} clips", split)
    if silent:
        yield warn(
            f"{split}/{SOUND} is missing", split, "methods that hear cannot run", "run with --data-set audio=false"
        )
    yield from _summary(split, sorted(both), lengths)


def _person(
    root: Path, split: str, role: str, name: str, silent: bool, contents: Contents
) -> Generator[Finding, None, int]:
    """Findings about one file of one role; returns its frames, 0 where they are not known."""
    where = f"{split}/{role}/{name}"
    try:
        emotion = read_npy(file_of(root, split, EMOTION, role, name), (None, EMOTION_DIM))
        motion = read_npy(file_of(root, split, MOTION, role, name))
    except BadFile as problem:
        yield error(str(problem), where, "its clip cannot be read", AGAIN)
        return 0
    motion = motion.reshape(len(motion), -1)
    if motion.shape[1] != 58 or len(motion) != len(emotion):
        yield error(
            f"motion has shape {motion.shape} and emotion {emotion.shape}", where, "its clip cannot be read", AGAIN
        )
        return 0
    if not np.isin(emotion[:, ACTION_UNITS], (0, 1)).all():
        yield warn(
            "action units are not all 0 or 1",
            where,
            "the challenge's own loader gives such",
            "look where they come from",
        )
    seconds = None if silent else sound_seconds(file_of(root, split, SOUND, role, name, ".wav"))
    if not silent and seconds is None:
        yield error("no sound that can be read", where, "methods that hear cannot run", AGAIN)
    elif fault := disagreement(SPACE.fps, len(motion), None, seconds):
        yield error(fault, where, "sound and picture drift apart", AGAIN)
    contents.add("motion", split, where, motion)
    contents.add("emotion", split, where, emotion)
    return len(emotion)


def _summary(split: str, names: list[str], lengths: dict[tuple[str, str], int]) -> Iterator[Finding]:
    if not lengths:
        return
    sizes = Counter(name.partition("/")[0] for name in names)
    small = sorted(session for session, count in sizes.items() if count < ENOUGH)
    unequal = sum(
        lengths.get(("speaker", n)) != lengths.get(("listener", n)) for n in names if ("speaker", n) in lengths
    )
    longest = max(lengths.values())
    yield note(f"{split}: {len(names)} pairs of {len(sizes)} sessions, {min(lengths.values())} to {longest} frames; "
               f"{unequal} pairs differ in length", split)  # fmt: skip
    if small:
        yield note(f"{split}: {len(small)} sessions have fewer than {ENOUGH} listeners, the first is {small[0]}", split,
                   "the challenge then draws the same reference more than once")  # fmt: skip
    if longest > LONG:
        yield note(f"{split}: the longest clip has {longest} frames", split,
                   "arrays are padded to it: --data-set frames=N cuts clips where memory or disk are short")  # fmt: skip
