"""Whether a record is what its method gives: sampled again from source, in a store of its own, and compared clip by clip.

Fits are taken from the store where it has them, or trained anew. Nothing that was sampled or scored before is used.
A sample of clips is closed under `appropriate`, so that every clip meets all of its appropriate listeners. Columns whose
value per clip depends on the other clips (pooled distances, diversity between clips) can only be compared on all clips;
which these are is found by scoring the sample without some of its clips.
"""

from __future__ import annotations

import dataclasses
import math
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from dyadbench.api import Dataset, DyadbenchError
from dyadbench.cell.folds import run_of
from dyadbench.cell.keys import machine_paths
from dyadbench.cell.recorded import cell_of
from dyadbench.cell.run import CellRun
from dyadbench.cell.runtime import Runtime
from dyadbench.cell.score import evaluate, scores_of
from dyadbench.cell.source import Source
from dyadbench.cell.weights import learnt_parts
from dyadbench.datasets.limit import LimitedDataset
from dyadbench.errors import one_line
from dyadbench.matrix.keys import key_of
from dyadbench.records.record import DIGITS, Measured, Record
from dyadbench.registry.host import Host

TOLERANCE = 1e-3  # of a value per clip, as a share of its column's standard deviation over clips
ROUNDED = 10.0 ** (1 - DIGITS)  # relative: what a record's values per clip are rounded to

# What a method is given and reads.
FACTS = ("lookahead", "declared_lookahead", "sees_truth", "reads_emotion", "two_sided")

Values = Mapping[str, Sequence[float | None]]


@dataclass(frozen=True)
class Difference:
    """One column of a suite: on how many clips it was compared, where it differs most, and by how much."""

    suite: str
    column: str
    clips: int
    beyond: int  # clips that differ by more than the tolerance
    worst: str = ""  # the clip that differs most
    recorded: Any = None  # a number, or one of FACTS
    measured: Any = None


@dataclass(frozen=True)
class Verdict:
    differences: tuple[Difference, ...]
    clips: int
    trained: tuple[str, ...]  # what was trained for it, because the store had no fit

    @property
    def holds(self) -> bool:
        return not any(each.beyond for each in self.differences)


class ChosenClips(LimitedDataset):
    """These rows of one split; the other splits, and the digest, are the whole's."""

    def __init__(self, dataset: Dataset, split: str, rows: Sequence[int]):
        super().__init__(dataset, len(rows))
        self._split, self._chosen = split, list(rows)

    @property
    def digest(self) -> str:
        return self._dataset.digest

    def _rows(self, split: str) -> list[int]:  # type: ignore[override]  # few rows need no cache
        return self._chosen if split == self._split else list(range(len(self._dataset.clips(split))))


@dataclass(frozen=True)
class Verifier:
    """Measures one record again. `scratch` is a folder of its own."""

    record: Record
    host: Host
    runtime: Runtime
    scratch: Path
    train: bool = False  # from source too, whatever the store has

    def __call__(self, clips: int = 0, tolerance: float = TOLERANCE) -> Verdict:
        """Compares `clips` clips of the record, or more where they share listeners; 0: all.

        Raises DyadbenchError where the record could not have been made here: other data, another version of the method,
        or predictions from a file.
        """
        run = self._run
        trained = self._take_fits(run)
        if not clips or self.record.benchmark_config.folds or clips >= len(run.split.clips):
            again = run_of(run.cell, self.host, self._scratch, self._source.dataset).run()
            measured: dict[str, Values] = {name: scores.per_clip for name, scores in again.suites.items()}
            facts: Mapping[str, Any] = again.measured.model_dump(include=set(FACTS))
            undefined = tuple(self._undefined(again))
            rows: Sequence[int] = range(len(self.record.clips))
        else:
            groups = sample_of(run.split.appropriate, clips)
            rows = sorted(row for group in groups for row in group)
            measured, facts = self._scored(rows)
            if len(groups) > 1:
                rest = sorted(row for group in groups[:-1] for row in group)
                fewer, _ = self._scored(rest)
                at = [rows.index(row) for row in rest]
                measured = {suite: independent(values, fewer[suite], at) for suite, values in measured.items()}
            undefined = ()
        compared = self._compare(measured, rows, tolerance)
        if not compared:
            raise DyadbenchError("the record has no column that its benchmark scores, so there is nothing to compare")
        return Verdict((*compared, *undefined, *self._inputs(facts)), len(rows), trained)

    @cached_property
    def _source(self) -> Source:
        return Source(self.host, cell_of(self.record, self.host).dataset, self.runtime, self.record.limit)

    @cached_property
    def _run(self) -> CellRun:
        record = self.record
        cell = cell_of(record, self.host)
        for kind, part in record.method_config.items():
            now = getattr(cell, kind)
            if part["version"] != now.version:
                raise DyadbenchError(
                    f"the record was made by version {part['version']} of {part['name']}; version {now.version} is installed"
                )
        if self._source.dataset.digest != record.dataset.digest:
            raise DyadbenchError(
                f"the data here have the digest {self._source.dataset.digest[:12]}, the record's {record.dataset.digest[:12]}; "
                "it can be verified on its own data alone"
            )
        run = run_of(cell, self.host, self.runtime, self._source.dataset)
        for name, suite in run.suites.items():
            now = {column.id: column.version for column in suite.columns}
            for column, version in record.suites[name].versions.items() if name in record.suites else ():
                if now.get(column, version) != version:
                    raise DyadbenchError(
                        f"the record's {column} is of version {version} of that metric; version {now[column]} is installed"
                    )
        if [clip.id for clip in run.split.clips] != record.clips:
            raise DyadbenchError("the record names other clips than the benchmark has")
        for name, mine, due in self._due(run):
            if mine != due:
                texts = (one_line(str(value), most=60) for value in (mine, due))
                raise DyadbenchError("the record's {} is {}, and what it was made of gives {}".format(name, *texts))
        if run.generate_key != record.key:
            hidden = machine_paths(self.host, "dataset", record.dataset.name) - record.dataset.config.keys()
            raise DyadbenchError(
                f"the record may have been made with a file or folder as {' or '.join(sorted(hidden))}, which no record keeps, so it "
                "cannot be verified; run its cell again with what was used"
                if hidden
                else "the record's key is not that of its own configuration and data"
            )
        return run

    def _due(self, run: CellRun) -> Iterator[tuple[str, Any, Any]]:
        """(field, as recorded, as its method, benchmark and data give it) of what tables read and no key holds."""
        record, host = self.record, self.host
        entry = host.get("predictor", run.cell.predictor.name)
        due = {
            "sessions": [clip.session for clip in run.split.clips],
            "calibration": entry.calibration,
            "deterministic": entry.deterministic and run.cell.tokenizer is None,
            "entry_version": entry.version,
        }
        yield from (
            (name, getattr(record, name), value) for name, value in due.items() if name in record.model_fields_set
        )
        yield "dataset.simulated", record.dataset.simulated, run.dataset.simulated
        if any(other.name == record.benchmark for other in host.entries("benchmark")):
            setting = host.get("benchmark", record.benchmark).config.model_dump(mode="json")
            recorded = record.benchmark_config.model_dump(mode="json", exclude_unset=True)
            recorded.pop("also", None)  # a benchmark may have got a suite since
            yield from ((f"benchmark_config.{name}", value, setting[name]) for name, value in recorded.items())

    def _take_fits(self, run: CellRun) -> tuple[str, ...]:
        """Copies the fits into the scratch store; what is missing, or to be trained anew, is named."""
        missing: dict[str, None] = {}
        for part in run.parts:
            for learnt in learnt_parts(part):
                if self.train or not learnt.stage.done:
                    missing[f"{learnt.kind} {learnt.name}"] = None
                    continue
                place = self._scratch.store.stage("fit", learnt.stage.key).folder
                shutil.copytree(learnt.stage.folder, place, dirs_exist_ok=True)
        return tuple(missing)

    @cached_property
    def _scratch(self) -> Runtime:
        """Another store, the same data."""
        name = self.record.dataset.name
        return dataclasses.replace(self.runtime, home=self.scratch, data={name: self.runtime.folder_of(name)})

    def _scored(self, rows: Sequence[int]) -> tuple[dict[str, Values], Mapping[str, Any]]:
        """Suite -> column -> values of these clips, sampled by the cell's own pipeline; and FACTS."""
        run = self._run
        view = ChosenClips(run.dataset, run.cell.setting.split, rows)
        setting = run.cell.setting.model_copy(update={"clips": 0})
        part = CellRun(run.cell.model_copy(update={"setting": setting}), self.host, self._scratch, view)
        part.generate_key = key_of("verify", generate=run.generate_key, rows=list(rows))
        _, facts = part.generate(part.spaces)
        data = part.evaluation()
        measured: dict[str, Values] = {}
        for name, suite in part.suites.items():
            results = evaluate(self.host, name, suite, data, self.runtime.progress(f"score {name}"))
            measured[name] = scores_of({column.id: column.version for column in suite.columns}, results).per_clip
        return measured, Measured(**{name: facts[name] for name in FACTS if name in facts}).model_dump(
            include=set(FACTS)
        )

    def _inputs(self, facts: Mapping[str, Any]) -> tuple[Difference, ...]:
        """Whether the method sees what its record says that it sees; a look-ahead of None is the whole clip."""
        recorded = self.record.measured
        return tuple(
            Difference("measured", name, 1, 1, self.record.clips[0], getattr(recorded, name), value)
            for name, value in facts.items()
            if name in recorded.model_fields_set and getattr(recorded, name) != value
        )

    def _undefined(self, again: Record) -> Iterator[Difference]:
        """Columns whose count of undefined values, which tables print, is another one."""
        for suite, scores in again.suites.items():
            recorded = self.record.suites[suite].scores if suite in self.record.suites else {}
            for column, score in scores.scores.items():
                if column in recorded and recorded[column].undefined != score.undefined:
                    what = f"{column}, undefined"
                    yield Difference(
                        suite, what, 1, 1, self.record.clips[0], recorded[column].undefined, score.undefined
                    )

    def _compare(self, measured: Mapping[str, Values], rows: Sequence[int], tolerance: float) -> tuple[Difference, ...]:
        return tuple(
            difference(suite, column, recorded, values[column], rows, self.record.clips, tolerance)
            for suite, values in measured.items()
            if suite in self.record.suites
            for column, recorded in self.record.suites[suite].per_clip.items()
            if column in values
        )


def difference(
    suite: str, column: str, recorded: Sequence[float | None], measured: Sequence[float | None], rows: Sequence[int],
    clips: Sequence[str], tolerance: float,
) -> Difference:  # fmt: skip
    """`measured` has a value for each of `rows` of `recorded`, which has one for each of `clips`."""
    reference, here = np.array(recorded, np.float64), np.array(measured, np.float64)  # numpy makes NaN of None
    spread = float(np.nanstd(reference)) if np.isfinite(reference).any() else 0.0
    there = reference[list(rows)]
    allowed = tolerance * spread + ROUNDED * np.fmax(np.abs(there), np.abs(here)) + 1e-9
    gap = np.where(np.isnan(there) & np.isnan(here), 0.0, np.abs(there - here))
    gap = np.where(np.isnan(gap), math.inf, gap)  # defined on one side only
    beyond = int((gap > np.where(np.isnan(allowed), 0.0, allowed)).sum())
    if not beyond:
        return Difference(suite, column, len(rows), 0)
    worst = int(np.argmax(gap))
    values = [None if np.isnan(side[worst]) else float(side[worst]) for side in (there, here)]
    return Difference(suite, column, len(rows), beyond, clips[rows[worst]], *values)


def sample_of(appropriate: np.ndarray, count: int) -> list[list[int]]:
    """Groups of rows that share appropriate listeners, spread over the split, of at least `count` rows together.

    Two groups at least, where there are two: only a second one tells which columns depend on the other clips.
    """
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import connected_components

    _, label = connected_components(csr_matrix(appropriate), directed=False)
    groups = [np.flatnonzero(label == n).tolist() for n in np.unique(label)]
    chosen: list[list[int]] = []
    stride = max(1, len(groups) * max(1, len(groups[0])) // max(count, 1))
    for group in [*groups[::stride], *groups]:
        if sum(map(len, chosen)) >= count and len(chosen) > 1:
            break
        if group not in chosen:
            chosen.append(group)
    return chosen


def independent(values: Values, fewer: Values, at: Sequence[int]) -> dict[str, Sequence[float | None]]:
    """The columns whose values are the same where fewer clips were scored; `at` says where these stand in `values`."""
    return {name: each for name, each in values.items() if [each[row] for row in at] == list(fewer[name])}
