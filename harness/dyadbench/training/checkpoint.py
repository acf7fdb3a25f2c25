"""The files of one training stage: checkpoint, log, and the weights it ends with.

A stage keeps in its folder
- `checkpoint.safetensors` while it trains: weights, their moving average, the best weights so far, AdamW's moments;
- `metrics.jsonl`: one line per logged step, losses and validation;
- `weights.safetensors` and `summary.json` once it is finished.

Only the first of several processes writes. All read through it, because their view of a shared file system may be older.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from dyadbench.files.atomic import atomic_write, damaged, read_whole
from dyadbench.training.processes import World

Weights = dict[str, Tensor]


@dataclass
class Best:
    """The best validation so far: its value, its step, the number of worse ones since (`stale`), its weights."""

    value: float = math.inf
    step: int = -1
    stale: int = 0
    weights: Weights | None = None


@dataclass
class TrainState:
    """Everything that a stage needs to continue: the content of one checkpoint."""

    module: nn.Module
    optimisers: Mapping[str, torch.optim.Optimizer]
    average: Weights | None = None  # moving average of the weights, where the stage asks for one
    best: Best = field(default_factory=Best)
    step: int = 0


def weights_of(module: nn.Module) -> Weights:
    """A copy of the module's state on the CPU; later steps do not change it."""
    return {name: value.detach().cpu().contiguous().clone() for name, value in module.state_dict().items()}


class StageFiles:
    """Reads and writes the folder of one stage."""

    def __init__(self, folder: Path, world: World):
        self.folder, self.world = folder, world

    # --- checkpoints ------------------------------------------------------------------------------------

    def save(self, state: TrainState) -> None:
        """Writes the checkpoint: all tensors in one file, the counters as text in its metadata."""
        if not self.world.first:
            return
        tensors = _under("module.", weights_of(state.module))
        # safetensors refuses tensors that share memory, and the best weights may be the average itself.
        tensors |= _under("ema.", {name: value.clone() for name, value in (state.average or {}).items()})
        tensors |= _under("best.", {name: value.clone() for name, value in (state.best.weights or {}).items()})
        for name, optimiser in state.optimisers.items():
            tensors |= _under(f"optim.{name}.", _moments(optimiser))
        best = state.best
        facts = {"step": state.step, "best": best.value, "best_step": best.step, "stale": best.stale}
        # One file, replaced as a whole: weights and moments of different steps can never be mixed by a kill.
        atomic_write(self.folder / "checkpoint.safetensors", save_tensors(tensors, {"facts": json.dumps(facts)}))

    def resume(self, state: TrainState) -> None:
        """Fills `state` from the checkpoint, if there is one. Raises DyadbenchError where it is damaged."""
        path = self.folder / "checkpoint.safetensors"
        data = self._read(path)
        if data is None:
            if self.world.first:  # without a checkpoint the run starts again, and so does its log
                (self.folder / "metrics.jsonl").unlink(missing_ok=True)
            return
        try:
            _restore(state, data)
        except Exception as error:  # a damaged file makes safetensors, JSON and torch fail in many ways
            raise damaged(path, error) from None
        if self.world.first:
            self._cut_log(state.step)

    def _read(self, path: Path) -> bytes | None:
        return self.world.broadcast(read_whole(path) if self.world.first else None)

    # --- the log ----------------------------------------------------------------------------------------

    def log(self, row: Mapping[str, Any]) -> None:
        if not self.world.first:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    def _cut_log(self, step: int) -> None:
        """Drops the lines after the checkpoint, because those steps run again. A kill may have truncated the last line."""
        path = self.folder / "metrics.jsonl"
        if path.exists():
            # A line is whole if its brace is closed; JSON of a cut one would not parse.
            lines = [line for line in path.read_text().splitlines() if line.endswith("}")]
            atomic_write(path, "".join(f"{line}\n" for line in lines if json.loads(line)["step"] <= step))

    # --- the result -------------------------------------------------------------------------------------

    def finish(self, state: TrainState, validation: Mapping[str, float]) -> None:
        """Writes the final weights. They come last: a stage that has them is finished."""
        if not self.world.first:
            return
        summary = {"steps": state.step, "best_step": state.best.step, "validation": dict(validation)}
        atomic_write(self.folder / "summary.json", json.dumps(summary, sort_keys=True))
        atomic_write(self.folder / "weights.safetensors", save_tensors(weights_of(state.module)))
        (self.folder / "checkpoint.safetensors").unlink(missing_ok=True)

    def finished(self, module: nn.Module) -> dict[str, float] | None:
        """Loads the final weights into `module` and returns their validation; None where the stage is not finished.

        Raises DyadbenchError where the files are damaged.
        """
        path = self.folder / "weights.safetensors"
        data = self._read(path)
        if data is None:
            return None
        try:
            module.load_state_dict(load_tensors(data))
            path = self.folder / "summary.json"
            summary = json.loads(self._read(path) or b"")
            validation = {str(name): float(value) for name, value in summary["validation"].items()}
        except Exception as error:  # as in `resume`
            raise damaged(path, error) from None
        if self.world.first:  # of a run that was killed before it could
            (self.folder / "checkpoint.safetensors").unlink(missing_ok=True)
        return validation


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> Weights:
    return {prefix + name: value for name, value in tensors.items()}


def _moments(optimiser: torch.optim.Optimizer) -> Weights:
    """AdamW's moments and step counts by position: `3.exp_avg`. The order of parameters is fixed for one stage."""
    slots = optimiser.state_dict()["state"]
    return {f"{i}.{name}": value.cpu().contiguous().clone() for i, s in slots.items() for name, value in s.items()}


def _restore(state: TrainState, data: bytes) -> None:
    """The inverse of `save`: fills `state` from the bytes of a checkpoint."""
    tensors = load_tensors(data)
    facts = json.loads(_metadata(data)["facts"])

    def below(prefix: str) -> Weights:
        return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}

    state.module.load_state_dict(below("module."))
    if state.average is not None:
        state.average = below("ema.")
    state.best = Best(float(facts["best"]), facts["best_step"], facts["stale"], below("best.") or None)
    for name, optimiser in state.optimisers.items():
        slots: dict[int, Weights] = {}
        for key, value in below(f"optim.{name}.").items():
            position, slot = key.split(".")
            slots.setdefault(int(position), {})[slot] = value
        optimiser.load_state_dict({**optimiser.state_dict(), "state": slots})
    state.step = int(facts["step"])


def _metadata(data: bytes) -> dict[str, str]:
    """The metadata of a safetensors file. `safetensors.torch.load` does not return it, so the header is read here:
    eight bytes of length, then that many bytes of JSON."""
    size = int.from_bytes(data[:8], "little")
    return dict(json.loads(data[8 : 8 + size])["__metadata__"])
