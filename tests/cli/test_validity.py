"""`dyadbench validity` from a folder of real dyads to the page."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.fixtures.records import record, write_records
from tests.fixtures.vc_dyads import write_vc_dyads
from typer.testing import CliRunner

from dyadbench.api import DyadbenchError
from dyadbench.cli import app
from dyadbench.leaderboard.validity import load_validity


def test_the_verb_writes_what_the_page_is_made_of(tmp_path: Path) -> None:
    folder = write_vc_dyads(tmp_path / "clone", dyads=tuple(f"s{n}" for n in range(1, 20, 2)), frames=950)
    root = tmp_path / "root"
    write_records(root, [record("a", 0.1)])
    words = [
        "validity",
        "-b",
        "vc-dyads",
        "--clips",
        "60",
        "--data",
        str(folder),
        "--root",
        str(root),
        "--suite",
        "dyad[gaze]",
        "--threads",
        "1",
    ]
    outcome = CliRunner().invoke(app, words)
    assert outcome.exit_code == 0, outcome.output
    assert "dyad-vc-dyads CCC.smile: " in outcome.output
    [corpus] = load_validity(root / "leaderboards")
    assert (corpus.benchmark, corpus.clips, corpus.simulated) == ("vc-dyads", 60, False)
    assert "fresh" not in corpus.conditions and "same person" in corpus.conditions
    assert {"dyad-vc-dyads", "realism-motion", "dyad[gaze]"} <= set(corpus.suites)
    words[words.index("60")] = "8"
    with pytest.raises(DyadbenchError, match=r"vc-dyads\.json is of 60 clips, which would be lost; measure as much"):
        CliRunner().invoke(app, words, catch_exceptions=False)
    outcome = CliRunner().invoke(app, [*words, "--data-set", "frames=450"])
    assert outcome.exit_code == 0, outcome.output
    first, other = load_validity(root / "leaderboards")
    assert first == corpus, "a result of other settings lies beside it"
    assert other.benchmark == "vc-dyads+frames-450" and other.dataset_config == {"frames": 450}
    outcome = CliRunner().invoke(app, ["leaderboard", "--root", str(root)])
    assert "vc-dyads (real people)" in (root / "leaderboards" / "validity.md").read_text(), outcome.output


@pytest.mark.parametrize(
    ("suite", "words"),
    [("dyad[jaw]", "scores the channels 'jaw', which motion space 'vc-dyads-4' does not have"), ("react2024", "suite react2024 scores emotion, which the data of vc-dyads do not have")],
)  # fmt: skip
def test_a_suite_that_does_not_fit_the_data_is_refused_before_anything_is_scored(
    suite: str, words: str, tmp_path: Path
) -> None:
    folder = write_vc_dyads(tmp_path / "clone", dyads=tuple(f"s{n}" for n in range(1, 20, 2)), frames=950)
    (tmp_path / "leaderboards").mkdir()
    options = ["-b", "vc-dyads", "--data", str(folder), "--root", str(tmp_path), "--suite", suite]
    with pytest.raises(DyadbenchError, match=re.escape(words)):
        CliRunner().invoke(app, ["validity", *options], catch_exceptions=False)
