"""What a folder says, as one hash: names, sizes and bytes of every data file, behind links as well."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

from dyadbench.api import DyadbenchError
from dyadbench.files.atomic import atomic_write
from dyadbench.files.digest import digest_of
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
        mark = json.loads(path.read_text())
        digest, whole = str(mark["sha256"]), not mark.get("unfinished")
    except (ValueError, KeyError, TypeError, AttributeError, OSError, RecursionError):
        raise DyadbenchError(f"{path} is damaged; generate the corpus again") from None
    if not whole:
        raise DyadbenchError(
            f"{root} is not whole: its simulation was cut short; `dyadbench data simulate` goes on with it"
        )
    return digest


def folder_digest(root: Path) -> str:
    """sha256 over every data file below `root`; contents are hashed once for each (path, size, disk, inode, times of change).

    The time of the inode's change is among them because, unlike the file's date, it cannot be set: neither a copy
    that keeps dates nor a cache that came with the data passes for the file that was hashed.

    Raises DyadbenchError where there are files, but none whose suffix is in SUFFIXES: a change of them would go unseen.
    """
    kept_path = root / ".dyadbench-digest.json"
    cache = _read_cache(kept_path)
    whole, fresh, now = hashlib.sha256(), dict[str, str](), time.time()
    count = 0
    for path, facts in _data_files(root):
        count += 1
        name, stamp = path.relative_to(root).as_posix(), _stamp(facts)
        entry = str(cache.get(name, ""))
        content = entry.removeprefix(stamp) if entry.startswith(stamp) else digest_of(path)
        if facts.st_ctime < now - SETTLED:  # not of a clock that was set back either
            fresh[name] = stamp + content
        whole.update(f"{name}\0{facts.st_size}\0{content}\n".encode(errors="surrogateescape"))
    if not count and (first := next(iter(files_below(root)), None)) is not None:
        raise DyadbenchError(
            f"{root} holds {first.name}, but no file that ends in {', '.join(sorted(SUFFIXES))}, so nothing would notice "
            "that the data changed; let the dataset hash its own files (dyadbench.files.digest.digest_of)"
        )
    if fresh != cache:
        with contextlib.suppress(DyadbenchError):  # a read-only folder: hashing again next time is only slower
            atomic_write(kept_path, json.dumps(fresh), sync=False)
    return whole.hexdigest()


def data_stamps(root: Path) -> dict[Path, str]:
    """Size, inode and times of change of every data file: quick to compare, and different where one was replaced."""
    return {path: _stamp(facts) for path, facts in _data_files(root)} if root.is_dir() else {}


def _data_files(root: Path) -> Iterator[tuple[Path, os.stat_result]]:
    for path in files_below(root):
        if path.suffix.lower() in SUFFIXES:
            yield path, path.stat()  # of what a link points to


def _stamp(facts: os.stat_result) -> str:
    return f"{facts.st_size}/{facts.st_dev}/{facts.st_ino}/{facts.st_mtime_ns}/{facts.st_ctime_ns}/"


def _read_cache(path: Path) -> dict[str, object]:
    """The cache of hashes; empty where it is missing or damaged."""
    try:
        cache = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError):
        return {}
    return cache if isinstance(cache, dict) else {}


SUMS = "SHA256SUMS"  # of generated corpora; `sha256sum -c` reads it too


def write_sums(root: Path, mark: bytes) -> None:
    """Checksums of everything below `root`, of the MARK as it will be; written last but it by the generator."""
    sums = {file: digest_of(file) for file in files_below(root) if file != root / SUMS}
    sums[root / MARK] = hashlib.sha256(mark).hexdigest()
    lines = [f"{sums[file]}  {file.relative_to(root).as_posix()}\n" for file in sorted(sums)]
    atomic_write(root / SUMS, "".join(lines))
