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
