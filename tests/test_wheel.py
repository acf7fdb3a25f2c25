"""The wheel builds, and every verb works from it in any folder."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_wheel_installs_into_an_empty_environment_and_runs(tmp_path: Path) -> None:
    """Dependencies are borrowed from this environment (they are what constraints.txt pins); the package is not."""
    build = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(tmp_path),
        str(ROOT),
    ]
    subprocess.run(build, check=True, capture_output=True, timeout=200)
    [wheel] = tmp_path.glob("dyadbench-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert not [name for name in names if name.startswith(("tests/", "leaderboards/"))]
    site = tmp_path / "site"
    install = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(site), str(wheel)]
    subprocess.run(install, check=True, capture_output=True, timeout=200)
    work = tmp_path / "anywhere"
    work.mkdir()
    environment = {
        **os.environ,
        "PYTHONPATH": str(site),
        "DYADBENCH_HOME": str(tmp_path / "home"),
        "OMP_NUM_THREADS": "1",
    }

    def run(*words: str) -> str:
        code = f"import sys, dyadbench; assert dyadbench.__path__[0].startswith({str(site)!r}), dyadbench.__path__\n" \
               "from dyadbench.cli import main; sys.exit(main())"  # fmt: skip
        process = subprocess.run(
            [sys.executable, "-c", code, *words], cwd=work, env=environment, capture_output=True, text=True
        )
        assert process.returncode == 0, (words, process.stdout, process.stderr)
        return process.stdout

    benchmark, tiny = ["-b", "simdyad-clear-react-online"], ["--data-set", "size=tiny"]
    assert "ridge" in run("list")
    run("doctor")
    run("check", "mime")
    run("data", "simulate", "data")
    run("data", "check", "react2024", "data")
    run("run", *benchmark, "-m", "mime", "-m", "ridge", *tiny)
    run("leaderboard")
    run("leaderboard", "--check")
    run("compare", "mime", "ridge", *benchmark)
    run("score", "--template", "p.safetensors", "--benchmark", benchmark[1], *tiny)
    run("score", "p.safetensors", "--benchmark", benchmark[1], *tiny)
    assert (work / "leaderboards" / f"{benchmark[1]}.md").exists()
