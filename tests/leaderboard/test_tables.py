"""Records, statistics, claims and tables."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fixtures.records import COLUMNS, FLOOR, SESSIONS, floor, record, write_records

from dyadbench.api import Column, DyadbenchError
from dyadbench.leaderboard.build import make_tables
from dyadbench.leaderboard.data_files import csv_text
from dyadbench.leaderboard.markdown import markdown_page
from dyadbench.leaderboard.paired import compare, differences
from dyadbench.leaderboard.published import load_published
from dyadbench.leaderboard.rows import Value, facts_of, speed_of
from dyadbench.leaderboard.sanity import Sanity, check_sanity
from dyadbench.leaderboard.stats import (
    DRAWS_OF_DECISIONS,
    LEVEL,
    Interval,
    _session_draws,
    bootstrap,
    interval,
    losses,
    overall,
    p_value,
    ranks,
    session_weights,
)
from dyadbench.leaderboard.tables import make_table
from dyadbench.leaderboard.text import escape, skill_text
from dyadbench.leaderboard.validity import Corpus
from dyadbench.leaderboard.write import write_leaderboards
from dyadbench.records import frame
from dyadbench.records.comparable import records_below
from dyadbench.records.record import Record, Score, load_record, record_path, save_record

ROOT = Path(__file__).parents[2]


# --- statistics -----------------------------------------------------------------------------------------


def test_draws_are_shared_so_equal_methods_never_differ() -> None:
    values = np.random.default_rng(0).random((1, 40, 2))
    boot = bootstrap([values, values.copy()], SESSIONS)
    assert np.array_equal(boot.draws[:, 0], boot.draws[:, 1])


def test_a_skill_has_no_bracket_only_where_it_has_no_interval() -> None:
    assert skill_text(Value(value=0.001, low=-0.002, high=0.004)) == "0.001 [-0.002, 0.004]"
    assert skill_text(Value(value=0.0011, low=-0.0004, high=0.0026)) == "0.001 [0.000, 0.003]"
    assert skill_text(Value(value=0.04, low=-0.02, high=0.1)) == "0.04 [-0.02, 0.10]"
    assert skill_text(Value(value=0.001)) == "0.001", "one seed of a random method"
    assert skill_text(Value(value=1.0, low=0.999997, high=1.0)) == "1.00", "the truth"


def test_a_draw_is_the_mean_over_the_defined_clips_of_the_drawn_sessions() -> None:
    rng = np.random.default_rng(0)
    value, index = rng.standard_normal((2, 9, 3)), np.array([0, 0, 1, 2, 2, 2, 1, 0, 2])
    value[0, 4, 1] = value[1, 0, 2] = np.nan
    weights = session_weights(3, 6, rng)
    _, means = _session_draws(value, index, weights)
    _, alike = _session_draws(np.where(np.isfinite(value).all(0), value, np.nan), index, weights)  # in all seeds alike
    for draw, other, times in zip(means, alike, weights, strict=True):
        clips = np.repeat(np.arange(9), times[index].astype(int))
        np.testing.assert_allclose(draw, np.nanmean(value[:, clips], 1).mean(0))
        np.testing.assert_allclose(
            other, np.nanmean(np.where(np.isfinite(value).all(0), value, np.nan)[:, clips], 1).mean(0)
        )


def test_who_leads_does_not_hang_on_the_draws() -> None:
    """At the edge of what is called 2,000 draws call a difference or not by chance; those of decisions agree."""
    rng = np.random.default_rng(3)
    values = [rng.standard_normal((1, 40, 1)), rng.standard_normal((1, 40, 1)) + 0.6]
    few, many = (
        [p_value(np.subtract(*bootstrap(values, SESSIONS, draws, seed).draws[:, :, 0].T)) or 1.0 for seed in range(4)]
        for draws in (2000, DRAWS_OF_DECISIONS)
    )
    assert 0.05 < min(many) < max(many) < 0.07
    assert np.ptp(many) < 0.004 < np.ptp(few)


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    rng, hits = np.random.default_rng(1), 0
    for trial in range(200):
        sessions = rng.normal(0, 1, 30).repeat(3) + rng.normal(0, 0.5, 90)
        boot = bootstrap([sessions[None, :, None]], [str(i // 3) for i in range(90)], draws=400, seed=trial)
        span = interval(boot.draws[:, 0, 0])
        assert span is not None
        hits += span.low <= 0 <= span.high
    assert 0.88 <= hits / 200 <= 0.99, "resampling clips instead of sessions would cover about 75 %"


@pytest.mark.parametrize("count", [50_000, 10_007, 300])
def test_ends_of_an_interval_are_numpys_to_the_bit(count: int) -> None:
    rng = np.random.default_rng(count)
    normal = rng.standard_normal(count)
    for draws in (normal, np.sort(normal), rng.standard_t(1, count), normal.round(1), np.zeros(count), rng.gamma(0.1, 1, count)):  # fmt: skip
        assert interval(draws) == Interval(*np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]))


def test_clips_without_a_value_are_counted_once_whatever_the_number_of_seeds() -> None:
    def gap(one: Record) -> Record:
        scores = one.suites["react2024"]
        clips = {**scores.per_clip, "FRCorr": [None, *scores.per_clip["FRCorr"][1:]]}
        return one.model_copy(update={"suites": {"react2024": scores.model_copy(update={"per_clip": clips})}})

    table = make_table([gap(record("m", 0.1, seed)) for seed in range(3)], "react2024", COLUMNS)
    assert table.rows[0].cells["FRCorr"].undefined == 1


def test_undefined_clips_are_left_out_and_one_session_gives_no_interval() -> None:
    values = np.array([[[1.0], [np.nan], [3.0]]])
    boot = bootstrap([values], ["a", "b", "c"], draws=500)
    assert boot.point[0, 0] == 2.0
    assert np.isnan(boot.draws).mean() == pytest.approx(1 / 27, abs=0.02), "where the middle one alone was drawn"
    assert np.nanmedian(boot.draws) == 2.0
    assert not bootstrap([values], ["a", "a", "a"]).informative


def test_seeds_are_a_second_level() -> None:
    spread = np.stack([np.full((40, 1), float(s)) for s in range(3)])
    draws = bootstrap([spread], SESSIONS).draws[:, 0, 0]
    assert draws.std() > 0.3, "constant clips, so all the spread is the seeds'"
    assert abs(draws.mean() - 1) < 0.1


def test_methods_of_the_same_seeds_are_paired_by_seed_and_others_are_not() -> None:
    seeds = np.arange(5.0)[:, None, None] * np.ones((5, 40, 1))  # constant clips, so all the spread is the seeds'
    both = [seeds, seeds + 0.25]
    for streams, spread in (((), 0.0), (("0 1", "0 1"), 0.0), (("0 1", "2 3"), 0.5)):
        draws = bootstrap(both, SESSIONS, streams=streams).draws[:, :, 0]
        assert np.ptp(draws[:, 1] - draws[:, 0]) >= spread
        assert spread or np.allclose(draws[:, 1] - draws[:, 0], 0.25)
    alone = bootstrap(both[:1], SESSIONS, streams=["0 1"]).draws[:, 0]
    beside = bootstrap([*both, both[0]], SESSIONS, streams=["2", "3", "0 1"]).draws[:, 2]
    assert np.array_equal(alone, beside), "the draws of a method do not depend on the others"


def test_an_interval_stays_within_the_range_of_its_measure() -> None:
    """utilisation was 0.998 [0.995, 1.005]."""
    draws = np.random.default_rng(0).normal(0.998, 0.003, 2000)
    free, share = interval(draws), interval(draws, within=Column("U", "max", low=0.0, high=1.0))
    assert free is not None and share is not None and free.high > 1.003
    assert (share.low, share.high) == (free.low, 1.0)
    below = interval(draws - 1, within=Column("E", "min", low=0.0))
    assert below is not None and below.low == 0.0


def test_ranks_ties_and_match() -> None:
    values = np.array([[0.9, 1.0, 0.10, 0.1], [0.5, 2.0, 0.5, 0.1], [0.5, 2.0, -0.3, 0.1]])
    loss = losses(values, COLUMNS)
    assert loss.shape == (3, 3)
    assert ranks(loss)[:, 0].tolist() == [1.0, 2.5, 2.5]
    assert overall(loss).tolist() == [1.0, 2.0, 2.0]


def test_a_method_at_its_target_is_not_worse_than_one_that_is_exactly_there() -> None:
    """Draws folded to distances from the target made it worse in all of 200 simulations."""
    columns = [Column("V", "match", target="V_target"), Column("V_target", "match", ranked=False, target="V_target")]
    sessions = [f"s{i // 4}" for i in range(72)]
    called = 0
    for n in range(60):
        rng = np.random.default_rng(n)
        noisy = 1 + 0.3 * rng.standard_normal((18, 1)).repeat(4, 1).reshape(1, 72)
        values = [np.stack([x, np.ones((1, 72))], -1) for x in (np.ones((1, 72)), noisy)]
        [[gap]] = differences(values, sessions, columns, [0], ["a", "b"], [False, False], [(0, 1)], draws=2000)
        called += gap.reading != "undecided"
    assert called <= 8, "one in twenty is expected"


# --- tables ---------------------------------------------------------------------------------------------


def test_order_intervals_and_calibration() -> None:
    table = make_table(
        [record("good", 0.1), record("bad", 0.5), record("oracle", 0.0, calibration=True), floor()],
        "react2024",
        COLUMNS,
    )
    assert [(row.method, row.kind, row.rank, row.rank_low, row.rank_high) for row in table.rows] == [
        ("oracle", "reference", None, None, None), ("good", "method", 1, 1, 1), ("bad", "method", 2, 2, 2),
        (FLOOR, "reference", None, None, None),
    ]  # fmt: skip
    cell = table.rows[1].cells["FRCorr"]
    assert cell.low is not None and cell.value is not None and cell.high is not None
    assert cell.low < cell.value < cell.high
    assert cell.best
    assert not table.rows[2].cells["FRCorr"].best


def test_best_is_said_only_where_the_interval_allows() -> None:
    near = make_table([record("one", 0.1), record("two", 0.1, seed=1), floor()], "react2024", COLUMNS)
    assert [row.cells["FRCorr"].best for row in near.rows] == [True, True, False], "neither can be told from the best"
    assert {(row.rank_low, row.rank_high) for row in near.rows if row.rank} == {(1, 2)}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"measured": {"lookahead": 7}}, "7 frames ahead"),
        ({"measured": {"lookahead": None}}, "whole clip"),
        ({"of": "fair"}, "fair"),
        ({"deterministic": False}, "one seed"),
    ],
)
def test_what_is_not_ranked_says_why(change: dict[str, object], reason: str) -> None:
    table = make_table([record("fair", 0.3), record("odd", 0.1, **change), floor()], "react2024", COLUMNS)
    [odd] = [row for row in table.rows if row.method == "odd"]
    assert odd.rank is None
    assert reason in odd.reason
    assert reason in markdown_page([table])


def test_an_undefined_column_is_not_ranked_and_never_zero() -> None:
    broken = record("broken", 0.1).model_dump()
    broken["suites"]["react2024"]["scores"]["FRCorr"] = {"value": None, "undefined": 40}
    broken["suites"]["react2024"]["per_clip"]["FRCorr"] = [None] * 40
    table = make_table([record("fair", 0.3), Record.model_validate(broken), floor()], "react2024", COLUMNS)
    [row] = [row for row in table.rows if row.method == "broken"]
    assert row.rank is None
    assert row.cells["FRCorr"].value is None
    assert "n/a (40 undefined)" in markdown_page([table])


def test_other_data_and_other_versions_are_set_apart() -> None:
    other = record(
        "elsewhere",
        0.1,
        dataset={"name": "simdyad", "digest": "e" * 64, "simulated": True, "split": "test", "config": {}},
    )
    old = record("old", 0.1).model_dump()
    old["suites"]["react2024"]["versions"]["FRCorr"] = 0
    table = make_table(
        [record("a", 0.2), record("b", 0.3), floor(), other, Record.model_validate(old)], "react2024", COLUMNS
    )
    assert [row.method for row in table.rows] == ["a", "b", FLOOR]
    assert any("elsewhere" in note for note in table.notes)
    assert any("old" in note and "version" in note for note in table.notes)


def test_records_of_other_settings_of_a_benchmark_are_set_apart_whatever_their_names() -> None:
    """The method whose name came first decided how far all might look ahead."""
    usual = record("b", 0.3).benchmark_config.model_dump()
    rows = [record("b", 0.3), record("c", 0.4), floor()]
    for name in ("a-first", "z-last"):
        for change in ({"allowed_lookahead": 25}, {"samples": 1}, {"track": "offline"}, {"two_sided": True}):
            odd = record(name, 0.2, benchmark_config=usual | change)
            table = make_table([*rows, odd], "react2024", COLUMNS)
            assert [row.method for row in table.rows] == ["b", "c", FLOOR]
            [(field, value)] = change.items()
            assert [
                note
                for note in table.notes
                if f"{name}, seed 0 was measured when {field} of the benchmark was {value!r}" in note
            ]


def test_who_was_given_the_listener_is_not_ranked_where_nobody_is() -> None:
    measured = {"lookahead": 0, "two_sided": ["own past"]}
    table = make_table([record("a", 0.2, measured=measured), record("b", 0.3), floor()], "react2024", COLUMNS)
    [row] = [row for row in table.rows if row.method == "a"]
    assert row.rank is None and row.reason == "it uses the listener's own past, which this benchmark gives to nobody"


def test_what_is_left_out_judges_no_column_of_those_that_stay() -> None:
    """One old record decided which columns made the headline of a table that left it out."""
    data = {"name": "simdyad", "digest": "e" * 64, "simulated": True, "split": "test", "config": {}}
    fails = SimpleNamespace(version=1, passes=False, why=("prefers noise",))
    corpus: Any = Corpus.model_construct(benchmark="toy", data="e" * 64, suites={"react2024": {"FRDist": fails}})
    rows = [record("a", 0.2), record("b", 0.3), floor()]
    for records in (rows, [*rows, record("old", 0.2, dataset=data)]):
        [table], _ = make_tables([("toy", records)], {"react2024": COLUMNS}, [], [corpus])
        assert [scale.column for scale in table.scales] == ["FRCorr", "FRDist"]


def test_records_on_an_older_version_of_the_dataset_are_set_apart_however_many_there_are() -> None:
    data = {"name": "simdyad", "version": 2, "digest": "e" * 64, "simulated": True, "split": "test", "config": {}}
    old = [record(name, 0.2) for name in ("a", "b", "c")]
    table = make_table([*old, record("a", 0.3, dataset=data, seed=1)], "react2024", COLUMNS)
    assert [(row.method, row.seeds) for row in table.rows] == [("a", (1,))]
    assert len([note for note in table.notes if "version 1 of simdyad, which is now at version 2" in note]) == 3
    assert len(make_table(old, "react2024", COLUMNS).rows) == 3, "as long as there is nothing newer they stand"


def test_rows_scored_by_an_older_rule_for_action_units_are_left_out_with_a_sentence() -> None:
    rule = {"measured": {"lookahead": 0, "action_units": {"version": 1, "thresholds": {"AU1": 0.3}}}}
    table = make_table([floor(**rule), record("new", 0.3, **rule), record("old", 0.1)], "react2024", COLUMNS)
    assert {row.method for row in table.rows} == {"new", FLOOR}
    [note] = [note for note in table.notes if "old, seed 0" in note]
    assert "version 0 of the rule (0: as emitted), which is now at version 1" in note


def test_a_record_from_before_a_suite_is_said_in_that_suite_s_table() -> None:
    older = record("older", 0.1)
    newer = record("newer", 0.2)
    newer = newer.model_copy(
        update={
            "benchmark_config": newer.benchmark_config.model_copy(update={"also": ("second",)}),
            "suites": {**newer.suites, "second": newer.suites["react2024"]},
        }
    )
    table = make_table([older, newer], "second", COLUMNS)
    assert [row.method for row in table.rows] == ["newer"]
    assert "older, seed 0 was measured before its benchmark had suite second; run it again" in table.notes


def test_a_board_without_a_validity_result_says_that_nothing_was_measured() -> None:
    runs = [record("a", 0.2), floor()]
    note = "whether these order what everybody knows was not measured on these data (`dyadbench validity`), so all of them count: "
    assert f"{note}FRCorr, FRDist, FRVar" in make_table(runs, "react2024", COLUMNS).notes
    assert f"{note}FRVar" in make_table(runs, "react2024", COLUMNS, validity={"FRCorr": (), "FRDist": ("bad",)}).notes
    judged = dict.fromkeys(("FRCorr", "FRDist", "FRVar"), ())
    assert not any(note in each for each in make_table(runs, "react2024", COLUMNS, validity=judged).notes)


def test_notes_name_no_row_that_is_not_on_the_page() -> None:
    readout = {"measured": {"lookahead": 0, "readout": {"version": 1, "rmse": {"valence": 0.1}}}}
    tokens = record("tokens", 0.1, calibration=True, method_config={"tokenizer": {}}, **readout)
    table = make_table([record("a", 0.2, **readout), tokens, floor()], "react2024", COLUMNS)
    [note] = [note for note in table.notes if "motion only" in note]
    assert note.startswith("a: motion only") and "tokens" not in markdown_page([table])


def test_a_board_shows_every_column_of_a_suite_that_ranks_with_whether_it_fails() -> None:
    columns = [dataclasses.replace(c, ranked=c.id == "FRCorr", headline=False) for c in COLUMNS]
    runs = [record("a", 0.2), floor()]
    page = markdown_page([make_table(runs, "react2024", columns, validity={"FRVar": ("prefers noise",)})])
    assert "| method | FRCorr ↑ | FRDist ↓ | FRVar → † 0.1 |" in page.replace("0.1000", "0.1")


def test_a_board_explains_what_moved_most_between_the_old_rule_and_skill() -> None:
    """`dull` is best in both columns of the headline and last in five columns of diversity."""
    more = [dataclasses.replace(COLUMNS[2], id=name) for name in ("D1", "D2", "D3", "D4", "D5")]

    def with_diversity(name: str, level: float, place: int) -> Record:
        data = record(name, level).model_dump()
        for part in ("versions", "scores", "per_clip"):
            for c in more:
                value = {"versions": 1, "scores": {"value": 0.1 + place}, "per_clip": [0.1 + place] * 40}[part]
                data["suites"]["react2024"][part][c.id] = value
        return Record.model_validate(data)

    runs = [with_diversity("dull", 0.1, 5), *(with_diversity(f"m{i}", 0.2 + i / 10, i) for i in range(4))]
    floored = with_diversity(FLOOR, 0.8, 0).model_copy(update={"calibration": True})
    page = markdown_page([make_table([*runs, floored], "react2024", [*COLUMNS, *more])])
    [line] = [line for line in page.splitlines() if line.startswith("- dull:")]
    assert line == (
        "- dull: 1st of 5 by skill and 4th by mean rank; in the headline 1st in FRCorr, 1st in FRDist, "
        "but 5th in D1, 5th in D2, 5th in D3, 5th in D4."
    )
    assert "| dull | 1 (0.87 [0.86, 0.88]) | 4 |" in page.partition("other rules")[2], (
        "the table counts as the sentences do"
    )
    tied = [with_diversity(f"m{i}", 0.2 + i / 10, 1 + (i < 4)) for i in range(6)]
    tied.append(with_diversity("last", 0.79, 1))
    page = markdown_page([make_table([*tied, floored], "react2024", [*COLUMNS, *more])])
    [line] = [line for line in page.splitlines() if line.startswith("- m4:")]
    assert "but 1st in D1" in line, "those that tie share the best place, as everywhere"


def test_sanity() -> None:
    table = make_table([record("oracle", 0.2, calibration=True), record("cheat", 0.1)], "react2024", COLUMNS)
    [problem] = check_sanity(table, [Sanity("oracle", "FRCorr")])
    assert "cheat" in problem and "oracle" in problem
    assert "must be 0" in check_sanity(table, [Sanity("oracle", "FRDist", 0.0)])[0]
    assert not check_sanity(
        make_table([record("oracle", 0.0, calibration=True), record("fair", 0.3)], "react2024", COLUMNS),
        [Sanity("oracle", "FRCorr")],
    )


# --- files ----------------------------------------------------------------------------------------------


def test_regeneration_is_byte_identical_and_drift_is_seen(tmp_path: Path) -> None:
    records = [record(name, level, seed) for name, level in (("a", 0.1), ("b", 0.4)) for seed in (0, 1)]
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        random.Random(name).shuffle(records)
        write_records(tmp_path / name, records)
        (tmp_path / name / "README.md").write_text("x\n<!-- headline:begin -->\n<!-- headline:end -->\n")
        assert write_leaderboards(tmp_path / name, {"react2024": COLUMNS}).drift
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*") if path.is_file())
    assert all((tmp_path / "one" / f).read_bytes() == (tmp_path / "two" / f).read_bytes() for f in files)
    assert not write_leaderboards(tmp_path / "one", {"react2024": COLUMNS}, check=True).drift
    table = tmp_path / "one" / "leaderboards" / "toy.md"
    text = table.read_text()
    table.write_text(text.replace("0.", "1.", 1))
    assert write_leaderboards(tmp_path / "one", {"react2024": COLUMNS}, check=True).drift == ("leaderboards/toy.md",)
    assert table.read_text() != text, "a check writes nothing"
    assert "toy" in (tmp_path / "one" / "README.md").read_text()


def test_simulated_and_real_never_share_a_table(tmp_path: Path) -> None:
    real = record(
        "real",
        0.2,
        dataset={"name": "react2024", "digest": "d" * 64, "simulated": False, "split": "test", "config": {}},
    )
    write_records(tmp_path, [record("sim", 0.1), real])
    with pytest.raises(DyadbenchError, match="simulated and on real"):
        write_leaderboards(tmp_path, {"react2024": COLUMNS})


@settings(max_examples=30, deadline=None)
@given(st.text(min_size=1, max_size=20))
def test_any_method_name_survives_the_files(name: str) -> None:
    if not name.isprintable() or not name.strip():
        return
    if name == FLOOR:
        return
    table = make_table([record(name, 0.1), floor()], "react2024", COLUMNS)
    row = next(line for line in markdown_page([table]).splitlines() if line.startswith("| 1 "))
    assert "<" not in row.replace("&lt;", "")
    assert row.replace("\\|", "").count("|") <= 8 + 1


def test_hostile_names_are_escaped() -> None:
    assert escape("<script>|`x`*") == "&lt;script&gt;\\|\\`x\\`\\*"
    table = make_table([record("=1+1", 0.1)], "react2024", COLUMNS)
    assert ",'=1+1," in csv_text([table])


def test_a_record_reads_back_and_bad_ones_are_named(tmp_path: Path) -> None:
    path = record_path(tmp_path, record("a/../b", 0.2))
    save_record(record("a/../b", 0.2), path)
    assert path.resolve().is_relative_to(tmp_path.resolve())
    assert load_record(path).suites["react2024"].per_clip["FRCorr"] == pytest.approx(
        record("a/../b", 0.2).suites["react2024"].per_clip["FRCorr"], rel=1e-6
    )
    whole = json.loads(path.read_text())
    bad = {
        "future": (json.dumps({**whole, "format": "dyadbench-record/9"}), "newer dyadbench"),
        "nan": (path.read_text().replace('"seed": 0', '"seed": NaN'), "NaN"),
        "deep": ("[" * 100_000 + "]" * 100_000, "nested deeper"),
        "cut": (path.read_text()[:200], "cut.json"),
        "short": (json.dumps({**whole, "clips": whole["clips"][:-1]}), "differ in number"),
        "extra": (json.dumps({**whole, "rank": 1}), "rank"),
    }
    for name, (text, message) in bad.items():
        (tmp_path / f"{name}.json").write_text(text)
        with pytest.raises(DyadbenchError, match=message):
            load_record(tmp_path / f"{name}.json")


def test_compare_is_paired(tmp_path: Path) -> None:
    comparison = compare([record("a", 0.1), record("b", 0.2)], "a", "b", "react2024", COLUMNS)
    readings = {d.column: (d.reading, d.target and round(d.target, 6)) for d in comparison.differences}
    assert readings == {"FRCorr": ("a is better", None), "FRDist": ("a is better", None), "FRVar": ("a is better", 0.1)}
    assert comparison.simulated
    [difference] = [d for d in comparison.differences if d.column == "FRCorr"]
    assert difference.low is not None and difference.high is not None
    assert difference.low < 0.1 < difference.high
    assert difference.low > 0
    assert len(comparison.extremes["FRCorr"]) == 5
    with pytest.raises(DyadbenchError, match="there are: a"):
        compare([record("a", 0.1)], "a", "b", "react2024", COLUMNS)


def _with_level(one: Record, shift: float) -> Record:
    """The record with every clip's FRCorr raised by as much."""
    scores = one.suites["react2024"]
    per_clip = {**scores.per_clip, "FRCorr": [None if v is None else v + shift for v in scores.per_clip["FRCorr"]]}
    values = {**scores.scores, "FRCorr": Score(value=float(np.mean(per_clip["FRCorr"])))}
    return one.model_copy(update={"suites": {"react2024": scores.model_copy(update={"per_clip": per_clip, "scores": values})}})  # fmt: skip


def test_an_ablation_is_compared_seed_by_seed() -> None:
    """Seeds whose level moves by far more than the ablation's effect, which is the same in all of them."""

    def rows(method: str, seeds: range, effect: float, of: str = "") -> list[Record]:
        return [
            _with_level(record(method, 0.3, n, deterministic=False, of=of), 0.05 * n + effect).model_copy(update={"seed": seed})
            for n, seed in enumerate(seeds)
        ]  # fmt: skip

    base = rows("base", range(5), 0.0)
    for seeds, paired_by_seed in ((range(5), True), (range(5, 10), False)):
        records = [*base, *rows("ablation", seeds, 0.02, "base"), floor()]
        against = next(
            row.against for row in make_table(records, "react2024", COLUMNS).rows if row.method == "ablation"
        )
        assert against is not None and against.low is not None and (against.low > 0) is paired_by_seed
        [gap] = [d for d in compare(records, "ablation", "base", "react2024", COLUMNS).differences if d.column == "FRCorr"]  # fmt: skip
        assert gap.reading == ("a is better" if paired_by_seed else "undecided")


# --- claims and what is committed -----------------------------------------------------------------------


def test_records_are_a_table_for_notebooks(tmp_path: Path) -> None:
    write_records(tmp_path, [record("a", 0.1, seed) for seed in (0, 1)] + [record("b", 0.4, of="a")])
    table = frame(tmp_path)
    assert len(table) == 3 * len(COLUMNS)
    means = table[table.metric == "FRDist"].groupby("method").value.mean()
    assert means["a"] < means["b"]
    assert set(table[table.method == "b"].of) == {"a"}


def test_every_published_number_is_there() -> None:
    published = load_published(ROOT / "leaderboards" / "claims")
    number = lambda value: str(float(value)) if str(value).replace(".", "").replace("-", "").isdigit() else value  # noqa: E731
    rows = sorted(
        (c.benchmark, c.dataset, c.split, c.task, c.method, c.metric, number(c.value), c.note, c.source)
        for c in published
    )
    assert len(rows) == 501
    assert (
        hashlib.sha256(repr(rows).encode()).hexdigest()
        == "57decd8ac157da82654ac44974ef6a13fd9e9145667c2db2bddccee418ab5def"
    )


def test_a_copied_file_of_published_numbers_is_no_second_source(tmp_path: Path) -> None:
    [first, *_] = sorted((ROOT / "leaderboards" / "claims").glob("*.toml"))
    (tmp_path / "a.toml").write_bytes(first.read_bytes())
    (tmp_path / "._a.toml").write_bytes(b"what macOS leaves")
    assert load_published(tmp_path)
    (tmp_path / "a (1).toml").write_bytes(first.read_bytes())
    with pytest.raises(DyadbenchError, match=r"repeats what .*delete the copy"):
        load_published(tmp_path)


def test_the_table_that_mixes_scales_says_so() -> None:
    mixed = [c for c in load_published(ROOT / "leaderboards" / "claims") if c.metric == "FRCorr" and c.value == 0.85]
    assert mixed
    assert all("mixes two scales" in c.warning for c in mixed)


def test_committed_records_are_readable_and_of_known_benchmarks() -> None:
    from dyadbench.registry.host import Host

    host = Host()
    names = {entry.name for entry in host.entries("benchmark")}
    records = records_below(ROOT / "leaderboards")
    assert records
    assert {each.benchmark for each in records} <= names
    for each in records:
        if each.method == "oracle" and each.dataset.simulated:  # a real person may not move for a whole clip
            assert not any(score.undefined for score in each.suites[each.benchmark_config.suite].scores.values())


def test_speed_is_of_the_processor_where_one_thread_sampled() -> None:
    busy = {"realtime_factor": 10.0, "generate_seconds": 90.0, "generate_cpu_seconds": 30.0}
    one = record("a", 0.1)
    worked = one.model_copy(update={"measured": one.measured.model_copy(update=busy)})
    machines = ({"threads": 1}, {"threads": 4}, {"threads": 1, "hardware": {"gpu": "H200"}}, {})
    speeds = [speed_of(worked.model_copy(update={"provenance": machine})) for machine in machines]
    assert speeds == [30.0, 10.0, 10.0, 10.0]


def test_latencies_of_seeds_of_different_versions_are_joined_by_what_all_hold() -> None:
    older = {"step_p99_ms": 7.0, "budget_ms": 40.0}
    newer = {"step_p99_ms": 3.0, "step_p99_cpu_ms": 2.0, "budget_ms": 40.0}
    for waits in ((older, newer), (newer, older)):
        records = [
            one.model_copy(update={"measured": one.measured.model_copy(update={"latency": wait})})
            for one, wait in zip((record("a", 0.1, seed=0), record("a", 0.1, seed=1)), waits, strict=True)
        ]
        assert facts_of(records)["latency"] == {"step_p99_ms": 5.0, "budget_ms": 40.0}
