"""What a Seamless Interaction folder must hold, and how much of it is left out, by reason."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from dyadbench.datasets.check.content import Contents
from dyadbench.datasets.check.finding import AGAIN, FOLDER, SPLIT, Finding, error, note, unreadable, warn
from dyadbench.datasets.clock import other_rate
from dyadbench.datasets.config import SeamlessConfig
from dyadbench.datasets.features import sound_seconds
from dyadbench.datasets.seamless import FOLDERS, FPS, LABELS, NAME, Pair, movement, pairs_of, runs_of, speech_of
from dyadbench.files.npy import BadFile

APART = 0.5  # seconds by which the people of a pair may differ in length


def check(root: Path, fix: bool, limit: int = 0) -> Iterator[Finding]:
    """Pairs of every split, what was dropped and why, frames that both people have, sound, voice activity, people of two splits."""
    if not any((root / label / folder).is_dir() for label in LABELS for folder in FOLDERS.values()):
        yield error("no improvised/ or naturalistic/ with train, dev or test", root, "there is nothing to read",
                    "give the folder that holds them", FOLDER)  # fmt: skip
        return
    people: dict[str, set[str]] = {}
    contents = Contents()
    for split in FOLDERS:
        try:
            pairs, dropped = pairs_of(root, split)
        except BadFile as problem:
            yield error(str(problem), split, "the split cannot be read", AGAIN, SPLIT)
            continue
        reasons = ", ".join(f"{count} with {reason}" for reason, count in dropped.items() if count)
        yield note(f"{split}: {len(pairs)} pairs; files left out: {reasons or 'none'}", FOLDERS[split],
                   "only vendor V00 has movement")  # fmt: skip
        if not pairs:
            yield warn(f"{split} holds no pair with movement", FOLDERS[split], "nothing can be trained or tested on it",
                       "fetch batches of vendor V00", SPLIT)  # fmt: skip
        people[split] = {match[4] for pair in pairs for p in pair.people if (match := NAME.fullmatch(p.name))}
        yield from _pairs(split, pairs[: limit or None], contents)
    for split in ("val", "test"):
        if shared := sorted(people.get("train", set()) & people.get(split, set())):
            yield warn(f"{len(shared)} participants are in train and in {split}, the first is {shared[0]}", FOLDERS[split],
                       "scores are of people that were trained on")  # fmt: skip
    yield from contents.findings()


def _pairs(split: str, pairs: list[Pair], contents: Contents) -> Iterator[Finding]:
    usable = invalid = short = broken = 0
    least = round(SeamlessConfig().least * FPS)
    for pair in pairs:
        try:
            moved = [movement(person) for person in pair.people]
        except BadFile as problem:
            yield error(str(problem), pair.name, "the pair cannot be read", AGAIN)
            broken += 1
            continue
        valid = [tracked for _, tracked in moved]
        for person, (motion, _) in zip(pair.people, moved, strict=True):
            contents.add("motion", split, person.name, motion)
        frames = min(map(len, valid))
        both = valid[0][:frames] & valid[1][:frames]
        runs = sum(stop - start for start, stop in runs_of(both, least))
        usable, invalid, short = usable + runs, invalid + int((~both).sum()), short + int(both.sum()) - runs
        if abs(len(valid[0]) - len(valid[1])) > APART * FPS:
            yield warn(
                f"its people have {len(valid[0])} and {len(valid[1])} frames", pair.name, "they may not be of one clock"
            )
        yield from _sides(pair, frames)
    yield from unreadable(broken, len(pairs), f"pairs in {split}", FOLDERS[split])
    total = usable + invalid + short
    if total:
        share = np.round(100 * np.array([usable, invalid, short]) / total, 1)
        yield note(f"{split}: {usable} of {total} frames are kept ({share[0]} %); {share[1]} % are not valid on both sides, {share[2]} % "
                   f"are in runs below {SeamlessConfig().least:g} s", FOLDERS[split])  # fmt: skip


def _sides(pair: Pair, frames: int) -> Iterator[Finding]:
    for person in pair.people:
        try:
            if not speech_of(person, frames).any():
                yield warn("nobody speaks by metadata:vad", person.name, "who listens is not known", "look at its json")
        except BadFile as problem:
            yield error(str(problem), person.name, "who speaks is not known", AGAIN)
        seconds = sound_seconds(person.with_suffix(".wav"))
        if seconds is None:
            yield error("no sound that can be read", f"{person.name}.wav", "methods that hear cannot run",
                        "restore it, or run with --data-set audio=false")  # fmt: skip
        elif fault := other_rate(FPS, frames, seconds):
            yield error(fault, f"{person.name}.wav", "sound and picture drift apart", AGAIN)
        elif abs(seconds - frames / FPS) > APART:
            yield warn(
                f"{seconds:.1f} s of sound and {frames / FPS:.1f} s of motion",
                person.name,
                "they may not be of one clock",
            )
