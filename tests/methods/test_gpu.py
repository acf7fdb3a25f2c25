"""Every learned method on a GPU: it trains there, and samples there what it samples on the CPU.

Without a GPU the same tests run with "cpu" as the device, so that they cannot rot.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.fixtures.hosts import shared_host

from dyadbench.api import Setup, Stage, TrainData
from dyadbench.cell.noise import CellNoise
from dyadbench.datasets.tiny_corpus import TinyCorpus
from dyadbench.matrix.cells import MethodSpec, method_parts
from dyadbench.training.loop import FitOptions, fit

STEPS = 3
CORPUS = TinyCorpus(clips=4)
TOLERANCE = 1e-3  # of the motion's spread: float32 sums in another order, through a few dozen layers
TURNED = (
    1  # samples of six in which a nearly even choice between two tokens may turn over, and all that follows from it
)
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


def learned() -> list[str]:
    """The methods, and the predictors that stand alone, that train a network: those with a `smoke` preset.

    This is read at collection, as the host notes a broken plugin and raises nothing.
    """
    methods = shared_host().entries("method")
    parts = {entry.predictor for entry in methods}
    predictors = [entry for entry in shared_host().entries("predictor") if "smoke" in entry.presets]
    return [entry.name for entry in methods] + [entry.name for entry in predictors if entry.name not in parts]


on_every_device = pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=needs_cuda)])
with_every_method = pytest.mark.parametrize("name", learned())


class Short:
    """A component whose stages end after a few steps."""

    def __init__(self, component: Any):
        self.component = component

    def stages(self, data: TrainData) -> Iterator[Stage]:
        for stage in self.component.stages(data):
            yield dataclasses.replace(stage, steps=min(STEPS, stage.steps))


def _components(name: str, device: str) -> dict[str, Any]:
    """The untrained parts of a method on a device, in the order in which they are trained."""
    predictor, tokenizer = method_parts(shared_host(), MethodSpec(name=name, preset="smoke"))
    setup = Setup(CORPUS.space, CORPUS.audio, CORPUS.emotion, seed=0, device=device)
    parts, stand = {}, {}
    if tokenizer is not None:
        parts = stand = {"tokenizer": shared_host().build("tokenizer", tokenizer.name, tokenizer.config, setup)}
    return {**parts, "predictor": shared_host().build("predictor", predictor.name, predictor.config, setup, **stand)}


@cache
def _trained(name: str, device: str) -> tuple[dict[str, Any], list[float]]:
    """The parts after a few steps on a device, and the last validation metrics of all their stages."""
    parts, metrics = _components(name, device), list[float]()
    for part in parts.values():
        with tempfile.TemporaryDirectory() as folder:
            stages = fit(Short(part), CORPUS, CORPUS.audio, FitOptions(Path(folder), seed=0, device=device))
        metrics += [value for stage in stages.values() for value in stage.values()]
    return parts, metrics


@on_every_device
@with_every_method
def test_a_method_trains_on_the_device(name: str, device: str) -> None:
    parts, metrics = _trained(name, device)
    assert metrics and np.isfinite(metrics).all()
    for kind, untrained in _components(name, device).items():
        before, after = untrained.state_dict(), parts[kind].state_dict()
        floats = [value for value in after.values() if value.is_floating_point()]
        assert all(bool(value.isfinite().all()) for value in floats), kind
        assert any(not torch.equal(value, before[key]) for key, value in after.items()), f"the {kind} learnt nothing"
        assert {value.device.type for value in parts[kind].parameters()} == {device}, kind


@on_every_device
@with_every_method
def test_a_method_samples_on_the_device_what_it_samples_on_the_cpu(
    name: str, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same weights and the same streams of noise give the same reactions."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)  # it rounds what convolutions take to ten bits
    parts, _ = _trained(name, device)
    on_cpu = _components(name, "cpu")
    for kind, part in parts.items():
        on_cpu[kind].load_state_dict({key: value.cpu() for key, value in part.state_dict().items()})
    theirs, ours = (
        each["predictor"].sample(CORPUS.context([0, 1], each["predictor"].needs, 64), 3, CellNoise(0))
        for each in (on_cpu, parts)
    )
    for field in ("motion", "emotion"):
        expected, values = getattr(theirs, field), getattr(ours, field)
        if expected is None:
            assert values is None
            continue
        apart = np.abs(values - expected).max((2, 3)) / expected.std()  # (B, K)
        assert (apart > TOLERANCE).sum() <= (0 if device == "cpu" else TURNED), f"{field}: {apart.round(6).tolist()}"
