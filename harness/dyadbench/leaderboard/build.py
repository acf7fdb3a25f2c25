"""Records to tables, benchmark by benchmark."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from dyadbench.api import DyadbenchError
from dyadbench.leaderboard.published import load_published
from dyadbench.leaderboard.sanity import SANITY, check_sanity
from dyadbench.leaderboard.tables import Suites, Table, make_table
from dyadbench.leaderboard.validity_page import failing_on, load_validity
from dyadbench.records.comparable import by_benchmark, configured
from dyadbench.records.record import Record


def make_tables(
    leaderboards: Path, suites: Suites, records: Sequence[Record] | None = None
) -> tuple[list[Table], list[str]]:
    """Every table of every benchmark that has `records` (those below `leaderboards`), and what is insane in them."""
    groups: dict[str, list[Record]] = {}
    for record in records or ():
        groups.setdefault(record.benchmark, []).append(record)
    return tables_of(by_benchmark(leaderboards) if records is None else groups.items(), leaderboards, suites)


def tables_of(
    groups: Iterable[tuple[str, list[Record]]], leaderboards: Path, suites: Suites
) -> tuple[list[Table], list[str]]:
    published, corpora = load_published(leaderboards / "claims"), load_validity(leaderboards)
    tables, violations = [], []
    for benchmark, mine in groups:
        if len({record.dataset.simulated for record in mine}) > 1:
            raise DyadbenchError(f"{benchmark} has records on simulated and on real data; they cannot share a table")
        order: dict[str, int] = {}
        for suite in configured(mine):
            if suite not in suites:
                violations.append(f"{benchmark}: suite {suite!r} is not installed")
                continue
            fitting = (
                []
                if mine[0].dataset.simulated
                else [number for number in published if number.fits(mine[0].dataset, suite)]
            )
            failing = failing_on(corpora, {record.dataset.digest for record in mine}, suite)
            table = make_table(mine, suite, suites[suite], fitting, failing)
            order = order or {
                row.method: place for place, row in enumerate(table.rows)
            }  # the ranking suite comes first
            rows = sorted(table.rows, key=lambda row: order.get(row.method, len(order)))  # used at once
            table = table.model_copy(update={"rows": tuple(rows)})
            tables.append(table)
            violations += check_sanity(table, SANITY.get(suite, ()))
    return sorted(tables, key=lambda table: table.benchmark), violations
