"""What a folder of OpenFace dyads holds, and what of it can be used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from dyadbench.api import DyadbenchError
from dyadbench.datasets.check.content import Contents
from dyadbench.datasets.check.finding import FOLDER, SPLIT, Finding, error, note, ok, unreadable, warn
from dyadbench.datasets.config import OpenFaceConfig
from dyadbench.datasets.features import read_wav
from dyadbench.datasets.openface import LIST, SPLITS, OpenFaceDataset, Row
from dyadbench.datasets.openface_csv import Person
from dyadbench.files.npy import BadFile

HALF = 0.5  # of what was filmed: with less in clips, the settings do not suit the recordings
APART = 1.0  # seconds by which the lengths of what belongs together may differ


def check(root: Path, fix: bool, limit: int = 0, config: OpenFaceConfig | None = None) -> Iterator[Finding]:
    """Rates, lengths, share of good frames, faces, sound against picture, windows and sessions of every split."""
    try:
        data = OpenFaceDataset(config or OpenFaceConfig(), root)
    except BadFile as problem:
        yield error(str(problem), LIST, "nothing can be read", "see docs/own-dyads.md for the list's columns", FOLDER)
        return
    used, lost, looked = Counter[Row](), 0, data.rows[: limit or None]
    frames = 0
    contents, split_of, listed = Contents(), _split_of(data), set[tuple[str, Path]]()
    for row in looked:
        try:
            people = {side: data.person(row, side) for side in ("a", "b")}
            yield from _pair(data, row, people)
            motion, starts = data._read(row)
            used[row], frames = len(starts), frames + len(motion["a"])
            for side, person in people.items():
                split = split_of.get(row, "the list")
                if (split, row.files[side]) not in listed:  # one person may talk to several of a session
                    contents.add("motion", split, f"{row.name}, {side}", person.values[person.good])
                listed.add((split, row.files[side]))
        except BadFile as problem:
            yield error(str(problem), _where(row), "this recording cannot be read", "repair it, or remove its row")
            lost += 1
            continue
        if not used[row]:
            yield warn(what=f"no window of {data.config.window:g} s without a long gap", where=_where(row),
                meaning="the recording is not used", remedy="choose a shorter window or a longer gap",
            )  # fmt: skip
    yield from unreadable(lost, len(looked), "recordings", LIST)
    yield from contents.findings()
    if frames:
        yield _share(data.config, used.total() * data.frames / frames, frames / data.config.fps)
    if not limit:
        yield from _splits(data, used)


def _split_of(data: OpenFaceDataset) -> dict[Row, str]:
    """Row -> its split; nothing where there are too few sessions, which `_splits` says."""
    try:
        return {row: split for split, rows in data.splits.items() for row in rows}
    except DyadbenchError:
        return {}


def _where(row: Row) -> str:
    return f"{LIST}, line {row.line}"


def _pair(data: OpenFaceDataset, row: Row, people: dict[str, Person]) -> Iterator[Finding]:
    """What is odd about the two people of a row."""
    config = data.config
    for side, person in people.items():
        name, good = row.files[side].relative_to(data.root).as_posix(), person.good.mean()
        yield note(f"{person.rate:.4g} frames per second, {100 * good:.0f} % of the frames are good", name)
        if good < config.good:
            yield warn(what=f"only {100 * good:.0f} % of the frames have a face", where=name,
                meaning="few windows can be used", remedy="look at the video: light, a turned head, or another person",
            )  # fmt: skip
        if len(person.faces) > 1 and row.face[side] is None:
            yield warn(what=f"{len(person.faces)} faces ({', '.join(map(str, person.faces))})", where=name,
                meaning="the one seen most often is taken", remedy=f"if that is not the person, give face_{side} in {LIST}",
            )  # fmt: skip
        if person.repeated:
            yield note(f"{person.repeated} rows repeat a frame", name, "the first row of a frame is taken")
        if abs(person.rate - config.fps) > 0.01 * config.fps:
            yield note(
                f"resampled from {person.rate:.4g} to {config.fps:g} frames per second", name, "by linear interpolation"
            )
        if side in row.audio:
            wave, rate = read_wav(row.audio[side])
            if abs(len(wave) / rate - person.times[-1]) > APART:
                yield warn(what=f"{len(wave) / rate:.1f} s of sound for {person.times[-1]:.1f} s of picture",
                    where=row.audio[side].relative_to(data.root).as_posix(),
                    meaning="face and voice may not belong together", remedy="cut both alike",
                )  # fmt: skip
    lengths = {side: person.times[-1] - row.start[side] for side, person in people.items()}
    if abs(lengths["a"] - lengths["b"]) > APART:
        yield warn(what=f"a is {lengths['a']:.1f} s long and b {lengths['b']:.1f} s", where=_where(row),
            meaning="only what both have is used; if the cameras did not start together, faces do not match",
            remedy="give start_a and start_b",
        )  # fmt: skip


def _share(config: OpenFaceConfig, share: float, seconds: float) -> Finding:
    """How much of what was filmed stands in clips; most of it should."""
    what = f"{100 * share:.0f} % of {seconds / 60:.1f} minutes of conversation stand in clips"
    rest = (
        f"the rest is shorter than a window of {config.window:g} s, behind gaps longer than {config.gap:g} s and at the ends of "
        f"recordings, or has less than {100 * config.good:g} % measured frames"
    )
    return (
        note(what, LIST, rest) if share >= HALF else warn(what, LIST, rest, "choose a shorter window (-s window=...)")
    )


def _splits(data: OpenFaceDataset, used: Counter[Row]) -> Iterator[Finding]:
    """Sessions and clips of every split; an empty one cannot be trained on or scored."""
    try:
        splits = data.splits
    except DyadbenchError as problem:
        yield error(str(problem), LIST, "there is nothing to train on", "record more sessions", FOLDER)
        return
    for split in SPLITS:
        rows = splits[split]
        clips = sum(used[row] * len(row.roles) for row in rows)
        summary = f"{split}: {len({row.session for row in rows if used[row]})} sessions, {clips} clips"
        if clips:
            yield ok(summary)
        else:
            yield error(
                summary, LIST, "a split without clips cannot be used", "give it sessions with usable recordings", SPLIT
            )
