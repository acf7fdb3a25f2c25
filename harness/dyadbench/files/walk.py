"""Walks a user's folder: links are followed, circles are not, and files of other programs are skipped."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from dyadbench.api import DyadbenchError

# Left behind by Jupyter, by archives made on macOS and by Windows; names with a leading dot are skipped as well.
# `leaderboards` is our own, where a run is started from the folder of the data.
STRANGE = {"__MACOSX", "__pycache__", "Thumbs.db", "desktop.ini", "leaderboards"}
MAX_FOLDERS = 1_000_000  # links that lead into each other can make any number of paths


def expanded(path: str | Path) -> Path:
    """`~` and `~user` as folders; as it stands where there is no such user, which is what shells do."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def natural(name: str) -> list[tuple[int, str]]:
    """A sort key by which numbers within names count as numbers."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]


def ours(name: str) -> bool:
    """Whether a file or folder of this name can belong to a dataset."""
    return not name.startswith(".") and name not in STRANGE


def files_below(root: Path) -> Iterator[Path]:
    """Every regular file below `root`, sorted by path; links to files and to folders count as what they point to.

    A link back to a folder on its own path is not entered. A broken link, a socket or a pipe is no file. Raises
    DyadbenchError where links make more folders than any dataset has.
    """
    visited = 0
    open_folders: list[tuple[Path, frozenset[tuple[int, int]]]] = [(root, frozenset([_identity(root)]))]
    paths: list[Path] = []
    while open_folders:
        folder, above = open_folders.pop()
        if (visited := visited + 1) > MAX_FOLDERS:
            raise DyadbenchError(f"{root} leads through more than {MAX_FOLDERS} folders; look for links in a circle")
        for entry in _entries(folder):
            path = folder / entry.name
            if path.is_file():  # False for a link to itself, where the entry's own method raises
                paths.append(path)
            elif path.is_dir() and (identity := _identity(path)) not in above:
                open_folders.append((path, above | {identity}))
    return iter(sorted(paths))


def files_in(folder: Path, suffix: str) -> list[Path]:
    """The files of that suffix directly in `folder`, sorted; none where there is no folder."""
    paths = (
        [folder / entry.name for entry in _entries(folder) if entry.name.endswith(suffix)] if folder.is_dir() else []
    )
    return sorted(path for path in paths if path.is_file())


def folders_in(root: Path) -> list[str]:
    """The names of the folders directly in `root`, sorted: for example the people of a release. Empty if `root` is not a folder."""
    return sorted(entry.name for entry in _entries(root) if (root / entry.name).is_dir()) if root.is_dir() else []


def other_case(path: Path) -> Path | None:
    """A path that differs from `path` in capital and small letters only, or None.

    A release unpacked on Windows or macOS may have been renamed unnoticed.
    """
    place = Path(path.anchor)
    for step in path.parts[1:] if path.anchor else path.parts:
        if not (place / step).exists():
            alike = [entry.name for entry in _entries(place) if entry.name.lower() == step.lower()]
            if not alike:
                return None
            step = alike[0]
        place = place / step
    return place if place != path else None


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return [entry for entry in entries if ours(entry.name)]
    except OSError:  # no permission, or deleted meanwhile: the reader that needs a file of it names the file
        return []


def _identity(folder: Path) -> tuple[int, int]:
    facts = folder.stat()
    return facts.st_dev, facts.st_ino
