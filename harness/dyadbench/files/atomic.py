"""Writes that are whole or not there, and the sentence where the disk refuses."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

from dyadbench.api import DyadbenchError

# What the machine does to a write, whoever asked for it; never the fault of a plugin.
WEATHER = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EIO}


def cannot_write(path: Path | str, error: OSError) -> DyadbenchError:
    """The one sentence about a write that failed."""
    return DyadbenchError(f"cannot write {path}: {error.strerror}; free space or mend the permission, then run again")


def damaged(path: Path, error: Exception | str) -> DyadbenchError:
    """The one sentence about a finished file that cannot be read: rotten, or cut short by something else than a kill."""
    why = " ".join(f"{error}".split())[:200] or type(error).__name__
    return DyadbenchError(f"{path} is damaged ({why}); delete {path.parent} and run again to make it anew")


def atomic_write(path: Path, data: bytes | str) -> None:
    """Writes all or nothing: temporary neighbour, fsync, rename. Raises DyadbenchError where it cannot be written."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with scratch.open("wb") as file:
            file.write(data.encode() if isinstance(data, str) else data)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            scratch.unlink()
        raise cannot_write(path, error) from error


def reserve(path: Path) -> None:
    """Gives every byte of a sparse file its place on the disk: a full disk is a sentence now and not a SIGBUS later."""
    if not hasattr(os, "posix_fallocate"):  # macOS
        return
    with path.open("r+b") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
        except OSError as error:
            if error.errno in WEATHER:
                raise cannot_write(path, error) from error
