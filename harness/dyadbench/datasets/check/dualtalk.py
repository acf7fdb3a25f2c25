"""What a DualTalk folder must hold."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from dyadbench.datasets.check.content import Contents
from dyadbench.datasets.check.finding import AGAIN, FOLDER, Finding, error, ok, unreadable, warn
from dyadbench.datasets.config import DualTalkConfig
from dyadbench.datasets.dualtalk import (
    HALVES,
    OTHER,
    SIZES,
    SPLITS,
    DualTalkDataset,
    length_of,
    recordings,
    sound_frames,
    youtube_id,
)
from dyadbench.files.npy import BadFile, read_npz

APART = 1  # frames by which motion may outlast sound in the release


def check(root: Path, fix: bool, limit: int = 0) -> Iterator[Finding]:
    """Both people of every recording: shapes, finite values, equal lengths, sound; ids that are on both sides of a split."""
    names = {half: recordings(root, half) for half in HALVES}
    if not any(names.values()):
        yield error("no recordings below data/train, data/test, data/ood", "data", "there is nothing to read",
                    "give the folder that holds data/", FOLDER)  # fmt: skip
        return
    silent = all(not list((root / "data" / half).glob("*.wav")) for half in HALVES)
    if silent:
        yield warn(what="no wav files", where="data", meaning="methods that hear cannot run",
                      remedy="run with audio=false, or add the sound")  # fmt: skip
    broken, contents = 0, Contents()
    for half in HALVES:
        lost = 0
        looked = names[half][: limit or None]
        for name in looked:
            findings = list(_recording(root / "data" / half, name, silent, contents))
            lost += any(finding.level == "error" for finding in findings)
            yield from findings
        yield from unreadable(lost, len(looked), f"recordings in {half}", f"data/{half}")
        broken += lost
    ids = {half: {youtube_id(name) for name in names[half]} for half in HALVES}
    for half in ("test", "ood"):
        if shared := sorted(ids[half] & ids["train"]):
            yield warn(what=f"{len(shared)} videos are in train and in {half}, the first is {shared[0]}",
                where=f"data/{half}", meaning="scores are of people that were trained on", remedy="move them to one side",
            )  # fmt: skip
    yield from contents.findings()
    if not broken and not limit:
        data = DualTalkDataset(DualTalkConfig(audio=not silent), root)
        yield ok(", ".join(f"{split} {len(data.clips(split))}" for split in SPLITS) + " clips")


def _recording(folder: Path, name: str, silent: bool, contents: Contents) -> Iterator[Finding]:
    lengths = {}
    for person in OTHER:
        path = folder / f"{name}_{person}.npz"
        where, meaning = f"data/{folder.name}/{path.name}", "neither of its two clips can be read"
        try:
            lengths[person] = length_of(path)
            contents.add("motion", folder.name, f"{name}_{person}", np.concatenate(read_npz(path, tuple(SIZES)), 1))
            if (
                not silent
                and abs(lengths[person] - (sound := sound_frames(path.with_suffix(".wav"), lengths[person]))) > APART
            ):
                yield warn(what=f"{lengths[person]} frames of motion and {sound} of sound", where=where,
                    meaning="face and voice may drift apart", remedy="cut both alike, at 25 frames per second",
                )  # fmt: skip
        except BadFile as problem:
            yield error(str(problem), where, meaning, AGAIN)
    if len(lengths) == len(OTHER) and abs(lengths["speaker1"] - lengths["speaker2"]) > APART:
        yield warn(what=f"{lengths['speaker1']} and {lengths['speaker2']} frames",
            where=f"data/{folder.name}/{name}", meaning="the longer one is cut", remedy=AGAIN,
        )  # fmt: skip
