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
        process = subprocess.run(
            command, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300
        )
        assert process.returncode == 0, f"{command}\n{process.stdout}\n{process.stderr}"
    table = (tmp_path / "leaderboards" / "openface.md").read_text()
    assert "ridge-matched" in table and "12 clips" in table
    assert (tmp_path / "leaderboards" / "site" / "index.html").exists()


def test_every_plugin_that_learns_says_what_unit_its_speaker_gain_is_in() -> None:
    rows = re.findall(r"^\| (.*) \| .+ \|$", (DOCS / "speaker.md").read_text(encoding="utf-8"), re.MULTILINE)
    plugins = {folder.name for folder in (DOCS.parent / "plugins").glob("dyadbench_*")}
    assert plugins
    assert set(re.findall(r"\(\.\./plugins/(\w+)\)", "".join(rows))) == plugins


@pytest.mark.slow
def test_every_cell_of_the_notebook_runs_and_its_last_lines_have_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.mkdtemp", lambda: str(tmp_path))
    monkeypatch.delenv("DYADBENCH_HOME", raising=False)
    notebook = json.loads((DOCS / "python.ipynb").read_text(encoding="utf-8"))
    scope: dict[str, object] = {}
    values = []
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            *body, last = ast.parse("".join(cell["source"])).body
            exec(compile(ast.Module(body, []), "notebook", "exec"), scope)
            if isinstance(last, ast.Expr):
                values.append(eval(compile(ast.Expression(last.value), "notebook", "eval"), scope))
            else:
                exec(compile(ast.Module([last], []), "notebook", "exec"), scope)
    exact, half, ridge, table, shapes = values
    assert half == pytest.approx(exact, abs=1e-3) and 0.5 < exact < 1
    assert float(table.query("metric == 'FRCorr'").value.item()) == ridge
    assert shapes == ((1, 2, 120, 58), (1, 2, 120, 25))


def _follow(page: str, module: str, place: Path) -> dict[str, str]:
    """Saves the plugin and the package that a page shows and runs its commands: command -> what it printed."""
    text = (DOCS / page).read_text(encoding="utf-8")
    [plugin] = re.findall(r"<!-- plugin:begin -->\n```python\n(.*?)```", text, re.DOTALL)
    [package] = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    (place / module).write_text(plugin)
    (place / "pyproject.toml").write_text(package)
    (place / "leaderboards").mkdir()
    site, path = place / "site", os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(site), "DYADBENCH_HOME": str(place / "home")}
    printed = {}
    for command in _commands(page):
        command_here = command
        if command == "pip install .":
            command_here = f"{sys.executable} -m pip install -q --no-deps --no-build-isolation --target {site} ."
        process = subprocess.run(
            command_here, shell=True, cwd=place, env=environment, capture_output=True, text=True, timeout=600
        )
        assert process.returncode == 0, f"{command}\n{process.stdout}\n{process.stderr}"
        printed[command] = process.stdout
    return printed


@pytest.mark.slow
def test_a_method_in_torch_is_checked_and_ranked_against_its_floor(tmp_path: Path) -> None:
    printed = _follow("torch-method.md", "gru_listener.py", tmp_path)
    assert "FAIL" not in printed["dyadbench check gru-listener"]
    assert "gru-listener" in (tmp_path / "leaderboards" / "simdyad-clear-react-online.md").read_text()


@pytest.mark.slow
def test_a_metric_is_scored_beside_others_and_held_to_what_everybody_knows(tmp_path: Path) -> None:
    printed = _follow("own-metric.md", "head_motion.py", tmp_path)
    assert "FAIL" not in printed["dyadbench check head"]
    [judged] = re.findall(r"^```\n(head .*?)```", (DOCS / "own-metric.md").read_text(), re.DOTALL | re.MULTILINE)
    assert judged in printed["dyadbench validity -b clear-head"], "the page quotes what is printed"
    assert "clear-head: passes" in printed["dyadbench show head/timing"]
    table = (tmp_path / "leaderboards" / "clear-head.md").read_text()
    assert "## head (not ranked by)" in table and "timing ↑ | speed → " in table and "liveliness ↑ †" in table


@pytest.mark.slow
def test_a_dataset_of_npz_and_wav_becomes_a_table(tmp_path: Path) -> None:
    """The plugin, its package and the commands are the page's own."""
    rng = np.random.default_rng(0)
    for split, pairs in (("train", 3), ("val", 1), ("test", 3)):
        for n in range(pairs):
            folder = tmp_path / "mydyads" / split
            folder.mkdir(parents=True, exist_ok=True)
            steps = {person: rng.standard_normal((150, 52)).cumsum(0) * 0.01 for person in "ab"}
            np.savez(folder / f"{split}{n}.npz", **steps)
            for person in "ab":
                soundfile.write(folder / f"{split}{n}-{person}.wav", rng.standard_normal(16000 * 5) * 0.05, 16000)
    printed = _follow("own-dataset.md", "arkit_dyads.py", tmp_path)
    assert "6 clips, 3 sessions" in printed["dyadbench data check arkit-dyads mydyads"]
    table = (tmp_path / "leaderboards" / "arkit-dyads.md").read_text()
    assert "## dyad\\[eyes,jaw,mouth,brows\\]" in table or "## dyad[eyes,jaw,mouth,brows]" in table
    assert "ridge" in table and "CCC.brows" in table
