"""`dyadbench data check`: what is in a folder, what is missing or malformed, and what that means for scores."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from dyadbench.api import DyadbenchError
from dyadbench.datasets.check import openface, place
from dyadbench.datasets.check.finding import CheckReport, Finding, error, guarded, note
from dyadbench.datasets.config import OpenFaceConfig
from dyadbench.datasets.digest import MARK, SUMS
from dyadbench.errors import first_fault, nearest
from dyadbench.files.walk import files_below, ours


@dataclass(frozen=True)
class Checker:
    """The rules of one dataset, and which options of the check mean something to them."""

    findings: Callable[[Path, bool, int], Iterator[Finding]]  # of folder, fix, limit
    fixes: bool = False
    limits: bool = True


def checkers() -> dict[str, Checker]:
    """Dataset -> its own rules. A dataset that is not among them is checked by the contract alone."""
    from dyadbench.datasets.check import dualtalk, l2l, mars, openface, react, seamless, vc_dyads

    return {
        "react2024": Checker(react.check, fixes=True),
        "react2023": Checker(partial(react.check, name="react2023"), fixes=True),
        "l2l": Checker(l2l.check, limits=False),
        "lm-listener": Checker(l2l.check_lm, limits=False),
        "vc-dyads": Checker(vc_dyads.check),
        "openface": Checker(openface.check),
        "dualtalk": Checker(dualtalk.check),
        "mars": Checker(mars.check),
        "seamless": Checker(seamless.check),
    }


def check_dataset(
    name: str, root: Path, *, fix: bool = False, limit: int = 0, settings: Mapping[str, Any] | None = None
) -> CheckReport:
    """Checks `root` as dataset `name`; with `fix`, builds what can be rebuilt; with `limit`, reads at most that many recordings.

    `settings` are those that a run would have; only openface, which looks as they say, takes some. Raises DyadbenchError
    for an unknown name and for an option that this dataset has no use for. A path that is no folder is a finding.
    """
    checkers_of = checkers()
    if name not in checkers_of:
        raise DyadbenchError(f"there is no dataset {name!r} to check; {nearest(name, checkers_of)}")
    checker = checkers_of[name]
    if settings and name != "openface":
        raise DyadbenchError(f"data check of {name} has no settings; its files are looked at as they were released")
    if fix and not checker.fixes:
        raise DyadbenchError(f"--fix rebuilds the neighbour matrices of REACT; {name} has none, so leave it out")
    if limit and not checker.limits:
        raise DyadbenchError(f"data check of {name} reads whole files; leave --limit out")
    rules = partial(openface.check, config=_openface_config(settings)) if settings else checker.findings
    steps: dict[str, Iterator[Finding]]
    if hindrance := place.misplaced(root, name):
        steps = {"the folder": iter([hindrance])}
    else:
        steps = {
            "the folder": place.mixed(root, name),
            "links": _links(root),
            SUMS: _sums(root),
            name: rules(root, fix, limit),
        }
    findings = [_short(finding, root) for where, step in steps.items() for finding in guarded(step, where)]
    if limit:
        findings.append(
            note(f"only {limit} recordings of every part were read (--limit)", meaning="the rest may have faults")
        )
    return CheckReport(name=name, root=str(root), findings=tuple(dict.fromkeys(findings)))


def _short(finding: Finding, root: Path) -> Finding:
    """Without the path of the file in the sentence, which is said below it: so that like findings are told together."""
    if not finding.where:
        return finding
    path = str(root / finding.where)
    text = finding.what.replace(repr(path), "it").replace(path, "a file").replace(f"{root}/", "")
    return finding.model_copy(update={"what": text})


def _openface_config(settings: Mapping[str, Any]) -> OpenFaceConfig:
    try:
        return OpenFaceConfig.model_validate(settings)
    except ValidationError as problem:
        raise DyadbenchError(f"configuration of dataset 'openface': {first_fault(problem)}") from None


def _links(root: Path) -> Iterator[Finding]:
    """Links to folders: what they point to belongs to the dataset, unless they lead back to a folder above themselves."""
    for folder, folders, _ in os.walk(root):  # enters no link, so that each is met once
        folders[:] = [name for name in folders if ours(name)]
        for name in folders:
            path = Path(folder) / name
            if path.is_symlink() and path.resolve() in (Path(folder).resolve(), *Path(folder).resolve().parents):
                yield Finding(
                    level="warn", what="a link leads back to a folder above it", where=str(path.relative_to(root)),
                    meaning="it is not followed", remedy="remove it",
                )  # fmt: skip
            elif path.is_symlink():
                yield note(
                    "a link to a folder is followed", path.relative_to(root), f"its data lie in {path.resolve()}"
                )


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
    digests: dict[str, str] = {}
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
        digests[name] = digest
    there = {file.relative_to(root).as_posix(): file for file in files_below(root) if file != path}
    again = "generate the corpus again"
    for name, digest in digests.items():
        if name not in there:
            yield error("a generated file is missing", name, "its clip cannot be read", again)
        elif hashlib.sha256(there[name].read_bytes()).hexdigest() != digest:
            yield error(f"a file is not what {SUMS} says", name, "scores would be of other data", again)
    for name in sorted(set(there) - set(digests)):
        yield error(f"a file is not listed in {SUMS}", name, "it was renamed or added, or the list is cut short", again)
    if not generated:
        yield error(f"{MARK} is missing", MARK, "the corpus would be taken for real data", again)
    yield note(f"simulated corpus, {len(digests)} files compared with {SUMS}")
