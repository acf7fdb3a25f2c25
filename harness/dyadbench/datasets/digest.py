"""What a folder says, as one hash: names, sizes and bytes of every data file."""

from __future__ import annotations

import contextlib
import hashlib
import json
from pathlib import Path

from dyadbench.api import DyadbenchError

MARK = "simdyad.json"  # written by the generator: the folder is simulated, and this is its digest
SUFFIXES = {".npy", ".csv", ".wav", ".pth", ".json"}


def simulated_digest(root: Path) -> str | None:
    """The digest of a generated corpus, or None for real data."""
    path = root / MARK
    if not path.is_file():
        return None
    try:
        return str(json.loads(path.read_text())["sha256"])
    except (ValueError, KeyError, TypeError, OSError):
        raise DyadbenchError(f"{path} is damaged; generate the corpus again") from None


def folder_digest(root: Path) -> str:
    """sha256 over every data file below `root`; contents are hashed once for each (path, size, time of change)."""
    kept_path = root / ".dyadbench-digest.json"
    try:
        kept = json.loads(kept_path.read_text())
    except (OSError, ValueError):
        kept = {}
    whole, fresh = hashlib.sha256(), {}
    for path in sorted(p for p in root.rglob("*") if p.suffix in SUFFIXES and p.is_file() and not _own(p, root)):
        facts = path.stat()
        name = path.relative_to(root).as_posix()
        stamp = f"{facts.st_size}/{facts.st_mtime_ns}"
        found = kept.get(name)
        content = found[1] if found and found[0] == stamp else hashlib.sha256(path.read_bytes()).hexdigest()
        fresh[name] = [stamp, content]
        whole.update(f"{name}\0{facts.st_size}\0{content}\n".encode())
    if fresh != kept:
        with contextlib.suppress(OSError):  # a read-only folder: hashing again next time is only slower
            kept_path.write_text(json.dumps(fresh))
    return whole.hexdigest()


def _own(path: Path, root: Path) -> bool:
    """Caches that dyadbench itself leaves in a data folder start with a dot."""
    return any(part.startswith(".") for part in path.relative_to(root).parts)
