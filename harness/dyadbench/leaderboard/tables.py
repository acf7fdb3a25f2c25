"""Records and claims to tables: a pure function, so that anyone regenerates the same bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dyadbench.api import Column, Config
from dyadbench.leaderboard.published import PublishedNumber
from dyadbench.leaderboard.stats import bootstrap, interval, losses, overall
from dyadbench.records.comparable import by_method, method_values, odd_ones_out
from dyadbench.records.record import Record

Suites = Mapping[str, Sequence[Column]]


class Value(Config):
    """One number of a table."""

    value: float | None
    low: float | None = None
    high: float | None = None
    undefined: int = 0
    best: bool = False  # no other ranked row's interval is better


class Row(Config):
    method: str
    calibration: bool
    rank: int | None = None
    rank_low: int | None = None
    rank_high: int | None = None
    reason: str = ""  # why it is not ranked
    cells: Mapping[str, Value]
    seeds: tuple[int, ...]
    facts: Mapping[str, Any] = {}  # look-ahead, trained, parameters, speed, plugin


class Table(Config):
    """One benchmark under one suite."""

    benchmark: str
    suite: str
    main: bool  # the suite that ranks
    simulated: bool
    dataset: str
    setting: Mapping[str, Any]
    clips: int
    sessions: int
    columns: tuple[Mapping[str, Any], ...]
    rows: tuple[Row, ...]
    claims: tuple[PublishedNumber, ...] = ()
    notes: tuple[str, ...] = ()


def _reason(records: Sequence[Record], suite: str, columns: Sequence[Column], setting: Mapping[str, Any]) -> str:
    """Why a method is not ranked; empty if it is."""
    if records[0].calibration:
        return "calibration"
    if len({str(r.method_config) for r in records}) > 1:
        return "its seeds were run with different configurations"
    for record in records:
        for column in columns:
            if column.ranked and record.suites[suite].scores[column.id].value is None:
                return f"{column.id} is undefined"
    reach = [record.measured.get("lookahead", 0) for record in records]
    if setting.get("track") == "online":
        allowed = int(setting.get("allowed_lookahead", 0))
        if any(r is None for r in reach):
            return "it looks ahead over the whole clip; the online track allows no such thing"
        if max(reach) > allowed:
            return f"it looks {max(reach)} frames ahead; {allowed} are allowed"
    return ""


def _facts(records: Sequence[Record]) -> dict[str, Any]:
    measured = [record.measured for record in records]
    speeds = [m["realtime_factor"] for m in measured if m.get("realtime_factor")]
    parameters = int(measured[0].get("parameters") or 0) + int(measured[0].get("tokenizer_parameters") or 0)
    return {
        "lookahead": measured[0].get("lookahead", 0),
        "trained": records[0].trained,
        "readout": measured[0].get("readout"),
        "sees_truth": bool(measured[0].get("sees_truth")),
        "parameters": parameters or None,
        "realtime_factor": round(float(np.median(speeds))) if speeds else None,
        "preset": records[0].preset,
        "plugin": " ".join(records[0].plugin),
    }


def _readout_notes(rows: Sequence[Row]) -> list[str]:
    """What emotion that is read out from motion is worth."""
    found = {row.method: row.facts["readout"] for row in rows if row.facts["readout"]}
    if not found:
        return []
    readout = next(iter(found.values()))
    errors = ", ".join(f"{name} {value:.3f}" for name, value in readout["rmse"].items())
    return [
        f"{', '.join(found)}: motion only; emotion is the data set's readout from motion, version {readout['version']}, "
        f"whose root mean square error on the validation split is {errors}"
    ]


def make_table(
    records: Sequence[Record], suite: str, columns: Sequence[Column], claims: Sequence[PublishedNumber] = ()
) -> Table:
    """The table of one benchmark (all `records` are its) under one suite."""
    usable, notes = odd_ones_out(records, suite, columns)
    groups = by_method(usable)
    first = (usable or list(records))[0]
    setting = first.benchmark_config
    rows: list[Row] = []
    if groups:
        names = list(groups)
        boot = bootstrap([method_values(groups[name], suite, columns) for name in names], first.sessions)
        if not boot.informative:
            notes.append("all clips are of one session, so no interval can be given")
        reasons = {name: _reason(groups[name], suite, columns, setting) for name in names}
        ranked = [i for i, name in enumerate(names) if not reasons[name]]
        places = _ranks(boot.point, boot.draws if boot.informative else None, ranked, columns)
        for i, name in enumerate(names):
            cells = {c.id: _cell(boot, i, j, groups[name], suite, c) for j, c in enumerate(columns)}
            rank, low, high = places.get(i, (None, None, None))
            rows.append(
                Row(
                    method=name,
                    calibration=groups[name][0].calibration,
                    rank=rank,
                    rank_low=low,
                    rank_high=high,
                    reason="" if rank else reasons[name],
                    cells=cells,
                    seeds=tuple(r.seed for r in groups[name]),
                    facts=_facts(groups[name]),
                )
            )
    notes += _readout_notes(rows)
    rows = _mark_best(sorted(rows, key=lambda r: (r.rank is None, r.calibration, r.rank or 0, r.method)), columns)
    return Table(
        benchmark=first.benchmark, suite=suite, main=setting["suite"] == suite, simulated=bool(first.dataset["simulated"]),
        dataset=first.dataset["name"], setting=setting, clips=len(first.clips), sessions=len(set(first.sessions)),
        columns=tuple({"id": c.id, "direction": c.direction, "ranked": c.ranked, "unit": c.unit, "digits": c.digits,
                       "summary": c.summary, "target": c.target, "version": c.version} for c in columns),
        rows=tuple(rows), claims=tuple(claims), notes=tuple(notes),
    )  # fmt: skip


def _ranks(point: np.ndarray, draws: np.ndarray | None, ranked: list[int], columns: Sequence[Column]) -> dict[int, tuple[int, int | None, int | None]]:  # fmt: skip
    if not ranked or not any(column.ranked for column in columns):
        return {}
    places = overall(losses(point[ranked], columns))
    if draws is None:
        return {i: (int(place), None, None) for i, place in zip(ranked, places, strict=True)}
    drawn = overall(losses(draws[:, ranked], columns))
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0, method="nearest")
    return {i: (int(places[n]), int(low[n]), int(high[n])) for n, i in enumerate(ranked)}


def _cell(boot: Any, method: int, column: int, records: Sequence[Record], suite: str, spec: Column) -> Value:
    scores = [record.suites[suite].scores[spec.id] for record in records]
    undefined = sum(score.undefined for score in scores)
    known = [score.value for score in scores if score.value is not None]
    if len(known) < len(scores):
        return Value(value=None, undefined=undefined)
    found = interval(boot.draws[:, method, column]) if boot.informative else None
    value = float(np.mean(known))
    return Value(value=value, low=found.low if found else None, high=found.high if found else None, undefined=undefined)


def _mark_best(rows: list[Row], columns: Sequence[Column]) -> list[Row]:
    """Best only where the interval allows the word: no other ranked row's interval reaches better values."""
    best: set[tuple[str, str]] = set()  # (method, column)
    for column in columns:
        if not column.ranked or column.direction == "match":
            continue
        sign = -1 if column.direction == "max" else 1
        spans = {
            row.method: sorted((sign * c.low, sign * c.high))
            for row in rows
            if row.rank is not None and (c := row.cells[column.id]).low is not None and c.high is not None
        }
        for name, span in spans.items():
            others = [other for method, other in spans.items() if method != name]
            if others and span[1] < min(other[0] for other in others):
                best.add((name, column.id))

    def marked(row: Row) -> Row:
        cells = {c: cell.model_copy(update={"best": (row.method, c) in best}) for c, cell in row.cells.items()}
        return row.model_copy(update={"cells": cells})

    return [marked(row) for row in rows]
