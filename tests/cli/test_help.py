"""`--help` at 80 columns: every sentence whole, no line too long, for every verb there is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from dyadbench.cli import app


def _verbs(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield words
    for name, inner in getattr(command, "commands", {}).items():
        yield from _verbs(inner, (*words, name))


@pytest.mark.parametrize("words", list(_verbs(typer.main.get_command(app))), ids=" ".join)
def test_help_is_whole_at_80_columns(words: tuple[str, ...]) -> None:
    outcome = CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": "80"})
    assert outcome.exit_code == 0
    assert all(len(line) <= 80 for line in outcome.output.splitlines())
    assert not re.search(r"[a-z,]\.\.\.$|[a-z,]\.\.\.\s*\n", outcome.output), "a sentence is cut"


def test_a_misspelt_verb_gets_the_nearest() -> None:
    outcome = CliRunner().invoke(app, ["leaderbord"])
    assert outcome.exit_code == 2 and "Did you mean 'leaderboard'?" in outcome.output


def test_the_version_is_printed() -> None:
    outcome = CliRunner().invoke(app, ["--version"])
    assert outcome.exit_code == 0 and outcome.output == f"dyadbench {version('dyadbench')}\n"
