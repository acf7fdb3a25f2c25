"""Stages and losses that would train nothing, or not what was meant, are refused by name before they run."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.fixtures.components import SPECS, Corpus, Toy

from dyadbench.api import DyadbenchError, Loss, Optimiser, Stage
from dyadbench.errors import PluginError
from dyadbench.training.fit import learns
from dyadbench.training.loop import FitOptions, fit


def _fit(folder: Path, change: Callable[[Stage], Any], again: bool = False) -> None:
    class Changed(Toy):
        def stages(self, data: Corpus) -> Iterator[Stage]:
            for stage in super().stages(data):
                yield change(stage)
                if again:
                    yield stage

    fit(Changed(steps=2), Corpus(), SPECS, FitOptions(folder=folder, seed=0))  # type: ignore[arg-type]


def _loss(total: Any) -> Callable[[Stage], Stage]:
    return lambda stage: dataclasses.replace(stage, loss=lambda batch: total)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: "a stage", r"stages\(\) yields a str; it must yield api\.Stage objects"),
        (lambda s: dataclasses.replace(s, steps=0), "stage 'first' has steps=0"),
        (lambda s: dataclasses.replace(s, steps=4.5), "stage 'first' has steps=4.5; a whole number"),
        (lambda s: dataclasses.replace(s, accumulate=0), "stage 'first' has accumulate=0"),
        (lambda s: dataclasses.replace(s, windows=dataclasses.replace(s.windows, frames=0)), "stage 'first' has windows.frames=0"),
        (lambda s: dataclasses.replace(s, ema=2.0), "stage 'first' has ema=2.0"),
        (lambda s: dataclasses.replace(s, patience=3, select=None), "has patience and no select"),
        (lambda s: dataclasses.replace(s, name="fit.json"), "the name of a stage is 'fit.json'; a name has letters"),
        (lambda s: dataclasses.replace(s, optimisers=(dataclasses.replace(s.optimisers[0], name="a.b"),)), "the name of an optimiser is 'a.b'"),
        (lambda s: dataclasses.replace(s, optimisers=()), "stage 'first' needs at least one optimiser"),
        (lambda s: dataclasses.replace(s, optimisers=s.optimisers[:1] * 2), "each with a name of its own"),
        (lambda s: dataclasses.replace(s, optimisers=(Optimiser("map", [], 0.1),)), "optimiser 'map' of stage 'first' has no parameters"),
        (_loss(torch.zeros(())), r"loss of stage 'first' returned a Tensor; return Loss\(\{'map': tensor, 'bias': tensor\}\)"),
        (_loss({"map": torch.zeros(())}), "returned a dict; return Loss"),
        (_loss(Loss({"adam": torch.zeros(())})), "has the parts adam, but its optimisers are map, bias"),
        (_loss(Loss({"map": torch.zeros(3), "bias": torch.zeros(())})), r"loss 'map' of stage 'first' is of shape \(3,\)"),
        (_loss(Loss({"map": 0.5, "bias": torch.zeros(())})), "loss 'map' of stage 'first' is a float"),
    ],
)  # fmt: skip
def test_a_stage_that_cannot_train_is_refused(tmp_path: Path, change: Callable[[Stage], Any], message: str) -> None:
    with pytest.raises(DyadbenchError, match=message):
        _fit(tmp_path, change)


def test_a_second_stage_of_one_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DyadbenchError, match="two stages are named 'first'"):
        _fit(tmp_path, lambda stage: stage, again=True)


def test_a_component_without_stages_is_refused(tmp_path: Path) -> None:
    class Empty(Toy):
        def stages(self, data: Corpus) -> Iterator[Stage]:
            return iter(())

    with pytest.raises(DyadbenchError, match="yields no stage, so nothing would be trained"):
        fit(Empty(), Corpus(), SPECS, FitOptions(folder=tmp_path, seed=0))  # type: ignore[arg-type]


def test_what_learns_and_has_no_state_is_refused() -> None:
    class Halfway:
        def fit(self, data: Corpus) -> None: ...

        def state_dict(self) -> dict[str, Any]: ...

    with pytest.raises(PluginError, match=r"Halfway has fit\(\) but not both state_dict\(\) and load_state_dict\(\)"):
        learns(Halfway())
    assert not learns(object())
    assert learns(Toy())
