"""The committed records, and which of them can stand in one table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dyadbench.api import Column, DyadbenchError
from dyadbench.matrix.quarter import TAIL
from dyadbench.records.record import Record, SuiteScores, load_record, record_path, slug
from dyadbench.records.references import only_named_so


def records_below(leaderboards: Path, benchmark: str | None = None) -> list[Record]:
    """All committed records, in an order that does not depend on the file system."""
    if benchmark is None:
        return [record for _, records in by_benchmark(leaderboards) for record in records]
    # Only the folder where they are written: the others need not be read.
    return _records_in(leaderboards, leaderboards / "records" / slug(benchmark))


def by_benchmark(leaderboards: Path) -> Iterator[tuple[str, list[Record]]]:
    """The records of one benchmark after another, so that no more than one's are held."""
    folder = leaderboards / "records"
    places = sorted(folder.iterdir()) if folder.is_dir() else []
    for place in places:
        if records := _records_in(leaderboards, place):
            yield records[0].benchmark, records


def need_records(leaderboards: Path) -> None:
    """Raises DyadbenchError where nothing was ever measured."""
    if not (leaderboards / "records").is_dir():
        raise DyadbenchError(
            f"there are no records in {leaderboards}; `dyadbench run` makes them, --root says where to look"
        )


def of_whole_training(records: Sequence[Record]) -> list[Record]:
    """Less the rows of `run --quarter`, ablations of that name, which are the claims' second budget and stand in no table."""
    return [record for record in records if not (record.of and record.method.endswith(TAIL))]


def _records_in(leaderboards: Path, place: Path) -> list[Record]:
    """The records in or below `place`: the one door through which a record comes in.

    Raises DyadbenchError where a record does not lie where its content belongs: a copy, a renamed seed or a moved folder
    would count as one more measurement.
    """
    records = []
    for path in _files(place):
        record = load_record(path)
        proper = record_path(leaderboards, record)
        if path != proper:
            raise DyadbenchError(
                f"{path} holds the record of {record.benchmark}, {record.method}, seed {record.seed}, which belongs to "
                f"{proper}; " + ("delete the copy" if proper.exists() else "move it there")
            )
        records.append(record)
    return sorted(records, key=lambda r: (r.method, r.seed))


def _files(place: Path, above: tuple[Path, ...] = ()) -> Iterator[Path]:
    """The record files below a folder, links followed. Hidden files, such as a Mac's ._seed0.json, are not records."""
    if place.name.startswith("."):
        return
    if not place.is_dir():
        if place.suffix == ".json":
            yield place
        return
    real = place.resolve()
    for inner in sorted(place.iterdir()) if real not in above else ():
        yield from _files(inner, (*above, real))


def by_method(records: Sequence[Record]) -> dict[str, list[Record]]:
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(record.method, []).append(record)
    return groups


def seeds_of(records: Sequence[Record]) -> str:
    """The seeds of a method: methods that have the same ones are paired by seed (leaderboard/stats)."""
    return " ".join(["seeds", *(str(record.seed) for record in records)])


def configured(records: Sequence[Record]) -> list[str]:
    """The suites of a benchmark as any of its records was run, the ranking one first."""
    settings = [record.benchmark_config for record in records]
    main = dict.fromkeys(setting.suite for setting in settings)
    return list(main | dict.fromkeys(suite for setting in settings for suite in setting.also))


@dataclass(frozen=True)
class LeftOut:
    """A record that no table shows beside the others, and why."""

    record: Record
    why: str  # goes on from the method and seed

    def __str__(self) -> str:
        return f"{self.record.method}, seed {self.record.seed} {self.why}"


def of_newest_data(records: Sequence[Record]) -> tuple[list[Record], list[LeftOut]]:
    """Records on the newest version of each dataset that any of them was measured on, and of the newest rule for action
    units among those; and the others."""
    newest: dict[str, int] = {}
    for record in records:
        name = record.dataset.name
        newest[name] = max(newest.get(name, 1), record.data_version)
    newest_records = [record for record in records if record.data_version == newest[record.dataset.name]]
    left_out = [
        LeftOut(
            r,
            f"was measured on version {r.data_version} of {r.dataset.name}, which is now at version "
            f"{newest[r.dataset.name]}, and is left out; run it again",
        )
        for r in records
        if r.data_version < newest[r.dataset.name]
    ]
    rules: dict[str, int] = {}
    for record in newest_records:
        rules[record.benchmark] = max(rules.get(record.benchmark, 0), _units_rule(record))
    left_out += [
        LeftOut(
            r,
            f"was scored with action units by version {_units_rule(r)} of the rule (0: as emitted), which "
            f"is now at version {rules[r.benchmark]}, and is left out; run it again",
        )
        for r in newest_records
        if _units_rule(r) < rules[r.benchmark]
    ]
    return [r for r in newest_records if _units_rule(r) == rules[r.benchmark]], left_out


def _units_rule(record: Record) -> int:
    rule = record.measured.action_units
    return rule.version if rule else 0


# What of a benchmark decides whether two numbers can stand side by side, beside its data and suites.
SETTINGS = ("samples", "split", "track", "allowed_lookahead", "folds", "clips", "two_sided", "action_units")


def setting_of(record: Record) -> tuple[Any, ...]:
    """The values of SETTINGS under which it was measured."""
    return tuple(getattr(record.benchmark_config, name) for name in SETTINGS)


def _usual(keys: Sequence[Any]) -> Any:
    """The most frequent one; of several, one that does not depend on their order."""
    counts = Counter(keys)
    return max(counts, key=lambda key: (counts[key], key))


def odd_ones_out(
    records: Sequence[Record], suite: str, columns: Sequence[Column]
) -> tuple[list[Record], list[LeftOut]]:
    """Records that can stand in one table, and those that cannot."""
    usable: list[Record] = []
    left_out = [
        LeftOut(
            record,
            f"was measured on {record.limit} clips per split alone and is left out; run it again without --limit",
        )
        for record in records
        if record.limit
    ]
    left_out += [
        LeftOut(
            r,
            f"has the name of a reference, and its predictor is {r.method_config['predictor']['name']!r}; it is left out",
        )
        for r in records
        if not r.limit and only_named_so(r)
    ]
    records = [record for record in records if not record.limit and not only_named_so(record)]
    if not records:
        return usable, left_out
    records, old = of_newest_data(records)
    left_out += old
    data = _usual([(record.dataset.digest, tuple(record.clips)) for record in records])
    setting = _usual([setting_of(r) for r in records if (r.dataset.digest, tuple(r.clips)) == data])
    versions = {column.id: column.version for column in columns}
    for record in records:
        if (record.dataset.digest, tuple(record.clips)) != data:
            why = f"was measured on other data (digest {record.dataset.digest[:12]}) and is left out; run it again"
            left_out.append(LeftOut(record, why))
        elif other := [name for name, a, b in zip(SETTINGS, setting_of(record), setting, strict=True) if a != b]:
            why = f"was measured when {other[0]} of the benchmark was {getattr(record.benchmark_config, other[0])!r}, and is left out; run it again"
            left_out.append(LeftOut(record, why))
        elif suite not in record.suites:
            listed = suite in configured([record])
            why = (
                f"has no scores of suite {suite}" if listed else f"was measured before its benchmark had suite {suite}"
            )
            left_out.append(LeftOut(record, f"{why}; run it again"))
        elif dict(record.suites[suite].versions) != versions:
            why = f"was scored by other versions of {suite} and is left out; run it again to re-score it"
            left_out.append(LeftOut(record, why))
        else:
            usable.append(record)
    return usable, left_out


def usable_records(records: Sequence[Record], suite: str, columns: Sequence[Column]) -> dict[str, list[Record]]:
    """Method -> its records, of those that can stand in one table."""
    return by_method(odd_ones_out(records, suite, columns)[0] if records else [])


def method_values(records: Sequence[Record], suite: str, columns: Sequence[Column]) -> np.ndarray:
    """(S, N, C) per-clip values, NaN where undefined."""
    names = [column.id for column in columns]
    return np.stack([per_clip(record.suites[suite], names) for record in records])


def per_clip(scores: SuiteScores, names: Sequence[str]) -> np.ndarray:
    """(N, C) values of the named columns, each in its unit, NaN where undefined; KeyError for a name without values."""
    return np.array([scores.per_clip[name] for name in names], np.float64).T  # numpy makes NaN of None
