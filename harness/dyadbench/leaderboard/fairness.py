"""Whether the two sides of a claim were treated alike, and whether more training changes what is found."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal

from dyadbench.leaderboard.stats import Floats, interval
from dyadbench.matrix.quarter import TAIL
from dyadbench.records.record import Record

# How a difference moves with more training, seen from the claim; "": one budget.
Trend = Literal["", "towards", "away", "level"]
PARTS = ("predictor", "tokenizer")
DEFAULT = "its default"  # of a setting that a record leaves out, because it came after others had been measured
UNJUDGED = frozenset({"validate_every"})  # settings that change no weights


def unequal(one: Record, other: Record, varies: Collection[str], parts: Sequence[str] = PARTS) -> tuple[str, ...]:
    """Settings in which two methods of one kind differ, beside those that the claim is about, as sentences.

    Of one kind are components of one name, or with the same settings: there, all but the settings in
    `varies` ("tokenizer.codes") must be equal, budgets, weights of losses and the replacement of dead codes among them.
    Components of two kinds have each its own recipe: nothing is found unequal, and `training` says what each had.
    """
    reasons = []
    for part in parts:
        mine, theirs = (_config(record, part) for record in (one, other))
        names, versions = (
            [record.method_config.get(part, {}).get(what) for record in (one, other)] for what in ("name", "version")
        )
        same = names[0] == names[1]
        if not same and mine.keys() != theirs.keys():
            continue
        if same and versions[0] != versions[1]:
            reasons.append(f"{part} {names[0]} has version {versions[0]} against {versions[1]}")
        reasons += [
            f"{part}.{name} is {mine.get(name, DEFAULT)} against {theirs.get(name, DEFAULT)}"
            for name in {**mine, **theirs}
            if mine.get(name) != theirs.get(name) and name not in UNJUDGED and f"{part}.{name}" not in varies
        ]
    return tuple(reasons)


def unlike_emotion(one: Record, other: Record, suite: str) -> tuple[str, ...]:
    """A sentence where one side's emotion is the dataset's readout from its motion and the other side emits its own.

    The readout costs even a perfect reaction some of its score. Suites on tokens or motion alone do not see emotion.
    """
    if suite == "tokens" or suite.endswith("-motion") or bool(one.measured.readout) == bool(other.measured.readout):
        return ()
    read, own = (one, other) if one.measured.readout else (other, one)
    return (f"the emotion of {read.method} is the dataset's readout from its motion, that of {own.method} its own",)


def _config(record: Record, part: str) -> Mapping[str, Any]:
    config: Mapping[str, Any] = record.method_config.get(part, {}).get("config", {})
    return config


def training(record: Record, parts: Sequence[str] = PARTS) -> str:
    """`tokenizer 1000, predictor 1000`: the steps that each part was trained for; empty where none was."""
    curves = {"tokenizer": record.measured.tokenizer_curves, "predictor": record.measured.curves}
    steps = {
        stage.split(", ")[-1]: curve["steps"][-1]  # of folds: "fold 0, flow"
        for part in reversed(PARTS)
        if part in parts
        for stage, curve in curves[part].items()
        if curve.get("steps")
    }
    return ", ".join(f"{stage} {count}" for stage, count in steps.items())


def takes_steps(record: Record) -> bool:
    """Whether a method is trained by gradient: a closed form, a copy and a reference have no budget.

    The curves say so, whatever its fields are called; a record without curves only by a field `steps`.
    """
    return bool(training(record)) or any("steps" in _config(record, part) for part in PARTS)


def shorter_names(
    methods: Sequence[str], benchmark: str, groups: Mapping[tuple[str, str], Sequence[Record]]
) -> dict[str, str]:
    """Each method's row that was trained for a quarter of the steps; what takes no steps is its own. Without rows: left out.

    So is a row of settings that the method no longer has: more training is not all that sets it apart.
    """
    names = {}
    for name in methods:
        own, short = (groups.get((benchmark, each), ()) for each in (name, name + TAIL))
        if own and short and _is_quarter(own[0], short[0]):
            names[name] = name + TAIL
        elif own and not takes_steps(own[0]):
            names[name] = name
    return names


def _is_quarter(whole: Record, short: Record) -> bool:
    """Whether two rows of one version differ in numbers alone of which one has a quarter, as matrix/quarter cuts a budget."""
    cut = 0
    for part in PARTS:
        if len({record.method_config.get(part, {}).get("version") for record in (whole, short)}) > 1:
            return False
        mine, theirs = _config(whole, part), _config(short, part)
        for name in mine.keys() | theirs.keys():
            a, b = mine.get(name), theirs.get(name)
            if a != b and not (type(a) is type(b) is int and a // 4 == b):  # True is an int, too
                return False
            cut += a != b
    return cut > 0


def trend(shorter: Floats, whole: Floats) -> Trend:
    """How the difference, positive as claimed, changes with more training; from paired draws of both budgets."""
    span = interval(whole - shorter)
    if span is None or span.low <= 0 <= span.high:
        return "level"
    return "towards" if span.low > 0 else "away"
