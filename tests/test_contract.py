"""Every class of ours that is loaded through an entry is what the entry's factory protocol says."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import pytest
from tests.fixtures.hosts import shared_host

from dyadbench import api

FACTORIES = {
    "dataset": api.DatasetFactory,
    "tokenizer": api.TokenizerFactory,
    "predictor": api.PredictorFactory,
    "suite": api.SuiteFactory,
}


@pytest.mark.parametrize("kind", FACTORIES)
def test_a_factory_takes_what_its_protocol_names(kind: str) -> None:
    parameters = list(inspect.signature(FACTORIES[kind].__call__).parameters)[1:]
    arguments = {name: None for name in parameters if name == "root"}
    places = [None] * (len(parameters) - len(arguments))
    for entry in shared_host().entries(kind):
        signature = inspect.signature(shared_host().load(kind, entry))
        tokens = {"tokenizer": None} if "tokenizer" in signature.parameters else {}
        try:
            signature.bind(*places, **arguments, **tokens)
        except TypeError as error:
            raise AssertionError(f"{kind} {entry.name}: {error}") from None


@pytest.mark.parametrize(
    ("groups", "fps", "words"),
    [
        ({"a": (0, 4)}, 30.0, r"group 'a' is \[0, 4\) of 3 channels"),
        ({"a": (-2, 3)}, 30.0, r"group 'a' is \[-2, 3\)"),
        ({"a": (2, 1)}, 30.0, r"group 'a' is \[2, 1\)"),
        ({"a": (0, 3)}, -30.0, "fps = -30.0"),
        ({"a": (0, 3)}, 0, "fps = 0"),
        ({"a": (0, 3)}, float("nan"), "fps = nan"),
        ({"a": (0, 3)}, "30", "fps = '30'"),
    ],
)
def test_a_motion_space_holds_together(groups: dict[str, tuple[int, int]], fps: float, words: str) -> None:
    """A group beyond the channels was scored over those that there are."""
    with pytest.raises(ValueError, match=words):
        api.MotionSpace("own", fps, ("x", "y", "z"), groups)
    assert api.MotionSpace("own", 29.97, ("x", "y", "z"), {"a": (1, 3)}).slice("a") == slice(1, 3)


def test_units_are_of_groups_that_there_are() -> None:
    with pytest.raises(ValueError, match="has units of 'head', which is none of its groups"):
        api.MotionSpace("own", 30.0, ("x",), {"a": (0, 1)}, {"head": "radians"})


def test_no_test_module_loads_plugins_when_it_is_imported() -> None:
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if not isinstance(node, ast.FunctionDef | ast.ClassDef):
                calls = {
                    call.func.id
                    for call in ast.walk(node)
                    if isinstance(call, ast.Call) and isinstance(call.func, ast.Name)
                }
                assert not calls & {"Host", "shared_host"}, (
                    f"{path}:{node.lineno} loads plugins: a broken one fails collection"
                )
