"""The committed records, and which of them can stand in one table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from dyadbench.api import Column, DyadbenchError
from dyadbench.records.record import Record, load_record, slug


def records_below(leaderboards: Path, benchmark: str | None = None) -> list[Record]:
    """All committed records, in an order that does not depend on the file system."""
    folder = leaderboards / "records"
    if benchmark is not None:
        folder /= slug(benchmark)  # where they are written; the others need not be read
    found = [load_record(path) for path in sorted(folder.rglob("*.json"))]
    kept = [record for record in found if benchmark is None or record.benchmark == benchmark]
    return sorted(kept, key=lambda r: (r.benchmark, r.method, r.seed))


def by_benchmark(leaderboards: Path) -> Iterator[tuple[str, list[Record]]]:
    """The records of one benchmark after another, so that no more than one's are held; DyadbenchError for a stray one."""
    folder = leaderboards / "records"
    loose = next(iter(sorted(folder.glob("*.json"))), None)
    for place in sorted(path for path in folder.iterdir() if path.is_dir()):
        records = [load_record(path) for path in sorted(place.rglob("*.json"))]
        names = {record.benchmark for record in records}
        loose = loose or (place if {slug(name) for name in names} - {place.name} else None)
        for name in sorted(names):
            of = (record for record in records if record.benchmark == name)
            yield name, sorted(of, key=lambda r: (r.method, r.seed))
    if loose is not None:
        raise DyadbenchError(
            f"{loose} holds a record of another benchmark; it belongs into {folder}/BENCHMARK/METHOD/seedN.json"
        )


def by_method(records: Sequence[Record]) -> dict[str, list[Record]]:
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(record.method, []).append(record)
    return groups


def configured(records: Sequence[Record]) -> list[str]:
    """The suites of a benchmark as any of its records was run, the ranking one first."""
    settings = [record.benchmark_config for record in records]
    main = dict.fromkeys(setting["suite"] for setting in settings)
    return list(main | dict.fromkeys(suite for setting in settings for suite in setting["also"]))


def of_newest_data(records: Sequence[Record]) -> tuple[list[Record], list[str]]:
    """Records on the newest version of each dataset that any of them was measured on, and a sentence for each other."""
    newest: dict[str, int] = {}
    for record in records:
        name = record.dataset["name"]
        newest[name] = max(newest.get(name, 1), record.data_version)
    kept = [record for record in records if record.data_version == newest[record.dataset["name"]]]
    notes = [
        f"{r.method}, seed {r.seed} was measured on version {r.data_version} of {r.dataset['name']}, which is now at version "
        f"{newest[r.dataset['name']]}, and is left out; run it again"
        for r in records
        if r.data_version < newest[r.dataset["name"]]
    ]
    return kept, notes


def odd_ones_out(records: Sequence[Record], suite: str, columns: Sequence[Column]) -> tuple[list[Record], list[str]]:
    """Records that can stand in one table, and a sentence for each that cannot."""
    usable: list[Record] = []
    notes: list[str] = []
    notes += [
        f"{record.method}, seed {record.seed} was measured on {record.limit} clips per split alone and is left out; "
        "run it again without --limit"
        for record in records
        if record.limit
    ]
    records = [record for record in records if not record.limit]
    if not records:
        return usable, notes
    records, old = of_newest_data(records)
    notes += old
    digests: dict[tuple[str, tuple[str, ...]], int] = {}
    for record in records:
        key = (record.dataset["digest"], tuple(record.clips))
        digests[key] = digests.get(key, 0) + 1
    usual = max(digests, key=lambda key: (digests[key], key))
    versions = {column.id: column.version for column in columns}
    for record in records:
        name = f"{record.method}, seed {record.seed}"
        if (record.dataset["digest"], tuple(record.clips)) != usual:
            notes.append(
                f"{name} was measured on other data (digest {record.dataset['digest'][:12]}) and is left out; run it again"
            )
        elif suite not in record.suites:
            if suite in configured([record]):  # else it was measured before the benchmark had the suite
                notes.append(f"{name} has no scores of suite {suite}; run it again")
        elif dict(record.suites[suite].versions) != versions:
            notes.append(f"{name} was scored by other versions of {suite} and is left out; run it again to re-score it")
        else:
            usable.append(record)
    return usable, notes


def usable_records(records: Sequence[Record], suite: str, columns: Sequence[Column]) -> dict[str, list[Record]]:
    """Method -> its records, of those that can stand in one table."""
    return by_method(odd_ones_out(records, suite, columns)[0] if records else [])


def method_values(records: Sequence[Record], suite: str, columns: Sequence[Column]) -> np.ndarray:
    """(S, N, C) per-clip values, NaN where undefined."""
    per_seed = [
        [[np.nan if v is None else v for v in record.suites[suite].per_clip[column.id]] for column in columns]
        for record in records
    ]
    return np.array(per_seed, np.float64).transpose(0, 2, 1)
