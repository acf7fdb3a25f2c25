"""A dry run for Slurm says what would be sent, as text or JSON, and writes nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.fixtures.mars import write_mars
from typer.testing import CliRunner

import dyadbench
from dyadbench.cli import app
from dyadbench.records.record import record_path

ONLINE, TINY = "simdyad-clear-react-online", {"size": "tiny"}


@pytest.fixture
def login_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with Slurm's commands, none of which a dry run calls."""
    pytest.importorskip("submitit")
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("sbatch", "srun", "squeue"):
        (folder / name).write_text("#!/bin/sh\nexit 1\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")


def _tree(root: Path) -> dict[str, tuple[int, bytes]]:
    files = [path for path in root.rglob("*") if path.is_file()]
    return {str(path.relative_to(root)): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


@pytest.mark.usefixtures("login_node")
def test_a_dry_run_writes_nothing_and_keeps_to_json(tmp_path: Path) -> None:
    """It wrote a record again that the matrix now calls an ablation, made the data, and printed no JSON."""
    root = tmp_path / "root"
    root.mkdir()
    row = '[[method]]\nname = "{}"\nof = "ridge"\n'
    matrix = tmp_path / "m.toml"
    matrix.write_text(
        f'benchmarks = ["{ONLINE}"]\n{row.format("mime")}{row.format("mean")}[datasets.{ONLINE}]\nsize = "tiny"\n'
    )
    words = ["run", str(matrix), "--root", str(root), "--on", "slurm", "--dry-run"]
    answer = CliRunner().invoke(app, words)
    assert answer.exit_code == 0 and "2 of 2 cells would be sent" in answer.stdout and "#SBATCH" in answer.stdout
    assert list(root.iterdir()) == [], "not even the data"
    [one] = dyadbench.run(ONLINE, "mime", dataset=TINY, root=root)
    before = _tree(root)
    answer = CliRunner().invoke(app, [*words, "--json"])
    [job] = json.loads(answer.stdout)
    assert job["cell"] == f"{ONLINE} / mean / seed 0" and job["devices"] == 1 and "#SBATCH" in job["script"]
    assert record_path(root / "leaderboards", one).is_file() and _tree(root) == before
    answer = CliRunner().invoke(app, [*words, "--fresh"])
    assert "2 of 2 cells would be sent" in answer.stdout and _tree(root) == before, "and throws nothing away"
    here = CliRunner().invoke(app, ["run", str(matrix), "--root", str(root), "--dry-run"])
    assert here.stdout == f"{ONLINE} / mime / seed 0  (has a record)\n{ONLINE} / mean / seed 0\n"
    assert here.stderr.endswith(f"1 of 2 cells with a record in {root}\n")


@pytest.mark.parametrize("option", [["--threads", "1"], ["--device", "cpu"]])
def test_what_a_job_gets_is_said_in_the_matrix(option: list[str]) -> None:
    """The options were overridden without a word."""
    words = ["run", "-b", ONLINE, "-m", "mime", "--on", "slurm", "--dry-run"]
    answer = CliRunner().invoke(app, [*words, *option])
    assert f"{option[0]} is of runs on this machine; what a Slurm job gets is in the matrix" in str(answer.exception)


@pytest.mark.usefixtures("login_node")
def test_a_cell_that_cannot_be_sent_is_named(tmp_path: Path) -> None:
    words = [
        "run",
        "-b",
        "react2024-val",
        "-m",
        "mime",
        "--root",
        str(tmp_path),
        "--on",
        "slurm",
        "--dry-run",
        "--json",
    ]
    answer = CliRunner().invoke(app, words)
    assert answer.exit_code == 1 and json.loads(answer.stdout) == []
    place = tmp_path / ".dyadbench" / "data" / "react2024"
    assert f"react2024-val / mime / seed 0 cannot be sent: {place} is not a REACT folder" in answer.stderr


@pytest.mark.usefixtures("login_node")
def test_a_dry_run_writes_nothing_into_a_users_folders(tmp_path: Path) -> None:
    """Digests of MARS are noted beside the files, three folders down."""
    data = write_mars(tmp_path / "MARS")
    (tmp_path / "root").mkdir()
    words = ["run", "-b", "react2025-test", "-m", "mime", "--data", str(data), "--root", str(tmp_path / "root")]
    before = _tree(data)
    answer = CliRunner().invoke(app, [*words, "--on", "slurm", "--dry-run", "--json"])
    assert [job["cell"] for job in json.loads(answer.stdout)] == ["react2025-test / mime / seed 0"], answer.stderr
    assert _tree(data) == before
