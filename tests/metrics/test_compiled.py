"""Compiled metrics run where nothing can be written, and after their cache was damaged."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CALL = """
import numpy as np
from dyadbench.metrics import compiled

@compiled.njit(nogil=True)
def twice(x):
    return 2 * x

print(twice(21), compiled.CACHE)
"""


def _run(folder: Path, **environment: str) -> str:
    script = folder / "script.py"
    if not script.exists():
        script.write_text(CALL)
    process = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, env={**os.environ, **environment}
    )
    assert process.returncode == 0, process.stderr
    return process.stdout.strip()


def test_where_neither_installation_nor_home_can_be_written_a_temporary_folder_is_used(tmp_path: Path) -> None:
    unwritable = {"NUMBA_CACHE_LOCATOR_CLASSES": "UserProvidedCacheLocator", "NUMBA_CACHE_DIR": "/dev/null/none"}
    process = _run(tmp_path, **unwritable, TMPDIR=str(tmp_path))
    assert process.startswith("42 ") and str(tmp_path) in process
    assert not (tmp_path / f"dyadbench-compiled-{os.getuid()}").stat().st_mode & 0o077, "kept code is nobody else's"


def test_where_nothing_at_all_can_be_written_nothing_is_kept(tmp_path: Path) -> None:
    script = CALL.replace("import numpy", "import tempfile; tempfile.tempdir = '/dev/null'\nimport numpy")
    (tmp_path / "script.py").write_text(script)
    unwritable = {"NUMBA_CACHE_LOCATOR_CLASSES": "UserProvidedCacheLocator", "NUMBA_CACHE_DIR": "/dev/null/none"}
    assert _run(tmp_path, **unwritable) == "42 None"


@pytest.mark.parametrize("suffix", ["nbi", "nbc"])
@pytest.mark.parametrize("share", [0.0, 0.5])
def test_a_cache_that_was_cut_short_is_compiled_anew(tmp_path: Path, suffix: str, share: float) -> None:
    cache = tmp_path / "cache"
    assert _run(tmp_path, NUMBA_CACHE_DIR=str(cache)).startswith("42 ")
    damaged = [path for path in cache.rglob(f"*.{suffix}") if "twice" in path.name]
    assert damaged
    for path in damaged:
        path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    assert _run(tmp_path, NUMBA_CACHE_DIR=str(cache)).startswith("42 ")
    if share == 0.5 or suffix == "nbi":
        assert all(path.stat().st_size for path in cache.rglob("*twice*.nbi")), "the index was mended"
