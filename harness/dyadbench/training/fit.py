"""Fits one component of a cell in its own keyed folder: the tokenizer first, then the predictor on top of it."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, NonNegativeFloat, NonNegativeInt

from dyadbench.api import Counted, Fittable, Setup, Stateful, Trainable, TrainData
from dyadbench.errors import PluginError
from dyadbench.files.atomic import atomic_write, damaged
from dyadbench.matrix.cells import Part
from dyadbench.progress import Report, silent
from dyadbench.registry.chance import seed_everything
from dyadbench.registry.host import Host
from dyadbench.store.folders import Folder, Store
from dyadbench.training.curves import curve_of
from dyadbench.training.processes import SOLO, World

STATE = "state.safetensors"


@dataclass(frozen=True)
class Fitter:
    """Where and for what the components of a cell are fitted. It is made once per cell and passed as a whole."""

    host: Host
    store: Store
    setup: Setup
    data: Callable[[], TrainData]  # read only where something is trained
    report: Report = silent
    world: World = SOLO

    def fit(self, component: Any, part: Part, kind: str, key: str, sources: Mapping[str, str]) -> dict[str, Any]:
        """Trains `component`, or restores it where the store has it under `key`, and returns what the fit cost.

        `sources` are the hashes of the code that is at work in it (`Host.sources_of`).

        A component that does not learn gives {}. An interrupted training continues from its last checkpoint. Several
        processes train a Trainable together; a Fittable is fitted by the first process alone. Raises PluginError where
        the component fails, DyadbenchError where the store is damaged.
        """
        world = self.world
        if not learns(component):
            return {}
        if (torch := sys.modules.get("torch")) is not None:
            torch.set_num_threads(
                self.setup.threads
            )  # before the plugin is called, which may change nothing of the process
        plugin = self.host.plugin_of(self.host.get(kind, part.name))
        with world.hold(self.store, "fit", key, plugin=plugin, sources=sources) as stage:
            if not world.broadcast(stage.done):
                self.report(f"fit {part.name}", 0, 1)
                with self.host.blame(kind, part.name, "fit"):
                    if world.first or isinstance(component, Trainable):
                        self._learn(component, kind, stage)
                world.wait()
            # What has just been trained is read, too: this run uses what later ones will, whatever a state leaves out.
            _restore(component, stage.folder / STATE, self.setup.device)
            return world.broadcast(_cost(stage) if world.first else {})

    def _learn(self, component: Trainable | Fittable, kind: str, stage: Folder) -> None:
        """Trains the component, and stores its state and the cost."""
        clock = _Clock(stage, self.world)
        facts: dict[str, Any] = {}
        # finally: the seconds of a training that is interrupted count as well.
        try:
            if isinstance(component, Trainable):
                facts["validation"] = self._train(component, kind, stage.folder, clock)
                facts["curves"] = {name: curve_of(stage.folder / name) for name in facts["validation"]}
            else:
                seed_everything(self.setup.seed)
                component.fit(self.data())
        finally:
            spent = clock.spent
            clock.keep()
        if not self.world.first:
            return
        facts["parameters"] = _save(component, stage.folder / STATE)
        facts["fit_seconds"], facts["fit_cpu_seconds"] = spent.seconds, spent.cpu_seconds
        stage.write_json("fit.json", facts)
        stage.finish()

    def _train(self, component: Trainable, kind: str, folder: Path, clock: _Clock) -> Mapping[str, Any]:
        from dyadbench.training.loop import FitOptions, fit

        how = FitOptions(
            folder, self.setup.seed, self.setup.device, report=self.report, world=self.world, after_checkpoint=clock.keep,
            speaker_gain=kind == "predictor",  # a tokenizer hears no speaker
        )  # fmt: skip
        return fit(component, self.data(), self.setup.audio, how)


def learns(component: object) -> bool:
    """Whether a component is fitted. Raises PluginError for one that would learn and whose state nobody could store."""
    if isinstance(component, Trainable | Fittable):
        return True
    for method in ("stages", "fit"):
        if callable(getattr(component, method, None)) and not isinstance(component, Stateful):
            raise PluginError(
                f"{type(component).__name__} has {method}() but not both state_dict() and load_state_dict(), so what it "
                "learns could not be stored; add them"
            )
    return False


class _Clock:
    """Seconds of training, those before a kill included. They are saved with every checkpoint, as later steps run again.

    Processor seconds tell what a fit costs whatever else the machine was doing; they are those of the first process.
    """

    def __init__(self, stage: Folder, world: World):
        self._stage, self._world = stage, world
        self._started, self._used = time.perf_counter(), time.process_time()
        self._before = stage.read("spent.json", Spent) or Spent(seconds=0.0)

    @property
    def spent(self) -> Spent:
        return Spent(
            seconds=round(self._before.seconds + time.perf_counter() - self._started, 3),
            cpu_seconds=round(self._before.cpu_seconds + time.process_time() - self._used, 3),
        )

    def keep(self) -> None:
        if self._world.first:
            self._stage.write("spent.json", self.spent, sync=False)


def _save(component: Trainable | Fittable, path: Path) -> int:
    """Writes the state and returns the number of learnt parameters."""
    if isinstance(component, Trainable):
        from safetensors.torch import save as save_tensors

        tensors = {k: v.detach().cpu().contiguous().clone() for k, v in component.state_dict().items()}
        atomic_write(path, save_tensors(tensors))
        return _count(component, tensors)
    from safetensors.numpy import save

    state = {name: np.asarray(value, order="C") for name, value in component.state_dict().items()}
    atomic_write(path, save(state))
    return _count(component, state)


def _count(component: object, state: Mapping[str, Any]) -> int:
    """How many numbers were learnt: what the component counts itself, or else all of its state."""
    learnt = component.parameters() if isinstance(component, Counted) else state.values()
    return sum(math.prod(value.shape) for value in learnt)


class Spent(BaseModel):
    """spent.json."""

    seconds: NonNegativeFloat
    cpu_seconds: NonNegativeFloat = 0.0


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

            component.load_state_dict(dict(load_file(path)))
    except (SafetensorError, OSError) as error:
        raise damaged(path, error) from None
