"""What a page shows of faces and training beyond the records: small, quantised, kept beside the records.

One file a benchmark for the people (speaker, real listeners, voice) and one a method for its reactions and training
curves. Excerpts of simulated data lie in leaderboards/excerpts and are committed; those of real people stay below --home.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from dyadbench.api import BenchmarkConfig, Config, Dataset, DyadbenchError
from dyadbench.cell.folds import run_of
from dyadbench.cell.keys import fit_keys
from dyadbench.cell.noise import CellNoise
from dyadbench.cell.run import CellRun, open_dataset
from dyadbench.cell.runtime import Runtime
from dyadbench.files.atomic import atomic_write
from dyadbench.matrix.cells import Cell, Part, PartSpec, resolve_config, resolve_part
from dyadbench.records.record import Record, slug
from dyadbench.registry.host import Host
from dyadbench.report.faces import FaceMap, face_map, pack

CLIPS, SAMPLES, LISTENERS = 2, 3, 3  # clips a benchmark, samples a method, real listeners a clip
START, SECONDS = 4.0, 10.0  # of each clip
RATE = 8000  # of the voice
POINTS = 60  # of a training curve


class Person(Config):
    """One drawn face over a clip: int8, base64 (faces.unpack)."""

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
    clips: tuple[ClipExcerpt, ...]


class MethodExcerpt(Config):
    """`<method>.json`: reactions of the record with this key, by clip, and its training curves."""

    key: str
    reactions: Mapping[str, tuple[str, ...]]
    curves: Mapping[str, Mapping[str, Sequence[float | None]]] = {}
    static: bool = False  # the method emits emotion only, so the head stays still


@dataclass
class Excerpts:
    """Everything that is known of one benchmark; `missing` says for each other method why there is nothing to see."""

    people: People | None = None
    methods: dict[str, MethodExcerpt] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)


def chosen_clips(record: Record) -> list[int]:
    """Rows of the fixed clips: the first, and the first of the session half way."""
    middle = record.sessions[len(record.sessions) // 2]
    return list(dict.fromkeys([0, record.sessions.index(middle), len(record.clips) // 2]))[:CLIPS]


def read(path: Path, kind: type[Any]) -> Any | None:
    """The file's content; None where it is missing. A file that is not an excerpt is refused by name."""
    try:
        return kind.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (ValidationError, UnicodeDecodeError, OSError) as error:
        raise DyadbenchError(
            f"{path} is not an excerpt ({' '.join(str(error).split())[:120]}); delete it and run again"
        ) from None


def _write(path: Path, value: Config) -> None:
    text = json.dumps(value.model_dump(mode="json"), sort_keys=True, indent=1, allow_nan=False)
    atomic_write(path, text + "\n")


def gather(records: Sequence[Record], leaderboards: Path, runtime: Runtime, host: Host, *, make: bool) -> Excerpts:
    """The excerpts of one benchmark, read where they are kept; with `make`, those that can be made without training are."""
    first = records[0]
    base = leaderboards if first.dataset.simulated else runtime.home
    folder = base / "excerpts" / slug(first.benchmark)
    studio = Studio(host, runtime)
    found = Excerpts(people=read(folder / "people.json", People))
    if found.people is None or found.people.digest != first.dataset.digest:
        found.people = studio.people(first) if make else None
        if found.people is not None:
            _write(folder / "people.json", found.people)
    for record in _one_each(records):
        path = folder / f"{slug(record.method)}.json"
        kept = read(path, MethodExcerpt)
        if kept is None or kept.key != record.key:
            kept, why = (
                studio.method(record)
                if make
                else (None, "no excerpt of it is kept; `dyadbench report` makes one where the store has its weights")
            )
            if kept is None:
                found.missing[record.method] = why
                continue
            _write(path, kept)
        found.methods[record.method] = kept
    return found


def _one_each(records: Sequence[Record]) -> list[Record]:
    """The first seed of every method that is not a calibration row."""
    first: dict[str, Record] = {}
    for record in records:
        if not record.calibration:
            first.setdefault(record.method, record)
    return list(first.values())


class Studio:
    """Makes excerpts from a data set and the store; trains nothing."""

    def __init__(self, host: Host, runtime: Runtime):
        self.host, self.runtime = host, runtime
        self._open: dict[str, Dataset] = {}

    def _cell(self, record: Record) -> Cell:
        """The cell a record was measured on, as far as a record says."""
        setting = BenchmarkConfig.model_validate(record.benchmark_config.model_dump())
        parts = {kind: self._part(kind, Part.model_validate(part)) for kind, part in record.method_config.items()}
        return Cell(
            benchmark=record.benchmark, benchmark_version=1, setting=setting, method=record.method, seed=record.seed,
            dataset=resolve_part(self.host, "dataset", PartSpec(name=record.dataset.name, config=record.dataset.config)),
            predictor=parts["predictor"], tokenizer=parts.get("tokenizer"),
        )  # fmt: skip

    def _part(self, kind: str, part: Part) -> Part:
        """The part as this installation would run it: fields that came later have their defaults."""
        entry = self.host.get(kind, part.name)
        return Part(name=entry.name, version=entry.version, config=resolve_config(kind, entry, part.config))

    def _run(self, record: Record) -> CellRun:
        cell = self._cell(record)
        name = cell.dataset.model_dump_json()
        if name not in self._open:
            self._open[name] = open_dataset(self.host, cell.dataset, self.runtime)
        return run_of(cell, self.host, self.runtime, self._open[name])

    def people(self, record: Record) -> People | None:
        """Speaker, real listeners and voice of the fixed clips; None where the data set is not to be had here."""
        try:
            run = self._run(record)
        except DyadbenchError:
            return None
        if run.dataset.digest != record.dataset.digest:
            return None
        split, faces = record.dataset.split, face_map(run.dataset)
        suitable = run.dataset.appropriate(split)
        clips = []
        for row in chosen_clips(record):
            others = [int(j) for j in np.flatnonzero(suitable[row]) if j != row][: LISTENERS - 1]
            dyad = run.dataset.dyad(split, row)
            frames = _frames(len(dyad.listener.motion), run.dataset.space.fps)
            listeners = [dyad.listener, *(run.dataset.dyad(split, j).listener for j in others)]
            labels = ["real listener", *(f"also appropriate {n}" for n in range(1, len(listeners)))]
            clips.append(ClipExcerpt(
                id=record.clips[row], start=frames.start / run.dataset.space.fps, frames=len(frames),
                speaker=_person("speaker", faces, dyad.speaker, frames),
                listeners=tuple(_person(label, faces, track, frames) for label, track in zip(labels, listeners, strict=True)),
                voice=_voice(run.dataset, split, row, frames),
            ))  # fmt: skip
        return People(digest=record.dataset.digest, fps=run.dataset.space.fps, note=faces.note, clips=tuple(clips))

    def method(self, record: Record) -> tuple[MethodExcerpt | None, str]:
        """Reactions to the fixed clips from what the store has; or None and why not."""
        again = f"`dyadbench run -b {record.benchmark} -m {record.method}` makes them"
        try:
            if not self._learnt(record):
                return None, f"its trained weights are not in this store; {again}"
            run = self._run(record)
            if run.generate_key != record.key:
                return None, f"this installation would not give its record; {again} anew"
            predictors = {part.fold: part.fit()[0] for part in run.parts}
        except DyadbenchError as error:
            return None, f"{error}; {again}"
        faces, reactions, static = face_map(run.dataset), {}, False
        for row in chosen_clips(record):
            part, place = run.part_of(row)
            predictor = predictors[part.fold]
            context = part.split.context(range(place, place + 1), predictor.needs, privileged=False)
            with self.host.blame("predictor", run.cell.predictor.name, "sample"):
                reaction = predictor.sample(context, run.cell.setting.samples, CellNoise(record.seed))
            frames = _frames(context.frames, run.dataset.space.fps)
            span, static = slice(frames.start, frames.stop), static or reaction.motion is None
            reactions[record.clips[row]] = tuple(
                pack(faces.draw(
                    None if reaction.motion is None else reaction.motion[0, k, span],
                    None if reaction.emotion is None else reaction.emotion[0, k, span],
                ))
                for k in range(min(SAMPLES, run.cell.setting.samples))
            )  # fmt: skip
        return MethodExcerpt(key=record.key, reactions=reactions, curves=self._curves(run.parts[0]), static=static), ""

    def _learnt(self, record: Record) -> bool:
        """Whether all that was learnt for a record is in the store, so that `fit` restores and does not train."""
        cell, wanted = self._cell(record), []
        for fold in range(cell.setting.folds) if cell.setting.folds else [None]:
            keys = fit_keys(cell, self.host, record.dataset.digest, fold)
            wanted += [keys.predictor] * record.trained
            wanted += [keys.tokenizer] * (record.measured.tokenizer_fit_seconds is not None)
        return all(self.runtime.store.stage("fit", key).done for key in wanted)

    def _curves(self, run: CellRun) -> dict[str, dict[str, list[float | None]]]:
        """{"predictor": {"step": [...], "loss": [...]}}: the losses of every stage, thinned to a few dozen points."""
        keys = {"predictor": run.fit_key} | ({"tokenizer": run.tokenizer_key} if run.tokenizer_key else {})
        curves = {}
        for part, key in sorted(keys.items(), reverse=True):
            for path in sorted(self.runtime.store.stage("fit", key).folder.glob("*/metrics.jsonl")):
                lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
                lines = [line for line in lines if "loss" in line]
                if len(lines) > 1:
                    stride = -(-len(lines) // POINTS)
                    kept = lines[::stride]
                    name = part if path.parent.name == part else f"{part}, {path.parent.name}"
                    curves[name] = {key: [_short(line.get(key)) for line in kept] for key in ("step", "loss")}
        return curves


def _short(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else float(f"{value:.4g}")


def _frames(total: int, fps: float) -> range:
    """The frames shown of a clip: SECONDS of it from START, or its end where it is shorter."""
    count = min(total, round(SECONDS * fps))
    start = min(round(START * fps), total - count)
    return range(start, start + count)


def _person(label: str, faces: FaceMap, track: Any, frames: range) -> Person:
    span = slice(frames.start, frames.stop)
    return Person(
        label=label,
        face=pack(faces.draw(track.motion[span], None if track.emotion is None else track.emotion[span])),
    )


def _voice(dataset: Dataset, split: str, row: int, frames: range) -> str | None:
    """The speaker's voice over `frames` at telephone quality, where the data set can give it."""
    speech = getattr(dataset, "voice", None)
    found = speech(split, row) if speech else None
    if found is None:
        return None
    import soundfile
    from scipy.signal import resample_poly

    samples, rate = found
    start, stop = (round(place / dataset.space.fps * rate) for place in (frames.start, frames.stop))
    common = int(np.gcd(rate, RATE))
    low = resample_poly(samples[start:stop].astype(np.float64), RATE // common, rate // common)
    buffer = io.BytesIO()
    soundfile.write(buffer, np.clip(low, -0.999, 0.999), RATE, format="FLAC", subtype="PCM_16")
    return base64.b64encode(buffer.getvalue()).decode()
