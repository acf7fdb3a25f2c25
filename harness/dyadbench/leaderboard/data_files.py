"""Tables as CSV and JSON: fixed digits, fixed order, LF, no clock."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from typing import Any

from dyadbench.leaderboard.rows import Row, Value
from dyadbench.leaderboard.tables import Table
from dyadbench.leaderboard.text import ROUNDING, csv_safe

COLUMNS = ["benchmark", "suite", "simulated", "method", "kind", "of", "rank", "rank_low", "rank_high", "reason", "metric",
           "value", "low", "high", "undefined", "seeds", "passes", "why"]  # fmt: skip


def _numbers(row: Row, table: Table) -> Iterator[tuple[str, Value]]:
    if row.skill is not None:
        yield "skill", row.skill
    yield from ((f"skill.{name}", value) for name, value in row.skills.items())
    yield from ((f"band.{name}", value) for name, value in row.families.items())
    yield from ((column.id, row.cells[column.id]) for column in table.columns)


def csv_text(tables: Sequence[Table]) -> str:
    """One line per method, suite and metric; `band.` metrics are log distances to the band of real listeners.

    `passes`: whether a metric orders on these data what everybody knows (`validity.md`), empty where that was not judged.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    for table in tables:
        judged = {c.id: [{True: "yes", False: "no", None: ""}[c.passes], ", ".join(c.why)] for c in table.columns}
        for row in table.rows:
            line = [table.benchmark, table.suite, table.simulated, row.method, row.kind, row.of, row.rank, row.rank_low,
                    row.rank_high, row.reason]  # fmt: skip
            for name, cell in _numbers(row, table):
                numbers = [None if v is None else _digits(v) for v in (cell.value, cell.low, cell.high)]
                writer.writerow(
                    [csv_safe(v) for v in [*line, name]]
                    + [*numbers, cell.undefined, len(row.seeds), *judged.get(name, ("", ""))]
                )
    return buffer.getvalue()


def _digits(value: float) -> str:
    """Eight digits; what is 0 but for rounding is 0, so that every machine writes the same file."""
    return f"{0 if abs(value) < ROUNDING else value:.8g}"


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(_digits(value))
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    return [_rounded(inner) for inner in value] if isinstance(value, list | tuple) else value


def json_text(tables: Sequence[Table]) -> str:
    data = [_rounded(table.model_dump(mode="json", exclude={"published"})) for table in tables]
    return json.dumps(data, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
