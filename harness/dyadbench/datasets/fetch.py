"""`dyadbench data fetch`: datasets that anyone may have, cloned with git at one commit and compared with a known digest."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dyadbench.api import DyadbenchError


@dataclass(frozen=True)
class Source:
    """Where a public dataset lies, which commit of it is meant, and the digest of what that commit holds."""

    url: str
    commit: str
    digest: str  # as `measure` gives it
    measure: Callable[[Path], str]
    licence: str  # the licence's name
    licence_file: str


def sources() -> Mapping[str, Source]:
    """Dataset -> where it comes from."""
    from dyadbench.datasets.vc_dyads import content_digest

    return {
        "vc-dyads": Source(
            url="https://github.com/daoramey/nonverbal-dynamics-VC-resolution.git",
            commit="7933af87dd629a9845b47a68f2cbbdfb787e2ccb",
            digest="79e2b08a7773d857352ef7f7d08d2c130fde8779e72dbaa4f61a4284067716c1",
            measure=content_digest,
            licence="MIT",
            licence_file="LICENSE",
        )
    }


def fetch(source: Source, folder: Path) -> str:
    """Clones `source` into `folder`, which must be new or empty, and returns the text of its licence.

    Nothing is left behind where anything fails. Raises DyadbenchError without git, without a network, where the
    commit is not there, and where the data are not those of the digest.
    """
    if shutil.which("git") is None:
        raise DyadbenchError(f"git is not installed; install it, or download {source.url} by hand")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DyadbenchError(f"{folder} is not an empty folder; name a new one, nothing is overwritten")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as scratch:
        clone = Path(scratch) / "clone"
        _git(["clone", "--quiet", "--no-checkout", source.url, str(clone)], f"{source.url} could not be cloned")
        _git(
            ["-C", str(clone), "-c", "core.autocrlf=false", "checkout", "--quiet", "--detach", source.commit],
            f"{source.url} has no commit {source.commit}",
        )
        measured = source.measure(clone)
        if measured != source.digest:
            raise DyadbenchError(
                f"the data of {source.url} have the digest {measured}, and {source.digest} is expected; they were not kept, "
                "because scores of them could not be compared with published ones"
            )
        licence = (clone / source.licence_file).read_text(encoding="utf-8", errors="replace")
        if folder.exists():
            folder.rmdir()
        clone.rename(folder)
    return licence


def _git(arguments: Sequence[str], failure: str) -> None:
    """Runs git without questions; what it says when it fails is the reason that is given."""
    quiet = {**os.environ, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    process = subprocess.run(["git", *arguments], capture_output=True, text=True, env=quiet, check=False)
    if process.returncode:
        reason = (process.stderr.strip().splitlines() or ["git gave no reason"])[-1]
        raise DyadbenchError(
            f"{failure} ({reason}); on a machine with a network clone it by hand, and give its folder with --data"
        )
