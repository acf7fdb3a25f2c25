"""The command that a record names gives the same cell again."""

from __future__ import annotations

import shlex
from typing import Any

import pytest
from tests.fixtures.records import record

from dyadbench.matrix.cells import MethodSpec, make_cell
from dyadbench.matrix.settings import parse_settings
from dyadbench.records.command import command_of
from dyadbench.registry.host import Host

HOST = Host()


@pytest.mark.parametrize(
    ("official", "overrides"),
    [
        ("react2024-val", {}),
        ("react2024-val", {"frames": 250, "mirrored_train": False, "normalise": "none"}),
        ("simdyad-clear-react-online", {"size": "tiny"}),
        ("l2l-trevor", {"smooth": True}),
    ],
)
def test_the_command_of_a_record_has_its_overrides(official: str, overrides: dict[str, Any]) -> None:
    cell = make_cell(HOST, official, MethodSpec(name="dense-fsq", preset="smoke"), 0, overrides)
    data = {
        "name": cell.dataset.name,
        "digest": "d" * 64,
        "simulated": False,
        "split": "test",
        "config": cell.dataset.config,
    }
    command = command_of(record("dense-fsq", 0.1, benchmark=cell.benchmark, dataset=data, preset="smoke"), HOST)
    words = shlex.split(command)
    assert words[:8] == ["dyadbench", "run", "-b", official, "-m", "dense-fsq", "--preset", "smoke"]
    assert words[8::2] == ["--data-set"] * len(overrides)
    again = make_cell(HOST, official, MethodSpec(name="dense-fsq", preset="smoke"), 0, parse_settings(words[9::2]))
    assert again == cell
