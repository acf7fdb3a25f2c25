"""Atomic writes, and one error message for disks that refuse them.

What is synced, and why. A killed process loses nothing that it wrote, so a kill needs no sync. A machine that loses its
power keeps what was synced, and may keep a later rename of a file without the file's bytes. So a file is synced where
something written later vouches for it, or where it would have to be deleted by hand if it came back empty: what a
finished stage holds (its DONE vouches), checkpoints, records. Where an empty or an old file only costs time, there is no
sync: DONE itself, maker.json, progress.json, spent.json, status.json, and scores, which are computed again from the
reactions where their file is not whole.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from uuid import uuid4

from dyadbench.api import DyadbenchError
from dyadbench.errors import one_line

STALE_SECONDS = 3600.0  # no write takes so long: who began it was killed
# Failures of the machine during a write; a plugin is never at fault.
WEATHER = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EIO}


def cannot_write(path: Path | str, error: OSError) -> DyadbenchError:
    """The error for a write that failed."""
    barred = error.errno in (errno.EACCES, errno.EPERM, errno.EROFS)
    advice = (
        "fix the permission, or write elsewhere (--root for results, --home for the store)"
        if barred
        else "free space or fix the permission"
    )
    return DyadbenchError(f"cannot write {path}: {error.strerror}; {advice}, then run again")


def cannot_read(path: Path | str, error: OSError) -> DyadbenchError:
    """The error for a read that failed."""
    return DyadbenchError(f"cannot read {path}: {error.strerror}; fix the disk or the permission, then run again")


def damaged(path: Path, error: Exception | str) -> DyadbenchError:
    """The error for a finished file that cannot be read. Kills cannot truncate such a file, so the disk or a person did."""
    why = one_line(error, 200) or type(error).__name__
    return DyadbenchError(f"{path} is damaged ({why}); delete {path.parent} and run again to rebuild it")


def clear_stale(folder: Path, pattern: str) -> None:
    """Removes temporary files that killed writers left in `folder`. They have no lock, so their age decides."""
    with contextlib.suppress(OSError):
        for scratch in folder.glob(pattern):
            if scratch.stat().st_mtime < time.time() - STALE_SECONDS:
                scratch.unlink()


@cache
def _clear_once(folder: Path) -> None:
    clear_stale(folder, ".*.tmp")


@contextmanager
def replacing(path: Path, *, sync: bool = True) -> Iterator[Path]:
    """Yields a temporary path beside `path` to write to. It replaces `path` when the block ends without an error.

    `sync`: the bytes are on the disk before the name is. Raises DyadbenchError where it cannot be written.
    """
    scratch = path.with_name(f".{path.name}.{uuid4().hex[:8]}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _clear_once(path.parent)
        yield scratch
        if sync:
            with scratch.open("rb") as file:
                os.fsync(file.fileno())
        scratch.replace(path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            scratch.unlink()
        if isinstance(error, OSError):
            raise cannot_write(path, error) from error
        raise


def atomic_write(path: Path, data: bytes | str, *, sync: bool = True) -> None:
    """Writes `path` all or nothing. Raises DyadbenchError where it cannot be written."""
    with replacing(path, sync=sync) as scratch:
        scratch.write_bytes(data.encode() if isinstance(data, str) else data)


def demand_own(files: Mapping[Path, str], listing: Path, listed: Collection[Path]) -> None:
    """Raises DyadbenchError for a file that would be overwritten by other text and is not among those `listed` as written before."""
    for path in files.keys() - set(listed):
        if read_whole(path) not in (None, files[path].encode()):
            raise DyadbenchError(
                f"{path} is not on the list of what this command wrote ({listing.name}) and would be overwritten; "
                "move or delete it, or choose another folder"
            )


def read_whole(path: Path) -> bytes | None:
    """The file's bytes, or None if there is no file. Raises DyadbenchError if it cannot be read."""
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise cannot_read(path, error) from error


def reserve(path: Path, name: Path | None = None) -> None:
    """Allocates every byte of a sparse file on the disk, so that a full disk is an error message now and not a SIGBUS later."""
    if not hasattr(os, "posix_fallocate"):  # macOS
        return
    with path.open("r+b") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
        except OSError as error:
            if error.errno in WEATHER:
                raise cannot_write(name or path, error) from error
