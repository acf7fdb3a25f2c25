"""What a clone of the vc-dyads repository must hold."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from dyadbench.datasets.check.content import Contents
from dyadbench.datasets.check.finding import FOLDER as DECISIVE
from dyadbench.datasets.check.finding import Finding, error, note, ok, unreadable, warn
from dyadbench.datasets.config import VCDyadsConfig
from dyadbench.datasets.fetch import sources
from dyadbench.datasets.vc_dyads import FOLDER, RESOLUTIONS, Recording, content_digest, read_recording, recordings
from dyadbench.files.npy import BadFile

AGAIN = "fetch the repository again (`dyadbench data fetch vc-dyads`)"
DYADS = 20  # of the published data


def check(root: Path, fix: bool, limit: int = 0) -> Iterator[Finding]:
    """Every recording's four measures: there, two columns of numbers, equally long; and whether all is as published."""
    names = recordings(root)
    if not names:
        yield error(
            f"no recordings below {FOLDER.as_posix()}", FOLDER, "there is nothing to read",
            "give the folder of the clone itself, the one that holds data/", DECISIVE,
        )  # fmt: skip
        return
    broken, contents, looked = 0, Contents(), names[: limit or None]
    for recording in looked:
        try:
            values = read_recording(root, recording, "code")
            for person, motion in zip("AB", values, strict=True):
                contents.add("motion", recording.dyad, f"{_name(recording)}, {person}", motion)
            yield from _content(recording, values)
        except BadFile as problem:
            broken += 1
            yield error(str(problem), _name(recording), "its windows cannot be read", AGAIN)
    yield from unreadable(broken, len(looked), "recordings", FOLDER)
    yield from contents.findings()
    dyads = dict.fromkeys(recording.dyad for recording in names)
    for dyad in dyads:
        missing = [name for name in RESOLUTIONS if Recording(dyad, name) not in names]
        if missing:
            yield warn(what=f"no recording at {', '.join(missing)}", where=dyad,
                meaning="this dyad weighs less than the others", remedy=AGAIN,
            )  # fmt: skip
    if not broken and not limit and content_digest(root) == sources()["vc-dyads"].digest:
        yield note("the data are those that were published", meaning="scores can be compared with committed records")
    elif not limit and (len(dyads) != DYADS or not broken):
        yield warn(what=f"{len(dyads)} dyads whose contents are not those published ({DYADS} dyads)",
            meaning="scores cannot be compared with committed records", remedy=AGAIN,
        )  # fmt: skip
    yield ok(f"{len(dyads)} dyads, {len(names)} recordings")


def _name(recording: Recording) -> str:
    return f"{recording.dyad}, {recording.resolution}"


def _content(recording: Recording, values: np.ndarray) -> Iterator[Finding]:
    """What a readable recording (2, frames, 4) says about itself."""
    name, frames = _name(recording), values.shape[1]
    if frames < VCDyadsConfig().frames:
        yield error(f"{frames} frames", name, f"no window of {VCDyadsConfig().frames} frames fits", AGAIN)
    for channel, label in enumerate(("AU06", "AU12")):
        if values[..., channel].max(initial=0) > 5:
            yield error(f"{label} above 5", name, "an OpenFace intensity is from 0 to 5", AGAIN)
    if not np.isin(values[..., 3], (0, 1, 2, 3)).all():
        yield error("a gaze code that is not 0, 1, 2 or 3", name, "the place of the speaker is not known", AGAIN)
