"""Whether a folder is the release that was asked about at all, or one level beside it, or another release."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from dyadbench.datasets.check.finding import FOLDER, SPLIT, Finding, error, warn
from dyadbench.datasets.check.releases import LISTS, REACT, RELEASES, SPLITS
from dyadbench.files.walk import folders_in, other_case


def misplaced(root: Path, name: str) -> Finding | None:
    """What stands in the way of reading `root` as that release before any file is looked at; None where nothing does."""
    if not root.is_dir():
        what = f"{root} is a file" if root.exists() else f"there is no folder {root}"
        return error(what, "", "there is nothing to read", "give the folder as it was downloaded", FOLDER)
    release = RELEASES[name]
    if release.here(root):
        return None
    below = [root / each for each in folders_in(root) if release.here(root / each)]
    above = next((each for each in root.resolve().parents[:3] if release.here(each)), None)
    if place := below[0] if below else above:
        level = "one level too high" if below else "too deep"
        return error(f"this folder is {level}: the release is {place}", "", "nothing can be read from here",
                     f"dyadbench data check {name} {place}", FOLDER)  # fmt: skip
    if other := next((each for each in RELEASES if RELEASES[each].here(root)), None):
        return error(f"this looks like {RELEASES[other].title} and not like {release.title}", "", "nothing of it can be read as that",
                     f"dyadbench data check {other} {root}", FOLDER)  # fmt: skip
    return _unlisted(root) if release.title == REACT else None


def mixed(root: Path, name: str) -> Iterator[Finding]:
    """Other releases in the same folder."""
    names = {release.title: name for name, release in reversed(list(RELEASES.items()))}  # each once
    for title, other in names.items():
        if title != RELEASES[name].title and RELEASES[other].here(root):
            yield warn(f"the folder also holds {title}", "", f"its files would be read as data of {name}",
                       f"move {other} into a folder of its own", SPLIT)  # fmt: skip


def _unlisted(root: Path) -> Finding:
    """REACT without its lists."""
    if renamed := next((path for csv in LISTS if (path := other_case(root / csv))), None):
        return error(f"{renamed.relative_to(root)} differs from the release's name in capitals", "",
                     "it is not found", "rename it to data/train.csv, data/val.csv or data/test.csv", FOLDER)  # fmt: skip
    if any((root / split / kind).is_dir() for split in SPLITS for kind in ("Emotion", "3D_FV_files")):
        return error("data/train.csv, data/val.csv and data/test.csv are missing", "", "it cannot be known which clips belong together",
                     "restore them from the release (they come with the baseline's code)", FOLDER)  # fmt: skip
    return error("nothing of REACT is here: no data/*.csv, no train, val or test", "", "there is nothing to read",
                 "unpack the release here", FOLDER)  # fmt: skip
