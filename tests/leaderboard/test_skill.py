"""The rank: skill between the floor and the ceiling, ties, families, and that no row moves another."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from tests.fixtures.records import COLUMNS, FLOOR, floor, record

from dyadbench.leaderboard.families import pareto
from dyadbench.leaderboard.markdown import HOW, index_page
from dyadbench.leaderboard.rows import Row
from dyadbench.leaderboard.skill import against_floor, places
from dyadbench.leaderboard.skill_chart import bar_rows
from dyadbench.leaderboard.stats import benjamini_hochberg, p_value, ranks
from dyadbench.leaderboard.summary import sentences
from dyadbench.leaderboard.tables import Table, make_table
from dyadbench.leaderboard.terminal import below
from dyadbench.records.record import Record, Score

METHODS = [record(f"m{i}", level, seed) for i, level in enumerate((0.1, 0.3, 0.31, 0.6)) for seed in (0, 1)]
OTHERS = [
    record("oracle", 0.0, calibration=True),
    record("m0-without", 0.2, of="m0"),
    record("tokens", 0.01, calibration=True, method_config={"tokenizer": {}}),
]


def rows(records: list[Record]) -> dict[str, Row]:
    return {row.method: row for row in make_table(records, "react2024", COLUMNS).rows}


def test_skill_is_0_at_the_floor_and_1_at_the_ceiling() -> None:
    fresh = record("fresh-listener", 0.2, calibration=True)
    by_name = rows([*METHODS, floor(), fresh])
    for name, value in ((FLOOR, 0.0), ("fresh-listener", 1.0)):
        skill = by_name[name].skill
        assert skill is not None and skill.value is not None
        assert abs(skill.value - value) < 1e-9
    [by] = {scale.by for scale in make_table([*METHODS, floor(), fresh], "react2024", COLUMNS).scales}
    assert by == "fresh-listener"
    column = {s.column: s for s in make_table([*METHODS, floor()], "react2024", COLUMNS).scales}
    assert (column["FRCorr"].by, column["FRCorr"].ceiling, column["FRDist"].ceiling) == ("perfect", 1.0, 0.0)
    corr, skill = by_name["m1"].cells["FRCorr"].value, by_name["m1"].skills["FRCorr"].value
    low, high = (by_name[name].cells["FRCorr"].value for name in (FLOOR, "fresh-listener"))
    assert corr is not None and low is not None and high is not None
    assert skill == pytest.approx((corr - low) / (high - low))


def at(level: float, spread: float, method: str = "m", seed: int = 0, **change: object) -> Record:
    """A record with FRCorr about `level` on every clip; its distance is nobody's headline here."""
    values = level + spread * np.random.default_rng([seed, *method.encode()]).standard_normal(40)
    one = record(method, 0.5, seed, **{"deterministic": False, **change})
    scores = one.suites["react2024"]
    score, clips = Score(value=float(values.mean())), {**scores.per_clip, "FRCorr": values.tolist()}
    changed = scores.model_copy(update={"scores": {**scores.scores, "FRCorr": score}, "per_clip": clips})
    return one.model_copy(update={"suites": {"react2024": changed}})


def of_correlation(records: list[Record]) -> Table:
    columns = [dataclasses.replace(column, headline=column.id == "FRCorr") for column in COLUMNS]
    return make_table(records, "react2024", columns)


def test_a_floor_of_one_random_seed_beats_and_is_beaten_by_nobody() -> None:
    """Other draws of it may be far away: the methods are at .25, and floors at .1, .2 and .3."""
    methods = [at(0.25, 0.02, "a", seed) for seed in range(3)]
    floors = [at(level, 0.02, FLOOR, seed, calibration=True) for seed, level in enumerate((0.2, 0.1, 0.3))]
    once, thrice = of_correlation([*methods, *floors[:1]]), of_correlation([*methods, *floors])
    for table, how in ((once, ""), (thrice, "open")):
        row = next(row for row in table.rows if row.method == "a")
        assert (row.floor, row.skill is not None and row.skill.low is None) == (how, how == "")
    lead, beside = sentences(once)
    assert lead == "a is the only method with a rank." and "the floor." not in " ".join(beside)
    assert "nobody is said to beat the floor: skill is measured from mismatched-listener" in once.unsure
    assert once.unsure in once.notes and once.unsure in below(once)
    assert sentences(thrice)[0] == "a is the only method with a rank, but does not beat the floor."
    assert not thrice.unsure


@pytest.mark.parametrize("level", [0.33, 0.37])
def test_a_row_of_which_nothing_is_known_does_not_lead_whatever_its_mean(level: float) -> None:
    two = [at(x, 0.02, "two-seeds", seed) for seed, x in enumerate((0.3, 0.4))]
    sure = at(level, 0.02, "sure", deterministic=True)
    lead, beside = sentences(of_correlation([*two, sure, at(0.2, 0.02, FLOOR, calibration=True, deterministic=True)]))
    assert lead == "sure leads." and beside[0].startswith("Too uncertain to place: two-seeds")
    assert any(text.startswith("sure goes") for text in beside)


def test_a_leader_below_the_floor_is_said_to_be_there() -> None:
    null = at(0.3, 0.02, FLOOR, calibration=True, deterministic=True)
    methods = [at(level, 0.02, name, deterministic=True) for name, level in (("a", 0.2), ("b", 0.0))]
    table = of_correlation([*methods, null])
    assert sentences(table)[0] == "a leads alone, but does not beat the floor."
    assert "Worse than the floor: a and b." in sentences(table)[1] and "a leads alone, but" in index_page([table])


def test_who_beats_the_floor_is_decided_among_all_rows() -> None:
    """Of 40 methods like the floor one or two look better alone; among all of them none is."""
    rng = np.random.default_rng(0)
    point = np.full(40, 0.0)
    draws = rng.standard_normal((5000, 40)) + 2.1 * (np.arange(40) == 7)
    alone = [p is not None and p <= 0.05 for p in map(p_value, draws.T)]
    assert alone[7] and set(against_floor(point, draws)) == {"open"}
    assert against_floor(np.array([0.3, -0.2]), draws[:, :2] + [9, -9]) == ["above", "below"]


CLOSE = [record(f"c{i}", level, seed) for i, level in enumerate((0.301, 0.303, 0.305, 0.307)) for seed in (0, 1)]


def test_adding_or_deleting_any_row_moves_no_others_skill_interval_or_order() -> None:
    """Of methods far apart and of methods that nothing tells apart. Shared places are another matter: see below."""
    every = [*METHODS, *CLOSE, *OTHERS, floor(), record("fresh-listener", 0.05, calibration=True)]
    whole = rows(every)
    assert [name for name, row in whole.items() if row.rank is not None and name.startswith("m")] == [
        "m0",
        "m1",
        "m2",
        "m3",
    ]
    assert any((whole[f"c{i}"].rank_low, whole[f"c{i}"].rank_high) != (whole[f"c{i}"].rank,) * 2 for i in range(4))
    for gone in sorted({one.method for one in every} - {FLOOR, "fresh-listener"}):  # 0 and 1 of the skill
        left = rows([one for one in every if one.method != gone])
        assert list(left) == [name for name in whole if name != gone], f"without {gone} the order is another"
        for name, row in left.items():
            was = whole[name]
            assert (row.skill, row.skills) == (was.skill, was.skills), f"{gone} moved {name}"
            assert (row.families, row.reason) == (was.families, was.reason), f"{gone} moved {name}"
            assert {c: (v.value, v.low, v.high) for c, v in row.cells.items()} == {
                c: (v.value, v.low, v.high) for c, v in was.cells.items()
            }, f"{gone} moved {name}"
        places = [(row.rank, name) for name, row in left.items() if row.rank is not None]
        assert [place for place, _ in places] == list(range(1, len(places) + 1))


def test_shared_places_may_change_with_the_other_rows_and_the_page_says_so() -> None:
    """p is 0.04 for the two that are close: alone that tells them apart, beside five equal methods it does not."""
    rng = np.random.default_rng(0)
    apart = rng.standard_normal(2000)
    draws = np.stack([0.5 + apart * 0.0485, np.full(2000, 0.4)], -1)
    assert places(np.array([0.5, 0.4]), draws) == [(1, 1, 1), (2, 2, 2)]
    more = np.concatenate([draws, 0.45 + 0.05 * rng.standard_normal((2000, 5))], -1)
    together = places(np.array([0.5, 0.4, *[0.45] * 5]), more)
    assert together[0][2] == 7 and together[1][1] == 1, "no difference is certain among 21"
    assert "these places, unlike the skill, may change with the other rows" in " ".join(HOW.split())


def test_a_row_that_only_has_a_references_name_moves_no_skill() -> None:
    one = make_table([*METHODS, floor()], "react2024", COLUMNS)
    other = {"predictor": {"name": "predictions", "version": 1, "config": {}}}
    forged = [record(name, 0.01, method_config=other) for name in ("fresh-listener", "oracle-set")]
    table = make_table([*METHODS, floor(), *forged], "react2024", COLUMNS)
    assert [(r.method, r.skill) for r in table.rows] == [(r.method, r.skill) for r in one.rows]
    assert any("fresh-listener, seed 0 has the name of a reference" in note for note in table.notes)
    assert not make_table([*METHODS, floor(method_config=other)], "react2024", COLUMNS).scales


def test_without_a_floor_nothing_is_ranked_and_the_page_says_so() -> None:
    table = make_table(METHODS, "react2024", COLUMNS)
    assert not any(row.rank or row.skill for row in table.rows)
    assert any("mismatched-listener" in note for note in table.notes)


def test_a_metric_that_cannot_tell_the_ceiling_from_the_floor_is_no_part_of_the_skill() -> None:
    same = record("fresh-listener", 0.8, calibration=True)  # the same numbers as the floor's
    table = make_table([*METHODS, floor(), same], "react2024", COLUMNS)
    assert not table.scales
    assert sum("is not better than mismatched-listener in it" in note for note in table.notes) == 2
    assert (
        below(table)[-1]
        == "nothing is ranked: no column of the headline tells the ceiling from the floor on these data"
    )
    headless = make_table([*METHODS, floor()], "react2024", [dataclasses.replace(c, headline=False) for c in COLUMNS])
    assert sentences(headless)[1] == ["No column of the suite react2024 is its headline."]
    no_floor = make_table(METHODS, "react2024", COLUMNS)
    assert sentences(no_floor)[1] == [
        "A rank needs a record of mismatched-listener, which a skill of 0 is; run it on this benchmark."
    ]
    blind = [dataclasses.replace(c, perfect=None) if c.id == "FRDist" else c for c in COLUMNS]
    table = make_table([*METHODS, floor()], "react2024", blind)
    assert [scale.column for scale in table.scales] == ["FRCorr"]
    assert any("FRDist is left out" in note for note in table.notes)


def test_ablations_and_reconstructions_are_never_ranked() -> None:
    by_name = rows([*METHODS, *OTHERS, floor()])
    assert by_name["m0-without"].kind == "ablation" and by_name["m0-without"].rank is None
    assert by_name["tokens"].kind == "reconstruction" and by_name["tokens"].rank is None
    against = by_name["m0-without"].against
    assert against is not None and against.value is not None and against.high is not None
    assert against.value < 0 and against.high < 0, "it is worse than its method"


def test_the_picture_of_skill_leaves_out_what_sees_the_truth() -> None:
    table = make_table([*METHODS, *OTHERS, floor()], "react2024", COLUMNS)
    drawn_rows = {row.method for row in bar_rows(table)}
    assert {one.method for one in METHODS} < drawn_rows and not {"tokens", "m0-without"} & drawn_rows


def test_one_seed_of_a_random_method_has_no_interval() -> None:
    once = record("once", 0.2, deterministic=False)
    twice = [record("twice", 0.2, seed, deterministic=False) for seed in (0, 1)]
    without = [record(f"{name}-without", 0.3, of=name, deterministic=True) for name in ("once", "twice")]
    by_name = rows([once, *twice, *without, record("fixed", 0.3), floor()])

    def intervals(name: str) -> list[bool]:
        row = by_name[name]
        numbers = [row.skill, *row.skills.values(), *row.families.values(), *row.cells.values()]
        return [value is not None and value.low is not None for value in numbers]

    assert not any(intervals("once")) and all(intervals("twice")) and all(intervals("fixed"))
    for name, has in (("once", False), ("twice", True)):
        against = by_name[f"{name}-without"].against
        assert against is not None and against.value is not None and (against.low is not None) == has
    assert all(intervals("once-without")), "its own interval is over sessions, which is all that it varies with"


def test_a_random_method_needs_two_seeds_for_a_rank() -> None:
    once = record("once", 0.2, deterministic=False)
    twice = [record("twice", 0.2, seed, deterministic=False) for seed in (0, 1)]
    by_name = rows([once, *twice, floor()])
    assert by_name["once"].rank is None and "one seed" in by_name["once"].reason
    assert by_name["twice"].rank == 1


def test_a_method_that_is_defined_on_its_easy_clips_has_no_rank() -> None:
    data = record("picky", 0.1).model_dump()
    values = data["suites"]["react2024"]["per_clip"]["FRCorr"]
    data["suites"]["react2024"]["per_clip"]["FRCorr"] = [v if n % 8 == 0 else None for n, v in enumerate(values)]
    by_name = rows([Record.model_validate(data), record("fair", 0.4), floor()])
    assert by_name["picky"].rank is None
    assert by_name["picky"].reason == "FRCorr is undefined on 35 of 40 clips"
    assert by_name["fair"].rank == 1


def _without(one: Record, column: str, clips: range) -> Record:
    """The record with no value of `column` on some clips, its mean over the others."""
    data = one.model_dump()
    values = [None if n in clips else v for n, v in enumerate(data["suites"]["react2024"]["per_clip"][column])]
    finite = [v for v in values if v is not None]
    data["suites"]["react2024"]["per_clip"][column] = values
    data["suites"]["react2024"]["scores"][column] = {"value": sum(finite) / len(finite), "undefined": len(clips)}
    return Record.model_validate(data)


def test_clips_on_which_nobody_has_a_value_are_held_against_nobody() -> None:
    still = range(8)  # a fifth: there the true listener does not move
    every = [_without(one, "FRCorr", still) for one in (record("a", 0.1), record("b", 0.4), floor())]
    by_name = rows(every)
    assert (by_name["a"].rank, by_name["b"].rank) == (1, 2)
    picky = _without(record("picky", 0.05), "FRCorr", range(11))
    by_name = rows([*every, picky])
    assert by_name["picky"].rank is None and by_name["picky"].reason == "FRCorr is undefined on 3 of 40 clips"
    assert by_name["a"].rank == 1


def test_undefined_is_never_best_nor_first() -> None:
    assert ranks(np.array([[np.nan], [1.0], [2.0]]))[:, 0].tolist() == [3, 1, 2]
    easy = _without(record("easy", 0.1), "FRVar", range(5, 40))  # its best clips, of a column that heads nothing
    by_name = rows([easy, record("whole", 0.12), floor()])
    assert not by_name["easy"].cells["FRVar"].best and by_name["whole"].cells["FRVar"].best
    assert by_name["easy"].cells["FRCorr"].best, "there it is defined everywhere"


def test_places_share_where_differences_are_not_certain() -> None:
    rng = np.random.default_rng(0)
    point = np.array([0.5, 0.49, 0.1])
    draws = point + rng.normal(0, 0.05, (2000, 3))
    assert places(point, draws) == [(1, 1, 2), (2, 1, 2), (3, 3, 3)]
    assert places(point, None) == [(1, None, None), (2, None, None), (3, None, None)]
    assert [p[0] for p in places(np.array([0.2, 0.2, 0.1]), None)] == [1, 1, 3]


def test_benjamini_hochberg_by_hand() -> None:
    assert benjamini_hochberg([0.01, None, 0.04, 0.03]) == pytest.approx([0.03, None, 0.04, 0.04])
    assert benjamini_hochberg([]) == []


def test_the_distance_to_real_listeners_is_0_within_their_band_and_a_logarithm_outside() -> None:
    def with_variance(name: str, value: float, **change: object) -> Record:
        data = record(name, 0.2, **change).model_dump()
        data["suites"]["react2024"]["per_clip"]["FRVar"] = [value] * 40
        data["suites"]["react2024"]["scores"]["FRVar"]["value"] = value
        return Record.model_validate(data)

    real = with_variance(FLOOR, 0.15, calibration=True)  # the target is 0.1, so the band is [0.1, 0.15]
    by_name = rows(
        [real, *(with_variance(n, v) for n, v in (("in", 0.12), ("half", 0.05), ("twice", 0.3), ("still", 0)))]
    )
    distance = {name: row.families["diversity"].value for name, row in by_name.items()}
    assert distance == pytest.approx(
        {FLOOR: 0, "in": 0, "half": math.log(2), "twice": math.log(2), "still": math.log(1000)}
    )


def test_the_pareto_front_by_hand() -> None:
    assert pareto(np.array([3.0, 2, 1, 1, np.nan]), np.array([3.0, 1, 1, 0, 0])) == [True, True, False, True, False]
