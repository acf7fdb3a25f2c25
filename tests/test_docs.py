"""Every command of the pages in docs/ runs, in its order, and so does the notebook."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from tests.fixtures.openface import write_csv

DOCS = Path(__file__).parents[1] / "docs"


def _commands(page: str) -> list[str]:
    blocks = re.findall(r"```console\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL)
    return [line[2:] for block in blocks for line in block.splitlines() if line.startswith("$ ")]


@pytest.mark.slow
def test_own_dyads_become_a_table(tmp_path: Path) -> None:
    lines = ["session,clip,a,b"]
    for n in range(6):
        for side, phase in (("left", n), ("right", n + 0.5)):
            write_csv(tmp_path / "mydyads" / f"pair{n}" / f"{side}.csv", seconds=31.0, phase=phase)
        lines.append(f"pair{n},talk1,pair{n}/left.csv,pair{n}/right.csv")
    (tmp_path / "mydyads" / "dyads.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "leaderboards").mkdir()
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "DYADBENCH_HOME": str(tmp_path / "home"), "COLUMNS": "200"}
    commands = _commands("own-dyads.md")
    assert len(commands) == 5
    for command in commands:
        done = subprocess.run(
            command, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    table = (tmp_path / "leaderboards" / "openface.md").read_text()
    assert "ridge-matched" in table and "12 clips" in table
    assert (tmp_path / "leaderboards" / "site" / "index.html").exists()


@pytest.mark.slow
def test_every_cell_of_the_notebook_runs_and_its_last_lines_have_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.mkdtemp", lambda: str(tmp_path))
    monkeypatch.delenv("DYADBENCH_HOME", raising=False)
    notebook = json.loads((DOCS / "python.ipynb").read_text(encoding="utf-8"))
    scope: dict[str, object] = {}
    shown = []
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            *body, last = ast.parse("".join(cell["source"])).body
            exec(compile(ast.Module(body, []), "notebook", "exec"), scope)
            if isinstance(last, ast.Expr):
                shown.append(eval(compile(ast.Expression(last.value), "notebook", "eval"), scope))
            else:
                exec(compile(ast.Module([last], []), "notebook", "exec"), scope)
    exact, half, ridge, table, shapes = shown
    assert half == pytest.approx(exact, abs=1e-3) and 0.5 < exact < 1
    assert float(table.query("metric == 'FRCorr'").value.item()) == ridge
    assert shapes == ((1, 2, 120, 58), (1, 2, 120, 25))


@pytest.mark.slow
def test_a_dataset_of_npz_and_wav_becomes_a_table(tmp_path: Path) -> None:
    """The plugin, its package and the commands are the page's own."""
    page = (DOCS / "own-dataset.md").read_text(encoding="utf-8")
    [plugin] = re.findall(r"<!-- plugin:begin -->\n```python\n(.*?)```", page, re.DOTALL)
    [package] = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    (tmp_path / "arkit_dyads.py").write_text(plugin)
    (tmp_path / "pyproject.toml").write_text(package)
    (tmp_path / "leaderboards").mkdir()
    rng = np.random.default_rng(0)
    for split, pairs in (("train", 3), ("val", 1), ("test", 3)):
        for n in range(pairs):
            folder = tmp_path / "mydyads" / split
            folder.mkdir(parents=True, exist_ok=True)
            steps = {person: rng.standard_normal((150, 52)).cumsum(0) * 0.01 for person in "ab"}
            np.savez(folder / f"pair{n}.npz", **steps)
            for person in "ab":
                soundfile.write(folder / f"pair{n}-{person}.wav", rng.standard_normal(16000 * 5) * 0.05, 16000)
    site = tmp_path / "site"
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(site), "DYADBENCH_HOME": str(tmp_path / "home")}
    for command in _commands("own-dataset.md"):
        if command == "pip install .":
            command = f"{sys.executable} -m pip install -q --no-deps --no-build-isolation --target {site} ."
        done = subprocess.run(
            command, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        if "data check" in command:
            assert "6 clips, 3 sessions" in done.stdout
    table = (tmp_path / "leaderboards" / "arkit-dyads.md").read_text()
    assert "## dyad\\[eyes,jaw,mouth,brows\\]" in table or "## dyad[eyes,jaw,mouth,brows]" in table
    assert "ridge" in table and "CCC.brows" in table
