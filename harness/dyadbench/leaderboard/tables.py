"""Records and published numbers to tables: a pure function, so that anyone regenerates the same bytes."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from dyadbench.api import Column, Config, Direction
from dyadbench.leaderboard.families import FAMILIES, Family, families_of, pareto
from dyadbench.leaderboard.published import PublishedNumber
from dyadbench.leaderboard.rows import (
    UNDEFINED,
    Row,
    Value,
    emotion_notes,
    facts_of,
    kind_of,
    latency_notes,
    one_random_seed,
    own_gaps,
    readout_notes,
    reason_of,
    role_of,
    side_notes,
    undefined_clips,
)
from dyadbench.leaderboard.skewness import skewness_notes
from dyadbench.leaderboard.skill import Scale, Skills, against_floor, places, skills
from dyadbench.leaderboard.stats import (
    DRAWS_OF_DECISIONS,
    Bootstrap,
    Floats,
    bootstrap,
    in_range,
    interval,
    losses,
    losses_drawn,
    overall,
)
from dyadbench.records.comparable import by_method, method_values, odd_ones_out, seeds_of
from dyadbench.records.record import Record
from dyadbench.records.references import NULL

Suites = Mapping[str, Sequence[Column]]


class TableColumn(Config):
    """A suite's column as a table shows it, see `dyadbench.api.Column`, and whether it passes the validity tests there."""

    id: str
    direction: Direction
    ranked: bool
    unit: str
    digits: int
    summary: str
    target: str
    version: int
    family: str
    headline: bool
    passes: bool | None  # None where it was not tested
    why: tuple[str, ...]  # which tests it fails

    @property
    def judged(self) -> bool:
        """See `Column.judged`."""
        return self.ranked or bool(self.family)


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
    columns: tuple[TableColumn, ...]
    scales: tuple[Scale, ...] = ()
    families: Mapping[str, Family] = {}
    rows: tuple[Row, ...]
    published: tuple[PublishedNumber, ...] = ()
    notes: tuple[str, ...] = ()
    left_out: tuple[str, ...] = Field(default=(), exclude=True)  # of `notes`: records that are not in the rows
    unsure: str = Field(default="", exclude=True)  # of `notes`: why no skill has an interval


# --- a table ------------------------------------------------------------------------------------------------


def make_table(
    records: Sequence[Record],
    suite: str,
    columns: Sequence[Column],
    published: Sequence[PublishedNumber] = (),
    validity: Mapping[str, Sequence[str]] | None = None,
) -> Table:
    """The table of one benchmark (all `records` are its) under one suite.

    `validity`: every column that was judged on these data, with the reasons why it fails, none where it passes. Columns
    that fail are no part of the headline nor of a family, and nothing is best in them.
    """
    usable, odd = odd_ones_out(records, suite, columns)
    notes = [str(each) for each in odd]
    failing = {name: why for name, why in (validity or {}).items() if why}
    headed = [dataclasses.replace(c, headline=False) if c.id in failing else c for c in columns]
    somewhere = [c for c in columns if any(_has_value(record, suite, c.id) for record in usable)]
    notes += [*_failing_notes(columns, failing), *_unjudged_notes(somewhere, validity or {})]
    groups = by_method(usable)
    first = (usable or list(records))[0]
    setting = first.benchmark_config
    main = setting.suite == suite
    rows: list[Row] = []
    scales: tuple[Scale, ...] = ()
    families: dict[str, Family] = {}
    unsure = ""
    if groups:
        declared = None if headed == list(columns) else columns
        rows, scales, families, more = _rows(groups, suite, headed, declared, failing)
        once = {name for name, group in groups.items() if one_random_seed(group)}
        unsure = _unsure(scales, once)
        rows = [_less_intervals(row, once, skill=bool(unsure)) for row in rows]
        notes += [*more, *filter(None, [unsure])]
    own_rows = [row for row in rows if row.kind != "reconstruction"]  # those have a page of their own
    notes += (
        [*emotion_notes(own_rows), *latency_notes(own_rows), *side_notes(own_rows, setting)]
        if main
        else readout_notes(own_rows)
    )
    rows.sort(key=lambda r: (r.skill is None, -(r.skill.value or 0) if r.skill else 0, r.calibration, r.method))
    return Table(
        benchmark=first.benchmark, suite=suite, main=main, simulated=first.dataset.simulated,
        dataset=first.dataset.name, setting=setting.model_dump(mode="json"), clips=len(first.clips), sessions=len(set(first.sessions)),
        columns=tuple(table_column(c, validity or {}) for c in headed),
        scales=scales, families=families, rows=tuple(rows), published=tuple(published), notes=tuple(notes), left_out=tuple(str(each) for each in odd), unsure=unsure,
    )  # fmt: skip


def table_column(column: Column, validity: Mapping[str, Sequence[str]]) -> TableColumn:
    """`validity` has for each column that was tested the tests that it fails."""
    why = validity.get(column.id)
    return TableColumn(
        id=column.id, direction=column.direction, ranked=column.ranked, unit=column.unit, digits=column.digits,
        summary=column.summary, target=column.target, version=column.version, family=column.family, headline=column.headline,
        passes=None if why is None else not why, why=tuple(why or ()),
    )  # fmt: skip


def _failing_notes(columns: Sequence[Column], failing: Mapping[str, Sequence[str]]) -> list[str]:
    """Which columns the headline and each family do without, and why."""
    notes = []
    for part in ("headline", *FAMILIES):
        without = [c for c in columns if c.id in failing and (c.headline if part == "headline" else c.ranked and c.family == part)]  # fmt: skip
        if without:
            each = "; ".join(f"{c.id} ({', '.join(failing[c.id])})" for c in without)
            notes.append(
                f"{'the ' * (part == 'headline')}{part} leaves out what fails on these data (validity.md): {each}"
            )
    return notes


def _has_value(record: Record, suite: str, column: str) -> bool:
    score = record.suites[suite].scores.get(column)
    return score is not None and score.value is not None


def _unjudged_notes(columns: Sequence[Column], validity: Mapping[str, Sequence[str]]) -> list[str]:
    """Which columns stand in the headline and the families though nothing says whether they pass."""
    without = [c.id for c in columns if c.family and (c.headline or c.ranked) and c.id not in validity]
    if not without:
        return []
    return [
        f"whether these order what everybody knows was not measured on these data (`dyadbench validity`), so all of them count: {', '.join(without)}"
    ]


def _rows(
    groups: Mapping[str, Sequence[Record]], suite: str, columns: Sequence[Column], declared: Sequence[Column] | None, failing: Collection[str]
) -> tuple[list[Row], tuple[Scale, ...], dict[str, Family], list[str]]:  # fmt: skip
    """A row per method with its intervals, skill, places and marks; the scales of the skill; the families; notes.

    `declared`: the columns as the suite declares them, where some of `columns` are no part of the headline here.
    """
    first = next(iter(groups.values()))[0]
    setting, notes, scales = first.benchmark_config, list[str](), tuple[Scale, ...]()
    main = setting.suite == suite
    values = {name: method_values(group, suite, columns) for name, group in groups.items()}
    boot = bootstrap(list(values.values()), first.sessions, streams=[seeds_of(group) for group in groups.values()])
    gaps = own_gaps(values)
    if not boot.informative:
        notes.append("all clips are of one session, so no interval can be given")
    rows = [
        Row(
            method=name, kind=kind_of(group), role=role_of(group), of=group[0].of,
            calibration=group[0].calibration, reason=reason_of(group, gaps[i], columns, setting, len(first.clips)),
            cells={c.id: _cell(boot, i, j, group, suite, c, undefined_clips(values[name][:, :, j])) for j, c in enumerate(columns)},
            seeds=tuple(r.seed for r in group), facts=facts_of(group),
        )
        for i, (name, group) in enumerate(groups.items())
    ]  # fmt: skip
    heads = [j for j, c in enumerate(columns) if c.headline or (declared and declared[j].headline)]
    if main and heads:
        sharp = bootstrap(
            [value[:, :, heads] for value in values.values()], first.sessions, DRAWS_OF_DECISIONS,
            streams=[seeds_of(group) for group in groups.values()],
        )  # fmt: skip
        measured = skills(sharp, list(groups), [columns[j] for j in heads])
        if measured is not None:
            notes += measured.notes
            if measured.scales:
                rows, scales = _with_skill(rows, sharp, measured), measured.scales
            if declared is not None:
                rows = _with_declared(rows, sharp, skills(sharp, list(groups), [declared[j] for j in heads]))
        elif any(column.headline for column in columns):
            notes.append(f"nothing is ranked: there is no record of {NULL}, which a skill of 0 is")
    notes += skewness_notes(values, [row.method for row in rows if row.rank is not None], first.sessions, columns)
    whole = gaps <= UNDEFINED * len(first.clips)
    rows, families = _with_families(_with_mean_rank(rows, boot, columns), boot, suite, columns, failing)
    return _mark_best(rows, boot, columns, whole, failing), scales, families, notes


def _unsure(scales: Sequence[Scale], once: Collection[str]) -> str:
    """Why no skill of a table has an interval; "" where they have. `once`: random methods of one seed."""
    ends = [name for name in dict.fromkeys((NULL, *(scale.by for scale in scales))) if scales and name in once]
    if not ends:
        return ""
    return (
        f"no skill has an interval, and nobody is said to beat the floor: skill is measured from {' and '.join(ends)}, which is "
        "drawn at random and has one seed; run more seeds of it"
    )


def _less_intervals(row: Row, once: Collection[str], *, skill: bool) -> Row:
    """A row of one seed of a random method without intervals, for they would cover only what other sessions give.

    skill: the floor or the ceiling is such a row, so that the skill of every row goes without.
    """

    def bare(value: Value | None) -> Value | None:
        return value and value.model_copy(update={"low": None, "high": None})

    own = row.method in once
    single = ["skill", "against", "declared"] if own or skill else ["against"] if row.of in once else []
    several = ["skills", "families", "cells"] if own else ["skills"] if skill else []
    return row.model_copy(
        update={name: bare(getattr(row, name)) for name in single}
        | {name: {key: bare(value) for key, value in getattr(row, name).items()} for name in several}
        | ({"floor": ""} if own or skill else {})
    )


def _value(point: float, draws: Floats, boot: Bootstrap, within: Column | None = None, undefined: int = 0) -> Value:
    span = interval(draws, within=within) if boot.informative else None
    return Value(
        value=float(point), low=span.low if span else None, high=span.high if span else None, undefined=undefined
    )


def _cell(boot: Bootstrap, row: int, column: int, records: Sequence[Record], suite: str, spec: Column, undefined: int) -> Value:  # fmt: skip
    scores = [record.suites[suite].scores[spec.id] for record in records]
    values = [score.value for score in scores if score.value is not None]
    if len(values) < len(scores):
        return Value(value=None, undefined=undefined)
    mean = in_range(np.mean(values, keepdims=True), spec)[0]
    return _value(mean, boot.draws[:, row, column], boot, spec, undefined)


def _with_skill(rows: Sequence[Row], boot: Bootstrap, measured: Skills) -> list[Row]:
    """The rows with their skill, and the methods among them with their places."""
    names = [row.method for row in rows]
    point, draws = measured.point.mean(-1), measured.draws.mean(-1)
    ranked = [i for i, row in enumerate(rows) if not row.reason and np.isfinite(point[i])]
    ranks = dict(zip(ranked, places(point[ranked], draws[:, ranked] if boot.informative else None), strict=True))
    floors = dict(zip(ranked, against_floor(point[ranked], draws[:, ranked]), strict=True)) if boot.informative else {}
    out = []
    for i, row in enumerate(rows):
        if not np.isfinite(point[i]):
            out.append(row)
            continue
        each = {
            s.column: _value(measured.point[i, h], measured.draws[:, i, h], boot) for h, s in enumerate(measured.scales)
        }
        rank, low, high = ranks.get(i, (None, None, None))
        more: dict[str, Any] = {
            "skill": _value(point[i], draws[:, i], boot), "skills": each, "floor": floors.get(i, ""),
        }  # fmt: skip
        base = names.index(row.of) if row.of in names else None
        if base is not None and np.isfinite(point[base]):
            more["against"] = _value(point[i] - point[base], draws[:, i] - draws[:, base], boot)
        out.append(row.model_copy(update=more | {"rank": rank, "rank_low": low, "rank_high": high}))
    return out


def _with_declared(rows: Sequence[Row], boot: Bootstrap, measured: Skills | None) -> list[Row]:
    """The rows with the skill that they would have if no column failed: what the rule changes, from the same records."""
    if measured is None or not measured.scales:
        return list(rows)
    point, draws = measured.point.mean(-1), measured.draws.mean(-1)
    return [
        row.model_copy(update={"declared": _value(point[i], draws[:, i], boot)}) if np.isfinite(point[i]) else row
        for i, row in enumerate(rows)
    ]


def _with_families(rows: Sequence[Row], boot: Bootstrap, suite: str, columns: Sequence[Column], failing: Collection[str]) -> tuple[list[Row], dict[str, Family]]:  # fmt: skip
    """The rows with their distances to the band of real listeners, and the Pareto marks of the ranked ones; what the
    families are made of."""
    made_of, distances = families_of(boot, [row.method for row in rows], suite, columns, failing)
    marks = dict.fromkeys(range(len(rows)), False)
    ranked = [i for i, row in enumerate(rows) if row.rank is not None]
    if "diversity" in distances:
        skill = np.array([v.value if (v := rows[i].skill) else np.nan for i in ranked], np.float64)
        marks |= dict(zip(ranked, pareto(skill, distances["diversity"][0][ranked]), strict=True))
    return [
        row.model_copy(
            update={
                "pareto": marks[i],
                "families": {f: _value(p[i], d[:, i], boot) for f, (p, d) in distances.items() if np.isfinite(p[i])},
            }
        )
        for i, row in enumerate(rows)
    ], made_of


def _with_mean_rank(rows: Sequence[Row], boot: Bootstrap, columns: Sequence[Column]) -> list[Row]:
    """The rows with the place that the mean rank over all columns gives; ablations are ranked with methods there."""
    ranked = [i for i, row in enumerate(rows) if not row.calibration]
    if not ranked or not any(column.ranked for column in columns):
        return list(rows)
    order = dict(zip(ranked, overall(losses(boot.point[ranked], columns)), strict=True))
    return [row.model_copy(update={"mean_rank": int(order[i])}) if i in order else row for i, row in enumerate(rows)]


def _mark_best(rows: Sequence[Row], boot: Bootstrap, columns: Sequence[Column], whole: NDArray[np.bool_], failing: Collection[str]) -> list[Row]:  # fmt: skip
    """In every ranked column that does not fail, the ranked methods that cannot be told from the best one, of those with a
    value on (nearly) every clip: whole (M, C)."""
    methods = [i for i, row in enumerate(rows) if row.rank is not None]
    names = [column.id for column in columns if column.ranked]
    best: set[tuple[int, str]] = set()
    if methods and names and boot.informative:
        point = losses(boot.point[methods], columns)
        draws = losses_drawn(boot.point[methods], boot.draws[:, methods], columns)
        ranked = [j for j, column in enumerate(columns) if column.ranked]
        point = np.where(whole[methods][:, ranked], point, np.nan)
        for c, name in enumerate(names):
            if name in failing or not np.isfinite(point[:, c]).any():
                continue
            first = int(np.nanargmin(point[:, c]))
            for m in range(len(methods)):
                span = interval(draws[:, m, c] - draws[:, first, c]) if np.isfinite(point[m, c]) else None
                if m == first or (span is not None and span.low <= 0):
                    best.add((methods[m], name))
    return [
        row.model_copy(
            update={"cells": {c: v.model_copy(update={"best": (i, c) in best}) for c, v in row.cells.items()}}
        )
        for i, row in enumerate(rows)
    ]
