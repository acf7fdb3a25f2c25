"""Any lab's dyads: a folder of OpenFace csv files and one list that says who talked to whom.

`dyads.csv` has one row per recorded conversation, with a header. Paths are relative to the folder.

    session    who or what may not be on both sides of a split: the pair of people, or the family, or the day
    clip       a name of the recording, unique within its session
    a, b       the OpenFace csv of either person
    audio_a, audio_b   (both or none) their voices, wav
    start_a, start_b   (optional) seconds into the files at which the recording starts, where the cameras did not start together
    face_a, face_b     (optional) `face_id` of the person, where a file holds several and the one seen most often is not meant
    speaker    (optional) a, b or both: whose face and voice are given, the other one reacts. Default both: two clips
    split      (optional) train, val or test, the same for all rows of a session; without it sessions are dealt by `seed`
    context    (optional) a group of recordings whose reactions are appropriate for one another, in the same role and window

A recording is brought to `fps` (see openface_csv) and cut into windows of `window` seconds that follow one another. After
a gap that is too long to be filled for either person, the next window starts where both are seen again.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from dyadbench.api import AudioSpec, Clip, Dyad, DyadbenchError, MotionSpace, Track
from dyadbench.datasets.config import OpenFaceConfig
from dyadbench.datasets.digest import folder_digest
from dyadbench.datasets.features import FEATURES, read_wav
from dyadbench.datasets.openface_csv import GROUPS, UNITS_OF, VERSION, Person, read_person, resample
from dyadbench.files.npy import BadFile, read_text
from dyadbench.files.walk import ours

LIST = "dyads.csv"
SPLITS = ("train", "val", "test")
NEEDED = ("session", "clip", "a", "b")
OPTIONAL = ("audio_a", "audio_b", "start_a", "start_b", "face_a", "face_b", "speaker", "split", "context")
ROLES = {"a": (("a", "b"),), "b": (("b", "a"),), "both": (("a", "b"), ("b", "a"))}  # (speaker, listener)


@dataclass(frozen=True, eq=False)  # a row is itself: it is a key of what was read
class Row:
    """One conversation of the list."""

    line: int  # of dyads.csv, for sentences
    session: str
    clip: str
    files: Mapping[str, Path]  # a, b
    audio: Mapping[str, Path]  # a, b, or nothing
    start: Mapping[str, float]
    face: Mapping[str, int | None]
    roles: tuple[tuple[str, str], ...]
    split: str
    context: str

    @property
    def name(self) -> str:
        return f"{self.session}/{self.clip}"


def read_list(root: Path) -> list[Row]:
    """The rows of dyads.csv; BadFile names the first line that is wrong, and what to write."""
    path = root / LIST
    lines = list(
        csv.reader(read_text(path, "; it lists the dyads: session,clip,a,b").splitlines(), skipinitialspace=True)
    )
    names = [name.strip() for name in lines[0]] if lines else []
    for name in NEEDED:
        if name not in names:
            raise BadFile(f"{path} has no column {name!r}; its header must have {','.join(NEEDED)}")
    if odd := [name for name in names if name not in (*NEEDED, *OPTIONAL)]:
        raise BadFile(f"{path} has a column {odd[0]!r} that means nothing; it may have {', '.join(NEEDED + OPTIONAL)}")
    rows: dict[str, Row] = {}
    splits: dict[str, str] = {}
    pairs: dict[tuple[tuple[Path, int | None], ...], Row] = {}  # (speaker, listener): file and face -> where it stands
    for line, cells in enumerate(lines[1:], 2):
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(names):
            raise BadFile(f"{path}, line {line} has {len(cells)} cells and the header {len(names)}")
        row = _row(root, line, {name: cell.strip() for name, cell in zip(names, cells, strict=True)})
        if row.name in rows:
            raise BadFile(
                f"{path}, line {line}: {row.name} is already in line {rows[row.name].line}; it would count double"
            )
        if splits.setdefault(row.session, row.split) != row.split:
            raise BadFile(
                f"{path}, line {line}: session {row.session!r} is in the splits {splits[row.session]!r} and {row.split!r}; a session belongs to one"
            )
        rows[row.name] = row
        for speaker, listener in row.roles:
            pair = tuple((row.files[side], row.face[side]) for side in (speaker, listener))
            if (before := pairs.setdefault(pair, row)) is not row:
                raise BadFile(
                    f"{path}, line {line}: the same recording of both people is already in line {before.line}; it would count double"
                )
    if not rows:
        raise BadFile(f"{path} lists no dyad")
    if len({bool(split) for split in splits.values()}) > 1:
        raise BadFile(f"{path} gives a split for some sessions only; give one to every row, or to none")
    return list(rows.values())


def _row(root: Path, line: int, cells: Mapping[str, str]) -> Row:
    def fail(what: str) -> BadFile:
        return BadFile(f"{root / LIST}, line {line}: {what}")

    def inside(name: str) -> Path:
        path = Path(cells[name])
        if path.is_absolute() or ".." in path.parts:
            raise fail(f"{name} is {cells[name]!r}; paths must be relative to the folder and inside it")
        # What no digest counts could change unseen: a hidden file, a folder of other programs, another kind of file.
        if not all(map(ours, path.parts)):
            raise fail(f"{name} is {cells[name]!r}, in a hidden folder or one of another program; move it")
        kind = ".wav" if name.startswith("audio") else ".csv"
        if path.suffix.lower() != kind:
            raise fail(f"{name} is {cells[name]!r}; a {kind} file is expected")
        return root / path

    for name in NEEDED:
        if not cells[name]:
            raise fail(f"{name} is empty")
    sides = ("a", "b")
    audio = [side for side in sides if cells.get(f"audio_{side}")]
    if len(audio) == 1:
        raise fail(f"only audio_{audio[0]} is given; give the voices of both, or of neither")
    speaker, split = cells.get("speaker") or "both", cells.get("split", "")
    if speaker not in ROLES:
        raise fail(f"speaker is {speaker!r}; it is a, b or both")
    if split not in ("", *SPLITS):
        raise fail(f"split is {split!r}; it is {', '.join(SPLITS)}")
    start, face = dict[str, float](), dict[str, int | None]()
    for side in sides:
        try:
            start[side] = float(cells.get(f"start_{side}") or 0)
            face[side] = int(cells[f"face_{side}"]) if cells.get(f"face_{side}") else None
        except ValueError:
            raise fail(f"start_{side} must be a number of seconds, and face_{side} a whole number") from None
        if not math.isfinite(start[side]):
            raise fail(f"start_{side} must be a number of seconds")
    files = {side: inside(side) for side in sides}
    if files["a"] == files["b"] and face["a"] == face["b"]:
        raise fail(
            f"a and b are the same person, {cells['a']}; where both are in one file, face_a and face_b tell them apart"
        )
    return Row(
        line, cells["session"], cells["clip"], files, {side: inside(f"audio_{side}") for side in audio}, start, face, ROLES[speaker], split, cells.get("context", ""),
    )  # fmt: skip


def space_of(config: OpenFaceConfig) -> MotionSpace:
    """The channels of the groups that are read."""
    channels: list[str] = []
    groups = dict[str, tuple[int, int]]()
    for group in config.groups:
        groups[group] = (len(channels), len(channels) + len(GROUPS[group]))
        channels += GROUPS[group]
    name = "openface" if config.groups == tuple(GROUPS) else "openface-" + "-".join(config.groups)
    return MotionSpace(
        name=name,
        fps=config.fps,
        channels=tuple(channels),
        groups=groups,
        units={group: UNITS_OF[group] for group in groups},
    )


class OpenFaceDataset:
    """api.Dataset over a folder with dyads.csv. Appropriate is the true listener, and what `context` adds."""

    has_emotion = False
    simulated = False

    @staticmethod
    def shape_of(config: OpenFaceConfig) -> tuple[MotionSpace, int]:
        return space_of(config), round(config.window * config.fps)

    def __init__(self, config: OpenFaceConfig, root: Path):
        self.root, self.config = root, config
        self.space, self.frames = self.shape_of(config)
        self.rows = read_list(root)
        voices = all(row.audio for row in self.rows)
        self.audio: Mapping[str, AudioSpec] = {name: each.spec for name, each in FEATURES.items()} if voices else {}

    @cached_property
    def digest(self) -> str:
        return folder_digest(self.root)

    def normalisation(self) -> Mapping[str, Any]:
        return {
            "kind": "none", "translation": "cm, less its median over the recording", "resampling": f"linear, version {VERSION}",
            "fps": self.config.fps, "longest gap (s)": self.config.gap,
        }  # fmt: skip

    @cached_property
    def splits(self) -> Mapping[str, list[Row]]:
        """Split -> its rows: as the list says, else sessions in an order that `seed` decides."""
        if self.rows[0].split:
            return {split: [row for row in self.rows if row.split == split] for split in SPLITS}
        sessions = list(dict.fromkeys(row.session for row in self.rows))
        if len(sessions) < len(SPLITS):
            raise DyadbenchError(
                f"{self.root / LIST} has {len(sessions)} sessions; train, val and test need one each, so three at least"
            )
        order = np.random.Generator(np.random.Philox(key=self.config.seed)).permutation(len(sessions))
        test, val = (max(1, round(share * len(sessions))) for share in (self.config.test, self.config.validation))
        place = {sessions[int(n)]: at for at, n in enumerate(order)}
        of = lambda row: "test" if place[row.session] < test else "val" if place[row.session] < test + val else "train"  # noqa: E731  # a name for one expression
        return {split: [row for row in self.rows if of(row) == split] for split in SPLITS}

    def person(self, row: Row, side: str) -> Person:
        """One person of a row as the file has them."""
        config = self.config
        return read_person(
            row.files[side], config.groups, face=row.face[side], confidence=config.confidence, rate=config.rate
        )

    @lru_cache(maxsize=128)  # noqa: B019  # a dataset lives as long as the run
    def _read(self, row: Row) -> tuple[Mapping[str, np.ndarray], tuple[int, ...]]:
        """Side -> (T, D) of a recording at `fps`, and the first frames of its windows."""
        people = {side: self.person(row, side) for side in ("a", "b")}
        seconds = min(people[side].times[-1] - row.start[side] for side in people)
        frames = max(0, math.floor(seconds * self.config.fps + 1e-6) + 1)
        moved = {
            side: resample(
                people[side],
                self.config.groups,
                self.config.fps,
                start=row.start[side],
                frames=frames,
                gap=self.config.gap,
            )
            for side in people
        }
        counts = moved["a"][1] & moved["b"][1]
        measured = moved["a"][2] & moved["b"][2]
        return {side: values for side, (values, _, _) in moved.items()}, self._windows(counts, measured)

    def _windows(self, counts: np.ndarray, measured: np.ndarray) -> tuple[int, ...]:
        """First frames of the windows in which every frame counts and enough of them were measured for both people."""
        starts, at = [], 0
        while at + self.frames <= len(counts):
            window = slice(at, at + self.frames)
            if (lost := np.flatnonzero(~counts[window])).size:
                at += int(lost[-1]) + 1
                continue
            if measured[window].mean() >= self.config.good:
                starts.append(at)
            at += self.frames
        return tuple(starts)

    @lru_cache(maxsize=4)  # noqa: B019  # as above
    def _places(self, split: str) -> list[tuple[Row, tuple[str, str], int]]:
        """(row, (speaker, listener), first frame) of every clip."""
        if split not in SPLITS:
            raise DyadbenchError(f"there is no split {split!r}; an openface folder has {', '.join(SPLITS)}")
        return [(row, role, start) for row in self.splits[split] for role in row.roles for start in self._read(row)[1]]

    @lru_cache(maxsize=4)  # noqa: B019  # as above
    def clips(self, split: str) -> Sequence[Clip]:
        return [
            Clip(f"{row.name}/{speaker}>{listener}/{start}", row.session, self.frames)
            for row, (speaker, listener), start in self._places(split)
        ]

    def listeners(self, split: str) -> list[str]:
        """Who listens in each clip, as far as the list tells: the same side of the same session."""
        return [f"{row.session}/{listener}" for row, (_, listener), _ in self._places(split)]

    def dyad(self, split: str, index: int, audio: Sequence[str] = ()) -> Dyad:
        row, (speaker, listener), start = self._places(split)[index]
        motion = self._read(row)[0]
        sound = {name: self._feature(row, speaker, start, name) for name in audio}
        cut = slice(start, start + self.frames)
        return Dyad(self.clips(split)[index], Track(motion[speaker][cut], audio=sound), Track(motion[listener][cut]))

    @lru_cache(maxsize=4096)  # noqa: B019  # as above
    def _feature(self, row: Row, side: str, start: int, name: str) -> np.ndarray:
        """(frames * per_frame, F) of one window's sound, which is heard from the window's first frame on."""
        wave, rate = self._wave(row, side)
        first = self._first(row, side, start, rate)
        cut = wave[first : first + math.ceil(self.config.window * rate)]
        if (heard := len(cut) / rate * self.config.fps) < self.frames - 1 - 1e-6:
            raise BadFile(
                f"{row.audio[side]} ends {(self.frames - heard) / self.config.fps:.2f} s before the window of {row.name} from frame "
                f"{start} on does; give the whole sound, or leave it out of {LIST}"
            )
        return FEATURES[name].compute(cut, rate, self.frames, self.config.fps)

    @lru_cache(maxsize=4)  # noqa: B019  # as above
    def _wave(self, row: Row, side: str) -> tuple[np.ndarray, int]:
        return read_wav(row.audio[side])

    def voice(self, split: str, index: int) -> tuple[np.ndarray, int] | None:
        """The speaker's (samples,) in [-1, 1] and their rate; None without sound."""
        row, (speaker, _), start = self._places(split)[index]
        if not row.audio:
            return None
        wave, rate = self._wave(row, speaker)
        return wave[self._first(row, speaker, start, rate) :], rate

    def _first(self, row: Row, side: str, start: int, rate: int) -> int:
        """The audio sample at which a window begins; 0 where that lies before the recording."""
        return max(0, round((row.start[side] + start / self.config.fps) * rate))

    def appropriate(self, split: str) -> np.ndarray:
        """(N, N): the true listener, and those of the same context in the same role and window."""
        return self.appropriate_between([(split, index) for index in range(len(self._places(split)))])

    def appropriate_between(self, places: Sequence[tuple[str, int]]) -> np.ndarray:
        """(N, N) of clips by (split, index), which may be of several splits."""
        numbers: dict[object, int] = {}
        keys = []
        for n, (split, index) in enumerate(places):
            row, role, start = self._places(split)[index]
            keys.append(numbers.setdefault((row.context, role, start) if row.context else n, n))
        return np.equal.outer(keys, keys)
