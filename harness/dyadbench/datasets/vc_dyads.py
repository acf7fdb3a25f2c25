"""vc-dyads: twenty pairs of people in videoconferences, 30 frames per second, MIT licensed.

Diao, Arboleda and Raake, "Nonverbal Dynamics in Dyadic Videoconferencing Interaction", ICMI 2024
(https://doi.org/10.1145/3678957.3685733). The repository's own layout is read as it is:

    data/real_dyads/{au06_r,au12_r,body_motion}/<resolution>/<resolution>_<dyad>_0.csv
    data/real_dyads/gaze/<resolution>/<dyad>_0ms_<resolution>.csv

One row per frame, blank-separated, one column per participant. Both people speak and listen, so every window of a
recording gives two clips. The three recordings and both roles of a dyad are one session, for they are the same two people.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from dyadbench.api import AudioSpec, Clip, Dyad, DyadbenchError, MotionSpace, Track
from dyadbench.datasets.config import Gaze, VCDyadsConfig
from dyadbench.datasets.limit import evenly
from dyadbench.files.npy import BadFile, read_text

RESOLUTIONS = ("240p", "480p", "1080p")
PARTNER = 3  # the gaze code of the partner's face; 1 and 2 are elsewhere on the screen, 0 is no gaze
FOLDER = Path("data", "real_dyads")
ROLES = ((0, 1), (1, 0))  # columns of speaker and listener
SPACE = MotionSpace(
    name="vc-dyads-4",
    fps=30.0,
    channels=("AU06", "AU12", "movement", "gaze"),
    groups={"smile": (0, 2), "movement": (2, 3), "gaze": (3, 4)},
    units={
        "smile": "OpenFace's intensity, 0 to 5",
        "movement": "log(1 + motion energy)",
        "gaze": "1 at the partner's face, else 0; with gaze=code the region's number",
    },
)


@dataclass(frozen=True)
class Recording:
    """One conversation of a dyad at one resolution of the video."""

    dyad: str
    resolution: str

    def files(self) -> dict[str, Path]:
        """Measure -> file below the repository's root."""
        name = f"{self.resolution}_{self.dyad}_0.csv"
        paths = {measure: FOLDER / measure / self.resolution / name for measure in ("au06_r", "au12_r", "body_motion")}
        return {**paths, "gaze": FOLDER / "gaze" / self.resolution / f"{self.dyad}_0ms_{self.resolution}.csv"}


def recordings(root: Path) -> list[Recording]:
    """Every recording that any of the four measures has, by number of the dyad, then by resolution."""
    available = set()
    for resolution in RESOLUTIONS:
        for measure, pattern in (
            *((name, rf"{resolution}_(s\d+)_0\.csv") for name in ("au06_r", "au12_r", "body_motion")),
            ("gaze", rf"(s\d+)_0ms_{resolution}\.csv"),
        ):
            names = (path.name for path in (root / FOLDER / measure / resolution).glob("*.csv"))
            available |= {Recording(match[1], resolution) for name in names if (match := re.fullmatch(pattern, name))}
    return sorted(available, key=lambda each: (int(each.dyad[1:]), RESOLUTIONS.index(each.resolution)))


def read_pair(path: Path) -> np.ndarray:
    """(frames, 2) numbers of both participants. BadFile names the line that is not two finite numbers of at least 0."""
    lines = read_text(path).splitlines()
    if not lines or lines[0].replace('"', "").split() != ["Participant_A", "Participant_B"]:
        raise BadFile(f'{path} does not begin with the header "Participant_A" "Participant_B"')
    rows = np.empty((len(lines) - 1, 2))
    for number, line in enumerate(lines[1:]):
        try:
            rows[number, 0], rows[number, 1] = (float(cell) for cell in line.replace('"', "").split())
        except ValueError:
            raise BadFile(f"{path}, line {number + 2} does not hold two numbers") from None
    if bad := np.flatnonzero(~(np.isfinite(rows) & (rows >= 0)).all(1)).tolist():
        raise BadFile(f"{path}, line {bad[0] + 2} holds a number that is negative, infinite or NaN")
    return rows


def read_recording(root: Path, recording: Recording, gaze: Gaze = "partner") -> np.ndarray:
    """(2, frames, 4) float32 of both participants: AU06, AU12, log(1 + motion energy), gaze.

    Gaze is 1 at the partner's face and 0 elsewhere, or the stored region `code` as a number. The motion energy is a count with a long tail, hence the logarithm. Raises BadFile where a measure is missing,
    malformed or of another length than the others.
    """
    files = {measure: root / path for measure, path in recording.files().items()}
    values = {measure: read_pair(path) for measure, path in files.items()}
    if len({len(each) for each in values.values()}) > 1:
        counts = ", ".join(f"{measure} {len(each)}" for measure, each in values.items())
        raise BadFile(
            f"{recording.dyad} at {recording.resolution} has measures of different lengths in frames: {counts}"
        )
    channels = (
        values["au06_r"],
        values["au12_r"],
        np.log1p(values["body_motion"]),
        (values["gaze"] == PARTNER).astype(np.float64) if gaze == "partner" else values["gaze"],
    )
    return np.stack(channels, -1).transpose(1, 0, 2).astype(np.float32)  # (2, T, 4)


def content_digest(root: Path) -> str:
    """sha256 over the names and contents of the files that are read; line ends count alike, as git may change them."""
    whole = hashlib.sha256()
    for path in sorted(path for recording in recordings(root) for path in recording.files().values()):
        content = hashlib.sha256(read_text(root / path).encode()).hexdigest()  # text mode reads CRLF as LF
        whole.update(f"{path.as_posix()}\0{content}\n".encode())
    return whole.hexdigest()


class VCDyadsDataset:
    """api.Dataset over a clone of the repository. Appropriate is only the true listener; there is no sound.

    A clip is a window of `frames` frames, one after another from the first frame on. Its id is
    `dyad/resolution/speaker>listener/window`. The test split is the last `test` dyads by number, and validation takes
    `validation` of the others, evenly spread; cross-validated benchmarks deal the dyads themselves.
    """

    space = SPACE
    has_emotion = False
    audio: Mapping[str, AudioSpec] = {}  # never changed
    simulated = False

    def __init__(self, config: VCDyadsConfig, root: Path):
        self.root, self.config = root, config
        self.recordings = recordings(root)
        if not self.recordings:
            raise DyadbenchError(
                f"{root} is not a clone of the vc-dyads repository: it has no recordings below {FOLDER.as_posix()}/; "
                "`dyadbench data fetch vc-dyads` makes one"
            )

    @staticmethod
    def shape_of(config: VCDyadsConfig) -> tuple[MotionSpace, int]:
        return SPACE, config.frames

    @cached_property
    def digest(self) -> str:
        return content_digest(self.root)

    def normalisation(self) -> Mapping[str, Any]:
        return {"kind": "none", "movement": "log1p", "gaze": self.config.gaze}

    @cached_property
    def splits(self) -> Mapping[str, tuple[str, ...]]:
        """Split -> its dyads."""
        dyads = list(dict.fromkeys(each.dyad for each in self.recordings))
        test, validation = self.config.test, self.config.validation
        if len(dyads) <= test + validation:
            raise DyadbenchError(
                f"{self.root} has {len(dyads)} dyads; {test} for the test split and {validation} for validation leave none to train on"
            )
        rest = dyads[: len(dyads) - test]
        val = {rest[i] for i in evenly(len(rest), validation)}
        return {
            "train": tuple(dyad for dyad in rest if dyad not in val),
            "val": tuple(dyad for dyad in rest if dyad in val),
            "test": tuple(dyads[len(dyads) - test :]),
        }

    @lru_cache(maxsize=64)  # noqa: B019  # a dataset lives as long as the run
    def _read(self, recording: Recording) -> np.ndarray:
        return read_recording(self.root, recording, self.config.gaze)

    @lru_cache(maxsize=4)  # noqa: B019  # as above
    def _places(self, split: str) -> list[tuple[Recording, tuple[int, int], int]]:
        """(recording, columns of speaker and listener, first frame) of every clip."""
        if split not in self.splits:
            raise DyadbenchError(f"there is no split {split!r}; vc-dyads has {', '.join(self.splits)}")
        frames, places = self.config.frames, []
        for recording in (each for each in self.recordings if each.dyad in self.splits[split]):
            windows = self._read(recording).shape[1] // frames
            if not windows:
                raise BadFile(
                    f"{recording.dyad} at {recording.resolution} is shorter than one window of {frames} frames; "
                    "choose fewer frames or remove the recording"
                )
            places += [(recording, role, window * frames) for role in ROLES for window in range(windows)]
        return places

    def _clip(self, recording: Recording, role: tuple[int, int], start: int) -> Clip:
        speaker, listener = ("AB"[column] for column in role)
        name = f"{recording.dyad}/{recording.resolution}/{speaker}>{listener}/{start // self.config.frames}"
        return Clip(name, recording.dyad, self.config.frames)

    @lru_cache(maxsize=4)  # noqa: B019  # as above
    def clips(self, split: str) -> Sequence[Clip]:
        return [self._clip(*place) for place in self._places(split)]

    def listeners(self, split: str) -> list[str]:
        """Who listens in each clip: the same name is the same person."""
        return [f"{recording.dyad}/{'AB'[listener]}" for recording, (_, listener), _ in self._places(split)]

    def dyad(self, split: str, index: int, audio: Sequence[str] = ()) -> Dyad:
        recording, role, start = self._places(split)[index]
        speaker, listener = self._read(recording)[list(role), start : start + self.config.frames]
        return Dyad(self._clip(recording, role, start), Track(speaker), Track(listener))

    def appropriate(self, split: str) -> np.ndarray:
        return np.eye(len(self._places(split)), dtype=bool)
