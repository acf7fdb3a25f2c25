"""One finding of `dyadbench data check`, and the report that they make."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from dyadbench.api import Config

Level = Literal["ok", "note", "warn", "error"]


class Finding(Config):
    """One line of the report."""

    level: Level
    what: str
    where: str = ""
    meaning: str = ""
    remedy: str = ""


class CheckReport(Config):
    """Everything found, worst first within its part. `ok` means that scores from this folder can be trusted."""

    name: str
    root: str
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        return all(finding.level in ("ok", "note") for finding in self.findings)


def error(what: str, where: Path | str = "", meaning: str = "", remedy: str = "") -> Finding:
    return Finding(level="error", what=what, where=str(where), meaning=meaning, remedy=remedy)


def note(what: str, where: Path | str = "", meaning: str = "") -> Finding:
    return Finding(level="note", what=what, where=str(where), meaning=meaning)
