"""The fit loop, one for all methods, on Lightning Fabric: devices, several processes.

Read `fit`, then `StageRun.run`, then `_train_step`, then `gradients.accumulate`.

**Resuming.** All random numbers of step n follow from (seed, stage, n): the windows, the dropout masks, the noise.
A killed run therefore continues from its last checkpoint and ends with the same weights; no generator's state is saved.

**Several processes.** All processes draw the same batch. Process r takes the rows r, r + size, r + 2 size, ... of it,
and gradients are averaged by rows. The step is then that of one process up to float order: losses agree to about 1e-7.
This holds for a loss that is a mean over rows of equally many frames and that draws through `WindowBatch.draw_rows`.
Dropout masks differ per process. Small differences grow once a frame lies on the border of two codes, or a token is
sampled differently; after a hundred steps of Dense-FSQ's `smoke` preset scores differed by 1e-3.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from torch import nn

from dyadbench.api import AudioSpec, DyadbenchError, Stage, Trainable, TrainData, WindowBatch
from dyadbench.progress import Report, silent
from dyadbench.registry.chance import seed_everything
from dyadbench.training.checkpoint import Best, StageFiles, TrainState, weights_of
from dyadbench.training.demand import demand_finite, demand_loss, demand_stage
from dyadbench.training.gradients import Gradients, accumulate, averaged, move_average, trained_by
from dyadbench.training.processes import SOLO, World
from dyadbench.training.validation import Validation, number
from dyadbench.training.windows import WindowSource, rows_of_rank

LOG_EVERY = 20  # steps


@dataclass(frozen=True)
class FitOptions:
    """How a fit runs. Only `seed` may change the result."""

    folder: Path
    seed: int
    device: str = "cpu"
    checkpoint_every: int = 200  # steps
    after_checkpoint: Callable[[], None] = lambda: None  # called after every checkpoint
    report: Report = silent  # of the stage and its loss, and of the steps
    world: World = SOLO
    speaker_gain: bool = False  # measure at the end of each stage what the true speaker is worth


def fit(
    component: Trainable, data: TrainData, specs: Mapping[str, AudioSpec], how: FitOptions
) -> dict[str, dict[str, float]]:
    """Runs the stages of `component` one after another and returns the validation metrics of each one's final weights.

    Raises NonFiniteLoss, or DyadbenchError where a checkpoint is damaged or a selection metric does not exist.
    """
    fabric = how.world.fabric or _fabric_of_one(how)
    sources: dict[tuple[str, tuple[str, ...]], WindowSource] = {}

    def source(split: str, audio: tuple[str, ...]) -> WindowSource:
        if (split, audio) not in sources:
            sources[split, audio] = WindowSource(data, split, audio, specs)
        return sources[split, audio]

    outcome: dict[str, dict[str, float]] = {}
    for stage in component.stages(data):
        demand_stage(stage, outcome)
        # Step -1: the random numbers that a stage draws before its first step.
        seed_everything(_seed_of(how.seed, stage.name, -1))
        validation = source("val", stage.windows.audio) if data.clips("val") else None
        outcome[stage.name] = StageRun(stage, source("train", stage.windows.audio), validation, how, fabric).run()
    if not outcome:
        raise DyadbenchError("stages() yields no stage, so nothing would be trained; yield one, or remove stages()")
    return outcome


class StageRun:
    """One stage from its first step, or from its last checkpoint, to its end."""

    def __init__(
        self, stage: Stage, source: WindowSource, validation: WindowSource | None, how: FitOptions, fabric: Fabric
    ):
        self.stage, self.how, self.fabric, self.world = stage, how, fabric, how.world
        if stage.windows.batch < self.world.size:
            raise DyadbenchError(
                f"stage {stage.name!r} has batches of {stage.windows.batch} rows, too few for {self.world.size} processes"
            )
        self.source = source
        seed_of = partial(_seed_of, how.seed, stage.name + "/validate")
        self.validation = Validation(stage, validation, fabric.device, seed_of) if validation else None
        module: nn.Module = stage.module.to(fabric.device)
        if self.world.size > 1:  # a plugin may have initialised each process's module differently
            module.load_state_dict(self.world.broadcast(weights_of(module)))
        # Fused: one kernel for all parameters, instead of ten small operations per parameter and step.
        optimisers = {
            spec.name: torch.optim.AdamW(
                list(spec.parameters), lr=spec.lr, betas=spec.betas, weight_decay=spec.weight_decay, fused=True
            )
            for spec in stage.optimisers
        }
        self.state = TrainState(module, optimisers, weights_of(module) if stage.ema else None)
        self.files = StageFiles(how.folder / stage.name, self.world)

    def run(self) -> dict[str, float]:
        """Trains, leaves the selected weights in the module, and returns their validation metrics."""
        stage, state = self.stage, self.state
        if (validated := self.files.finished(state.module)) is not None:
            state.module.eval()  # as a stage that ends here leaves it: a later one may look through it
            return validated
        self.files.resume(state)
        started, first = time.monotonic(), state.step
        while state.step < stage.steps:
            losses = self._train_step()
            state.step += 1
            last = state.step == stage.steps
            self._report(losses["loss"], (state.step - first) / max(time.monotonic() - started, 1e-9))
            if state.step % LOG_EVERY == 0 or last:
                self._log(losses)
            if last or (stage.validate_every and state.step % stage.validate_every == 0):
                metrics = self._validate()
                self._log({f"val/{name}": value for name, value in metrics.items()})
                if stage.patience is not None and state.best.stale >= stage.patience:
                    break
            # After validation, so that a run that goes on from here has the best weights so far, too.
            if state.step % self.how.checkpoint_every == 0:
                self.files.save(state)
                self.how.after_checkpoint()
        self._select()
        metrics = self._measured()
        self._finish(metrics)
        return metrics

    def _report(self, loss: float, rate: float) -> None:
        text = f"{self.stage.name} loss {loss:.4g} {rate:.1f} it/s"
        self.how.report(text, self.state.step, self.stage.steps)

    def _log(self, values: Mapping[str, float]) -> None:
        # What a method logs beside its loss may be NaN, which no curve can hold.
        finite = {name: value for name, value in values.items() if math.isfinite(value)}
        self.files.log({"step": self.state.step, **finite})

    def _select(self) -> None:
        """Loads the best weights by validation where the stage selects, else the moving average, else the last ones."""
        state = self.state
        weights = state.best.weights or state.average
        if weights is not None:
            state.module.load_state_dict(weights)
        state.module.eval()

    def _measured(self) -> dict[str, float]:
        """The validation metrics of the weights that the stage ends with: the last validation may be of others."""
        if self.validation is None:
            return {}
        metrics = self.validation.means()
        if self.how.speaker_gain and self.validation.windows.has_strangers:
            metrics |= self.validation.speaker_gain(metrics)
        return dict(self.world.broadcast(metrics))

    def _finish(self, metrics: Mapping[str, float]) -> None:
        state = self.state
        if self.world.size > 1:  # buffers that follow each process's own rows (batch norm, codebooks) differ
            state.module.load_state_dict(self.world.broadcast(weights_of(state.module)))
        self.files.finish(state, metrics)
        self.how.after_checkpoint()
        self.world.wait()

    # --- one step ---------------------------------------------------------------------------------------

    def _train_step(self) -> dict[str, float]:
        """One step of every optimiser on one batch (or on `accumulate` batches); returns the losses."""
        stage, state = self.stage, self.state
        # Set anew at every step from the step number alone, so that no scheduler's state needs to be saved.
        for spec in stage.optimisers:
            for group in state.optimisers[spec.name].param_groups:
                group["lr"] = spec.lr * spec.schedule(state.step)
        state.module.train()
        grads: dict[str, Gradients] = {}
        losses: dict[str, float] = {}
        for part in range(stage.accumulate):
            batch = self._draw(state.step * stage.accumulate + part)
            loss = stage.loss(batch)
            demand_loss(loss, stage)
            demand_finite(loss, stage, batch)
            # A process may hold one row more than another. Its gradient is a mean over its own rows, so it is weighted
            # by their share: the mean over processes is then the mean over all rows.
            accumulate(loss, stage, grads, weight=len(batch.clips) * self.world.size / stage.windows.batch)
            for name, value in [*loss.total.items(), *loss.log.items()]:
                losses[name] = losses.get(name, 0.0) + number(value) / stage.accumulate
        self._apply(grads)
        losses["loss"] = sum(losses[spec.name] for spec in stage.optimisers)
        return losses

    def _draw(self, number: int) -> WindowBatch:
        """Batch `number` of this stage, and the global generators set for it."""
        seed = _seed_of(self.how.seed, self.stage.name, number)
        seed_everything(seed + self.world.rank)  # + rank: the rows of two processes must not share a dropout mask
        # numpy's own generator for the windows: torch's differs between devices.
        rng = np.random.Generator(np.random.Philox(seed))
        progress = self.state.step / self.stage.steps
        batch = self.source.draw(self.stage.windows, rng, self.fabric.device, self.state.step, progress)
        return rows_of_rank(batch, self.world.rank, self.world.size, seed)

    def _apply(self, grads: Mapping[str, Gradients]) -> None:
        """One step of every optimiser, and of the moving average after them."""
        for spec in self.stage.optimisers:
            parameters = trained_by(spec)
            for parameter, grad in zip(parameters, averaged(parameters, grads[spec.name], self.fabric), strict=True):
                parameter.grad = grad
            # The average over processes is clipped, not each process's own gradient: the norm is then that of one process.
            if self.stage.clip_norm:
                nn.utils.clip_grad_norm_(parameters, self.stage.clip_norm)
            self.state.optimisers[spec.name].step()
            self.state.optimisers[spec.name].zero_grad(set_to_none=True)
        if self.state.average is not None and self.stage.ema:
            move_average(self.state.average, self.state.module, self.stage.ema)

    # --- validation -------------------------------------------------------------------------------------

    def _validate(self) -> dict[str, float]:
        """Mean validation metrics over fixed windows. Updates the best weights so far."""
        if self.validation is None:
            return {}
        module, average = self.state.module, self.state.average
        # The average is loaded before the selection: the weights that are validated must be those that are used later.
        trained = weights_of(module) if average is not None else None
        if average is not None:
            module.load_state_dict(average)
        module.eval()
        metrics = self.world.broadcast(self.validation.means())
        self._keep_best(metrics)
        if trained is not None:
            module.load_state_dict(trained)
        return metrics

    def _keep_best(self, metrics: Mapping[str, float]) -> None:
        state, select = self.state, self.stage.select
        if select is None:
            return
        if select not in metrics:
            raise DyadbenchError(
                f"stage {self.stage.name!r} selects by {select!r}, but its validation gives {', '.join(metrics)}"
            )
        # Strictly better: of equal validations the earlier weights stay.
        if metrics[select] < state.best.value:
            state.best = Best(metrics[select], state.step, 0, weights_of(state.module))
        else:
            state.best.stale += 1


def _seed_of(seed: int, stage: str, step: int) -> int:
    """63 bits from a hash of (seed, stage, step), so that the streams of neighbouring steps are unrelated."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{stage}/{step}".encode()).digest()[:8], "big") >> 1


def _fabric_of_one(how: FitOptions) -> Fabric:
    accelerator, _, index = how.device.partition(":")
    return Fabric(
        accelerator=accelerator,
        devices=[int(index)] if index and accelerator == "cuda" else 1,
        plugins=[LightningEnvironment()],  # one process, even inside a cluster job that started several
    )
