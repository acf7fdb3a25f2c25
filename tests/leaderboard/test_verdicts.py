"""Verdicts are computed: they flip with the records, and nothing is called reproduced without an interval."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dyadbench.api import DyadbenchError
from dyadbench.leaderboard.claims import Claim, Contrast, Judged, load_claims, rows_of
from dyadbench.leaderboard.fairness import unequal
from dyadbench.leaderboard.text import escape
from dyadbench.leaderboard.validity import Corpus, Validity
from dyadbench.leaderboard.validity_rule import AS_IT_IS, CONSTANT_CHANNEL, HALF_LENGTH, ORDER_OF_CLIPS, Pair, Shift
from dyadbench.leaderboard.verdicts import judge, sure, together
from dyadbench.leaderboard.verdicts_page import claims_page, evidence
from dyadbench.leaderboard.write import write_leaderboards
from dyadbench.matrix.cells import cells_of, read_matrix
from dyadbench.records.comparable import records_below
from dyadbench.records.record import Record, Score, SuiteScores
from dyadbench.registry.host import Host

ROOT = Path(__file__).parents[2]
BOARD = load_claims(ROOT / "leaderboards" / "claims" / "checked")


def record(
    method: str, shift: float, seed: int = 0, sessions: int = 10, *, deterministic: bool = True, **more: np.ndarray
) -> Record:
    rng = np.random.default_rng([int(abs(shift) * 1000), seed])
    values = {"err": 1 + shift + 0.05 * rng.standard_normal(40), "like": 1 + shift + 0.01 * rng.standard_normal(40)}
    values |= {"like_target": np.ones(40), "first": 0.3 + 0.01 * rng.random(40), **more}
    scores = SuiteScores(
        versions=dict.fromkeys(values, 1), scores={n: Score(value=float(v.mean())) for n, v in values.items()},
        per_clip={n: v.tolist() for n, v in values.items()},
    )  # fmt: skip
    return Record.model_validate({
        "key": "k", "benchmark": "toy", "benchmark_config": {"suite": "s", "also": [], "track": "offline", "split": "test", "samples": 3}, "method": method, "preset": None, "method_config": {"predictor": {"name": method, "version": 1, "config": {}}},
        "plugin": ("p", "1"), "entry_version": 1, "calibration": False, "deterministic": deterministic, "trained": True, "seed": seed,
        "clips": [f"c{i}" for i in range(40)], "sessions": [f"s{i % sessions}" for i in range(40)],
        "dataset": {"name": "d", "digest": "x", "simulated": True, "split": "test", "config": {}}, "suites": {"s": scores},
        "measured": {}, "provenance": {},
    })  # fmt: skip


def verdict(records: list[Record], **part: object) -> str:
    one = Claim(id="a", says="x", source="y", matrix="m.toml", part=(Contrast(benchmark="toy", suite="s", **part),))  # type: ignore[arg-type]
    return judge([one], records)[0].verdict


BETTER, WORSE = record("a", 0.0), record("b", 0.5)


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ({"column": "err", "less": "a", "more": "b"}, "reproduced"),
        ({"column": "err", "less": "b", "more": "a"}, "contradicted"),
        ({"column": "err", "less": "a", "more": "c"}, "undecided"),
        ({"column": "err", "less": "a", "more": "nobody"}, "untested"),
        ({"column": "none", "less": "a", "more": "b"}, "untested"),
        ({"column": "err", "less": "a", "more": "b", "by": 0.2}, "reproduced"),
        ({"column": "err", "less": "a", "more": "b", "by": 0.5}, "contradicted"),
        ({"column": "err", "less": "c", "more": "a", "by": -0.2}, "reproduced"),  # not above by more than a fifth
        ({"column": "err", "less": "b", "more": "a", "by": -0.2}, "contradicted"),
        (
            {"column": "err", "less": "b", "more": "a", "by": -0.5},
            "undecided",
        ),  # above, by about as much as is forgiven
        ({"column": "like", "closer": "a", "than": "b"}, "reproduced"),
        (
            {"column": "like", "closer": "b", "than": "low"},
            "undecided",
        ),  # as far above the target as the other is below
        ({"less": "a", "less_column": "err - first", "more": "a", "more_column": "err"}, "reproduced"),
        ({"less": "a", "less_column": "err", "more": "a", "more_column": "err - first"}, "contradicted"),
    ],
)
def test_verdicts_follow_the_records(part: dict[str, object], expected: str) -> None:
    assert verdict([BETTER, WORSE, record("c", 0.0, seed=1), record("low", -0.5, seed=2)], **part) == expected


def test_one_session_decides_nothing_and_other_data_is_not_compared() -> None:
    alone = [record("a", 0.0, sessions=1), record("b", 0.5, sessions=1)]
    assert verdict(alone, column="err", less="a", more="b") == "undecided"
    other = WORSE.model_copy(update={"dataset": WORSE.dataset.model_copy(update={"digest": "else"})})
    assert verdict([BETTER, other], column="err", less="a", more="b") == "untested"
    fewer = WORSE.model_copy(update={"benchmark_config": WORSE.benchmark_config.model_copy(update={"samples": 1})})
    assert verdict([BETTER, fewer], column="err", less="a", more="b") == "untested", (
        "a mean of fewer samples is another number"
    )


def test_a_random_method_needs_five_seeds_for_a_verdict() -> None:
    part = {"column": "err", "less": "a", "more": "b"}
    for seeds, expected in ((1, "undecided"), (4, "undecided"), (5, "reproduced")):
        records = [record(name, 0.5 * (name == "b"), s, deterministic=False) for name in "ab" for s in range(seeds)]
        one = Claim(id="a", says="x", source="y", matrix="m.toml", part=(Contrast(benchmark="toy", suite="s", **part),))
        [judged] = judge([one], records)
        assert judged.verdict == expected
        assert (judged.evidence[0].few, judged.evidence[0].seeds) == (seeds < 5, seeds)
        assert (judged.evidence[0].detectable is None) == (seeds == 1), (
            "one seed does not tell what could have been seen"
        )
    assert ("undecided (1 seed)" in claims_page(judge([one], records[:1] + records[5:6]))) is True
    once = [record("a", 0.0), record("b", 0.5, deterministic=False)]
    assert verdict(once, **part) == "undecided", "one random side is enough to doubt"


def test_what_is_not_comparable_is_measured_and_decides_nothing() -> None:
    part = (Contrast(benchmark="toy", suite="s", column="err", less="a", more="b"),)
    claim = Claim(id="a", says="x", source="y", matrix="m.toml", part=part, not_comparable="other losses")
    [judged] = judge([claim], [BETTER, WORSE])
    assert judged.verdict == judged.evidence[0].verdict == "not comparable"
    assert judged.evidence[0].difference is not None and judged.evidence[0].q is None
    assert "other losses" in claims_page([judged])
    assert judge([claim], [])[0].verdict == "untested"


def _with_settings(one: Record, name: str = "t", **settings: object) -> Record:
    config = {"tokenizer": {"name": name, "version": 1, "config": settings}, **one.method_config}
    return one.model_copy(update={"method_config": config})


@pytest.mark.parametrize(
    ("theirs", "expected"),
    [
        ({"codes": 512, "steps": 100, "reset": 0.0}, "reproduced"),  # what the claim is about
        ({"codes": 512, "steps": 400, "reset": 0.0}, "not comparable"),
        ({"codes": 512, "steps": 100, "reset": 0.5}, "not comparable"),
        ({"name": "other", "levels": [8, 5], "steps": 400}, "reproduced"),  # another method, with its own recipe
    ],
)
def test_sides_of_one_kind_are_treated_alike_or_decide_nothing(theirs: dict[str, Any], expected: str) -> None:
    part = (Contrast(benchmark="toy", suite="s", column="err", less="a", more="b"),)
    claim = Claim(id="a", says="x", source="y", matrix="m.toml", part=part, varies=("tokenizer.codes",))
    mine = _with_settings(BETTER, codes=256, steps=100, reset=0.0)
    [judged] = judge([claim], [mine, _with_settings(WORSE, **theirs)])
    assert judged.verdict == expected
    assert ("treated otherwise: tokenizer." in claims_page([judged])) == (expected == "not comparable")


@pytest.mark.parametrize(
    ("b_shorter", "expected", "moves"),
    [
        (0.9, "reproduced", "with more training it moves away from the claim"),
        (0.2, "reproduced", "with more training it moves towards the claim"),
        (0.5, "reproduced", "no trend can be told"),
        # Nothing to be seen as long as both had little training:
        (0.0, "reproduced", "with more training it moves towards the claim"),
        # The other way round as long as both had little training:
        (-0.5, "undecided", "with more training it moves towards the claim"),
    ],
)
def test_a_claim_with_two_budgets_holds_at_both_and_says_the_trend(b_shorter: float, expected: str, moves: str) -> None:
    part = (Contrast(benchmark="toy", suite="s", column="err", less="a", more="b"),)
    claim = Claim(id="a", says="x", source="y", matrix="m.toml", part=part)
    first = [_with_settings(BETTER, steps=4), _with_settings(WORSE, steps=4)]
    shorter = [
        _with_settings(record("a-quarter", 0.0), steps=1),
        _with_settings(record("b-quarter", b_shorter, seed=5), steps=1),
    ]
    [judged] = judge([claim], [*first, *shorter])
    assert judged.verdict == expected
    page = claims_page([judged])
    assert "Trained a quarter as long (a-quarter, b-quarter)" in page and moves in page
    assert "1 of the 1 claims on trained methods with records were tested at two training budgets" in page
    [once] = judge([claim], first)
    assert once.evidence[0].shorter is None and once.evidence[0].trend == ""
    assert "At one budget: nothing says what more training does." in claims_page([once])
    assert "0 of the 1 claims" in claims_page([once])


def test_a_quarter_of_other_settings_is_no_second_budget() -> None:
    part = (Contrast(benchmark="toy", suite="s", column="err", less="a", more="b"),)
    claim = Claim(id="a", says="x", source="y", matrix="m.toml", part=part)
    whole = [_with_settings(BETTER, steps=4, selection="spread"), WORSE]
    for settings, methods in (({"selection": "spread"}, ("a-quarter", "b")), ({"selection": "top-k"}, ())):
        short = _with_settings(record("a-quarter", 0.1), steps=1, **settings)
        finding = judge([claim], [*whole, short])[0].evidence[0]
        assert (finding.shorter.methods if finding.shorter else ()) == methods
    # True // 4 is False, and a row of the same settings has no smaller budget.
    for long, short in (({"steps": 4}, {"steps": 4}), ({"steps": 4, "blind": True}, {"steps": 1, "blind": False})):
        both = _with_settings(BETTER, **long), _with_settings(record("a-quarter", 0.1), **short)
        assert judge([claim], [*both, WORSE])[0].evidence[0].shorter is None
    newer = _with_settings(record("a-quarter", 0.1), steps=1, selection="spread")
    newer = newer.model_copy(
        update={
            "method_config": {**newer.method_config, "tokenizer": {**newer.method_config["tokenizer"], "version": 2}}
        }
    )
    assert judge([claim], [*whole, newer])[0].evidence[0].shorter is None, "another version of the tokenizer"


def test_this_projects_own_statements_are_counted_apart() -> None:
    part = (Contrast(benchmark="toy", suite="s", column="err", less="a", more="b"),)
    paper = Claim(id="a", says="x", source="A paper, Table 1", matrix="m.toml", part=part)
    own = paper.model_copy(update={"id": "b", "ours": True})
    board = judge([paper, own], [BETTER, WORSE])
    page = claims_page(board)
    assert "Of papers' claims: 1 reproduced; of this project's own: 1 reproduced." in page
    assert (
        "| this project, on A paper |" in page
        and "- source: this project, on A paper, Table 1" in page
        and "| A paper |" in page
    )
    assert claims_page(board[:1]).count("1 reproduced. ") == 1
    correction = Claim(id="c", says="x", source="A release", demonstration="tests/a.py::test_b")
    page = claims_page(judge([paper, correction], [BETTER, WORSE]))
    assert "\n1 reproduced; 1 correction of releases and papers demonstrated by a test. " in page


def test_what_takes_no_steps_is_its_own_row_at_the_second_budget() -> None:
    part = (Contrast(benchmark="toy", suite="s", column="err", less="a", more="b"),)
    claim = Claim(id="a", says="x", source="y", matrix="m.toml", part=part)
    closed = [_with_settings(BETTER, steps=4), WORSE, _with_settings(record("a-quarter", 0.1), steps=1)]
    shorter = judge([claim], closed)[0].evidence[0].shorter
    assert shorter is not None and shorter.methods == ("a-quarter", "b")
    assert rows_of([claim]) == {("toy", name + tail) for name in "ab" for tail in ("", "-quarter")}


def test_what_is_measured_on_people_and_what_is_not_trained_is_said() -> None:
    part = (Contrast(benchmark="toy", suite="s", column="err", less="a", more="b"),)
    claim = Claim(id="a", says="x", source="y", matrix="m.toml", part=part)
    real = [
        r.model_copy(update={"dataset": r.dataset.model_copy(update={"simulated": False})}) for r in (BETTER, WORSE)
    ]
    page = claims_page(judge([claim], real))
    assert ". Real people: " in page and "Neither side is trained by steps." in page
    assert ". Real people: " not in claims_page(judge([claim], [BETTER, WORSE]))


def test_many_parts_are_judged_more_strictly_than_one() -> None:
    near = record("near", 0.017, seed=3)
    part = Contrast(benchmark="toy", suite="s", column="like", less="a", more="near")
    alone = Claim(id="a", says="x", source="y", matrix="m.toml", part=(part,))
    [judged] = judge([alone], [BETTER, near])
    p = judged.evidence[0].p
    assert judged.verdict == "reproduced" and p is not None and judged.evidence[0].q == p

    def among(margins: list[float]) -> Judged:
        parts = [
            Contrast(benchmark="toy", suite="s", column="err", less="a", more="same", by=margin) for margin in margins
        ]
        others = [
            Claim(id=f"b{n}", says="x", source="y", matrix="m.toml", part=(part,)) for n, part in enumerate(parts)
        ]
        return judge([alone, *others], [BETTER, near, record("same", 0.0, seed=9)])[0]

    many = among([n * 1e-6 for n in range(60)]).evidence[0]
    assert many.q is not None and many.q > p
    assert many.verdict == ("reproduced" if many.q <= 0.05 else "undecided")
    edge = many.model_copy(update={"p": 0.02, "q": 0.049})
    assert not sure(edge.p, edge.q), "other draws may give .051"
    assert "it is not sure (q 0.049, 0.004 more or less with other random draws)" in evidence(edge)
    assert sure(0.02, 0.045) and not sure(0.02, 0.055) and sure(1e-5, 0.001)
    assert ("among all parts of this page it is not sure" in evidence(many)) == (many.q > 0.05)
    once, sixty = (among([0.0] * count).evidence[0].q for count in (1, 60))
    assert once == sixty, "a part that many claims name is one test"
    twice = [
        Claim(id=name, says="x", source="y", matrix="m.toml", part=(part,), varies=varies)
        for name, varies in (("a", ()), ("b", ("predictor.steps",)))
    ]
    assert judge(twice, [BETTER, near])[0].evidence[0].q == p, "also where they forgive different settings"


def test_clips_without_a_value_are_not_counted() -> None:
    part = (Contrast(benchmark="toy", suite="s", column="err", less="a", more="b"),)
    claim = Claim(id="a", says="x", source="y", matrix="m.toml", part=part)
    gone = record("a", 0.0)
    scores = gone.suites["s"]
    values = [None, None, None, *scores.per_clip["err"][3:]]
    gone = gone.model_copy(update={"suites": {"s": scores.model_copy(update={"per_clip": {**scores.per_clip, "err": values}})}})  # fmt: skip
    assert judge([claim], [gone, WORSE])[0].evidence[0].clips == 37


def test_seeds_of_different_configurations_and_a_few_clips_are_not_averaged() -> None:
    part = (Contrast(benchmark="toy", suite="s", column="err", less="a", more="b"),)
    claim = Claim(id="a", says="x", source="y", matrix="m.toml", part=part)
    mine = [_with_settings(record("a", 0.0, s, deterministic=False), steps=100) for s in range(5)]
    theirs = [_with_settings(record("b", 0.5, s, deterministic=False), steps=100) for s in range(5)]
    assert judge([claim], [*mine, *theirs])[0].verdict == "reproduced"
    odd = [*mine, *theirs[:4], _with_settings(record("b", 0.5, 4, deterministic=False), steps=400)]
    [judged] = judge([claim], odd)
    assert judged.verdict == "untested"
    assert "(the seeds of b have different configurations)." in claims_page([judged])
    few = [one.model_copy(update={"dataset": one.dataset.model_copy(update={"limit": 10})}) for one in theirs]
    assert judge([claim], [*mine, *few])[0].evidence[0].missing == ("b",)


def test_a_column_that_fails_its_validity_tests_is_marked() -> None:
    still = dict.fromkeys((AS_IT_IS, ORDER_OF_CLIPS, HALF_LENGTH, CONSTANT_CHANNEL), Shift(moved=0.0, reading="yes"))
    good = Validity(
        version=1, direction="min", family="appropriateness", headline=True, values={}, pairs=(), falls=(), shifts=still
    )
    bad = good.model_copy(update={"pairs": (Pair(better="true", worse="noise", gap=-1.0, reading="wrong"),)})
    corpus = Corpus(
        benchmark="toy", simulated=True, digest="x", data="x", clips=40, sessions=10, samples=3, conditions=(),
        suites={"s": {"err": bad, "like": good}},
    )  # fmt: skip
    parts = tuple(Contrast(benchmark="toy", suite="s", column=name, less="a", more="b") for name in ("err", "like"))
    claim = Claim(id="a", says="x", source="y", matrix="m.toml", part=parts)
    [judged] = judge([claim], [BETTER, WORSE], [corpus])
    assert [finding.fails for finding in judged.evidence] == [("err",), ()]
    page = claims_page([judged])
    assert "- reproduced†: err of a" in page and "err fails its validity tests on these data." in page
    assert "- reproduced: like of a" in page and "| reproduced† | [x]" in page, "a claim stands on all of its parts"
    alone = claim.model_copy(update={"part": parts[1:]})
    assert "| reproduced | [x]" in claims_page(judge([alone], [BETTER, WORSE], [corpus]))


def test_an_emotion_that_is_read_out_from_motion_is_not_compared_with_a_methods_own() -> None:
    part = (Contrast(benchmark="toy", suite="s", column="err", less="a", more="b"),)
    claim = Claim(id="a", says="x", source="y", matrix="m.toml", part=part)
    readout = {"measured": {"readout": {"version": 1, "rmse": {"AU1": 0.2}}}}
    read = [Record.model_validate(one.model_dump(mode="json") | readout) for one in (BETTER, WORSE)]
    assert judge([claim], read)[0].verdict == "reproduced", "both pay for it"
    [judged] = judge([claim], [read[0], WORSE])
    assert judged.verdict == "not comparable"
    assert "the emotion of a is the dataset's readout from its motion, that of b its own" in claims_page([judged])


def test_predictions_that_nobody_can_run_again_decide_nothing() -> None:
    assert verdict([BETTER, WORSE], column="err", less="a", more="b") == "reproduced"
    scored = BETTER.model_copy(update={"scored_from": "predictions.safetensors"})
    assert verdict([scored, WORSE], column="err", less="a", more="b") == "untested"


def test_verdicts_of_parts_are_put_together() -> None:
    assert together(["reproduced", "reproduced"]) == "reproduced"
    assert together(["reproduced", "untested"]) == "undecided"
    assert together(["reproduced", "contradicted"]) == "mixed"
    assert together(["contradicted", "undecided"]) == "undecided", "mixed needs a part that is reproduced"
    assert together(["untested", "untested"]) == "untested"


def test_claims_are_escaped() -> None:
    claim = Claim(id="h", says="<script>|`x`", source="*s*", untestable="_no_ <b>")
    page = claims_page(judge([claim], []))
    assert "<script>" not in page
    assert "&lt;script&gt;\\|\\`x\\`" in page
    assert "<b>" not in page


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[[claim]]\nid = "a"\nsays = "b"\nsource = "c"\n', "exactly one of"),
        ('[[claim]]\nid = "a"\nsays = "b"\nsource = "c"\nverdict = "reproduced"\nuntestable = "d"\n', "verdict"),
        ("claims = 3\n", "not a file of claims"),
        ('[[claim]]\nid = "a"\nsays = "b"\nsource = "c"\nmatrix = "m"\npart = [{benchmark = "x", suite = "s", column = "c", less = "d"}]\n', "either less and more"),
    ],
)  # fmt: skip
def test_files_that_are_no_board_are_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "x.toml").write_text(text)
    with pytest.raises(DyadbenchError, match=message):
        load_claims(tmp_path)


# --- the committed board ------------------------------------------------------------------------------------


def test_every_part_is_made_by_its_matrix() -> None:
    host = Host()
    suites = {entry.name for entry in host.entries("suite")} | {"tokens"}
    for claim in BOARD:
        if not claim.part:
            continue
        path = ROOT / "leaderboards" / "matrices" / claim.matrix
        if not path.exists():
            pytest.fail(f"{claim.id}: there is no {path.name}")
        rows = {(cell.benchmark, cell.method) for cell in cells_of(host, read_matrix(path))}
        for part in claim.part:
            assert part.suite in suites, claim.id
            missing = {(part.benchmark, method) for method, _ in part.sides} - rows
            assert not missing, f"{claim.id}: {claim.matrix} does not run {missing}, so it cannot decide the claim"


def test_an_option_that_came_later_hides_no_other_difference() -> None:
    """A record holds such an option only where it is used, and then nothing else was compared."""
    plain = {"steps": 1200, "hide": 0.25}
    sides = [_with_settings(BETTER, **plain), _with_settings(WORSE, **{**plain, "guidance": 4.0, "steps": 9000})]
    assert unequal(*sides, ["tokenizer.guidance"]) == ("tokenizer.steps is 1200 against 9000",)
    assert "tokenizer.guidance is its default against 4.0" in unequal(*sides, ["tokenizer.steps"])


def test_two_versions_of_a_component_are_not_treated_alike() -> None:
    one, other = _with_settings(BETTER, steps=1), _with_settings(WORSE, steps=1)
    config = {**other.method_config, "tokenizer": {**other.method_config["tokenizer"], "version": 2}}
    [reason] = unequal(one, other.model_copy(update={"method_config": config}), [])
    assert reason.startswith("tokenizer ") and reason.endswith(" has version 1 against 2"), reason


def test_the_sides_of_a_part_differ_in_what_the_claim_says_or_it_is_not_comparable() -> None:
    host, cells = Host(), {}
    for path in (ROOT / "leaderboards" / "matrices").glob("*.toml"):
        if path.name != "demo.toml":  # of smoke presets
            cells |= {(cell.benchmark, cell.method): cell for cell in cells_of(host, read_matrix(path))}
    count = 0
    for claim in BOARD:
        for part in claim.part:
            sides = [cells[part.benchmark, method] for method in dict.fromkeys(m for m, _ in part.sides)]
            if len(sides) < 2:
                continue
            parts = ("tokenizer",) if part.suite == "tokens" else ("predictor", "tokenizer")
            differing = unequal(
                *(record(cell.method, 0.0).model_copy(update={"method_config": cell.identity()}) for cell in sides),
                claim.varies,
                parts,
            )
            count += 1
            if (
                claim.id != "grfsq-stability"
            ):  # dead codes of the learnt books are replaced: the board says so by itself
                assert not differing or claim.not_comparable, f"{claim.id}: {differing}"
            else:
                assert all("tokenizer.reset" in one for one in differing)
    assert count > 40


def test_the_history_of_the_board_ends_with_its_verdicts() -> None:
    """docs/claims.md: the last table has today's verdict of each claim with records."""
    ids = {escape(claim.says): claim.id for claim in BOARD}
    page = (ROOT / "leaderboards" / "claims.md").read_text()
    today = {ids[says]: verdict for verdict, says in re.findall(r"^\| ([a-z ]+)†? \| \[(.*)\]\(#", page, re.MULTILINE)}
    history = (ROOT / "docs" / "claims.md").read_text().split("## Since then")[1]
    verdicts = {
        name: verdict
        for names, verdict in re.findall(
            r"^\| ([a-z0-9-]+(?:, [a-z0-9-]+)*) \| [^|]+ \| ([^|]+) \|", history, re.MULTILINE
        )
        for name in names.split(", ")
        if name != "claim"  # the heading
    }
    assert {name: today.get(name) for name in verdicts} == verdicts
    with_records = {n for n, v in today.items() if v not in ("untested", "untestable", "demonstrated")}
    assert with_records <= set(verdicts), with_records - set(verdicts)


def test_every_correction_names_a_test_that_exists() -> None:
    demonstrations = [claim.demonstration for claim in BOARD if claim.demonstration]
    assert len(demonstrations) >= 4
    for node in demonstrations:
        path, _, name = node.partition("::")
        names = {n.name for n in ast.walk(ast.parse((ROOT / path).read_text())) if isinstance(n, ast.FunctionDef)}
        assert name in names, node


def test_the_board_is_checked_with_the_tables(tmp_path: Path) -> None:
    from dyadbench.records.record import record_path, save_record

    records = [r for r in records_below(ROOT / "leaderboards") if r.benchmark == "simdyad-clear-l2l" and r.seed == 0]
    for one in records:
        save_record(one, record_path(tmp_path / "leaderboards", one))
    folder = tmp_path / "leaderboards" / "claims" / "checked"
    folder.mkdir(parents=True)
    part = {"benchmark": "simdyad-clear-l2l", "suite": "l2l", "column": "L2.expression"}
    rows = ", ".join(f"{k} = {json.dumps(v)}" for k, v in part.items())
    (folder / "a.toml").write_text(
        f'[[claim]]\nid = "a"\nsays = "b"\nsource = "c"\nmatrix = "baselines.toml"\npart = [{{{rows}, less = "oracle", more = "mime"}}]\n'
    )
    host = Host()
    suites = {entry.name: host.build("suite", entry.name, {}).columns for entry in host.entries("suite")}
    write_leaderboards(tmp_path, suites)
    page = tmp_path / "leaderboards" / "claims.md"
    assert "**reproduced**" in page.read_text()
    assert not write_leaderboards(tmp_path, suites, check=True).drift
    page.write_text(page.read_text().replace("1 reproduced", "1 contradicted"))
    assert write_leaderboards(tmp_path, suites, check=True).drift == ("leaderboards/claims.md",)
