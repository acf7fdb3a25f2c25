"""What templates are given: plain dictionaries of text, worked out from tables, records and published numbers."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from dyadbench.api import TARGET_SUFFIX
from dyadbench.leaderboard.families import FACTOR
from dyadbench.leaderboard.published import PublishedNumber, by_method, by_source, columns_of
from dyadbench.leaderboard.rows import Row, Value, emotion_mark
from dyadbench.leaderboard.stats import loss
from dyadbench.leaderboard.tables import Table
from dyadbench.leaderboard.text import (
    better_text,
    digits_of,
    families_text,
    family_text,
    head_text,
    interval_ends,
    latency_head,
    latency_text,
    lookahead_text,
    number,
    rank_text,
    skill_text,
    slow_step,
)
from dyadbench.records.record import Record, slug
from dyadbench.report.glossary import metric_text

WIDTH = 8  # columns that a table shows before the reader asks for more


def page_name(kind: str, name: str) -> str:
    """A file name for anything that has a page; names that a file cannot carry get a hash, so that none collide."""
    safe = slug(name)
    if safe != name:
        safe = f"{safe[:40]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
    return f"{kind}-{safe}.html" if kind else f"{safe}.html"


def record_link(record: Record) -> str:
    return f"records/{slug(record.benchmark)}/{slug(record.method)}/seed{record.seed}.json"


def compare_link(benchmark: str, first: str, second: str) -> str:
    return f"{page_name('compare', benchmark)}#{urlencode({'a': first, 'b': second})}"


def watch_link(benchmark: str, methods: Sequence[str], clip: str = "") -> str:
    """The faces of some methods on a benchmark's page, at one clip."""
    chosen = [("clip", clip)] * bool(clip) + [(f"m{n}", name) for n, name in enumerate(methods, 1)]
    return f"{page_name('', benchmark)}#{urlencode([('watch', '1'), *chosen])}"


def plain_name(name: str) -> str:
    """How printed and registered names are held together: letters and digits only."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


# --- the table of one suite ---------------------------------------------------------------------------------


def table_view(table: Table, records: Mapping[str, Sequence[Record]]) -> dict[str, Any]:
    """One suite's table: header, rows with bars, published numbers. Of the columns the first ones are `shown` at once."""
    headline = {scale.column for scale in table.scales}
    view_columns = [column for column in table.columns if not column.id.endswith(TARGET_SUFFIX)]
    view_columns.sort(key=lambda column: column.id not in headline)  # what ranks comes first
    room = WIDTH - 2 - (2 if table.main else 0)  # beside method and rank, skill and speed
    columns = [
        column.model_dump() | {"head": head_text(column), "better": better_text(column.direction, column.judged), "says": metric_text(column.id, table.suite), "shown": n < room}
        for n, column in enumerate(view_columns)
    ]  # fmt: skip
    targets = _targets(table)
    scales = {column["id"]: _scale(table, column["id"], targets.get(column["id"])) for column in columns}
    printed = _printed(table)
    rows = []
    for row in table.rows:
        cells = [
            cell_view(row.cells[c["id"]], c["digits"], scales[c["id"]], targets.get(c["id"]), c["direction"])
            for c in columns
        ]
        rows.append(
            row_view(row, cells, records.get(row.method, ())) | {"printed": printed.get(plain_name(row.method), {})}
        )
    named = [c["id"] for c in columns if any(c["id"] in row["printed"] for row in rows)]
    return {
        "suite": table.suite, "main": table.main, "columns": columns, "rows": _families_together(rows), "notes": table.notes,
        "targets": {name: number(value, digits_of(table, name)) for name, value in targets.items()},
        "printed_columns": named, "latency": latency_head(table), "published": published_view(table.published, [c.id for c in table.columns]),
    }  # fmt: skip


def families_view(table: Table) -> dict[str, Any] | None:
    """How far methods and references are from real listeners in each family; None where the suite does not rank."""
    rows = [row for row in table.rows if row.kind in ("method", "reference") and row.skill is not None]
    if not rows:
        return None
    return {
        "names": list(table.families), "says": f"{FACTOR} {families_text(table)}",
        "rows": [
            {"method": row.method, "page": page_name("method", row.method), "role": row.role, "pareto": row.pareto,
             "cells": [family_text(row.families.get(name)) for name in table.families]}
            for row in rows
        ],
    }  # fmt: skip


def _families_together(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Ablations behind the method they are of."""
    own = {row["method"] for row in rows if row["kind"] == "method"}
    together = []
    for row in rows:
        if row["kind"] == "ablation" and row["of"] in own:
            continue
        together += [row, *(each for each in rows if each["kind"] == "ablation" and each["of"] == row["method"])]
    return together


def _targets(table: Table) -> dict[str, float]:
    """Column -> the value to match, the same for every row."""
    values = {}
    for column in table.columns:
        if column.direction == "match" and column.target != column.id and table.rows:
            cell = table.rows[0].cells.get(column.target)
            if cell is not None and cell.value is not None:
                values[column.id] = cell.value
    return values


def _scale(table: Table, column: str, target: float | None) -> tuple[float, float] | None:
    """What a bar spans: the methods that are not calibration, and the target."""
    values = [target] if target is not None else []
    for row in table.rows:
        cell = row.cells[column]
        if not row.calibration:
            values += [v for v in (cell.value, cell.low, cell.high) if v is not None]
    return (min(values), max(values)) if len(set(values)) > 1 else None


def cell_view(
    cell: Value, digits: int, scale: tuple[float, float] | None, target: float | None, direction: str
) -> dict[str, Any]:
    """A cell's text, its bar, and `good`: what sorting the best first goes by, less is better."""
    ends_text = interval_ends(cell, digits)
    view: dict[str, Any] = {
        "text": number(cell.value, digits), "good": sort_text(float(loss(cell.value, target, direction))), "best": cell.best, "undefined": cell.undefined,
        "interval": " to ".join(ends_text), "bar": None,
    }  # fmt: skip
    if scale and cell.value is not None:
        low, high = scale

        def place(value: float) -> int:
            return round(100 * (value - low) / (high - low))

        ends = (cell.low, cell.high) if ends_text else (cell.value, cell.value)
        first, last = max(place(ends[0]), -1), min(place(ends[1]), 101)  # type: ignore[arg-type]
        if first <= 100 and last >= 0:
            view["bar"] = {
                "left": max(first, 0), "width": max(min(last, 100) - max(first, 0), 1),
                "dot": place(cell.value) if 0 <= place(cell.value) <= 100 else None,
                "target": None if target is None else place(target),
            }  # fmt: skip
    return view


def sort_text(good: float) -> str:
    """What scripts sort by, the best first; "" where there is no value. A page of many methods holds thousands of them."""
    return "" if math.isnan(good) else f"{good:.6g}"


def row_view(row: Row, cells: list[dict[str, Any]], records: Sequence[Record]) -> dict[str, Any]:
    speed, parameters = row.facts.get("realtime_factor"), row.facts.get("parameters")
    return {
        "method": row.method, "mark": emotion_mark(row), "page": page_name("method", row.method), "kind": row.kind, "of": row.of, "role": row.role, "rank": rank_text(row),
        "rank_sort": row.rank if row.rank is not None else None, "reason": "" if row.calibration else row.reason,
        "skill": skill_text(row.skill) or "-", "skill_good": sort_text(float(loss(row.skill.value if row.skill else None, None, "max"))),
        "cells": cells, "seeds": len(row.seeds), "trained": learning(records),
        "parameters": parameters, "parameters_text": f"{parameters:,}".replace(",", " ") if parameters else "",
        "lookahead": lookahead_text(row), "lookahead_sort": 1e9 if row.facts.get("lookahead") is None else row.facts["lookahead"],
        "latency": latency_text(row), "latency_sort": slow_step(row) or "",
        "speed": speed, "speed_text": f"{speed:,}".replace(",", " ") if speed else "",
        "learning": LEARNING[learning(records)], "preset": row.facts.get("preset") or "", "plugin": row.facts.get("plugin", ""),
        "records": [(record.seed, record_link(record)) for record in records],
    }  # fmt: skip


LEARNING = {"yes": "trained", "fitted": "fitted", "no": "nothing learnt"}


def learning(records: Sequence[Record]) -> str:
    """yes: by gradient descent; fitted: in one call (averages, regression, a bank of clips); no: nothing is learnt."""
    measured = [record.measured for record in records]
    if any(m.validation or m.tokenizer_validation for m in measured):
        return "yes"
    fitted = any(record.trained or record.measured.tokenizer_fit_seconds for record in records)
    return "fitted" if fitted else "no"


# --- published numbers --------------------------------------------------------------------------------------


def _printed(table: Table) -> dict[str, dict[str, list[PublishedNumber]]]:
    """Plain method name -> column -> what was printed for it."""
    numbers: dict[str, dict[str, list[PublishedNumber]]] = {}
    for one in table.published:
        numbers.setdefault(plain_name(one.method), {}).setdefault(one.column, []).append(one)
    return numbers


def published_view(published: Sequence[PublishedNumber], order: Sequence[str]) -> dict[str, Any] | None:
    """Printed methods by printed metrics, every convention a numbered note."""
    if not published:
        return None
    printed_columns = columns_of(published)
    names = [c for c in order if c in printed_columns]
    notes: dict[str, int] = {}
    rows = []
    for (method, split, source), by_column in by_method(published).items():
        values = [
            (str(printed.value), notes.setdefault(printed.note, len(notes) + 1))
            if (printed := by_column.get(name))
            else None
            for name in names
        ]
        rows.append({"method": method, "split": split, "values": values, "source": source})
    return {"columns": names, "rows": rows, "notes": list(notes)}


def sources_view(published: Sequence[PublishedNumber]) -> list[dict[str, Any]]:
    """Every transcribed source with its warning and grid."""
    return [
        {"source": source, "warning": warning, "grid": published_view(numbers, columns_of(numbers))}
        for (source, warning), numbers in by_source(published).items()
    ]


# --- configuration ------------------------------------------------------------------------------------------


def config_view(record: Record) -> list[tuple[str, list[tuple[str, str]]]]:
    """Part -> its settings, flat, as text."""
    view = []
    for kind, part in sorted(record.method_config.items(), reverse=True):
        settings = [(name, _text(value)) for name, value in sorted(_flat(part.get("config", {})).items())]
        view.append((f"{kind}: {part.get('name', '')} (version {part.get('version', '?')})", settings))
    return view


def _flat(values: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{before}{key}.")
        else:
            flat[before + key] = value
    return flat


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(_text(v) for v in value)
    return {True: "yes", False: "no", None: "none"}.get(value, str(value)) if not isinstance(value, int | float) or isinstance(value, bool) else str(value)  # fmt: skip
