"""`dyadbench data check`: what is in a folder, what is missing or malformed, and what that means for scores."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from dyadbench.api import Config, DyadbenchError
from dyadbench.datasets.check import place
from dyadbench.datasets.check.finding import CheckReport, Finding, error, guarded, note, warn
from dyadbench.datasets.check.releases import RELEASES, Release
from dyadbench.datasets.digest import MARK, SUMS
from dyadbench.errors import first_fault, nearest
from dyadbench.files.digest import digest_of
from dyadbench.files.walk import files_below, ours


def check_dataset(
    name: str, root: Path, *, fix: bool = False, limit: int = 0, settings: Mapping[str, Any] | None = None
) -> CheckReport:
    """Checks `root` as dataset `name`; with `fix`, builds what can be rebuilt; with `limit`, reads at most that many recordings.

    `settings` are those that a run would have, where the check looks as they say (`Release.settings`). Raises DyadbenchError
    for an unknown name and for an option that this dataset has no use for. A path that is no folder is a finding.
    """
    if name not in RELEASES:
        raise DyadbenchError(f"there is no dataset {name!r} to check; {nearest(name, RELEASES)}")
    release = RELEASES[name]
    if fix and not release.fixes:
        raise DyadbenchError(f"--fix rebuilds the neighbour matrices of REACT; {name} has none, so leave it out")
    if limit and not release.limits:
        raise DyadbenchError(f"data check of {name} reads whole files; leave --limit out")
    rules = partial(release.rules, config=_config(name, release, settings)) if settings else release.rules
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
    findings = [_relative(finding, root) for where, step in steps.items() for finding in guarded(step, where)]
    if limit:
        findings.append(
            note(f"only {limit} recordings of every part were read (--limit)", meaning="the rest may have faults")
        )
    return CheckReport(name=name, root=str(root), findings=tuple(dict.fromkeys(findings)))


def _relative(finding: Finding, root: Path) -> Finding:
    """With paths as they stand below `root`, where the finding is about something there."""
    return finding.model_copy(update={"what": finding.what.replace(f"{root}/", "")}) if finding.where else finding


def _config(name: str, release: Release, settings: Mapping[str, Any]) -> Config:
    if release.config is None:
        raise DyadbenchError(f"data check of {name} has no settings; its files are looked at as they were released")
    try:
        config = release.config.model_validate(settings)
    except ValidationError as problem:
        raise DyadbenchError(f"configuration of dataset {name!r}: {first_fault(problem)}") from None
    if others := sorted(settings.keys() - release.settings):
        names = ", ".join(sorted(release.settings))
        raise DyadbenchError(f"data check of {name} does not look at {others[0]}; leave it out (it looks at {names})")
    return config


def _links(root: Path) -> Iterator[Finding]:
    """Links to folders: what they point to belongs to the dataset, unless they lead back to a folder above themselves."""
    for folder, folders, _ in os.walk(root):  # enters no link, so that each is met once
        folders[:] = [name for name in folders if ours(name)]
        for name in folders:
            path = Path(folder) / name
            if path.is_symlink() and path.resolve() in (Path(folder).resolve(), *Path(folder).resolve().parents):
                yield warn(what="a link leads back to a folder above it", where=str(path.relative_to(root)),
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
        elif digest_of(there[name]) != digest:
            yield error(f"a file is not what {SUMS} says", name, "scores would be of other data", again)
    for name in sorted(set(there) - set(digests)):
        yield error(f"a file is not listed in {SUMS}", name, "it was renamed or added, or the list is cut short", again)
    if not generated:
        yield error(f"{MARK} is missing", MARK, "the corpus would be taken for real data", again)
    yield note(f"simulated corpus, {len(digests)} files compared with {SUMS}")
