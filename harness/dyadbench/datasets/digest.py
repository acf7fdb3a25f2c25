"""What a folder says, as one hash: names, sizes and bytes of every data file, behind links as well."""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from pathlib import Path

from dyadbench.api import DyadbenchError
from dyadbench.files.walk import files_below

MARK = "simdyad.json"  # written by the generator: the folder is simulated, and this is its digest
SUFFIXES = {".npy", ".npz", ".csv", ".wav", ".pth", ".json"}
SETTLED = 2.0  # seconds since a file's last change before its hash is kept: a change within one tick would go unseen


def simulated_digest(root: Path) -> str | None:
    """The digest of a generated corpus, or None for real data."""
    path = root / MARK
    if not path.is_file():
        return None
    try:
        return str(json.loads(path.read_text())["sha256"])
    except (ValueError, KeyError, TypeError, OSError, RecursionError):
        raise DyadbenchError(f"{path} is damaged; generate the corpus again") from None


def folder_digest(root: Path) -> str:
    """sha256 over every data file below `root`; contents are hashed once for each (path, size, disk, inode, times of change).

    The time of the inode's change is among them because, unlike the file's date, nobody can set it: neither a copy
    that keeps dates nor a cache that came with the data passes for the file that was hashed.
    """
    kept_path = root / ".dyadbench-digest.json"
    kept = _kept(kept_path)
    whole, fresh, now = hashlib.sha256(), dict[str, str](), time.time()
    for path in files_below(root):
        if path.suffix.lower() not in SUFFIXES:
            continue
        facts = path.stat()  # of what a link points to
        name = path.relative_to(root).as_posix()
        stamp = f"{facts.st_size}/{facts.st_dev}/{facts.st_ino}/{facts.st_mtime_ns}/{facts.st_ctime_ns}/"
        found = str(kept.get(name, ""))
        content = found.removeprefix(stamp) if found.startswith(stamp) else _hash(path)
        if facts.st_ctime < now - SETTLED:  # not of a clock that was set back either
            fresh[name] = stamp + content
        whole.update(f"{name}\0{facts.st_size}\0{content}\n".encode())
    if fresh != kept:
        with contextlib.suppress(OSError):  # a read-only folder: hashing again next time is only slower
            kept_path.write_text(json.dumps(fresh))
    return whole.hexdigest()


def _kept(path: Path) -> dict[str, object]:
    """The cache of hashes; empty where it is missing or damaged."""
    try:
        kept = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError):
        return {}
    return kept if isinstance(kept, dict) else {}


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


SUMS = "SHA256SUMS"  # of generated corpora; `sha256sum -c` reads it too


def write_sums(root: Path) -> None:
    """Checksums of everything below `root`, written last by the generator."""
    lines = [
        f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.relative_to(root).as_posix()}\n"
        for file in files_below(root)
    ]
    (root / SUMS).write_text("".join(lines))
