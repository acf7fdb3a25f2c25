"""The command that a record names gives the same cell again."""

from __future__ import annotations

import shlex
from typing import Any

import pytest
from tests.fixtures.hosts import shared_host
from tests.fixtures.records import record

from dyadbench.matrix.cells import MethodSpec, make_cell
from dyadbench.matrix.settings import parse_settings
from dyadbench.records.command import command_of


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
    cell = make_cell(shared_host(), official, MethodSpec(name="dense-fsq", preset="smoke"), 0, overrides)
    data = {
        "name": cell.dataset.name,
        "digest": "d" * 64,
        "simulated": False,
        "split": "test",
        "config": cell.dataset.config,
    }
    command = command_of(
        record("dense-fsq", 0.1, benchmark=cell.benchmark, dataset=data, preset="smoke"), shared_host()
    )
    words = shlex.split(command)
    assert words[:8] == ["dyadbench", "run", "-b", official, "-m", "dense-fsq", "--preset", "smoke"]
    assert words[8::2] == ["--data-set"] * len(overrides)
    again = make_cell(
        shared_host(), official, MethodSpec(name="dense-fsq", preset="smoke"), 0, parse_settings(words[9::2])
    )
    assert again == cell


@pytest.mark.parametrize(
    "spec",
    [
        MethodSpec(name="dense-fsq", preset="smoke", settings={"predictor.layers": 3, "tokenizer.lr": 0.002}),
        MethodSpec(name="mine", method="dense-fsq", preset="smoke", settings={"predictor.temperature": 0.5}),
        MethodSpec(name="short", method="ridge", settings={"taps": 3}),
        MethodSpec(name="ridge"),
        MethodSpec(name="short", method="ridge", of="ridge", settings={"taps": 3}),
    ],
)
def test_the_command_of_a_record_has_its_settings_seed_and_own_name(spec: MethodSpec) -> None:
    """It had the name alone, which ran another configuration, or nothing where the name is the row's own."""
    cell = make_cell(shared_host(), "simdyad-clear-react-online", spec, 3, {"size": "tiny"}, action_units="raw")
    data = {"name": "simdyad", "digest": "d" * 64, "simulated": True, "split": "test", "config": cell.dataset.config}
    setting = cell.setting.model_dump(mode="json")
    committed = record(
        spec.name, 0.1, 3, benchmark=cell.benchmark, benchmark_config=setting, dataset=data, preset=spec.preset,
        method_config=cell.identity(), of=spec.of,
    )  # fmt: skip
    words = shlex.split(command_of(committed, shared_host()))
    assert words.pop() == "size=tiny" and words.pop() == "--data-set" and words.pop() == "--raw-action-units"
    options = {
        option: words[n + 1]
        for n, option in enumerate(words)
        if option in ("-m", "--as", "--of", "--preset", "--seeds")
    }
    settings = parse_settings([words[n + 1] for n, option in enumerate(words) if option == "-s"])
    again = MethodSpec(
        name=options.get("--as", options["-m"]), method=options["-m"] if "--as" in options else "", preset=options.get("--preset"),
        settings=settings, of=options.get("--of", ""),
    )  # fmt: skip
    seed = int(options["--seeds"])
    assert (
        make_cell(shared_host(), "simdyad-clear-react-online", again, seed, {"size": "tiny"}, action_units="raw")
        == cell
    )
