"""Tables as CSV and JSON: fixed digits, fixed order, LF, no clock."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

from dyadbench.leaderboard.tables import Table
from dyadbench.leaderboard.text import csv_safe


def csv_text(tables: Sequence[Table]) -> str:
    """One line a method, suite and metric."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["benchmark", "suite", "simulated", "method", "rank", "rank_low", "rank_high", "reason", "metric",
                     "value", "low", "high", "undefined", "seeds"])  # fmt: skip
    for table in tables:
        for row in table.rows:
            for column in table.columns:
                cell = row.cells[column["id"]]
                numbers = [None if v is None else f"{v:.8g}" for v in (cell.value, cell.low, cell.high)]
                line = [table.benchmark, table.suite, table.simulated, row.method, row.rank, row.rank_low, row.rank_high,
                        row.reason, column["id"]]  # fmt: skip
                writer.writerow([csv_safe(v) for v in line] + [*numbers, cell.undefined, len(row.seeds)])
    return buffer.getvalue()


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.8g}")
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    return [_rounded(inner) for inner in value] if isinstance(value, list | tuple) else value


def json_text(tables: Sequence[Table]) -> str:
    data = [_rounded(table.model_dump(mode="json", exclude={"claims"})) for table in tables]
    return json.dumps(data, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
