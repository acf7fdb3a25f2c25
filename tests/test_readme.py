"""Every command of the README and CONTRIBUTING runs, in its order, in a clone; what they quote is what there is."""

from __future__ import annotations

import os
import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dyadbench.files.predictions import write_template

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = README + (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```console\n(.*?)```", PAGES, re.DOTALL)
COMMANDS = [
    line[2:].partition("  #")[0].rstrip() for block in BLOCKS for line in block.splitlines() if line.startswith("$ ")
]
MAKE = {"make demo", "make test"}  # what .ci/run and this very test are; their targets are checked below


def test_the_two_commands_open_the_readme_and_are_targets() -> None:
    assert COMMANDS[:2] == ["make demo", "make test"]
    makefile = (ROOT / "Makefile").read_text()
    assert re.search(r"^demo:", makefile, re.MULTILINE)
    assert re.search(r"^test:", makefile, re.MULTILINE)


def test_the_plugin_shown_is_the_one_in_the_template() -> None:
    example = re.search(r"<!-- template:begin -->\n```python\n(.*?)```\n<!-- template:end -->", README, re.DOTALL)
    assert example is not None
    source = (ROOT / "plugins" / "template" / "delayed_mime.py").read_text()
    assert example.group(1) == source
    code = [line for line in source.splitlines() if line.strip() and not line.strip().startswith(("#", '"""'))]
    assert len(code) < 40


def _clone(place: Path) -> None:
    """What git tracks here, as it lies in this working tree, as a repository of its own."""
    names = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, check=True).stdout
    for name in names.decode().split("\0"):
        if name and (ROOT / name).is_file():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, place / name)
    for words in (["init", "-q"], ["add", "-A"], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "all"]):
        subprocess.run(["git", *words], cwd=place, check=True, capture_output=True)


@pytest.mark.slow
@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="without git nothing can be cloned")
def test_every_command_runs_in_order_in_a_clone_and_leaves_it_clean(tmp_path: Path) -> None:
    """`pip install` goes into a folder of its own, so that this environment stays as it is."""
    clone, site = tmp_path / "clone", tmp_path / "site"
    clone.mkdir()
    _clone(clone)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(site), "COLUMNS": "200"}
    environment.pop("DYADBENCH_HOME", None)
    ran = 0
    for command in COMMANDS:
        if command in MAKE:
            continue
        if command.startswith("pip install"):
            command = (
                f"{sys.executable} -m pip install -q --no-deps --no-build-isolation --target {site} ./plugins/template"
            )
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        process = subprocess.run(
            command, shell=True, cwd=clone, env=environment, capture_output=True, text=True, timeout=600
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert process.returncode == 0, f"{command}\n{process.stdout}\n{process.stderr}"
        spent = sum(getattr(after, name) - getattr(before, name) for name in ("ru_utime", "ru_stime"))
        print(f"{spent:6.1f} s of processor  {command}")
        ran += 1
    assert ran == len(COMMANDS) - len(MAKE)
    assert "delayed-mime" in (clone / "tryout" / "leaderboards" / "simdyad-clear-react-online.md").read_text()
    status = subprocess.run(["git", "status", "--porcelain"], cwd=clone, capture_output=True, text=True, check=True)
    assert status.stdout == ""


@pytest.mark.slow
def test_the_python_in_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the folder where the commands ran; what the reader is to have is made up."""
    import numpy as np

    from dyadbench.python.arrays import plugins
    from dyadbench.python.run import runtime_of
    from dyadbench.python.score import open_target

    monkeypatch.delenv("DYADBENCH_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tryout").mkdir()
    rng = np.random.default_rng(0)
    _, runtime = runtime_of("tryout", None, None, ["simdyad"])
    target = open_target(plugins(), "simdyad-clear-react-online", {"size": "tiny"}, runtime)
    write_template(
        tmp_path / "predictions.safetensors",
        target.clips,
        target.shape_of(target.split, target.setting.samples),
        "emotion",
        25.0,
    )
    listener, speaker = rng.random((2, 3, 60, 25), np.float32)
    scope: dict[str, Any] = {
        "pred": rng.random((3, 2, 60, 25), np.float32),
        "listener": listener,
        "speaker": speaker,
        "matrix": np.eye(3),
        "motion": rng.random((50, 58)),
    }
    [block] = re.findall(r"```python\n(import dyadbench\n.*?)```", README, re.DOTALL)
    exec(block, scope)  # the README's own lines, checked into this repository
    assert "FRCorr" in set(scope["table"].metric)
    assert scope["reaction"].motion.shape == (1, 3, 50, 58)
