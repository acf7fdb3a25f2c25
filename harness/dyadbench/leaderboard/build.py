"""Records to tables, benchmark by benchmark."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dyadbench.api import DyadbenchError
from dyadbench.leaderboard.published import PublishedNumber
from dyadbench.leaderboard.sanity import SANITY, check_sanity
from dyadbench.leaderboard.tables import Suites, Table, make_table
from dyadbench.leaderboard.validity import Corpus, judged_on
from dyadbench.records.comparable import configured, odd_ones_out, of_whole_training
from dyadbench.records.record import Record


def make_tables(
    groups: Iterable[tuple[str, Sequence[Record]]],
    suites: Suites,
    published: Sequence[PublishedNumber],
    corpora: Sequence[Corpus],
) -> tuple[list[Table], list[str]]:
    """Every table of every benchmark, and the sanity inequalities that they break. `groups`: each benchmark with its records."""
    tables: list[Table] = []
    violations: list[str] = []
    for benchmark, records in groups:
        if not (mine := of_whole_training(records)):
            continue
        if len({record.dataset.simulated for record in mine}) > 1:
            raise DyadbenchError(f"{benchmark} has records on simulated and on real data; they cannot share a table")
        order: dict[str, int] = {}
        own: list[Table] = []
        for suite in configured(mine):
            if suite not in suites:
                violations.append(f"{benchmark}: suite {suite!r} is not installed")
                continue
            fitting = (
                []
                if mine[0].dataset.simulated
                else [number for number in published if number.fits(mine[0].dataset, suite)]
            )
            # What a record that is left out was measured on says nothing of the data of this table.
            judged = judged_on(corpora, odd_ones_out(mine, suite, suites[suite])[0], suite)
            table = make_table(mine, suite, suites[suite], fitting, judged)
            order = order or {
                row.method: place for place, row in enumerate(table.rows)
            }  # the ranking suite comes first
            rows = sorted(table.rows, key=lambda row: order.get(row.method, len(order)))  # used at once
            table = table.model_copy(update={"rows": tuple(rows)})
            own.append(table)
            violations += check_sanity(table, SANITY.get(suite, ()))
        tables += with_realism(own)
    return sorted(tables, key=lambda table: table.benchmark), violations


def with_realism(tables: Sequence[Table]) -> list[Table]:
    """The tables of one benchmark: where a suite beside the ranking one measures realism, its rows' realism stands there, too."""
    source = next((t for t in tables if not t.main and any("realism" in row.families for row in t.rows)), None)
    if source is None:
        return list(tables)
    realism = {row.method: row.families["realism"] for row in source.rows if "realism" in row.families}

    def joined(table: Table) -> Table:
        rows = []
        for row in table.rows:
            others = {name: value for name, value in row.families.items() if name != "realism"}
            own = {"realism": realism[row.method]} if row.method in realism else {}
            rows.append(row.model_copy(update={"families": others | own}))
        families = {**table.families, "realism": source.families["realism"]}
        return table.model_copy(update={"rows": tuple(rows), "families": families})

    return [joined(table) if table.main else table for table in tables]
