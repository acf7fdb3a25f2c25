"""What verbs print for machines is JSON that every reader takes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dyadbench.api import DyadbenchError
from dyadbench.cli import app
from dyadbench.cli.common import print_json
from dyadbench.errors import nearest


def test_scores_that_are_not_finite_are_texts_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"a": float("inf"), "b": [float("-inf"), 1.5], "c": {"d": float("nan")}, "e": None})
    assert json.loads(capsys.readouterr().out) == {"a": "inf", "b": ["-inf", 1.5], "c": {"d": "nan"}, "e": None}


@pytest.mark.parametrize(
    ("words", "option"),
    [
        (["leaderboard", "--all-columns"], "--all-columns"),
        (["leaderboard", "--check", "--top", "3"], "--top"),
        (["realism", "x", "--weights", "w", "--reference", "r", "-b", "vc-dyads"], "--benchmark"),
        (["report", "--no-excerpts", "--data", "."], "--data"),
    ],
)
def test_an_option_that_another_makes_idle_is_refused(words: list[str], option: str, tmp_path: Path) -> None:
    outcome = CliRunner().invoke(app, words)
    assert isinstance(outcome.exception, DyadbenchError) and str(outcome.exception).startswith(
        f"{option} would change nothing"
    )


def test_a_home_after_an_equals_sign_is_expanded(tmp_path: Path) -> None:
    """The shell leaves `--out=~/x` as it is, and a folder named ~ was made."""
    words = [sys.executable, "-m", "dyadbench", "leaderboard", "--root=~/no/such"]
    done = subprocess.run(words, env={**os.environ, "HOME": str(tmp_path)}, capture_output=True, text=True)
    assert done.returncode == 2 and f"--root {tmp_path}/no/such is not a folder" in done.stderr


def test_a_name_that_is_like_none_gets_some_of_many() -> None:
    names = [f"row-{n}" for n in range(600)]
    assert nearest("quite-else", names).endswith("and 560 more")
    assert nearest("row-17", names).startswith("did you mean row-17")
    assert nearest("x", ["a", "b"]) == "there are: a, b"
