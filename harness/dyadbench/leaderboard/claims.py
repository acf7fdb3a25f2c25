"""Claims of papers as this project tests them: the files below leaderboards/claims/checked, and what became of each claim.

A claim is a sentence with its source and one or more parts; a part says which of two numbers is claimed to be larger.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from pydantic import ValidationError, model_validator

from dyadbench.api import Config, DyadbenchError
from dyadbench.files.walk import files_in
from dyadbench.leaderboard.fairness import Trend
from dyadbench.matrix.quarter import TAIL

Verdict = Literal[
    "reproduced", "contradicted", "mixed", "undecided", "not comparable", "untested", "untestable", "demonstrated"
]  # fmt: skip
MEANING: dict[Verdict, str] = {
    "reproduced": "every part holds: its 95 % interval excludes 0, with five seeds or more, and so it does among all parts of this page. Where a quarter of the training was run, too, it says the same, or it decides nothing and more training moves the difference to where the verdict is",
    "contradicted": "every part is the other way round, by the same standard",
    "mixed": "some part is reproduced and some other is contradicted",
    "undecided": "an interval holds both answers, it excludes 0 alone but not among all parts of this page (its q is above 5 %), there are fewer than five seeds, a quarter of the training does not say the same and more training does not move the difference to where the verdict is, or not every part is decided",
    "not comparable": "what was measured here is not what the paper compares, for the reason given, or the sides were treated otherwise; the numbers are shown and decide nothing",
    "untested": "no records yet",
    "untestable": "it cannot be tested here",
    "demonstrated": "a correction that a test of this project shows",
}


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
    untestable: str = ""  # why
    not_comparable: str = ""  # why the parts, which are still measured, decide nothing about the paper
    demonstration: str = ""  # of a correction: the test that shows it
    # This project's own statement, such as what a correction changes: counted apart from the papers'.
    ours: bool = False
    note: str = ""

    @property
    def origin(self) -> str:
        return f"this project, on {self.source}" if self.ours else self.source

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
    margin: float = 0.0  # the share that is claimed or forgiven, less which the difference is
    treatment: Mapping[str, str] = {}  # method -> the steps of each of its stages of training
    fails: tuple[str, ...] = ()  # columns that fail the validity tests on these data
    decides: bool = True  # False: the claim is not comparable, and the numbers are for the reader alone
    unequal: tuple[str, ...] = ()  # in what the sides were treated otherwise, beside what the claim is about
    simulated: bool = True  # False: real people
    stepless: bool = False  # neither side takes training steps, so there is no budget
    shorter: Evidence | None = None  # the same part at a quarter of the budget
    trend: Trend = ""
    trend_p: float | None = None  # two-sided, of the change between the budgets


class Judged(Config):
    claim: Claim
    verdict: Verdict
    evidence: tuple[Evidence, ...] = ()


def load_claims(folder: Path) -> list[Claim]:
    """All entries below `folder`, file by file; raises DyadbenchError for an id that occurs twice and for a file that is not a claim file."""
    claims: list[Claim] = []
    for path in files_in(folder, ".toml"):
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


def rows_of(statements: Sequence[Claim]) -> set[tuple[str, str]]:
    """(benchmark, method) of every row that a claim may stand on."""
    return {
        (part.benchmark, method + tail)
        for claim in statements
        for part in claim.part
        for method, _ in part.sides
        for tail in ("", TAIL)
    }


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
