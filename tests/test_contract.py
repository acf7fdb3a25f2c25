"""Every class of ours that is loaded through an entry is what the entry's factory protocol says."""

from __future__ import annotations

import inspect

import pytest

from dyadbench import api
from dyadbench.registry.host import Host

HOST = Host()
FACTORIES = {
    "dataset": api.DatasetFactory,
    "tokenizer": api.TokenizerFactory,
    "predictor": api.PredictorFactory,
    "suite": api.SuiteFactory,
}
ENTRIES = [(kind, entry) for kind in FACTORIES for entry in HOST.entries(kind)]


@pytest.mark.parametrize(("kind", "entry"), ENTRIES, ids=[f"{kind} {entry.name}" for kind, entry in ENTRIES])
def test_a_factory_takes_what_its_protocol_names(kind: str, entry: api.ComponentEntry) -> None:
    parameters = list(inspect.signature(FACTORIES[kind].__call__).parameters)[1:]
    arguments = {name: None for name in parameters if name == "root"}
    places = [None] * (len(parameters) - len(arguments))
    signature = inspect.signature(HOST.load(kind, entry))
    tokens = {"tokenizer": None} if "tokenizer" in signature.parameters else {}
    signature.bind(*places, **arguments, **tokens)  # raises TypeError where an argument is missing or unknown
