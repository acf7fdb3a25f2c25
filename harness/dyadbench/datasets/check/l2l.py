"""What Learning2Listen and LM-Listener folders must hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from dyadbench.api import Clip
from dyadbench.datasets.check.content import Contents
from dyadbench.datasets.check.finding import AGAIN, FOLDER, PART, SPLIT, Finding, error, guarded, ok, warn
from dyadbench.datasets.config import L2LDatasetConfig, LMConfig
from dyadbench.datasets.l2l import CUT, PARTS, WINDOW, L2LDataset, part_file, read_places
from dyadbench.datasets.lm_listener import SPLITS, LMListenerDataset
from dyadbench.datasets.sessions import shared_sessions
from dyadbench.files.npy import BadFile, read_npy
from dyadbench.files.walk import folders_in


def check(root: Path, fix: bool, limit: int = 0) -> Iterator[Finding]:
    """Every person's eight files: shapes, finite values, numbers of windows that match; recordings and motion of both halves."""
    there = folders_in(root / "data")
    people = [name for name in there if any((root / "data" / name).glob("*/p?_*_clean_deca.npy"))] or there
    if not people:
        yield error("no person below data/", "data", "there is nothing to read", "unpack the release here", FOLDER)
    for person in people:
        clean, contents = True, Contents()
        for half in ("train", "test"):
            broken = list(guarded(_half(root, person, half, contents), f"data/{person}/{half}"))
            if any(finding.level == "error" for finding in broken):
                yield error(f"{person}'s {half} windows cannot be read", f"data/{person}/{half}", weight=SPLIT)
            clean = clean and not broken
            yield from broken
        for finding in contents.findings():
            clean = clean and finding.level != "error"
            yield finding
        if clean:
            dataset = L2LDataset(L2LDatasetConfig(person=person), root)
            clips = {split: dataset.clips(split) for split in SPLITS}
            yield ok(f"{person}: {', '.join(f'{s} {len(c)}' for s, c in clips.items())} clips")
            yield from _shared(clips, f"data/{person}")


def _shared(clips: Mapping[str, Sequence[Clip]], where: str) -> Iterator[Finding]:
    for one, other, both, count in shared_sessions(clips):
        yield warn(
            what=f"{len(both)} of {count} recordings of {other} also stand in {one}, the first is {both[0]}",
            where=where,
            meaning=f"scores on {other} flatter what was trained or chosen on {one}",
            remedy="say so beside every result, or take these recordings out of one of the two",
        )


def _half(root: Path, person: str, half: str, contents: Contents) -> Iterator[Finding]:
    sizes, lost = {}, f"{person}'s {half} windows cannot be read"
    for part in PARTS:
        path = part_file(root, person, half, part)
        name = path.relative_to(root).as_posix()
        try:
            if part == "speak_files":
                places = read_places(path)
                sizes[part] = len(places)
                yield from _duplicates(places, name)
                continue
            array = read_npy(path)
        except BadFile as problem:
            yield error(str(problem), name, lost, AGAIN, PART)
            continue
        sizes[part] = len(array)
        if expected := _other_shape(part, array):
            remedy = AGAIN if part == "speak_audio" else f"{AGAIN}, or {CUT}"
            yield error(f"shape {array.shape}; {expected} is expected", name, lost, remedy, PART)
        elif not len(array):
            yield error("no windows", name, lost, AGAIN, PART)
        elif part == "list_faces":
            for n, window in enumerate(array):
                contents.add("motion", half, f"window {n}", window[:, :56])
    if len(set(sizes.values())) > 1:
        counts = ", ".join(f"{part} {count}" for part, count in sizes.items())
        yield error(
            f"files differ in windows: {counts}",
            f"data/{person}/{half}",
            "faces and sound would not match",
            AGAIN,
            PART,
        )


def _other_shape(part: str, array: np.ndarray) -> str:
    """The shape that a part's array should have, as text; "" where it has it."""
    if part == "speak_audio":
        return "" if array.shape[1:] == (WINDOW * 4, 128) else f"(windows, {WINDOW * 4}, 128)"
    return (
        ""
        if array.ndim == 3 and array.shape[1] == WINDOW and array.shape[2] >= 56
        else f"(windows, {WINDOW}, 56 or more)"
    )


def _duplicates(places: list[tuple[str, int]], name: str) -> Iterator[Finding]:
    if len(set(places)) < len(places):
        twice = next(place for place in places if places.count(place) > 1)
        yield error(f"window {twice} appears twice", name, "it would count double", "remove one", PART)


def check_lm(root: Path, fix: bool, limit: int = 0) -> Iterator[Finding]:
    """Every person's segment files and statistics."""
    people = folders_in(root / "dataset")
    if not people:
        yield error(
            "no person below dataset/", "dataset", "there is nothing to read", "unpack the release here", FOLDER
        )
    for person in people:
        dataset, contents = LMListenerDataset(LMConfig(person=person), root), Contents()
        read: dict[str, Sequence[Clip]] = {}
        for split in SPLITS:
            try:
                clips = read[split] = dataset.clips(split)
                for n, segment in enumerate(clips):
                    contents.add("motion", split, segment.id, dataset.dyad(split, n).listener.motion)
                if len({clip.id for clip in clips}) < len(clips):
                    yield error("a segment appears twice", f"{person}, {split}", "it would count double", "remove one")
                yield ok(f"{person}, {split}: {len(clips)} segments")
            except BadFile as problem:
                yield error(
                    str(problem), f"dataset/{person}/segments_{split}.pth", "the split cannot be read", AGAIN, SPLIT
                )
        yield from _shared(read, f"dataset/{person}")
        yield from contents.findings()
        for name in ("mean", "std"):
            try:
                read_npy(root / "dataset" / person / f"{name}.npy", (56,))
            except BadFile as problem:
                yield warn(
                    what=str(problem),
                    where=f"dataset/{person}/{name}.npy",
                    meaning="standardise=true is not available",
                    remedy=AGAIN,
                )
