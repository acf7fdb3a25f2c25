"""Excerpts: a few seconds of drawn faces and a training curve, small and quantised, kept beside the records.

There is one file per benchmark for the people (speaker, true listeners, voice) and one per method for its reactions and
training curves. Excerpts of simulated data lie in leaderboards/excerpts and are committed; those of real people stay
below --home. `cell/excerpts.py` makes them; `report` reads them here.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from dyadbench.api import Config, DyadbenchError
from dyadbench.errors import one_line
from dyadbench.files.atomic import atomic_write
from dyadbench.records.record import Record, slug

# The parameters of a drawn face, in the order of its arrays; head rotations in radians, the rest 0 at rest and about 1 at full.
PARAMETERS = (
    "pitch", "yaw", "roll", "smile", "cheek", "brow", "frown", "jaw", "round", "press", "lid", "sadness", "blink", "gaze",
)  # fmt: skip
HEAD = 3  # the first of them are the head's
RANGE = np.array([1.0] * HEAD + [2.0] * (len(PARAMETERS) - HEAD))  # +-, what an int8 spans
# What some datasets measure beside the face, and what an int8 spans: movement is the logarithm of 1 + pixels that change.
BESIDE = {"movement": 12.0}
FaceTrack = NDArray[np.float64]  # (T, len(PARAMETERS) + what is beside)


def ranges(beside: Sequence[str] = ()) -> NDArray[np.float64]:
    """(P,) what an int8 spans, of the drawn face and of what is beside it."""
    return np.array([*RANGE, *(BESIDE[name] for name in beside)])


def pack(face: FaceTrack, beside: Sequence[str] = ()) -> str:
    """(T, P) as base64 of int8, row by row: a hundredth of a radian, a sixtieth of a full smile."""
    scaled = np.rint(np.clip(face / ranges(beside), -1, 1) * 127).astype(np.int8)
    return base64.b64encode(scaled.tobytes()).decode()


def unpack(text: str, beside: Sequence[str] = ()) -> FaceTrack:
    """The inverse of `pack`, to within half a step. Raises ValueError for text that is not whole frames."""
    raw, span = np.frombuffer(base64.b64decode(text, validate=True), np.int8), ranges(beside)
    if len(raw) % len(span):
        raise ValueError(f"{len(raw)} values are not whole frames of {len(span)}")
    return raw.reshape(-1, len(span)) / 127 * span


class Person(Config):
    """One drawn face over a clip: int8, base64 (`unpack`)."""

    label: str
    face: str


class ClipExcerpt(Config):
    id: str
    start: float  # seconds into the clip
    frames: int
    speaker: Person
    listeners: tuple[Person, ...]  # the true one first, then others that are appropriate
    voice: str | None = None  # FLAC, base64


class People(Config):
    """`people.json` of a benchmark."""

    digest: str  # of the data
    fps: float
    note: str  # what drives the drawn face
    beside: tuple[str, ...] = ()  # of BESIDE: what follows the face in every frame
    clips: tuple[ClipExcerpt, ...]


class MethodExcerpt(Config):
    """`<method>.json`: reactions of the record with this key, by clip."""

    key: str
    reactions: Mapping[str, tuple[str, ...]]
    static: bool = False  # the method emits emotion only, so the head stays still
    beside: tuple[str, ...] = ()  # as in `People`, or the faces are not of these people


@dataclass
class Excerpts:
    """Everything that is kept of one benchmark; `missing` says for each other method why there is nothing to see."""

    people: People | None = None
    methods: dict[str, MethodExcerpt] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    def limit(self, order: Sequence[str], size: int) -> None:
        """Keeps the first methods in `order` that take `size` characters together with the people; others are missing."""
        length = len(self.people.model_dump_json()) if self.people else 0
        for name in sorted(self.methods, key=lambda name: order.index(name) if name in order else len(order)):
            length += sum(len(face) for faces in self.methods[name].reactions.values() for face in faces)
            if length > size:
                del self.methods[name]
                self.missing[name] = "a page has room for the faces of the first methods only"


def read_excerpt(path: Path, kind: type[Any]) -> Any | None:
    """The file's content; None where it is missing. A file that is not an excerpt is refused by name."""
    try:
        return kind.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (ValidationError, UnicodeDecodeError, OSError) as error:
        raise DyadbenchError(f"{path} is not an excerpt ({one_line(error, 120)}); delete it and run again") from None


def write_excerpt(path: Path, value: Config) -> None:
    text = json.dumps(value.model_dump(mode="json"), sort_keys=True, indent=1, allow_nan=False)
    atomic_write(path, text + "\n")


def excerpt_folder(record: Record, leaderboards: Path, home: Path) -> Path:
    """Where the excerpts of a record's benchmark lie: excerpts of real people are never committed."""
    return (leaderboards if record.dataset.simulated else home) / "excerpts" / slug(record.benchmark)


def first_seeds(records: Sequence[Record]) -> list[Record]:
    """The first seed of every method that is not a calibration row: the records that have excerpts."""
    first: dict[str, Record] = {}
    for record in records:
        if not record.calibration:
            first.setdefault(record.method, record)
    return list(first.values())


def gather(records: Sequence[Record], leaderboards: Path, home: Path) -> Excerpts:
    """The excerpts of one benchmark, as they are kept. One of other data or of another record counts as missing."""
    folder = excerpt_folder(records[0], leaderboards, home)
    excerpts = Excerpts(people=read_excerpt(folder / "people.json", People))
    if excerpts.people is not None and excerpts.people.digest != records[0].dataset.digest:
        excerpts.people = None
    beside = excerpts.people.beside if excerpts.people else ()
    for record in first_seeds(records):
        excerpt = read_excerpt(folder / f"{slug(record.method)}.json", MethodExcerpt)
        if excerpt is None or excerpt.key != record.key or excerpt.beside != beside:
            excerpts.missing[record.method] = (
                "no excerpt of it is kept; `dyadbench report` makes one where the store has its weights"
            )
        else:
            excerpts.methods[record.method] = excerpt
    return excerpts
