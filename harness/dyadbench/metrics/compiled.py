"""numba's decorators; a cache that cannot be written or is damaged does not stop the program.

numba keeps compiled functions beside the source or in the user's cache folder. Where neither can be written (a container,
a shared installation) it refuses to import; here it keeps them in a temporary folder, or not at all. A cache that was cut
short (a full disk, a kill) makes numba raise EOFError at the first call; here the function is compiled again.
"""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
from numba.core.caching import IndexDataCacheFile

Decorator = Callable[[Callable[..., Any]], Any]


def njit(**options: Any) -> Decorator:
    """`numba.njit`, cached."""
    decorator: Decorator = numba.njit(cache=CACHE is not None, **options)
    return decorator


def cfunc(signature: Any, **options: Any) -> Decorator:
    """`numba.cfunc`, cached."""
    decorator: Decorator = numba.cfunc(signature, cache=CACHE is not None, **options)
    return decorator


def _place() -> str | None:
    """Where compiled functions are kept; None where they are compiled again in every process."""
    for fallback in (None, _temporary):
        if fallback and (folder := fallback()):
            setattr(numba.config, "CACHE_DIR", folder)  # noqa: B010  # numba makes its settings while it is imported
        with contextlib.suppress(RuntimeError):  # "no locator available"
            compiled: Any = numba.njit(cache=True)(_nothing)
            return str(compiled.stats.cache_path)
    return None


def _nothing() -> None:
    pass


def _temporary() -> str | None:
    """A folder that only this user can write to, because it holds code that will run."""
    folder = Path(tempfile.gettempdir()) / f"dyadbench-compiled-{os.getuid() if hasattr(os, 'getuid') else 'user'}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        facts = folder.lstat()
        mine = not hasattr(os, "getuid") or (facts.st_uid == os.getuid() and not facts.st_mode & 0o077)
        return str(folder) if stat.S_ISDIR(facts.st_mode) and mine else tempfile.mkdtemp(prefix="dyadbench-compiled-")
    except OSError:
        return None


def _forgive_damage() -> None:
    """Makes numba treat a damaged cache as none, and one that cannot be written as no reason to stop."""
    load, save = IndexDataCacheFile.load, IndexDataCacheFile.save

    def forgiving_load(self: Any, key: Any) -> Any:
        try:
            return load(self, key)
        except Exception:  # unpickling what was cut short fails in many ways
            with contextlib.suppress(OSError):
                self.flush()
            return None

    def forgiving_save(self: Any, key: Any, data: Any) -> None:
        with contextlib.suppress(OSError):  # a full disk, a folder that is gone: the next process compiles again
            save(self, key, data)

    for name, method in (("load", forgiving_load), ("save", forgiving_save)):
        setattr(IndexDataCacheFile, name, method)


_forgive_damage()
CACHE = _place()
