"""What a metric must order, what it may ignore, and why: the one table that decides, and that the pages print."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from dyadbench.api import Config

Reading = Literal["yes", "blind", "wrong", "undefined"]
SIGN: Mapping[Reading, str] = {"yes": "✓", "blind": "=", "wrong": "✗", "undefined": "-"}
Trend = Literal["falls", "flat", "rises"]
AS_IT_IS = "as it is"  # the first draw, with which its changed versions are compared
ORDER_OF_CLIPS, HALF_LENGTH, CONSTANT_CHANNEL = "order of clips", "half the length", "a constant channel"


class Pair(Config):
    """Two conditions whose order is known."""

    better: str
    worse: str
    gap: float | None  # loss of the worse less that of the better: above 0 is right
    low: float | None = None
    high: float | None = None
    p: float | None = None
    reading: Reading


class Falls(Config):
    """One way of degrading the truth: the losses from the truth on, each step beside the one before, and the whole."""

    kind: str
    losses: tuple[float | None, ...]
    steps: tuple[Pair, ...] = ()  # truth and first step, first and second, ..., at last truth and last step
    reading: Trend  # rises: a step is significantly better; falls: no step is, and the last is worse than the truth

    @property
    def every_step(self) -> bool:
        """Whether no step is better than the one before, not even by chance."""
        finite = [loss for loss in self.losses if loss is not None]
        return len(finite) == len(self.losses) and finite == sorted(finite)


class Shift(Config):
    """One thing that should not matter."""

    moved: float | None  # change of a mismatched listener's value, in distances from true to mismatched
    reading: Reading  # whether the true listener is still better than a mismatched one


Names = tuple[tuple[str, str], ...]  # pairs of conditions: better, worse


@dataclass(frozen=True)
class Exemption:
    """Preferences that are shown and are no fault of a family's metrics."""

    families: tuple[str, ...]
    why: str
    pairs: Names = ()
    kinds: tuple[str, ...] = ()  # ways of degrading the truth


REQUIRED: Mapping[str, Names] = {
    "appropriateness": (
        ("true", "mismatched"), ("true", "same person"), ("fresh", "mismatched"), ("fresh", "averaged mismatched"),
    ),
    "synchrony": (("true", "mismatched"), ("true", "same person"), ("fresh", "mismatched")),
    "diversity": (("mismatched", "constant"),),
    "realism": (("mismatched", "noise"), ("mismatched", "constant"), ("mismatched", "shuffled")),
}  # fmt: skip
NOTICED: Mapping[str, tuple[str, ...]] = {"appropriateness": ("delay", "noise", "swapped")}
EXEMPT = (
    Exemption(
        ("appropriateness", "synchrony"),
        "eight people who heard the speaker, averaged, agree with the true one better than any of them in every measure of "
        "agreement frame by frame: where one person's correlation with another is s, that of many, averaged, is up to sqrt(s)",
        pairs=(("fresh", "averaged fresh"),),
    ),
    Exemption(
        ("appropriateness", "synchrony"),
        "neither has heard the speaker; what a preference for averages costs is judged by whether a fresh listener, who has, "
        "is above them",
        pairs=(("mismatched", "averaged mismatched"),),
    ),
    Exemption(
        ("diversity",),
        "all are real people, and how much people differ does not say whom they answer; the samples of the true listener are "
        "copies of one recording, which differ by nothing",
        pairs=(
            ("true", "fresh"), ("true", "same person"), ("true", "mismatched"),
            ("fresh", "same person"), ("fresh", "mismatched"),
        ),
    ),
    Exemption(
        ("realism",),
        "both are real people; over all clips the mismatched listeners are those of the reference, and the fresh ones are not",
        pairs=(("fresh", "same person"), ("fresh", "mismatched")),
    ),
    Exemption(
        ("diversity", "realism"),
        "a person who answers late, or answers somebody else, moves as a person does",
        kinds=("delay", "swapped"),
    ),
    Exemption(
        ("diversity",),
        "a frame that is held for a moment says nothing of how much people differ",
        kinds=("dropped",),
    ),
)  # fmt: skip
SHOULD_NOT_MATTER: Mapping[str, str] = {
    ORDER_OF_CLIPS: "a fault where the value moves at all, since nothing was changed",
    CONSTANT_CHANNEL: "a fault where the true listener is no longer told from a mismatched one, since a camera that sees no "
    "such movement must not decide; a value may move, since there is less to measure",
    HALF_LENGTH: "shown only, and no fault: half a clip is half the evidence, so a difference may be lost in it, and variances, "
    "distances and lags are defined over a clip; all rows of a board are scored on the same clips",
}


def is_exempt(family: str, *, pair: tuple[str, str] | None = None, kind: str = "") -> bool:
    """Whether a metric of a family may prefer the worse of a pair, or get better by one way of degrading the truth."""
    return any(family in one.families and (pair in one.pairs or kind in one.kinds) for one in EXEMPT)


def faults(family: str, pairs: Sequence[Pair], falls: Sequence[Falls], shifts: Mapping[str, Shift]) -> tuple[str, ...]:
    """Why a metric fails; empty where it passes, or belongs to no family."""
    if not family:
        return ()
    readings = {(pair.better, pair.worse): pair.reading for pair in pairs}
    out = [
        f"prefers {worse} to {better}"
        for (better, worse), reading in readings.items()
        if reading == "wrong" and not is_exempt(family, pair=(better, worse))
    ]
    blind = [pair for pair in REQUIRED[family] if readings.get(pair) in ("blind", "undefined")]
    out += [f"cannot tell {better} from {worse}" for better, worse in blind]
    out += [f"gets better with {one.kind}" for one in falls if one.reading == "rises" and not is_exempt(family, kind=one.kind)]  # fmt: skip
    out += [f"does not notice {one.kind}" for one in falls if one.reading == "flat" and one.kind in NOTICED.get(family, ())]  # fmt: skip
    order, constant = shifts[ORDER_OF_CLIPS], shifts[CONSTANT_CHANNEL]
    if order.moved is not None and order.moved > 1e-6:
        out.append("depends on the order of clips")
    if shifts[AS_IT_IS].reading == "yes" and constant.reading != "yes":  # both of one draw
        out.append("cannot tell true from mismatched once a channel is constant")
    return tuple(out)


# --- the same in words --------------------------------------------------------------------------------------


def demands() -> list[str]:
    """What a metric of each family must do, one sentence per family."""
    return [
        f"{family}: {_all(f'{better} > {worse}' for better, worse in REQUIRED[family])}"
        + (f"; it must notice {_all(NOTICED[family])}" if family in NOTICED else "")
        for family in REQUIRED
    ]


def exemptions() -> list[str]:
    """Every preference that is no fault, with the reason."""
    return [
        f"{_all(one.families)}, {_all([*(f'{better} > {worse}' for better, worse in one.pairs), *one.kinds])}: {one.why}"
        for one in EXEMPT
    ]


def indifferences() -> list[str]:
    """What should not matter, and whether it is a fault where it does."""
    return [f"{what}: {says}" for what, says in SHOULD_NOT_MATTER.items()]


def _all(words: Iterable[str]) -> str:
    """a; a and b; a, b and c."""
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last
