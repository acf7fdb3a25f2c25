"""`dyadbench data check`: what is in a folder, what is missing or malformed, and what that means for scores."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

from dyadbench.api import Config, DyadbenchError
from dyadbench.datasets.digest import MARK

SUMS = "SHA256SUMS"  # of generated corpora; `sha256sum -c` reads it too
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


def check_dataset(name: str, root: Path, *, fix: bool = False) -> CheckReport:
    """Checks `root` as data set `name`; with `fix`, builds what can be rebuilt. Raises DyadbenchError for unknown names."""
    from dyadbench.datasets.check import l2l as check_l2l
    from dyadbench.datasets.check import react as check_react

    checkers: dict[str, Callable[[Path, bool], Iterator[Finding]]] = {
        "react2024": check_react.check,
        "react2023": check_react.check,
        "l2l": check_l2l.check,
        "lm-listener": check_l2l.check_lm,
    }
    if name not in checkers:
        raise DyadbenchError(f"there is no data set {name!r} to check; there are {', '.join(checkers)}")
    if not root.is_dir():
        raise DyadbenchError(f"{root} is not a folder")
    findings = [*_links(root), *_sums(root), *checkers[name](root, fix)]
    return CheckReport(name=name, root=str(root), findings=tuple(dict.fromkeys(findings)))


def error(what: str, where: Path | str = "", meaning: str = "", remedy: str = "") -> Finding:
    return Finding(level="error", what=what, where=str(where), meaning=meaning, remedy=remedy)


def note(what: str, where: Path | str = "", meaning: str = "") -> Finding:
    return Finding(level="note", what=what, where=str(where), meaning=meaning)


def data_files(root: Path) -> set[Path]:
    """Every file below `root` that is not dyadbench's own cache; links to folders are not followed."""
    found = set()
    for folder, folders, files in os.walk(root):
        folders[:] = [f for f in folders if not f.startswith(".")]
        found |= {Path(folder) / f for f in files if not f.startswith(".")}
    return found


def _links(root: Path) -> Iterator[Finding]:
    for folder, folders, _ in os.walk(root):
        for name in folders:
            path = Path(folder) / name
            if path.is_symlink():
                yield Finding(
                    level="warn", what="a link to a folder is not followed", where=str(path.relative_to(root)),
                    meaning="what it points to is not checked", remedy="put the files there, or check the target itself",
                )  # fmt: skip


def _sums(root: Path) -> Iterator[Finding]:
    """Compares a generated corpus with its checksums."""
    path, generated = root / SUMS, (root / MARK).exists()
    if not path.exists():
        if generated:
            yield error(
                f"{SUMS} is missing",
                SUMS,
                "files cannot be compared with what was generated",
                "generate the corpus again",
            )
        return
    wanted: dict[str, str] = {}
    for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
        digest, _, name = line.partition("  ")
        if len(digest) != 64 or not name:
            yield error(
                "a line is damaged",
                f"{SUMS}, line {number}",
                "its file cannot be compared",
                "generate the corpus again",
            )
            continue
        wanted[name] = digest
    there = {file.relative_to(root).as_posix(): file for file in data_files(root) if file != path}
    again = "generate the corpus again"
    for name, digest in wanted.items():
        if name not in there:
            yield error("a generated file is missing", name, "its clip cannot be read", again)
        elif hashlib.sha256(there[name].read_bytes()).hexdigest() != digest:
            yield error(f"a file is not what {SUMS} says", name, "scores would be of other data", again)
    for name in sorted(set(there) - set(wanted)):
        yield error(f"a file is not listed in {SUMS}", name, "it was renamed or added, or the list is cut short", again)
    if not generated:
        yield error(f"{MARK} is missing", MARK, "the corpus would be taken for real data", again)
    yield note(f"simulated corpus, {len(wanted)} files compared with {SUMS}")


def write_sums(root: Path) -> None:
    """Checksums of everything below `root`, written last by the generator."""
    lines = [
        f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.relative_to(root).as_posix()}\n"
        for file in sorted(data_files(root))
    ]
    (root / SUMS).write_text("".join(lines))
