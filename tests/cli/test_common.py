"""What verbs print for machines is JSON that every reader takes."""

from __future__ import annotations

import json

import pytest

from dyadbench.cli.common import print_json


def test_scores_that_are_not_finite_are_texts_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"a": float("inf"), "b": [float("-inf"), 1.5], "c": {"d": float("nan")}, "e": None})
    assert json.loads(capsys.readouterr().out) == {"a": "inf", "b": ["-inf", 1.5], "c": {"d": "nan"}, "e": None}
