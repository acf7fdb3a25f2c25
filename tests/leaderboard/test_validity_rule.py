"""The rule of the validity page: what it says is what it does, for every family and every question that is asked."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dyadbench.conformance.known_order import DEGRADATIONS
from dyadbench.conformance.validity import BLIND, PAIRS
from dyadbench.leaderboard import validity_numbers
from dyadbench.leaderboard.validity import Corpus, Validity, load_validity, validity_json
from dyadbench.leaderboard.validity_numbers import numbers_page
from dyadbench.leaderboard.validity_page import HEAD, QUESTIONS, validity_page
from dyadbench.leaderboard.validity_rule import (
    AS_IT_IS,
    CONSTANT_CHANNEL,
    EXEMPT,
    HALF_LENGTH,
    NOTICED,
    ORDER_OF_CLIPS,
    REQUIRED,
    SHOULD_NOT_MATTER,
    Falls,
    Pair,
    Reading,
    Shift,
    Trend,
    faults,
)

ROOT = Path(__file__).parents[2]
FINE = {what: Shift(moved=0.0, reading="yes") for what in (AS_IT_IS, *SHOULD_NOT_MATTER)}


def _pair(better: str, worse: str, reading: Reading) -> Pair:
    return Pair(better=better, worse=worse, gap=None, reading=reading)


def _fall(kind: str, reading: Trend, losses: tuple[float | None, ...] = (0.0, 1.0, 2.0, 3.0)) -> Falls:
    return Falls(kind=kind, losses=losses, reading=reading)


def _column(family: str, **parts: object) -> Validity:
    facts = {
        "version": 1,
        "direction": "max",
        "headline": False,
        "values": {"true": 1.0},
        "pairs": (),
        "falls": (),
        "shifts": FINE,
    }
    return Validity.model_validate({**facts, "family": family, **parts})


def _corpus(columns: dict[str, Validity], conditions: tuple[str, ...] = ()) -> Corpus:
    return Corpus(
        benchmark="toy", simulated=True, digest="", clips=1, sessions=1, samples=1, conditions=conditions,
        suites={"s": columns},
    )  # fmt: skip


def _page(columns: dict[str, Validity]) -> str:
    return validity_page([_corpus(columns)])


def _exempt_on_the_page(family: str, what: str) -> bool:
    """Whether the head lists `what` (a pair, or a degradation) for a family: `- families, pairs and kinds: reason`."""
    heads = [line[2:].split(":")[0] for line in HEAD.splitlines() if line.startswith("- ")]
    words = [head.replace(" and ", ", ").split(", ") for head in heads]
    return any(family in each and what in each for each in words)


@pytest.mark.parametrize("family", REQUIRED)
def test_a_preference_is_a_fault_exactly_where_the_page_lists_no_exemption(family: str) -> None:
    for better, worse in PAIRS:
        fails = f"prefers {worse} to {better}" in faults(family, [_pair(better, worse, "wrong")], [], FINE)
        assert fails != _exempt_on_the_page(family, f"{better} > {worse}"), (family, better, worse)
    for kind in DEGRADATIONS:
        fails = f"gets better with {kind}" in faults(family, [], [_fall(kind, "rises")], FINE)
        assert fails != _exempt_on_the_page(family, kind), (family, kind)


def test_the_page_gives_the_reason_of_every_exemption_and_each_is_of_something_that_is_asked() -> None:
    for one in EXEMPT:
        assert f": {one.why}.\n" in HEAD
        assert one.pairs or one.kinds
        assert set(one.families) <= set(REQUIRED)
        assert set(one.pairs) <= set(PAIRS) and set(one.kinds) <= set(DEGRADATIONS)


@pytest.mark.parametrize("family", REQUIRED)
def test_what_a_family_must_order_is_on_the_page(family: str) -> None:
    [line] = [line for line in HEAD.splitlines() if line.startswith(f"- {family}: ")]
    for better, worse in REQUIRED[family]:
        assert f"{better} > {worse}" in line
        assert faults(family, [_pair(better, worse, "blind")], [], FINE) == (f"cannot tell {better} from {worse}",)


def test_only_appropriateness_must_notice_and_the_page_lists_what_is_not_noticed() -> None:
    for family in REQUIRED:
        for kind in DEGRADATIONS:
            due = kind in NOTICED.get(family, ())
            assert (faults(family, [], [_fall(kind, "flat")], FINE) == (f"does not notice {kind}",)) == due
            assert not faults(family, [], [_fall(kind, "falls")], FINE)
    assert NOTICED == {"appropriateness": ("delay", "noise", "swapped")}
    assert "it must notice delay, noise and swapped" in HEAD
    page = _page(
        {"a": _column("realism", falls=(_fall("delay", "flat"),)), "b": _column("", falls=(_fall("noise", "flat"),))}
    )
    assert "What they do not notice:\n\n- delay: `a`\n" in page and "- noise: " not in page


def test_the_arrow_is_plain_only_where_no_step_is_better() -> None:
    arrows = {
        "↘": _fall("delay", "falls"),
        "(↘)": _fall("delay", "falls", (0.0, 1.0, 3.0, 2.0)),
        "→": _fall("delay", "flat"),
        "↗": _fall("delay", "rises", (0.0, 2.0, 1.0, 3.0)),
    }
    for arrow, fall in arrows.items():
        assert f"| {arrow} |" in _page({"a": _column("realism", falls=(fall,))})


def test_every_question_that_is_asked_has_a_column_and_none_is_shown_that_was_not_asked() -> None:
    assert sorted((better, worse) for better, among in QUESTIONS for worse in among) == sorted(PAIRS)
    page = _page({"a": _column("realism", pairs=tuple(_pair(better, worse, "yes") for better, worse in PAIRS))})
    assert (
        "| true > fresh, mismatched, same person | fresh > same person, mismatched, averaged mismatched, averaged fresh |"
        in page
    )
    assert "| ✓ ✓ ✓ | ✓ ✓ ✓ ✓ | ✓ ✓ | ✓ ✓ ✓ | ✓ ✓ ✓ |" in page
    few = _page({"a": _column("realism", pairs=(_pair("true", "mismatched", "wrong"),)), "b": _column("realism")})
    assert "| true > mismatched | " in few and "fresh >" not in few.partition("## toy")[2]
    assert "| `a` | no | ✗ |" in few and "| `b` | **yes** | - |" in few
    absent = _page({"c": _column("realism", values={"true": None, "noise": None})})
    assert "| `c` | not judged |" in absent, "these data lack the channels that it scores"


def test_the_order_of_clips_is_on_the_page_and_what_is_not_judged_is_explained() -> None:
    page = _page({"a": _column("", shifts={**FINE, ORDER_OF_CLIPS: Shift(moved=0.25, reading="yes")})})
    assert "order of clips, a constant channel, half the length |" in page and "| 0.25 ✓, 0.00 ✓, 0.00 ✓ |" in page
    assert "| not judged |" in page and "- Not judged: a metric of no family" in page


def test_the_page_of_numbers_gives_every_value_and_every_difference_with_its_interval() -> None:
    pair = Pair(better="true", worse="noise", gap=0.25, low=-0.1, high=0.60004, p=0.2, reading="blind")
    question = Pair(better="true", worse="mismatched", gap=12.8381, low=1e-12, high=13.0, p=0.01, reading="yes")
    steps = (Pair(better="true", worse="delay 0.2", gap=0.5, low=0.25, high=0.75, p=0.01, reading="yes"), _pair("delay 0.2", "delay 1", "blind"))  # fmt: skip
    fall = _fall("delay", "falls").model_copy(update={"steps": steps})
    column = _column("realism", values={"true": 1.5, "noise": None}, pairs=(question, pair), falls=(fall,))
    page = numbers_page(_corpus({"a": column}, ("true", "noise")))
    assert "| `a` | ↑ | 1.5 | n/a |" in page
    assert "| metric | true > mismatched |\n|---|---|\n| `a` | 12.84 [0, 13] ✓ |" in page
    assert "| metric | delay: losses | true > delay 0.2 | delay 0.2 > delay 1 |" in page
    assert "| `a` | 0, 1, 2, 3 ↘ | 0.5 [0.25, 0.75] ✓ | - |" in page
    assert "(validity/toy.md)" in _page({"a": column})


def test_the_page_of_numbers_names_the_steps_by_which_the_truth_is_degraded() -> None:
    steps = validity_numbers.HEAD.partition("Steps are")[2].partition("The arrow")[0].replace("\n", " ")
    parts = dict(zip(DEGRADATIONS, (part for part in steps.split(";")[:5]), strict=False))
    for kind, amounts in list(DEGRADATIONS.items())[:3]:
        assert kind in parts[kind] and all(f"{amount:g}" in parts[kind] for amount in amounts)
    for kind in ("dropped", "swapped"):
        assert kind in steps and ", ".join(f"{100 * a:.0f}" for a in DEGRADATIONS[kind][:2]) in steps


def test_the_numbers_of_the_five_surprising_rows_are_those_of_the_pages() -> None:
    """Every decimal number of the section is a value of a condition, or a loss of a degraded truth, rounded."""
    text = (ROOT / "docs" / "validity.md").read_text().partition("## Five surprising rows")[2].partition("\n## ")[0]
    values = [
        abs(value)
        for corpus in load_validity(ROOT / "leaderboards")
        for columns in corpus.suites.values()
        for one in columns.values()
        for value in (*one.values.values(), *(loss for fall in one.falls for loss in fall.losses))
        if value is not None
    ]
    numbers = re.findall(r"\d+\.\d+", text)
    assert len(numbers) > 30
    for number in numbers:
        half = 0.5000001 * 10.0 ** -len(number.partition(".")[2])
        assert any(abs(value - float(number)) <= half for value in values), f"{number} is on no page"


def test_of_what_should_not_matter_length_alone_is_no_fault() -> None:
    assert set(SHOULD_NOT_MATTER) == set(BLIND)
    for what, says in SHOULD_NOT_MATTER.items():
        moved = {**FINE, what: Shift(moved=0.5, reading="blind")}
        assert bool(faults("appropriateness", [], [], moved)) == (what != HALF_LENGTH)
        assert f"- {what}: {says}.\n" in HEAD
        assert ("no fault" in says) == (what == HALF_LENGTH)
    still_told = {**FINE, CONSTANT_CHANNEL: Shift(moved=0.5, reading="yes")}
    assert not faults("appropriateness", [], [], still_told)
    assert faults("", [], [], {**FINE, ORDER_OF_CLIPS: Shift(moved=1.0, reading="yes")}) == ()


def test_committed_verdicts_are_those_of_the_rule() -> None:
    for corpus in load_validity(ROOT / "leaderboards"):
        path = ROOT / "leaderboards" / "validity" / f"{corpus.benchmark}.json"
        assert path.read_text() == validity_json(corpus), f"{path.name}: what it says of passing is of an older rule"
