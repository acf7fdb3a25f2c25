"""Fits one component of a cell in its own keyed folder: the tokenizer first, then the predictor on top of it."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, NonNegativeFloat, NonNegativeInt

from dyadbench.api import Counted, Fittable, Setup, Trainable, TrainData
from dyadbench.files.atomic import atomic_write, damaged
from dyadbench.matrix.cells import Part
from dyadbench.registry.host import Host
from dyadbench.store.folders import Folder, Store
from dyadbench.training.processes import SOLO, World

STATE = "state.safetensors"


def fit_component(
    component: Any,
    part: Part,
    kind: str,
    *,
    key: str,
    store: Store,
    host: Host,
    data: Callable[[], TrainData],
    setup: Setup,
    report: Callable[[str, int, int], None],
    world: World = SOLO,
) -> dict[str, Any]:
    """Trains `component`, or restores it where the store has it, and returns what the fit cost.

    A component that does not learn gives {}. An interrupted training continues from its last checkpoint. Several
    processes train a Trainable together; a Fittable is fitted by the first process alone.
    """
    if not isinstance(component, Trainable | Fittable):
        return {}
    if (torch := sys.modules.get("torch")) is not None:
        torch.set_num_threads(setup.threads)  # before the plugin is called, which may change nothing of the process
    with world.hold(store, "fit", key, plugin=host.plugin_of(host.get(kind, part.name))) as stage:
        if not world.broadcast(stage.done):
            report(f"fit {part.name}", 0, 1)
            clock = _Clock(stage, world)
            with host.blame(kind, part.name, "fit"):
                if isinstance(component, Trainable):
                    learn = lambda: _train(component, data(), setup, stage.folder, report, world, clock.keep)  # noqa: E731
                    _timed(stage, component, learn, world, clock)
                elif world.first:
                    _timed(stage, component, lambda: component.fit(data()), world, clock)
            world.wait()
            if world.first:
                return world.broadcast(_cost(stage) if world.first else {})
        _restore(component, stage.folder / STATE, setup.device)
        return world.broadcast(_cost(stage) if world.first else {})


class _Clock:
    """Seconds of training, including those before a kill. They are saved with every checkpoint, as later steps run again."""

    def __init__(self, stage: Folder, world: World):
        self._stage, self._world, self._started = stage, world, time.perf_counter()
        spent = stage.read("spent.json", Spent)
        self._before = spent.seconds if spent else 0.0

    @property
    def seconds(self) -> float:
        return self._before + time.perf_counter() - self._started

    def keep(self) -> None:
        if self._world.first:
            self._stage.write("spent.json", Spent(seconds=self.seconds), sync=False)


def _timed(
    stage: Folder, component: Trainable | Fittable, learn: Callable[[], Any], world: World, clock: _Clock
) -> None:
    """Trains the component, and stores its state and the cost. The seconds of interrupted runs are added up."""
    facts: dict[str, Any] = {}
    try:
        validation = learn()
    finally:
        seconds = clock.seconds
        clock.keep()
    if not world.first:
        return
    if isinstance(component, Trainable):
        facts["validation"] = validation
    facts["parameters"] = _save(component, stage.folder / STATE)
    facts["fit_seconds"] = round(seconds, 3)
    stage.write_json("fit.json", facts)
    stage.finish()


def _train(
    component: Trainable,
    data: TrainData,
    setup: Setup,
    folder: Path,
    report: Callable[[str, int, int], None],
    world: World,
    kept: Callable[[], None],
) -> Mapping[str, Any]:
    from dyadbench.training.loop import FitOptions, fit

    how = FitOptions(folder=folder, seed=setup.seed, device=setup.device, report=report, world=world, kept=kept)
    return fit(component, data, setup.audio, how)


def _save(component: Trainable | Fittable, path: Path) -> int:
    """Writes the state and returns the number of learnt parameters."""
    if isinstance(component, Trainable):
        from safetensors.torch import save as save_tensors

        tensors = {k: v.detach().cpu().contiguous().clone() for k, v in component.state_dict().items()}
        atomic_write(path, save_tensors(tensors))
        return _count(component, tensors)
    from safetensors.numpy import save

    state = component.state()
    atomic_write(path, save({name: np.ascontiguousarray(value) for name, value in state.items()}))
    return _count(component, state)


def _count(component: object, state: Mapping[str, Any]) -> int:
    """How many numbers were learnt: what the component counts itself, or else all of its state."""
    learnt = component.parameters() if isinstance(component, Counted) else state.values()
    return sum(math.prod(value.shape) for value in learnt)


class Spent(BaseModel):
    """spent.json."""

    seconds: NonNegativeFloat


class Fitted(BaseModel, extra="allow"):
    """fit.json."""

    parameters: NonNegativeInt
    fit_seconds: NonNegativeFloat


def _cost(stage: Folder) -> dict[str, Any]:
    """The cost of the fit. Raises DyadbenchError if it is missing: the record would say that nothing was trained."""
    facts = stage.read("fit.json", Fitted)
    if facts is None:
        raise damaged(stage.folder / "fit.json", "it does not say what the fit cost")
    return facts.model_dump()


def _restore(component: Trainable | Fittable, path: Path, device: str) -> None:
    from safetensors import SafetensorError

    try:
        if isinstance(component, Trainable):
            from safetensors.torch import load

            component.load_state_dict({k: v.to(device) for k, v in load(path.read_bytes()).items()})
        else:
            from safetensors.numpy import load_file

            component.load_state(dict(load_file(path)))
    except (SafetensorError, OSError) as error:
        raise damaged(path, error) from None
