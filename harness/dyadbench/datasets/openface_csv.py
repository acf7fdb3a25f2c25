"""Reads one csv file of OpenFace 2 (`FeatureExtraction`) as one person's motion at a fixed frame rate.

Baltrusaitis et al., "OpenFace 2.0", FG 2018. Real files are dirty, and this is what happens to them:

- header names may begin with a blank, which is stripped;
- a row counts where `success` is 1, `confidence` is high enough and every number is finite. The others hold stale values;
- several faces may share a file (`face_id`): one is taken, the one with the most rows that count if none is named;
- frames may be missing, which makes a gap, or repeated, of which the first row is taken;
- the rate comes from `timestamp`. OpenFace writes thousandths of a second per picture for folders of pictures; such a
  rate is refused, and has to be given;
- where there is no `gaze_angle_x`, `gaze_angle_y`, both come from the eyes' vectors as OpenFace makes them itself.

`resample` brings a person to a frame rate by linear interpolation between the rows that count, of angles after they
were unwrapped, without a filter. A time counts only where the rows around it are no further apart than the longest gap.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dyadbench.files.npy import BadFile, cells_of, read_text

VERSION = 1  # of what `resample` gives; raised whenever the same file and settings may give other numbers
MAX_BYTES = 2 << 30  # of a file: some six hours with all of OpenFace's 700 columns
RATES = (5.0, 240.0)  # frames per second that a camera may have
UNITS = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 25, 26)
GROUPS: Mapping[str, tuple[str, ...]] = {  # group -> columns; AU45 is the blink and stands alone
    "au": tuple(f"AU{unit:02d}_r" for unit in UNITS),
    "blink": ("AU45_r",),
    "rotation": ("pose_Rx", "pose_Ry", "pose_Rz"),
    "translation": ("pose_Tx", "pose_Ty", "pose_Tz"),
    "gaze": ("gaze_angle_x", "gaze_angle_y"),
}
UNITS_OF: Mapping[str, str] = {  # group -> what its numbers are
    "au": "intensity, 0 to 5",
    "blink": "intensity, 0 to 5",
    "rotation": "radians",
    "translation": "centimetres less their median over the recording",
    "gaze": "radians",
}
ANGLES = ("rotation", "gaze")
MILLIMETRES = 0.1  # translation is given in centimetres, whose size is that of the other channels
EYES = tuple(f"gaze_{eye}_{axis}" for axis in "xyz" for eye in (0, 1))


@dataclass(frozen=True)
class Person:
    """One face of one file: the rows of its frames, each once, in order."""

    times: np.ndarray  # (R,) seconds
    good: np.ndarray  # (R,) bool: the rows that count
    values: np.ndarray  # (R, D) the groups' columns in order; translation in cm less its median over good rows
    rate: float  # pictures per second
    faces: tuple[int, ...]  # every face_id of the file
    repeated: int  # rows that were left out because their frame was there before


def read_person(
    path: Path, groups: Sequence[str], *, face: int | None = None, confidence: float = 0.8, rate: float | None = None
) -> Person:
    """One person of a file. `rate` replaces the file's timestamps by frame numbers at this many frames per second.

    Raises BadFile for a missing column, a cell that is no number, a face that is not there, time that goes back,
    an impossible rate, and a person without a row that counts.
    """
    names, text = _header(path)
    columns = _columns(path, names, groups)
    basic = [name for name in ("frame", "timestamp", "confidence", "success") if name not in names]
    if basic:
        raise BadFile(f"{path} has no column {basic[0]!r}; it is not a csv file of OpenFace's FeatureExtraction")
    if not text.partition("\n")[2].strip():
        raise BadFile(f"{path} has a header and no rows")
    try:
        table = np.loadtxt(
            io.StringIO(text), delimiter=",", skiprows=1, ndmin=2,
            usecols=[names[name] for name in ("frame", "timestamp", "confidence", "success", *columns)],
        )  # fmt: skip
        faces = np.zeros(len(table), int)
        if "face_id" in names:
            numbers = np.loadtxt(io.StringIO(text), delimiter=",", skiprows=1, ndmin=1, usecols=names["face_id"])
            if not np.isfinite(numbers).all():
                raise ValueError("a face_id is NaN or infinite")
            faces = numbers.astype(int)
    except (ValueError, IndexError) as error:
        raise BadFile(f"{path} is malformed: {error}") from None
    counts = (table[:, 3] == 1) & (table[:, 2] >= confidence) & np.isfinite(table).all(1)
    chosen = _face(path, faces, counts, face)
    rows, counts = table[faces == chosen], counts[faces == chosen]
    _, first = np.unique(rows[:, 0], return_index=True)
    first = np.sort(first)
    repeated = len(rows) - len(first)
    rows, counts = rows[first], counts[first]
    if not counts.any():
        raise BadFile(f"{path} has no frame with success 1 and a confidence of at least {confidence:g}")
    times, file_rate = _times(path, rows, rate)
    values = _values(rows[:, 4:], counts, columns, groups)
    return Person(times, counts, values, file_rate, tuple(np.unique(faces).tolist()), repeated)


def _header(path: Path) -> tuple[dict[str, int], str]:
    """Column name -> place, and the whole text. OpenFace for Windows writes NaN as -nan(ind)."""
    text = read_text(path, most=MAX_BYTES).replace("-nan(ind)", "nan")
    head = text.partition("\n")[0]
    names = cells_of(head)
    if twice := [name for name in names if name and names.count(name) > 1]:
        raise BadFile(f"{path} has two columns {twice[0]!r}; nobody knows which is meant")
    return {name: place for place, name in enumerate(names)}, text.replace('"', "")


def _columns(path: Path, names: Mapping[str, int], groups: Sequence[str]) -> list[str]:
    """The columns to read for `groups`; the eyes' vectors stand in for the gaze angles."""
    chosen: list[str] = []
    for group in groups:
        columns = GROUPS[group]
        if group == "gaze" and not all(name in names for name in columns):
            columns = EYES
        missing = [name for name in columns if name not in names]
        if missing:
            raise BadFile(
                f"{path} has no column {missing[0]!r}, which the group {group!r} needs; run OpenFace again with all "
                f"features, or leave the group out with groups=[...]"
            )
        chosen += columns
    return chosen


def _face(path: Path, faces: np.ndarray, counts: np.ndarray, face: int | None) -> int:
    """The face that is asked for, or the one with the most rows that count (the lowest number of equals)."""
    there = np.unique(faces).tolist()
    if face is None:
        return int(max(there, key=lambda each: (counts[faces == each].sum(), -each)))
    if face not in there:
        raise BadFile(f"{path} has no face {face}; it has {', '.join(map(str, there))}")
    return face


def _times(path: Path, rows: np.ndarray, rate: float | None) -> tuple[np.ndarray, float]:
    """Seconds of every row, and the frames per second by frame numbers and by the clock."""
    frames, times = rows[:, 0], rows[:, 1]
    if back := np.flatnonzero(np.diff(frames) < 0).tolist():
        raise BadFile(
            f"{path}: frame {frames[back[0] + 1]:g} comes after frame {frames[back[0]]:g}; sort the rows by frame"
        )
    if rate is not None:
        return (frames - 1) / rate, rate
    if back := np.flatnonzero(np.diff(times) <= 0).tolist():
        raise BadFile(f"{path}: the timestamp of frame {frames[back[0] + 1]:g} is not later than the one before")
    clock_rate = (frames[-1] - frames[0]) / (times[-1] - times[0]) if len(rows) > 1 else float("nan")
    if not RATES[0] <= clock_rate <= RATES[1]:
        raise BadFile(
            f"{path} has timestamps of {clock_rate:g} pictures per second, which is no camera's rate (OpenFace writes 1000 for a "
            "folder of pictures); say the true rate with rate=30"
        )
    return times, float(clock_rate)


def _values(cells: np.ndarray, counts: np.ndarray, columns: Sequence[str], groups: Sequence[str]) -> np.ndarray:
    """(R, D) float64 by group, from the columns that were read."""
    at = {name: place for place, name in enumerate(columns)}
    parts = []
    for group in groups:
        if group == "gaze" and EYES[0] in at:
            x, y, z = (cells[:, [at[f"gaze_{eye}_{axis}"] for eye in (0, 1)]].mean(1) for axis in "xyz")
            parts.append(np.stack([np.arctan2(x, -z), np.arctan2(y, -z)], 1))  # OpenFace, GazeEstimation.cpp
            continue
        part = cells[:, [at[name] for name in GROUPS[group]]]
        if group == "translation":
            part = MILLIMETRES * (part - np.median(part[counts], axis=0))
        parts.append(part)
    return np.concatenate(parts, 1)


def resample(
    person: Person, groups: Sequence[str], fps: float, *, start: float, frames: int, gap: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(frames, D) float32 at `start` + n / fps seconds; (frames,) where that counts; (frames,) where it was measured.

    A time counts where the rows around it that count are at most `gap` seconds apart; it was measured where one of them is
    within half a picture. What does not count holds a meaningless value.
    """
    times, values = person.times[person.good], person.values[person.good].copy()
    place = 0
    for group in groups:
        width = len(GROUPS[group])
        if group in ANGLES:
            values[:, place : place + width] = np.unwrap(values[:, place : place + width], axis=0)
        place += width
    grid = start + np.arange(frames) / fps
    after = np.searchsorted(times, grid - 1e-6)  # a microsecond: what timestamps of three digits round
    before = np.maximum(np.searchsorted(times, grid + 1e-6, side="right") - 1, 0)
    inside = (after < len(times)) & (times[before] <= grid + 1e-6)
    after = np.minimum(after, len(times) - 1)
    slack = 0.5 / person.rate
    near = np.minimum(np.abs(times[after] - grid), np.abs(times[before] - grid)) <= slack
    counts = (inside & (times[after] - times[before] <= gap)) | near
    moved = np.stack([np.interp(grid, times, channel) for channel in values.T], 1)
    return moved.astype(np.float32), counts, near
