"""Families beside the headline: of metrics that pass on these data, undefined where none does, realism from its own suite."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math

import numpy as np
import pytest
from tests.fixtures.records import COLUMNS, FLOOR, floor, record

from dyadbench.api import Column
from dyadbench.leaderboard.build import with_realism
from dyadbench.leaderboard.data_files import csv_text, json_text
from dyadbench.leaderboard.families import band_distances
from dyadbench.leaderboard.markdown import markdown_page
from dyadbench.leaderboard.rows import Value
from dyadbench.leaderboard.stats import bootstrap
from dyadbench.leaderboard.tables import make_table
from dyadbench.leaderboard.terminal import below
from dyadbench.records.record import Record, Score, SuiteScores


def test_a_board_says_beside_every_number_whether_its_metric_fails_and_families_do_without_it() -> None:
    runs = [floor(), record("a", 0.1), record("b", 0.3)]
    extra = dataclasses.replace(COLUMNS[2], id="FRDvs")  # a second column of diversity, which fails

    def with_extra(one: Record) -> Record:
        data = one.model_dump()
        scores = data["suites"]["react2024"]
        for part in ("versions", "scores", "per_clip"):
            scores[part]["FRDvs"] = scores[part]["FRDist"]  # other values than FRVar's
        return Record.model_validate(data)

    both = [with_extra(one) for one in runs]
    columns = (*COLUMNS, extra)
    alone = make_table(runs, "react2024", COLUMNS)
    table = make_table(both, "react2024", columns, validity={"FRDvs": ("prefers noise to mismatched",), "FRCorr": ()})
    assert table.families["diversity"].columns == ("FRVar",)
    assert {row.method: row.families for row in table.rows} == {row.method: row.families for row in alone.rows}
    assert make_table(both, "react2024", columns).families["diversity"].columns == ("FRVar", "FRDvs")
    passes = {column["id"]: column["passes"] for column in json.loads(json_text([table]))[0]["columns"]}
    assert (passes["FRCorr"], passes["FRDvs"], passes["FRDist"]) == (True, False, None)
    lines = list(csv.DictReader(io.StringIO(csv_text([table]))))
    verdicts = {line["metric"]: (line["passes"], line["why"]) for line in lines if line["method"] == "a"}
    assert verdicts["FRDvs"] == ("no", "prefers noise to mismatched") and verdicts["FRCorr"] == ("yes", "")
    page = markdown_page([table])
    assert "FRDvs → †" in page and "FRVar → †" not in page
    assert "**fails here**: prefers noise to mismatched" in page
    best = {name for row in table.rows for name, cell in row.cells.items() if cell.best}
    assert best == {"FRCorr", "FRDist", "FRVar"}, "nothing is best in a column that fails"
    assert "† fails on these data" in "\n".join(below(table))


def test_what_is_zero_but_for_rounding_is_zero_in_the_data_files() -> None:
    """Another processor gives 7e-17 where one gave 5e-17; `leaderboard --check` found drift there."""
    table = make_table([floor(), record("a", 0.1), record("b", 0.3)], "react2024", COLUMNS)
    texts = []
    for noise in (5.5e-17, -7.4e-17):
        first = table.rows[0]
        cells = {**first.cells, "FRCorr": first.cells["FRCorr"].model_copy(update={"value": noise})}
        moved = table.model_copy(update={"rows": (first.model_copy(update={"cells": cells}), *table.rows[1:])})
        texts.append((csv_text([moved]), json_text([moved])))
    assert texts[0] == texts[1] and "e-17" not in "".join(texts[0])


def test_a_family_whose_columns_all_fail_is_undefined_and_says_why() -> None:
    runs = [floor(), record("a", 0.1), record("b", 0.3)]
    table = make_table(runs, "react2024", COLUMNS, validity={"FRVar": ("prefers noise to mismatched",)})
    assert table.families["diversity"].why == "FRVar fails on these data"
    assert table.families["synchrony"].why == "react2024 ranks by no metric of it"
    assert not any(row.families or row.pareto for row in table.rows)
    page = markdown_page([table])
    assert "| a |  | undefined | undefined | undefined |" in page
    assert "Diversity is undefined here: FRVar fails on these data." in page


def test_realism_stands_on_the_board_from_the_suite_that_measures_it() -> None:
    columns = (Column("FMD", "min", family="realism", perfect=0.0, low=0.0),)

    def with_motion(one: Record, value: float) -> Record:
        scores = SuiteScores(versions={"FMD": 1}, scores={"FMD": Score(value=value)}, per_clip={"FMD": [value] * 40})
        return one.model_copy(update={"suites": {**one.suites, "motion": scores}})

    runs = [with_motion(floor(), 0.5), with_motion(record("a", 0.1), 1.0), with_motion(record("b", 0.3), 0.2)]
    main, motion = make_table(runs, "react2024", COLUMNS), make_table(runs, "motion", columns)
    board, beside = with_realism([main, motion])
    assert beside == motion
    assert board.families["realism"].model_dump() == {
        "suite": "motion", "columns": ("FMD",), "why": "", "without": {},
    }  # fmt: skip
    distance = {row.method: row.families["realism"].value for row in board.rows}
    assert distance == pytest.approx({FLOOR: 0.0, "a": math.log(2), "b": 0.0})
    assert "Realism is over FMD (motion)." in markdown_page([board])
    failing = make_table(runs, "motion", columns, validity={"FMD": ("prefers noise to mismatched",)})
    assert with_realism([main, failing])[0] == main, "a suite that fails here says nothing of realism"


def _with_distance(name: str, value: float | None, calibration: bool = False) -> Record:
    """A record whose only column is a distance."""
    scores = {"FMD": Score(value=value, undefined=40 * (value is None))}
    suite = SuiteScores(versions={"FMD": 1}, scores=scores, per_clip={"FMD": [value] * 40})
    return record(name, 0.1, calibration=calibration).model_copy(update={"suites": {"react2024": suite}})


DISTANCE = Column("FMD", "min", family="realism", perfect=0.0, low=0.0)


def test_a_band_of_a_metric_that_is_0_for_some_real_listener_ends_at_the_others() -> None:
    """A set that holds the true listener is at distance 0, which is no reason to leave a distance out."""
    values = {FLOOR: 0.5, "oracle-set": 0.0, "a": 1.0, "still": 0.0}
    runs = [_with_distance(name, value, name in (FLOOR, "oracle-set")) for name, value in values.items()]
    distance = {row.method: row.families["realism"].value for row in make_table(runs, "react2024", [DISTANCE]).rows}
    assert distance == pytest.approx({FLOOR: 0.0, "oracle-set": 0.0, "a": math.log(2), "still": 0.0})


def test_a_distance_below_0_by_rounding_is_0_and_within_the_band() -> None:
    runs = [_with_distance(FLOOR, 0.5, True), _with_distance("oracle", -4.5e-13, True), _with_distance("a", 1.0)]
    oracle = next(row for row in make_table(runs, "react2024", [DISTANCE]).rows if row.method == "oracle")
    assert oracle.cells["FMD"].value == 0.0
    assert oracle.families["realism"].model_dump() == Value(value=0.0, low=0.0, high=0.0).model_dump()


def test_a_row_without_a_value_is_undefined_in_the_family_and_the_page_says_why() -> None:
    headed = [*COLUMNS, DISTANCE]

    def both(one: Record, distance: float | None) -> Record:
        beside = _with_distance(one.method, distance).suites["react2024"]
        own = one.suites["react2024"]
        parts = ("versions", "scores", "per_clip")
        joined = {part: {**getattr(own, part), **getattr(beside, part)} for part in parts}
        return one.model_copy(update={"suites": {"react2024": SuiteScores.model_validate(joined)}})

    runs = [both(floor(), 0.5), both(record("a", 0.1), 1.0), both(record("still", 0.3), None)]
    table = make_table(runs, "react2024", headed)
    assert table.families["realism"].without == {"still": ("FMD",)}
    page = markdown_page([table])
    assert "| still |  | within | undefined | undefined |" in page
    assert "It is undefined where a row has no value in FMD: still." in page
    assert "has x 1000 and not infinity" in page


def test_the_band_is_of_a_row_that_shows_people_and_no_method_moves_it() -> None:
    """Targets of two rows differ by rounding; with the first row's every other row moved when a method came."""
    columns = [Column("FRVar", "match", target="FRVar_target"), Column("FRVar_target", "max")]
    rows = {FLOOR: (0.2, 0.1), "other": (0.05, 0.1), "mine": (0.3, 0.1001)}

    def distance_of_other(*names: str) -> float:
        boot = bootstrap([np.array([[rows[name]] * 4]) for name in names], list("abcd"), draws=50, seed=0)
        return float(band_distances(boot, names, columns, columns[:1])["FRVar"][0][names.index("other")])

    assert distance_of_other(FLOOR, "other") == distance_of_other("mine", FLOOR, "other") > 0
