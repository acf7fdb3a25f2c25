"""`dyadbench data check`: what is in a folder, what is missing or malformed, and what that means for scores."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from dyadbench.api import DyadbenchError
from dyadbench.datasets.check.finding import CheckReport, Finding, error, guarded, note
from dyadbench.datasets.config import OpenFaceConfig
from dyadbench.datasets.digest import MARK, SUMS
from dyadbench.errors import first_fault
from dyadbench.files.walk import files_below, ours

CHECKED = ("react2024", "react2023", "l2l", "lm-listener", "vc-dyads", "openface", "dualtalk")  # by their own rules


def check_dataset(
    name: str, root: Path, *, fix: bool = False, limit: int = 0, settings: Mapping[str, Any] | None = None
) -> CheckReport:
    """Checks `root` as dataset `name`; with `fix`, builds what can be rebuilt; with `limit`, reads at most that many recordings.

    `settings` are those that a run would have; only openface, which looks as they say, takes some. Raises DyadbenchError
    for unknown names and settings.
    """
    from dyadbench.datasets.check import dualtalk, mars, openface, seamless, vc_dyads
    from dyadbench.datasets.check import l2l as check_l2l
    from dyadbench.datasets.check import react as check_react

    checkers: dict[str, Callable[[Path, bool, int], Iterator[Finding]]] = {
        "react2024": check_react.check,
        "react2023": partial(check_react.check, name="react2023"),
        "l2l": check_l2l.check,
        "lm-listener": check_l2l.check_lm,
        "vc-dyads": vc_dyads.check,
        "openface": openface.check,
        "dualtalk": dualtalk.check,
        "mars": mars.check,
        "seamless": seamless.check,
    }
    if name not in checkers:
        raise DyadbenchError(f"there is no dataset {name!r} to check; there are {', '.join(checkers)}")
    if settings and name != "openface":
        raise DyadbenchError(f"data check of {name} has no settings; its files are looked at as they were released")
    if settings:
        checkers[name] = partial(openface.check, config=_openface_config(settings))
    if not root.is_dir():
        raise DyadbenchError(f"{root} is not a folder")
    steps = {"links": _links(root), SUMS: _sums(root), name: checkers[name](root, fix, limit)}
    findings = [finding for where, step in steps.items() for finding in guarded(step, where)]
    if limit:
        findings.append(
            note(f"only {limit} recordings of every part were read (--limit)", meaning="the rest may have faults")
        )
    return CheckReport(name=name, root=str(root), findings=tuple(dict.fromkeys(findings)))


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
