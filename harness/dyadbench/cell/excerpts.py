"""Makes excerpts for the report: faces of a few seconds, drawn from a dataset and from the trained methods in the store.

Nothing is trained here. What the store does not have is left out, and the reason is returned. On real people, whose
excerpts nobody commits, methods that are fitted in one call are fitted again where the store has no fit: that takes seconds.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from dyadbench.api import Dataset, Dyad, DyadbenchError, Predictor, Reaction, Voiced
from dyadbench.cell.faces import FaceMap, face_map
from dyadbench.cell.folds import run_of
from dyadbench.cell.keys import fit_keys
from dyadbench.cell.noise import CellNoise
from dyadbench.cell.react import react
from dyadbench.cell.recorded import cell_of
from dyadbench.cell.run import CellRun
from dyadbench.cell.runtime import Runtime
from dyadbench.cell.source import open_dataset
from dyadbench.records.command import command_of
from dyadbench.records.excerpts import (
    ClipExcerpt,
    FaceTrack,
    MethodExcerpt,
    People,
    Person,
    excerpt_folder,
    first_seeds,
    pack,
    read_excerpt,
    write_excerpt,
)
from dyadbench.records.record import Record, slug
from dyadbench.registry.host import Host

CLIPS, SAMPLES, LISTENERS = 2, 3, 3  # clips per benchmark, samples per method, true listeners per clip
SECONDS, STEP = 10.0, 2.0  # length of an excerpt; distance between the windows that are considered
CONSIDERED = 24  # clips, evenly spaced over the split, that an excerpt is chosen from
RATE = 8000  # of the voice, in Hz


def make_excerpts(records: Sequence[Record], leaderboards: Path, runtime: Runtime, host: Host) -> dict[str, str]:
    """Makes the missing excerpts of one benchmark. Returns method -> why no excerpt could be made."""
    by_file = {
        record.method: "it was scored from a file, which is not kept" for record in records if record.scored_from
    }
    records = [record for record in records if not record.scored_from]
    if not records:
        return by_file
    first = records[0]
    folder = excerpt_folder(first, leaderboards, runtime.home)
    maker = Maker(host, runtime)
    people = read_excerpt(folder / "people.json", People)
    if people is None or people.digest != first.dataset.digest:
        try:
            with host.blame("dataset", first.dataset.name, "read"):
                people = maker.people(first)
        except DyadbenchError as error:  # a clip that cannot be read costs faces and nothing else
            return by_file | {record.method: str(error) for record in first_seeds(records)}
        if people is None:
            return by_file | {record.method: "the dataset is not on this machine" for record in first_seeds(records)}
        write_excerpt(folder / "people.json", people)
    missing = by_file
    for record in first_seeds(records):
        path = folder / f"{slug(record.method)}.json"
        excerpt = read_excerpt(path, MethodExcerpt)
        if excerpt is not None and _is_of(excerpt, record, people):
            continue
        try:
            excerpt, why = maker.method(record, people)
        except DyadbenchError as error:
            excerpt, why = None, str(error)
        if excerpt is None:
            missing[record.method] = why
        else:
            write_excerpt(path, excerpt)
    return missing


def _is_of(excerpt: MethodExcerpt, record: Record, people: People) -> bool:
    same = (excerpt.key, excerpt.beside) == (record.key, people.beside)
    return same and set(excerpt.reactions) == {clip.id for clip in people.clips}


class Maker:
    """Draws excerpts of one benchmark after another; a dataset is opened once."""

    def __init__(self, host: Host, runtime: Runtime):
        self.host, self.runtime = host, runtime
        self._open: dict[str, Dataset] = {}

    def _run(self, record: Record) -> CellRun:
        cell = cell_of(record, self.host)
        name = cell.dataset.model_dump_json()
        if name not in self._open:
            self._open[name] = open_dataset(self.host, cell.dataset, self.runtime)
        return run_of(cell, self.host, self.runtime, self._open[name])

    def people(self, record: Record) -> People | None:
        """Speaker, true listeners and voice of the chosen clips; None where the dataset is not on this machine."""
        try:
            run = self._run(record)
        except DyadbenchError:
            return None
        if run.dataset.digest != record.dataset.digest:
            return None
        split, faces = record.dataset.split, face_map(run.dataset)
        suitable = run.dataset.appropriate(split)
        clips = []
        for row, begin in telling_windows(run.dataset, split, record.sessions):
            dyad = run.dataset.dyad(split, row)
            frames = _frames(_length(dyad), run.dataset.space.fps, begin)
            others = (run.dataset.dyad(split, int(j)).listener for j in np.flatnonzero(suitable[row]) if j != row)
            reaching = (track for track in others if len(track.motion) >= frames.stop)  # people may differ in length
            listeners = [dyad.listener, *islice(reaching, LISTENERS - 1)]
            true = "true listener (simulated)" if run.dataset.simulated else "true listener"
            labels = [true, *(f"also appropriate {n}" for n in range(1, len(listeners)))]
            clips.append(ClipExcerpt(
                id=record.clips[row], start=frames.start / run.dataset.space.fps, frames=len(frames),
                speaker=_person("speaker", faces, dyad.speaker, frames),
                listeners=tuple(_person(label, faces, track, frames) for label, track in zip(labels, listeners, strict=True)),
                voice=_voice(run.dataset, split, row, frames),
            ))  # fmt: skip
        return People(
            digest=record.dataset.digest, fps=run.dataset.space.fps, note=faces.note, beside=faces.beside, clips=tuple(clips)
        )  # fmt: skip

    def method(self, record: Record, people: People) -> tuple[MethodExcerpt | None, str]:
        """Reactions to the clips of `people` from what the store has; or None and why not."""
        if any(clip.id not in record.clips for clip in people.clips):
            return None, "it was measured on other clips"
        again = f"`{command_of(record, self.host)}` makes them"
        try:
            if not self._learnt(record):
                return None, f"its trained weights are not in this store; {again}"
            run = self._run(record)
            # The same key, or the faces shown would not be those that were scored.
            if run.generate_key != record.key:
                return None, f"this installation would not give its record; {again}"
            faces = face_map(run.dataset)
            if faces.beside != people.beside:
                return (
                    None,
                    f"the people's faces are of an older version; delete people.json of {record.benchmark}'s excerpts, and report again",
                )
            predictors = {part.fold: part.fit()[0] for part in run.parts}
        except DyadbenchError as error:
            return None, f"{error}; {again}"
        reactions, static = {}, False
        for clip in people.clips:
            reaction = self._reaction(run, predictors, record.clips.index(clip.id), record.seed)  # (1, K, T, C)
            begin = round(clip.start * run.dataset.space.fps)
            span, static = slice(begin, begin + clip.frames), static or reaction.motion is None
            reactions[clip.id] = tuple(
                pack(faces.draw(
                    None if reaction.motion is None else reaction.motion[0, k, span],
                    None if reaction.emotion is None else reaction.emotion[0, k, span],
                ), faces.beside)
                for k in range(min(SAMPLES, run.cell.setting.samples))
            )  # fmt: skip
        return MethodExcerpt(key=record.key, reactions=reactions, static=static, beside=faces.beside), ""

    def _reaction(self, run: CellRun, predictors: Mapping[int | None, Predictor], row: int, seed: int) -> Reaction:
        """What the predictor of the clip's fold answers to it: (1, K, T, C)."""
        part, place = run.part_of(row)
        predictor, name = predictors[part.fold], run.cell.predictor.name
        context = part.split.context(range(place, place + 1), predictor.needs, privileged=False)
        with self.host.blame("predictor", name, "sample"):
            k, space = run.cell.setting.samples, run.dataset.space
            return react(predictor.sample, context, k, CellNoise(seed), space, name)

    def _learnt(self, record: Record) -> bool:
        """Whether `fit` restores and does not train: all that was learnt for a record is in the store, or takes seconds."""
        if not record.dataset.simulated and not (record.measured.validation or record.measured.tokenizer_validation):
            return True  # fitted in one call, or nothing is learnt
        cell, due = cell_of(record, self.host), []
        for fold in range(cell.setting.folds) if cell.setting.folds else [None]:
            keys = fit_keys(cell, self.host, record.dataset.digest, fold)
            due += [keys.predictor] * record.trained
            due += [keys.tokenizer] * (record.measured.tokenizer_fit_seconds is not None)
        return all(self.runtime.store.stage("fit", key).done for key in due)


def telling_windows(dataset: Dataset, split: str, sessions: Sequence[str]) -> list[tuple[int, float]]:
    """(row, second) of the windows to show: the speaker is active and the listener reacts; CLIPS of different sessions.

    A speaker is active by the loudness of the voice, or where there is none by how much the face moves. A window counts
    by the product of that and of the listener's movement. Every group of channels counts relative to its mean over all
    windows considered, so that the one with the largest numbers does not decide alone.
    """
    rows = sorted({round(place) for place in np.linspace(0, len(sessions) - 1, CONSIDERED)})
    windows = [(row, *each) for row in rows for each in _activity(dataset, split, row)]
    active, reacts = (np.stack([window[i] for window in windows]) for i in (2, 3))  # (W, groups)
    # A product: a window in which nobody speaks or nobody moves shows nothing, however lively the other side.
    worth = (active / np.maximum(active.mean(0), 1e-12)).mean(1) * (reacts / np.maximum(reacts.mean(0), 1e-12)).mean(1)
    chosen: dict[str, tuple[int, float]] = {}
    for place in np.argsort(-worth, kind="stable"):
        row, second = windows[place][:2]
        chosen.setdefault(sessions[row], (row, second))
    return list(chosen.values())[:CLIPS]


def _activity(dataset: Dataset, split: str, row: int) -> Iterable[tuple[float, FaceTrack, FaceTrack]]:
    """(second, activity of the speaker, movement of the listener) of each window of a clip; one number per group."""
    dyad: Dyad = dataset.dyad(split, row)
    fps, spans = dataset.space.fps, list(dataset.space.groups.values())
    steps = [np.abs(np.diff(track.motion, axis=0)) for track in (dyad.speaker, dyad.listener)]  # (T - 1, D)
    speaker, listener = (np.stack([step[:, a:b].mean(1) for a, b in spans], 1) for step in steps)  # (T - 1, groups)
    voice = dataset.voice(split, row) if isinstance(dataset, Voiced) else None
    total = _length(dyad)
    for begin in np.arange(0.0, max(total / fps - SECONDS, 0) + 1e-9, STEP):
        frames = _frames(total, fps, float(begin))
        if voice is None:
            active = speaker[frames.start : frames.stop].mean(0)
        else:
            start, stop = (round(place / fps * voice[1]) for place in (frames.start, frames.stop))
            active = np.sqrt(np.square(voice[0][start:stop].astype(np.float64)).mean(keepdims=True))
        yield float(begin), active, listener[frames.start : frames.stop].mean(0)


def _length(dyad: Dyad) -> int:
    """Frames that both people have."""
    return min(len(dyad.speaker.motion), len(dyad.listener.motion))


def _frames(total: int, fps: float, begin: float) -> range:
    """The frames of an excerpt: SECONDS from second `begin`, or up to the clip's end where it is shorter."""
    count = min(total, round(SECONDS * fps))
    start = min(round(begin * fps), total - count)
    return range(start, start + count)


def _person(label: str, faces: FaceMap, track: Any, frames: range) -> Person:
    span = slice(frames.start, frames.stop)
    return Person(
        label=label,
        face=pack(faces.draw(track.motion[span], None if track.emotion is None else track.emotion[span]), faces.beside),
    )


def _voice(dataset: Dataset, split: str, row: int, frames: range) -> str | None:
    """The speaker's voice over `frames` at telephone quality, where the dataset can give it."""
    sound = dataset.voice(split, row) if isinstance(dataset, Voiced) else None
    if sound is None:
        return None
    import soundfile
    from scipy.signal import resample_poly

    samples, rate = sound
    start, stop = (round(place / dataset.space.fps * rate) for place in (frames.start, frames.stop))
    common = int(np.gcd(rate, RATE))
    low = resample_poly(samples[start:stop].astype(np.float64), RATE // common, rate // common)
    buffer = io.BytesIO()
    soundfile.write(buffer, np.clip(low, -0.999, 0.999), RATE, format="FLAC", subtype="PCM_16")
    return base64.b64encode(buffer.getvalue()).decode()
