"""One finding of `dyadbench data check`, and the report that they make: decisive ones first, like ones together."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

from dyadbench.api import Config, DyadbenchError

Level = Literal["error", "warn", "note", "ok"]
LEVELS: tuple[Level, ...] = ("error", "warn", "note", "ok")
AGAIN = "restore it from the release"
FOLDER, SPLIT, PART = 3, 2, 1  # weights of findings about the whole folder, a split, a file that all clips need


class Finding(Config):
    """One line of the report. `weight`: how much hangs on it, 0 for a single clip."""

    level: Level
    what: str
    where: str = ""
    meaning: str = ""
    remedy: str = ""
    weight: int = 0

    @property
    def of_many(self) -> str:
        """The sentence as it stands above a list of places: without the name of the file, where that is the place."""
        if not Path(self.where).suffix:
            return self.what
        return self.what.replace(repr(self.where), "it").replace(self.where, "a file")

    @property
    def kind(self) -> tuple[str, ...]:
        """What findings of one kind have in common: all but where they are and their numbers."""
        pattern = re.sub(r"\S+/\S+|\d[\d.,e+-]*", "#", self.of_many)  # without paths and numbers
        return (self.level, str(self.weight), pattern, self.meaning, self.remedy)


class CheckReport(Config):
    """All findings. `ok` means that scores from this folder can be trusted."""

    name: str
    root: str
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        return all(finding.level in ("ok", "note") for finding in self.findings)

    def groups(self) -> list[list[Finding]]:
        """Findings of one kind together; errors first, then by weight and by number."""
        kinds: dict[tuple[str, ...], list[Finding]] = {}
        for finding in self.findings:
            kinds.setdefault(finding.kind, []).append(finding)
        order = {level: place for place, level in enumerate(LEVELS)}
        return sorted(kinds.values(), key=lambda group: (order[group[0].level], -group[0].weight, -len(group)))

    def summary(self) -> str:
        """What the report comes to, in a sentence or two."""
        decisive = [f for f in self.findings if f.weight >= SPLIT and f.level in ("error", "warn")]
        sentences = [f.what for f in sorted(decisive, key=lambda f: (f.level != "error", -f.weight))[:3]]
        if not sentences:
            counts = {level: sum(f.level == level for f in self.findings) for level in ("error", "warn")}
            if self.ok:
                sentences = ["scores from this folder can be trusted"]
            else:
                sentences = [f"{count} {level}{'s' * (count > 1)}" for level, count in counts.items() if count]
        return f"{'clean' if self.ok else 'not clean'}: {'; '.join(sentences)}."


def error(what: str, where: Path | str = "", meaning: str = "", remedy: str = "", weight: int = 0) -> Finding:
    return Finding(level="error", what=what, where=str(where), meaning=meaning, remedy=remedy, weight=weight)


def warn(what: str, where: Path | str = "", meaning: str = "", remedy: str = "", weight: int = 0) -> Finding:
    return Finding(level="warn", what=what, where=str(where), meaning=meaning, remedy=remedy, weight=weight)


def ok(what: str) -> Finding:
    return Finding(level="ok", what=what)


def note(what: str, where: Path | str = "", meaning: str = "") -> Finding:
    return Finding(level="note", what=what, where=str(where), meaning=meaning)


def unreadable(lost: int, looked: int, things: str, where: Path | str, verb: str = "read") -> Iterator[Finding]:
    """How many of the `things` that were looked at (with --limit: not of all) cannot be read; nothing where all can."""
    if lost:
        yield error(f"{lost} of {looked} {things} cannot be {verb}", where, weight=SPLIT)


def guarded(findings: Iterable[Finding], where: str) -> Iterator[Finding]:
    """The findings of one step; whatever stops it becomes one of them, so that the report always has an end."""
    try:
        yield from findings
    except DyadbenchError as problem:
        yield error(
            str(problem), where, "this step could not go on; what it would have found is not below", weight=PART
        )
    except Exception as problem:  # a folder can be wrong in unforeseen ways
        what = f"the check broke ({type(problem).__name__}: {' '.join(str(problem).split())[:120]})"
        yield error(what, where, "this step could not go on; what it would have found is not below",
                    "report it with what is special about the folder", PART)  # fmt: skip
