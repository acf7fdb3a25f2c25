"""The results of `dyadbench validity`, kept as JSON: what every metric gave, and whether it orders what everybody knows."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError, computed_field, model_validator

from dyadbench.api import Config, Direction, DyadbenchError
from dyadbench.files.walk import files_in
from dyadbench.leaderboard.validity_rule import Falls, Pair, Shift, faults
from dyadbench.records.record import Record, RecordedSetting, slug

FOLDER = "validity"  # below leaderboards/, one file per corpus


class Validity(Config):
    """One column of one suite on one corpus."""

    version: int
    direction: Direction
    family: str
    headline: bool
    values: Mapping[str, float | None]  # condition -> value
    pairs: tuple[Pair, ...]
    falls: tuple[Falls, ...]
    shifts: Mapping[str, Shift]  # what should not matter

    @model_validator(mode="before")
    @classmethod
    def _judge_anew(cls, raw: Any) -> Any:
        """What a file says of passing is for its readers: it follows from the measurements by today's rule."""
        return {key: raw[key] for key in raw if key not in ("passes", "why")} if isinstance(raw, Mapping) else raw

    @property
    def judged(self) -> bool:
        """Not where it belongs to no family, so that nothing says what it must order, nor where nothing has a value, as of
        channels that these data lack."""
        nothing = bool(self.values) and all(value is None for value in self.values.values())
        return bool(self.family) and not nothing

    @computed_field  # type: ignore[prop-decorator]
    @property
    def why(self) -> tuple[str, ...]:
        """Why it fails; empty where it does not, and where it is not judged."""
        return faults(self.family, self.pairs, self.falls, self.shifts) if self.judged else ()

    @computed_field  # type: ignore[prop-decorator]
    @property
    def passes(self) -> bool | None:
        """None: it is not judged."""
        return not self.why if self.judged else None


class Corpus(Config):
    """All suites on one corpus."""

    benchmark: str
    simulated: bool
    digest: str
    data: str = ""  # digest that records of these data hold; `digest` is of the part that was looked at
    # How they were read, as the benchmark says it; None in results that do not say it, which are taken to fit.
    dataset_config: Mapping[str, Any] | None = None
    clips: int
    sessions: int
    samples: int
    draws: int = 1  # of each condition that is drawn
    action_units: int = 0  # version of the rule that made them 0 and 1; 0: as they were
    conditions: tuple[str, ...]
    suites: Mapping[str, Mapping[str, Validity]]

    def scored_as(self, setting: RecordedSetting) -> bool:
        """Whether records of this setting have the same data before them, cut alike, with action units by the same rule."""
        same = self.dataset_config in (None, setting.dataset_config)
        return same and not (self.action_units and setting.action_units == "raw")


def demand_no_less(path: Path, data: str, clips: int, samples: int, suites: Sequence[str]) -> None:
    """Raises DyadbenchError, before hours are spent, where a result of other data, or of more, would be replaced."""
    if not path.is_file():
        return
    there = _load(path)
    why = {
        "other data": there.data != data,
        f"{there.clips} clips": there.clips > clips,
        f"{there.samples} samples": there.samples > samples,
        f"suite {', '.join(sorted(set(there.suites) - set(suites)))}": bool(set(there.suites) - set(suites)),
    }
    if reasons := [reason for reason, holds in why.items() if holds]:
        raise DyadbenchError(
            f"{path} is of {' and '.join(reasons)}, which would be lost; measure as much (--clips, --samples, --suite), name "
            "another --root, or add --replace"
        )


def _load(path: Path) -> Corpus:
    try:
        return Corpus.model_validate_json(path.read_text(encoding="utf-8"))
    except (ValidationError, OSError, UnicodeDecodeError) as error:
        raise DyadbenchError(
            f"{path} is no result of `dyadbench validity`: {' '.join(str(error).split())[:200]}"
        ) from None


def load_validity(leaderboards: Path) -> list[Corpus]:
    """Every committed result, real people first; DyadbenchError names a file that is none."""
    reports = []
    for path in files_in(leaderboards / FOLDER, ".json"):
        corpus = _load(path)
        if path.name != (proper := f"{slug(corpus.benchmark)}.json"):
            raise DyadbenchError(
                f"{path} is the result of {corpus.benchmark}, which belongs to {proper}; delete or rename it"
            )
        reports.append(corpus)
    return sorted(reports, key=lambda corpus: (corpus.simulated, corpus.benchmark))


def validity_json(corpus: Corpus) -> str:
    """Five significant digits, sorted keys, so that a rerun is the same file."""
    return json.dumps(_short(corpus.model_dump(mode="json")), sort_keys=True, indent=1, allow_nan=False) + "\n"


def _short(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, dict):
        return {key: _short(inner) for key, inner in value.items()}
    return [_short(inner) for inner in value] if isinstance(value, list | tuple) else value


def judged_on(corpora: Sequence[Corpus], records: Sequence[Record], suite: str) -> dict[str, tuple[str, ...]]:
    """Column -> why it fails on the data of these records, nothing where it passes; of every column that was judged there in
    the version that the records hold. Data that were read with other settings, such as longer windows, are other data."""
    fits = {
        corpus.benchmark
        for corpus in corpora
        for record in records
        if corpus.data == record.dataset.digest and corpus.scored_as(record.benchmark_config)
    }
    scored = {pair for record in records if suite in record.suites for pair in record.suites[suite].versions.items()}
    return {
        name: () if one.passes else one.why
        for corpus in corpora
        if corpus.benchmark in fits
        for name, one in corpus.suites.get(suite, {}).items()
        if one.passes is not None and (name, one.version) in scored
    }
