"""The claims board: what papers say, tested on committed records, and the corrections that tests demonstrate.

A claim is a sentence with its source and one or more parts; a part says which of two numbers is claimed to be larger.
Verdicts are computed: the draws are the leaderboards' own (sessions, then seeds, draws of sessions shared by the methods),
at least five seeds are needed of a method that is random, and over the whole board at most 5 % of the verdicts are
expected to be false (Benjamini-Hochberg over all parts that could be tested). Sides that were treated otherwise than the
claim says decide nothing. A claim that names a second budget holds only where it holds at both.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import ValidationError, model_validator

from dyadbench.api import Config, DyadbenchError
from dyadbench.leaderboard.fairness import Trend, longer_names, takes_steps, trend, unequal
from dyadbench.leaderboard.paired import on_shared_clips
from dyadbench.leaderboard.skill import FALSE_DISCOVERIES
from dyadbench.leaderboard.stats import Floats, benjamini_hochberg, bootstrap, interval, p_value
from dyadbench.leaderboard.tokenizers import SUITE as TOKENS
from dyadbench.leaderboard.tokenizers import token_values
from dyadbench.records.comparable import of_newest_data
from dyadbench.records.record import Record

Verdict = Literal[
    "reproduced", "contradicted", "mixed", "undecided", "not comparable", "untested", "untestable", "demonstrated"
]  # fmt: skip
MEANING: dict[Verdict, str] = {
    "reproduced": "every part holds, at every budget that was run: its 95 % interval excludes 0, with five seeds or more, and so it does among all parts of this page",
    "contradicted": "every part is the other way round, by the same standard",
    "mixed": "some part is reproduced and some other is contradicted",
    "undecided": "an interval holds both answers, there are fewer than five seeds, or not every part is decided",
    "not comparable": "what was measured here is not what the paper compares, for the reason given, or the sides were treated otherwise; the numbers are shown and decide nothing",
    "untested": "no records yet",
    "untestable": "it cannot be tested here",
    "demonstrated": "a correction that a test of this project shows",
}
SEEDS = 5  # of a random method, for a verdict
POWER = 1 + 0.8416 / 1.96  # half intervals of a true difference that four tests in five would find


class Contrast(Config):
    """One comparison: `column` of `less` is claimed to be below that of `more`, on one benchmark.

    `by` = 0.2 claims it to be below by a fifth; a negative `by` claims only that it is not above by more than that
    share. With `closer` and `than` the claim is about the distance to a target column instead. A column may be written
    `a - b`, the difference of two columns of one method.
    """

    benchmark: str
    suite: str
    column: str = ""
    less: str = ""
    more: str = ""
    less_column: str = ""  # where the two sides are different columns, of one method or of two
    more_column: str = ""
    by: float = 0.0
    closer: str = ""
    than: str = ""

    @model_validator(mode="after")
    def _whole(self) -> Contrast:
        if bool(self.less and self.more) == bool(self.closer and self.than):
            raise ValueError("a part needs either less and more, or closer and than")
        if not self.column and not (self.less_column and self.more_column):
            raise ValueError("a part needs a column, or less_column and more_column")
        return self

    @property
    def sides(self) -> tuple[tuple[str, str], tuple[str, str]]:
        """(method, column) of the side that is claimed to be smaller, and of the other."""
        if self.closer:
            return (self.closer, self.column), (self.than, self.column)
        return (self.less, self.less_column or self.column), (self.more, self.more_column or self.column)


class Claim(Config):
    """One entry of the board."""

    id: str
    says: str  # in our words
    source: str
    matrix: str = ""  # what makes the records, relative to leaderboards/matrices
    part: tuple[Contrast, ...] = ()
    varies: tuple[
        str, ...
    ] = ()  # settings in which the sides differ because the claim is about them: "tokenizer.codes"
    longer: str = ""  # what the names of rows trained longer end with: the second budget
    untestable: str = ""  # why
    not_comparable: str = ""  # why the parts, which are still measured, decide nothing about the paper
    demonstration: str = ""  # of a correction: the test that shows it
    note: str = ""

    @model_validator(mode="after")
    def _one_kind(self) -> Claim:
        if sum(map(bool, (self.part, self.untestable, self.demonstration))) != 1:
            raise ValueError(f"{self.id}: exactly one of part, untestable and demonstration is expected")
        if self.part and not self.matrix:
            raise ValueError(f"{self.id}: a claim with parts names the matrix that tests it")
        if self.not_comparable and not self.part:
            raise ValueError(f"{self.id}: only a claim with parts can be not comparable")
        return self


class Evidence(Config):
    """What became of one part."""

    text: str  # what was compared
    verdict: Verdict
    less: float | None = None
    more: float | None = None
    difference: float | None = None  # above 0: as claimed
    low: float | None = None
    high: float | None = None
    p: float | None = None  # two-sided
    q: float | None = None  # share of false verdicts among all parts of the board that are called at this p
    detectable: float | None = None  # the true difference that four tests in five would find
    clips: int = 0
    seeds: int = 0  # of the random method that has fewest
    few: bool = False  # fewer than a verdict needs
    methods: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    unequal: tuple[str, ...] = ()  # in what the sides were treated otherwise, beside what the claim is about
    simulated: bool = True  # False: real people
    stepless: bool = False  # neither side takes training steps, so there is no budget
    longer: Evidence | None = None  # the same part at the second budget
    trend: Trend = ""


class Judged(Config):
    statement: Claim
    verdict: Verdict
    findings: tuple[Evidence, ...] = ()


def load_claims(folder: Path) -> list[Claim]:
    """All entries below `folder`, file by file; raises DyadbenchError for an id that occurs twice and for a file that is not a claim file."""
    claims: list[Claim] = []
    for path in sorted(folder.glob("*.toml")):
        try:
            rows = tomllib.loads(path.read_text(encoding="utf-8"))["claim"]
            claims += [Claim.model_validate(row) for row in rows]
        except (ValidationError, tomllib.TOMLDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
            raise DyadbenchError(f"{path} is not a file of claims: {' '.join(str(error).split())[:200]}") from None
    ids = [statement.id for statement in claims]
    for name in ids:
        if ids.count(name) > 1:
            raise DyadbenchError(f"two claims in {folder} have the id {name!r}")
    return claims


def judge(statements: Sequence[Claim], records: Sequence[Record]) -> list[Judged]:
    """Every statement with its verdict."""
    groups: dict[tuple[str, str], list[Record]] = {}
    for record in of_newest_data(records)[0]:
        groups.setdefault((record.benchmark, record.method), []).append(record)
    parts = [_at_both_budgets(part, claim, groups) for claim in statements for part in claim.part]
    tests = [one for evidence in parts for one in (evidence, evidence.longer) if one is not None]
    share = iter(benjamini_hochberg([None if one.few or one.unequal else one.p for one in tests]))
    decided = iter([_decided_at_both(evidence, share) for evidence in parts])
    judged = []
    for statement in statements:
        findings = tuple(next(decided) for _ in statement.part)
        judged.append(Judged(statement=statement, verdict=_verdict(statement, findings), findings=findings))
    return judged


def rows_of(statements: Sequence[Claim]) -> set[tuple[str, str]]:
    """(benchmark, method) of every row that a claim may stand on."""
    return {
        (part.benchmark, method + tail)
        for claim in statements
        for part in claim.part
        for method, _ in part.sides
        for tail in dict.fromkeys(("", claim.longer))
    }


def _at_both_budgets(part: Contrast, claim: Claim, groups: Mapping[tuple[str, str], Sequence[Record]]) -> Evidence:
    first, draws = find(part, groups, claim.varies)
    names = longer_names(first.methods, part.benchmark, claim.longer, groups) if claim.longer else {}
    if first.missing or len(names) < len(first.methods) or all(name == row for name, row in names.items()):
        return first
    sides = {field: names[name] for field in ("less", "more", "closer", "than") if (name := getattr(part, field))}
    longer, drawn_longer = find(part.model_copy(update=sides), groups, claim.varies)
    if draws is None or drawn_longer is None:
        return first.model_copy(update={"longer": longer})
    return first.model_copy(update={"longer": longer, "trend": trend(draws, drawn_longer)})


def _decided_at_both(evidence: Evidence, share: Iterator[float | None]) -> Evidence:
    """Decided at its budget, and where there is a second one, at both or not at all."""
    first = _decided(evidence, next(share))
    if evidence.longer is None:
        return first
    longer = _decided(evidence.longer, next(share))
    verdict = first.verdict if first.verdict == longer.verdict else "undecided"
    return first.model_copy(update={"longer": longer, "verdict": verdict})


def _decided(evidence: Evidence, q: float | None) -> Evidence:
    """The evidence with its verdict, now that all other parts of the board are known."""
    if evidence.verdict == "untested" or evidence.difference is None or evidence.low is None or evidence.high is None:
        return evidence
    verdict: Verdict = "not comparable" if evidence.unequal else "undecided"
    if not evidence.few and q is not None and q <= FALSE_DISCOVERIES:
        verdict = "reproduced" if evidence.low > 0 else "contradicted" if evidence.high < 0 else "undecided"
    return evidence.model_copy(update={"verdict": verdict, "q": q})


def _verdict(statement: Claim, findings: Sequence[Evidence]) -> Verdict:
    if statement.untestable:
        return "untestable"
    if statement.demonstration:
        return "demonstrated"
    verdict = together([evidence.verdict for evidence in findings])
    return "not comparable" if statement.not_comparable and verdict != "untested" else verdict


def together(verdicts: Sequence[Verdict]) -> Verdict:
    """One verdict for all parts; nothing is reproduced, or contradicted, until every part is."""
    kinds = set(verdicts)
    if len(kinds) == 1:
        return verdicts[0]
    return "mixed" if {"reproduced", "contradicted"} <= kinds else "undecided"


# --- one part -----------------------------------------------------------------------------------------------


def find(
    part: Contrast, groups: Mapping[tuple[str, str], Sequence[Record]], varies: Sequence[str] = ()
) -> tuple[Evidence, Floats | None]:
    """The bootstrap of one part and its draws, or why there is none."""
    text, methods = describe(part), tuple(dict.fromkeys(method for method, _ in part.sides))
    records_of = {method: _usable(part, method, groups) for method in methods}
    missing = tuple(method for method, records in records_of.items() if not records)
    if missing:
        return Evidence(text=text, verdict="untested", methods=methods, missing=missing), None
    setups = {(r.dataset.digest, tuple(r.clips)) for records in records_of.values() for r in records}
    versions = {str(sorted(_versions(part, r).items())) for records in records_of.values() for r in records}
    if len(setups) > 1 or len(versions) > 1:
        return Evidence(text=f"{text} (measured on different data or by different versions)", verdict="untested", methods=methods, missing=methods), None  # fmt: skip
    columns = _columns(part)
    values = on_shared_clips([np.stack([_values(r, part.suite, columns) for r in records_of[m]]) for m in methods])
    first = records_of[methods[0]][0]
    boot = bootstrap(values, first.sessions, names=methods)
    point = float(_contrast(part, columns, methods, boot.point[None])[0])
    draws = _contrast(part, columns, methods, boot.draws)
    span = interval(draws) if boot.informative and np.isfinite(point) else None
    sides = [_side(boot.point[None], columns, methods, side)[0] for side in part.sides]
    seeds = [len(records) for records in records_of.values() if not records[0].deterministic]
    treated = ("tokenizer",) if part.suite == TOKENS else ("predictor", "tokenizer")
    sides_of = [records[0] for records in records_of.values()]
    evidence = Evidence(
        text=text, verdict="undecided", methods=methods,
        less=_finite(sides[0]), more=_finite(sides[1]), difference=_finite(point),
        low=span.low if span else None, high=span.high if span else None, p=p_value(draws) if span else None,
        detectable=POWER * (span.high - span.low) / 2 if span and min(seeds, default=2) > 1 else None,
        clips=len(first.clips), seeds=min(seeds, default=1), few=bool(seeds) and min(seeds) < SEEDS,
        simulated=first.dataset.simulated, stepless=not any(map(takes_steps, sides_of)),
        unequal=unequal(sides_of[0], sides_of[1], varies, treated) if len(sides_of) == 2 else (),
    )  # fmt: skip
    return evidence, draws


def describe(part: Contrast) -> str:
    (a, first), (b, second) = part.sides
    where = f"on {part.benchmark}"
    if part.closer:
        return f"{part.column} of {a} is closer to its target than that of {b}, {where}"
    share = (
        f" by {part.by:.0%} or more" if part.by > 0 else f" or at most {-part.by:.0%} above it" if part.by < 0 else ""
    )
    left, right = (f"{first} of {a}", f"{second} of {b}" if (a, first) != (b, second) else "itself")
    return f"{left} is below {right}{share}, {where}"


def _terms(column: str) -> list[tuple[float, str]]:
    """`a - b` as [(1, a), (-1, b)]."""
    head, *rest = column.split(" - ")
    return [(1.0, head), *((-1.0, name) for name in rest)]


def _columns(part: Contrast) -> list[str]:
    names = [name for _, column in part.sides for _, name in _terms(column)]
    if part.closer:
        names.append(f"{part.column}_target")
    return list(dict.fromkeys(names))


def _usable(part: Contrast, method: str, groups: Mapping[tuple[str, str], Sequence[Record]]) -> list[Record]:
    records = groups.get((part.benchmark, method), ())
    return [r for r in records if part.suite in r.suites and all(name in r.suites[part.suite].per_clip for name in _columns(part))]  # fmt: skip


def _versions(part: Contrast, record: Record) -> dict[str, int]:
    return {name: record.suites[part.suite].versions.get(name, 0) for name in _columns(part)}


def _values(record: Record, suite: str, columns: Sequence[str]) -> Floats:
    """(N, C), NaN where undefined."""
    if suite == TOKENS:
        return token_values(record, columns)
    per_clip = record.suites[suite].per_clip
    return np.array([[np.nan if v is None else v for v in per_clip[name]] for name in columns], np.float64).T


def _side(draws: np.ndarray, columns: Sequence[str], methods: Sequence[str], side: tuple[str, str]) -> np.ndarray:
    """(R,) of (R, M, C)."""
    method, column = side
    place = methods.index(method)
    values: np.ndarray = sum(weight * draws[:, place, columns.index(name)] for weight, name in _terms(column))  # type: ignore[assignment]
    return values


def _contrast(part: Contrast, columns: Sequence[str], methods: Sequence[str], draws: np.ndarray) -> Any:
    """(R,): above 0 where the claim holds."""
    less, more = (_side(draws, columns, methods, side) for side in part.sides)
    if part.closer:
        target = draws[:, 0, columns.index(f"{part.column}_target")]
        return np.abs(more - target) - np.abs(less - target)
    return (1 - part.by) * more - less


def _finite(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None
