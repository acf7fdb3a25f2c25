"""The fit loop, one for all methods, over Lightning Fabric: devices, precision, several processes.

Everything random in step n follows from (seed, stage, n): which windows, dropout, noise. So a run that was killed
resumes from its last checkpoint to the same weights, and nothing of a generator's state need be saved. Several
processes draw the same batch, take every n-th row of it and average gradients by rows, so the step is that of one
process up to float order: losses agree to some 1e-7 until a frame on the border of two codes falls to the other one
(in Dense-FSQ's smoke preset after a hundred steps; scores then differ by 1e-3 and FRCorr, near 0, by 1e-2), as a
reaction does from the first token that is sampled otherwise. That holds for a loss that is a mean over rows of equally
many frames and draws through `WindowBatch.drawn`; what else it draws, dropout say, is drawn anew in each process.
Gradients are averaged by hand, which lets a loss call any part of a module in any order; only the first process reads
and writes.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from dyadbench.api import AudioSpec, DyadbenchError, Loss, Stage, Trainable, TrainData, WindowBatch
from dyadbench.files.atomic import atomic_write, damaged
from dyadbench.training.checkpoint import metadata_of, module_tensors, optimiser_tensors, restore_optimiser
from dyadbench.training.processes import SOLO, World
from dyadbench.training.windows import WindowSource, rows_of_rank

VALIDATION_BATCHES = 8


class NonFiniteLoss(DyadbenchError):
    """A loss became NaN or infinite; the last good checkpoint is kept."""


@dataclass(frozen=True)
class FitOptions:
    """How a fit runs. Only `seed` may change the result."""

    folder: Path
    seed: int
    device: str = "cpu"
    precision: str = "32-true"
    checkpoint_every: int = 200
    track: bool = False  # TensorBoard beside the JSONL
    report: Any = None  # (stage, done, total) -> None
    world: World = SOLO


def _seed_of(seed: int, stage: str, step: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}/{stage}/{step}".encode()).digest()[:8], "big") >> 1


# --- checkpoints ----------------------------------------------------------------------------------------


@dataclass
class _Best:
    value: float = math.inf
    step: int = -1
    stale: int = 0
    weights: dict[str, Tensor] | None = None


class StageRun:
    """One stage from its first step, or its last checkpoint, to its end."""

    def __init__(
        self, stage: Stage, source: WindowSource, validation: WindowSource | None, how: FitOptions, fabric: Fabric
    ):
        self.stage, self.how, self.fabric = stage, how, fabric
        self.world = how.world
        if stage.windows.batch < self.world.size:
            raise DyadbenchError(
                f"stage {stage.name!r} has batches of {stage.windows.batch}, too few rows for {self.world.size} processes"
            )
        self.source, self.validation = source, validation
        self.folder = how.folder / stage.name
        self.module: nn.Module = stage.module.to(fabric.device)
        if self.world.size > 1:
            self.module.load_state_dict(self.world.broadcast(module_tensors(self.module)))
        self.optimisers = {
            spec.name: torch.optim.AdamW(
                list(spec.parameters), lr=spec.lr, betas=spec.betas, weight_decay=spec.weight_decay
            )
            for spec in stage.optimisers
        }
        self.average = module_tensors(self.module) if stage.ema else None
        self.best = _Best()
        self.step = 0
        self._tracker: Any = None

    def run(self) -> dict[str, float]:
        """Trains, leaves the selected weights in the module, and returns the last validation metrics."""
        if self._finished():
            return self._read_summary()
        self._resume()
        if self.how.track and self.world.first:
            from tensorboardX import SummaryWriter

            self._tracker = SummaryWriter(str(self.folder / "tensorboard"))
        metrics: dict[str, float] = {}
        started, first = time.monotonic(), self.step
        while self.step < self.stage.steps:
            logged = self._train_step()
            self.step += 1
            rate = (self.step - first) / max(time.monotonic() - started, 1e-9)
            if self.how.report:
                self.how.report(
                    f"{self.stage.name} loss {logged['loss']:.4g} {rate:.1f} it/s", self.step, self.stage.steps
                )
            if self.step % 20 == 0 or self.step == self.stage.steps:
                self._log({"step": self.step, **logged})
            every = self.stage.validate_every or self.stage.steps
            if self.step % every == 0 or self.step == self.stage.steps:
                metrics = self._validate()
                self._log({"step": self.step, **{f"val/{k}": v for k, v in metrics.items()}})
                if self._stop_early():
                    break
            if self.step % self.how.checkpoint_every == 0:
                self._checkpoint()
        self._finish(metrics)
        return metrics

    # --- one step ---------------------------------------------------------------------------------------

    def _train_step(self) -> dict[str, float]:
        stage, device = self.stage, self.fabric.device
        for spec in stage.optimisers:
            for group in self.optimisers[spec.name].param_groups:
                group["lr"] = spec.lr * spec.schedule(self.step)
        self.module.train()
        grads: dict[str, list[Tensor | None]] = {}
        totals: dict[str, float] = {}
        for part in range(stage.accumulate):
            seed = _seed_of(self.how.seed, stage.name, self.step * stage.accumulate + part)
            rng = np.random.Generator(np.random.Philox(seed))
            torch.manual_seed(seed + self.world.rank)
            batch = self.source.draw(stage.windows, rng, device, self.step, self.step / stage.steps)
            batch = rows_of_rank(batch, self.world.rank, self.world.size, seed)
            with self.fabric.autocast():
                loss = stage.loss(batch)
            self._demand_finite(loss, batch)
            self._accumulate(loss, grads, len(batch.clips) * self.world.size / stage.windows.batch)
            for name, value in [*loss.total.items(), *loss.log.items()]:
                totals[name] = totals.get(name, 0.0) + _number(value) / stage.accumulate
        self._apply(grads)
        totals["loss"] = sum(totals[spec.name] for spec in stage.optimisers)
        return totals

    def _accumulate(self, loss: Loss, grads: dict[str, list[Tensor | None]], weight: float) -> None:
        """Each optimiser gets the gradient of its own loss and of no other. `weight`: this process's rows to the mean's."""
        specs = self.stage.optimisers
        for i, spec in enumerate(specs):
            wanted = [p for p in spec.parameters if p.requires_grad]
            found = torch.autograd.grad(
                loss.total[spec.name] * weight / self.stage.accumulate,
                wanted,
                retain_graph=i + 1 < len(specs),
                allow_unused=True,
            )
            kept = grads.setdefault(spec.name, [None] * len(wanted))
            for j, grad in enumerate(found):
                if grad is not None:
                    kept[j] = grad if kept[j] is None else kept[j] + grad  # type: ignore[operator]

    def _apply(self, grads: Mapping[str, list[Tensor | None]]) -> None:
        for spec in self.stage.optimisers:
            wanted = [p for p in spec.parameters if p.requires_grad]
            for parameter, grad in zip(wanted, self._averaged(wanted, grads[spec.name]), strict=True):
                parameter.grad = grad
            if self.stage.clip_norm:
                nn.utils.clip_grad_norm_(wanted, self.stage.clip_norm)
            self.optimisers[spec.name].step()
            self.optimisers[spec.name].zero_grad(set_to_none=True)
        if self.average is not None and self.stage.ema:
            for name, value in self.module.state_dict().items():
                kept = self.average[name]
                if value.is_floating_point():
                    kept.lerp_(value.detach().to(kept.device), 1 - self.stage.ema)
                else:
                    kept.copy_(value)

    def _averaged(self, parameters: list[Tensor], grads: list[Tensor | None]) -> list[Tensor | None]:
        """Over processes, in one message. What one process's draw left unused may have a gradient in another."""
        if self.world.size == 1:
            return grads
        used = torch.tensor([float(grad is not None) for grad in grads], device=self.fabric.device)
        used = self.fabric.all_reduce(used, reduce_op="sum")  # type: ignore[assignment]
        filled = [torch.zeros_like(p) if g is None else g for p, g in zip(parameters, grads, strict=True)]
        flat = self.fabric.all_reduce(torch.cat([grad.flatten() for grad in filled]), reduce_op="mean")
        assert isinstance(flat, Tensor)
        parts = flat.split([grad.numel() for grad in filled])
        return [
            part.view_as(grad) if known else None
            for part, grad, known in zip(parts, filled, used.tolist(), strict=True)
        ]

    def _demand_finite(self, loss: Loss, batch: WindowBatch) -> None:
        for name, value in loss.total.items():
            if not torch.isfinite(value):
                raise NonFiniteLoss(
                    f"stage {self.stage.name!r}, step {self.step}: loss {name!r} is {_number(value)} on clips "
                    f"{', '.join(batch.clips[:8])}; the checkpoint before it is kept, lower the learning rate or look at these clips"
                )

    # --- validation -------------------------------------------------------------------------------------

    def _validate(self) -> dict[str, float]:
        if self.validation is None:
            return {}
        held = module_tensors(self.module) if self.average is not None else None
        if self.average is not None:
            self.module.load_state_dict(self.average)
        self.module.eval()
        sums: dict[str, float] = {}
        count = 0
        with torch.no_grad():
            for batch in self.validation.sweep(self.stage.windows, self.fabric.device, VALIDATION_BATCHES):
                torch.manual_seed(_seed_of(self.how.seed, self.stage.name + "/validate", count))
                if self.stage.validate is not None:
                    values = self.stage.validate(batch)
                else:
                    loss = self.stage.loss(batch)
                    values = {"loss": sum(_number(v) for v in loss.total.values()), **loss.log}
                for name, value in values.items():
                    sums[name] = sums.get(name, 0.0) + _number(value)
                count += 1
        metrics = self.world.broadcast({name: value / count for name, value in sums.items()})
        self._keep_best(metrics)
        if held is not None:
            self.module.load_state_dict(held)
        return metrics

    def _keep_best(self, metrics: Mapping[str, float]) -> None:
        if self.stage.select is None:
            return
        if self.stage.select not in metrics:
            raise DyadbenchError(
                f"stage {self.stage.name!r} selects by {self.stage.select!r}, but its validation gives {', '.join(metrics)}"
            )
        value = metrics[self.stage.select]
        if value < self.best.value:
            self.best = _Best(value, self.step, 0, module_tensors(self.module))
        else:
            self.best.stale += 1

    def _stop_early(self) -> bool:
        return self.stage.patience is not None and self.best.stale >= self.stage.patience

    # --- on disk ----------------------------------------------------------------------------------------

    def _log(self, row: Mapping[str, Any]) -> None:
        if not self.world.first:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        if self._tracker is not None:
            for name, value in row.items():
                self._tracker.add_scalar(f"{self.stage.name}/{name}", value, row["step"])

    def _checkpoint(self) -> None:
        """One file: weights, averages, the best so far, optimiser moments; the step is in the metadata."""
        if not self.world.first:
            return
        tensors = {f"module.{k}": v for k, v in module_tensors(self.module).items()}
        for prefix, weights in (("ema", self.average), ("best", self.best.weights)):
            tensors |= {f"{prefix}.{k}": v.clone() for k, v in (weights or {}).items()}
        for name, optimiser in self.optimisers.items():
            tensors |= {
                k: v.cpu().contiguous().clone() for k, v in optimiser_tensors(f"optim.{name}", optimiser).items()
            }
        facts = {"step": self.step, "best": self.best.value, "best_step": self.best.step, "stale": self.best.stale}
        atomic_write(self.folder / "checkpoint.safetensors", save_tensors(tensors, {"facts": json.dumps(facts)}))

    def _read(self, path: Path) -> bytes | None:
        """A file as the first process finds it, or None: the others' view of a shared file system may be older."""
        return self.world.broadcast(path.read_bytes() if self.world.first and path.exists() else None)

    def _resume(self) -> None:
        path = self.folder / "checkpoint.safetensors"
        data = self._read(path)
        if data is None:
            if self.world.first:
                (self.folder / "metrics.jsonl").unlink(missing_ok=True)
            return
        try:
            self._restore_from(data)
        except Exception as error:  # whatever it is that a rotten file makes safetensors, JSON or torch say
            raise damaged(path, error) from None
        if self.world.first:
            self._drop_log_after(self.step)

    def _restore_from(self, data: bytes) -> None:
        """Everything that `_checkpoint` wrote."""
        tensors = load_tensors(data)
        facts = json.loads(metadata_of(data)["facts"])

        def under(prefix: str) -> dict[str, Tensor]:
            return {k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)}

        self.module.load_state_dict(under("module."))
        if self.average is not None:
            self.average = under("ema.")
        self.best = _Best(float(facts["best"]), facts["best_step"], facts["stale"], under("best.") or None)
        for name, optimiser in self.optimisers.items():
            restore_optimiser(f"optim.{name}", optimiser, tensors)
        self.step = int(facts["step"])

    def _drop_log_after(self, step: int) -> None:
        path = self.folder / "metrics.jsonl"
        if path.exists():
            rows = [
                line
                for line in path.read_text().splitlines()
                if line.endswith("}") and json.loads(line)["step"] <= step
            ]
            atomic_write(path, "".join(row + "\n" for row in rows))

    def _finished(self) -> bool:
        data = self._read(self.folder / "weights.safetensors")
        if data is None:
            return False
        try:
            self.module.load_state_dict(load_tensors(data))
        except (SafetensorError, RuntimeError) as error:
            raise damaged(self.folder / "weights.safetensors", error) from None
        return True

    def _finish(self, metrics: Mapping[str, float]) -> None:
        chosen = self.best.weights or self.average
        if chosen is not None:
            self.module.load_state_dict(chosen)
        self.module.eval()
        if self.world.size > 1:  # buffers that each process counted for itself
            self.module.load_state_dict(self.world.broadcast(module_tensors(self.module)))
        if self.world.first:
            summary = {"steps": self.step, "best_step": self.best.step, "validation": dict(metrics)}
            atomic_write(self.folder / "summary.json", json.dumps(summary, sort_keys=True))
            atomic_write(self.folder / "weights.safetensors", save_tensors(module_tensors(self.module)))
            (self.folder / "checkpoint.safetensors").unlink(missing_ok=True)
        self.world.wait()

    def _read_summary(self) -> dict[str, float]:
        data = self._read(self.folder / "summary.json")
        return dict(json.loads(data or b"{}")["validation"])


def _number(value: Any) -> float:
    return float(value.detach() if isinstance(value, Tensor) else value)


def _alone(how: FitOptions) -> Fabric:
    accelerator, _, index = how.device.partition(":")
    return Fabric(
        accelerator=accelerator,
        devices=[int(index)] if index and accelerator == "cuda" else 1,
        precision=how.precision,  # type: ignore[arg-type]
        plugins=[LightningEnvironment()],  # one process, whatever allocation of a cluster it was started in
    )


def fit(
    component: Trainable, data: TrainData, specs: Mapping[str, AudioSpec], how: FitOptions
) -> dict[str, dict[str, float]]:
    """Runs every stage of `component` in turn and returns each one's last validation metrics.

    Raises NonFiniteLoss, or DyadbenchError where a checkpoint is damaged or a selection metric does not exist.
    """
    fabric = how.world.fabric or _alone(how)
    sources: dict[tuple[str, tuple[str, ...]], WindowSource] = {}

    def source(split: str, audio: tuple[str, ...]) -> WindowSource:
        if (split, audio) not in sources:
            sources[split, audio] = WindowSource(data, split, audio, specs)
        return sources[split, audio]

    outcome: dict[str, dict[str, float]] = {}
    for stage in component.stages(data):
        torch.manual_seed(_seed_of(how.seed, stage.name, -1))
        validation = source("val", stage.windows.audio) if data.clips("val") else None
        outcome[stage.name] = StageRun(stage, source("train", stage.windows.audio), validation, how, fabric).run()
    return outcome
