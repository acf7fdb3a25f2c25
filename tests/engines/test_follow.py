"""What the waiting side asks of an engine, whichever it is."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from dyadbench.engines import follow as waiting
from dyadbench.engines.local import LocalEngine
from dyadbench.engines.slurm import SlurmEngine


def test_a_third_engine_is_looked_at_at_its_own_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pace was looked up by the names of two engines: a third one ended in a KeyError."""
    looks, pauses = iter([None, None, "record"]), list[float]()
    monkeypatch.setattr(waiting, "_send", lambda *_: waiting.Sent.under_way)
    monkeypatch.setattr(waiting, "_look", lambda *_: next(looks))
    monkeypatch.setattr("time.sleep", pauses.append)
    engine: Any = SimpleNamespace(name="third", pace=0.75, detached=True, most=1, states=lambda _: {})
    cell = SimpleNamespace(name="cell")
    ticket: Any = SimpleNamespace(cell=cell, run=SimpleNamespace(key="k"), state_text="", progress="")
    assert list(waiting.follow([ticket], engine, lambda *_: None)) == [(cell, "record")]
    assert pauses == [0.75, 0.75]
    assert (LocalEngine.pace, SlurmEngine.pace) == (0.2, 2.0)
