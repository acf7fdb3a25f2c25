"""Which metrics can be trusted: the results of `dyadbench validity`, kept as JSON, and the page that is made of them."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from dyadbench.api import Config, Direction, DyadbenchError
from dyadbench.files.walk import files_in
from dyadbench.leaderboard.text import escape, grid
from dyadbench.records.record import slug

FOLDER = "validity"  # below leaderboards/, one file per corpus
Reading = Literal["yes", "blind", "wrong", "undefined"]
Trend = Literal["falls", "flat", "rises"]
SIGN: Mapping[str, str] = {"yes": "✓", "blind": "=", "wrong": "✗", "undefined": "-"}


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
    """One way of degrading the truth: the losses from the truth on."""

    kind: str
    losses: tuple[float | None, ...]
    reading: Trend


class Shift(Config):
    """One thing that should not matter."""

    moved: float | None  # change of a mismatched listener's value, in distances from true to mismatched
    reading: Reading  # whether the true listener is still better than a mismatched one


class Validity(Config):
    """One column of one suite on one corpus."""

    version: int
    direction: Direction
    family: str
    headline: bool
    values: Mapping[str, float | None]  # condition -> value
    pairs: tuple[Pair, ...]
    falls: tuple[Falls, ...]
    shifts: Mapping[str, Shift]  # what should not matter
    passes: bool | None  # None: it belongs to no family, so nothing says what it must order
    why: tuple[str, ...]  # it does not


class Corpus(Config):
    """All suites on one corpus."""

    benchmark: str
    simulated: bool
    digest: str
    data: str = ""  # digest that records of these data hold; `digest` is of the part that was looked at
    clips: int
    sessions: int
    samples: int
    draws: int = 1  # of each condition that is drawn
    action_units: int = 0  # version of the rule that made them 0 and 1; 0: as they were
    conditions: tuple[str, ...]
    suites: Mapping[str, Mapping[str, Validity]]


def load_validity(leaderboards: Path) -> list[Corpus]:
    """Every committed result, real people first; DyadbenchError names a file that is none."""
    reports = []
    for path in files_in(leaderboards / FOLDER, ".json"):
        try:
            corpus = Corpus.model_validate_json(path.read_text(encoding="utf-8"))
        except (ValidationError, OSError, UnicodeDecodeError) as error:
            raise DyadbenchError(
                f"{path} is no result of `dyadbench validity`: {' '.join(str(error).split())[:200]}"
            ) from None
        if path.name != (proper := f"{slug(corpus.benchmark)}.json"):
            raise DyadbenchError(
                f"{path} is the result of {corpus.benchmark}, which belongs to {proper}; delete or rename it"
            )
        reports.append(corpus)
    return sorted(reports, key=lambda corpus: (corpus.simulated, corpus.benchmark))


def validity_json(corpus: Corpus) -> str:
    """Five significant digits, sorted keys, so that a rerun is the same file."""
    return json.dumps(_short(corpus.model_dump(mode="json")), sort_keys=True, indent=1, allow_nan=False) + "\n"


def _short(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, dict):
        return {key: _short(inner) for key, inner in value.items()}
    return [_short(inner) for inner in value] if isinstance(value, list | tuple) else value


# --- the page -----------------------------------------------------------------------------------------------

HEAD = """# Validity: does a metric order what everybody knows?

Made by `dyadbench leaderboard` from `validity/`, which `dyadbench validity` writes. Every metric is given reactions whose
order is known: the **true** listener; a **fresh** one, another person who hears the same speaker (only a simulation can
draw one); a **mismatched** one, a real listener of another session; the mismatched one played backwards or with its frames
**shuffled**; the **average** of eight mismatched ones, whom regression to the mean approaches; **noise** with each channel's
mean and deviation; a **constant** mean face. ✓: the better one is better (the 95 % interval of the paired difference excludes
0, and so it does among all questions put to a suite, at most 5 % false ones by Benjamini-Hochberg), =: the metric cannot tell
them apart, ✗: it prefers the worse one. Everything that is drawn is drawn five times, and the intervals count the draws beside
the sessions. Then the truth is degraded in three steps: ↘ it gets worse, → it does not notice, ↗ it gets better somewhere on
the way. The last column is by how much the value of a mismatched listener moves when clips are half as long, or when one
channel is constant everywhere, in distances from true to mismatched, and whether the true listener is still told from a
mismatched one.

What a metric must order to pass depends on its family. Appropriateness: true and fresh above mismatched, fresh above the
average of mismatched ones, who never heard the speaker. Synchrony: true and fresh above mismatched. Diversity: mismatched
above constant. Realism: mismatched above shuffled, noise and constant. A metric fails, too, where it prefers what is worse, by
however little, or, if it is one of appropriateness, where degrading the truth improves it. **A metric that fails on a corpus is
shown on the leaderboards of that corpus and is no part of their headline.**

Two preferences are shown and are no fault. The average of eight *fresh* listeners is above one of them (the sign in brackets)
in every measure of agreement frame by frame: where one person's correlation with another is s, that of many, averaged, is up
to sqrt(s). And one mismatched listener against the average of eight (the first of three signs): neither has heard the speaker.
What a preference for averages costs is judged by whether a fresh listener, who has, is above them. [Five surprising
rows](../docs/validity.md) are explained.
"""
ARROW = {"falls": "↘", "flat": "→", "rises": "↗"}


def failing_on(corpora: Sequence[Corpus], data: Collection[str], suite: str) -> dict[str, tuple[str, ...]]:
    """Column -> why it fails, for every column of a suite that fails on data with one of these digests."""
    return {
        name: one.why
        for corpus in corpora
        if corpus.data in data
        for name, one in corpus.suites.get(suite, {}).items()
        if one.passes is False
    }


def validity_page(corpora: Sequence[Corpus]) -> str:
    """leaderboards/validity.md."""
    parts = [HEAD]
    for corpus in corpora:
        parts.append(f"## {escape(corpus.benchmark)}{' (simulated)' if corpus.simulated else ' (real people)'}\n")
        rule = "; action units are 0 or 1 by the rule of the rows" if corpus.action_units else ""
        parts.append(
            f"{corpus.clips} clips of {corpus.sessions} sessions, {corpus.samples} samples, {corpus.draws} draws{rule}.\n"
        )
        for suite, columns in corpus.suites.items():
            parts += [f"### {escape(suite)}\n", _table(columns)]
            failed = [
                f"- `{name}`: {escape(', '.join(one.why))}\n" for name, one in columns.items() if one.passes is False
            ]
            if failed:
                parts.append("Why they fail:\n\n" + "".join(failed))
    return "\n".join(parts)


def _table(columns: Mapping[str, Validity]) -> str:
    header = ["metric", "passes", "true > mismatched", "fresh > mismatched, average (of fresh)", "mismatched > backwards, shuffled",
              "mismatched > average, noise, constant", "delay, noise, smoothing, dropped, swapped", "half as long, a constant channel"]  # fmt: skip
    rows = []
    for name, one in columns.items():
        sign = {(pair.better, pair.worse): SIGN[pair.reading] for pair in one.pairs}
        among = lambda *worse: " ".join(sign.get(("mismatched", each), "") for each in worse).strip()  # noqa: B023, E731  # used at once
        rows.append(
            [
                f"`{name}`" + (" (headline)" if one.headline else ""),
                {True: "**yes**", False: "no", None: "not judged"}[one.passes],
                sign.get(("true", "mismatched"), ""),
                _fresh(sign),
                among("reversed", "shuffled"),
                among("averaged mismatched", "noise", "constant"),
                " ".join(ARROW[fall.reading] for fall in one.falls),
                ", ".join(_moved(one.shifts.get(what)) for what in ("half the length", "a constant channel")),
            ]
        )
    return grid(header, rows)


def _fresh(sign: Mapping[tuple[str, str], str]) -> str:
    if ("fresh", "mismatched") not in sign:
        return ""
    of = [sign.get(("fresh", worse), "") for worse in ("mismatched", "averaged mismatched", "averaged fresh")]
    return f"{of[0]} {of[1]} ({of[2]})" if of[1] else of[0]


def _moved(shift: Shift | None) -> str:
    if shift is None or shift.moved is None:
        return "-"
    return (f"{shift.moved:.2f}" if shift.moved < 10 else f"{shift.moved:.0f}") + f" {SIGN[shift.reading]}"
