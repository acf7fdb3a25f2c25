"""A plugin's code beside its results: an edit at equal version is said once, and `--fresh` makes everything again."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.cell.test_run import _emotion, _run
from tests.fixtures.corpora import ToyDataset
from tests.fixtures.hosts import shared_host

from dyadbench.cell.again import forget, stages_of, warn_of_other_code, warn_of_shared_sessions
from dyadbench.registry.host import Host
from dyadbench.registry.sources import source_hash
from dyadbench.store.folders import MAKER

PLUGIN = '''
"""Echo."""
import numpy as np
from dyadbench.api import Config, Needs, PredictorEntry, Reaction
from dyadbench.hookspecs import hookimpl

class EchoConfig(Config):
    gain: float = 0.5  # of the speaker's motion

class Echo:
    needs = Needs()
    def __init__(self, config, setup):
        self.gain = config.gain
    def sample(self, context, k, noise):
        return Reaction(*(None if v is None else np.repeat(v[:, None], k, 1) * self.gain
                          for v in (context.speaker_motion, context.speaker_emotion)))

@hookimpl
def dyadbench_predictors():
    return [PredictorEntry("echo", 1, "echoplug:Echo", EchoConfig)]
'''


def test_comments_docstrings_and_layout_are_no_other_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "hashed").mkdir()
    file = tmp_path / "hashed" / "__init__.py"
    file.write_text('def f():\n    """Says it."""\n    return 1\n')
    before = source_hash("hashed.inner")
    file.write_text('def f():\n    """Says it otherwise."""\n\n    return 1  # one\n')
    assert source_hash("hashed") == before != ""
    (file.parent / ".#__init__.py").symlink_to("nobody@host.1:2")  # what Emacs leaves while a file is edited
    assert source_hash("hashed") == before
    file.write_text("def f():\n    return 2\n")
    assert source_hash("hashed") != before
    assert source_hash("dyadbench.datasets.react") == source_hash("no_such_package") == ""


def test_a_run_warns_once_of_other_code_and_forgets_what_it_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run, process = _run(tmp_path), set[str]()
    first = _emotion(run)
    warn_of_other_code(run, process)
    assert not process and not capsys.readouterr().err
    monkeypatch.setattr(shared_host(), "_hashes", dict.fromkeys(shared_host()._hashes, "other"))
    for _ in range(2):
        warn_of_other_code(run, process)
    err = capsys.readouterr().err
    assert err.count("the code of predictor 'ridge-sampled' has changed") == 1 and "--fresh" in err
    forgotten = set[str]()
    forget(run, forgotten)
    stages_left = [
        name for name, key, _ in stages_of(run) if (run.runtime.store.stage(name, key).folder / MAKER).exists()
    ]
    assert stages_left == [] and forgotten == {key for _, key, _ in stages_of(run)}
    assert (_emotion(_run(tmp_path)) == first).all()


def test_of_a_suite_the_versions_of_its_columns_are_to_be_raised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Scores are stored under those: the version of the suite's entry would change nothing."""
    run = _run(tmp_path)
    run.generate(["emotion"])
    for code in ("before", "now"):
        monkeypatch.setattr(
            Host, "sources_of", lambda _, parts, code=code: {"suite react2024": code} if "suite" in parts else {}
        )
        run.scoring.suite("react2024", run.suites["react2024"], run.evaluation())
    warn_of_other_code(run, set())
    err = capsys.readouterr().err
    assert "the code of suite 'react2024' has changed" in err and "raise those of the columns that changed" in err


def test_sessions_that_are_learnt_from_and_scored_are_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clips = ToyDataset().clips("test")
    apart = {
        split: [dataclasses.replace(clip, session=f"{split} {clip.session}") for clip in clips]
        for split in ("train", "val", "test")
    }
    monkeypatch.setattr(ToyDataset, "clips", lambda self, split: apart[split])
    warn_of_shared_sessions(_run(tmp_path), set())
    assert not capsys.readouterr().err
    apart["train"] = apart["test"]
    mentioned = set[str]()
    for _ in range(2):
        warn_of_shared_sessions(_run(tmp_path), mentioned)
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "sessions that are scored are also in split 'train'" in err


@pytest.mark.slow
def test_the_edit_run_loop_on_the_command_line(tmp_path: Path) -> None:
    site = tmp_path / "site"
    info = site / "echoplug-0.1.dist-info"
    info.mkdir(parents=True)
    (site / "echoplug.py").write_text(PLUGIN)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: echoplug\nVersion: 0.1\n")
    (info / "entry_points.txt").write_text("[dyadbench]\nechoplug = echoplug\n")
    (tmp_path / "root").mkdir()

    def ran(*words: str) -> tuple[float, str, str]:
        command = [
            "run",
            "-b",
            "simdyad-clear-react-online",
            "-m",
            "echo",
            "--data-set",
            "size=tiny",
            "--root",
            "root",
            *words,
        ]
        process = subprocess.run([sys.executable, "-m", "dyadbench", *command], cwd=tmp_path, capture_output=True, text=True,
                              env={**os.environ, "PYTHONPATH": str(site)})  # fmt: skip
        assert process.returncode == 0, process.stderr
        [record] = (tmp_path / "root").rglob(f"{words[1] if '--as' in words else 'echo'}/seed0.json")
        value = json.loads(record.read_text())["suites"]["react2024"]["scores"]["FRDist"]["value"]
        return value, process.stdout, process.stderr

    before, out, _ = ran()
    assert "next: dyadbench leaderboard -b simdyad-clear-react-online --root root" in out
    (site / "echoplug.py").write_text(PLUGIN.replace("config.gain", "config.gain / 2"))
    stale, _, err = ran()
    assert stale == before and "the code of predictor 'echo' has changed" in err
    edited, _, err = ran("--fresh")
    assert edited != before and "has changed" not in err
    louder, _, _ = ran("--as", "echo-1", "-s", "gain=3.0")
    assert len({before, edited, louder}) == 3
    assert len(list((tmp_path / "root").rglob("seed0.json"))) == 2, "each configuration has its row"
