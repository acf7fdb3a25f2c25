"""Checkpoints of a stage: weights, averages, the best weights so far and AdamW's moments in one safetensors file."""

from __future__ import annotations

import json
from collections.abc import Mapping

import torch
from torch import Tensor, nn


def optimiser_tensors(prefix: str, optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """AdamW's moments and step counts by position, which is stable for one stage."""
    state = optimiser.state_dict()["state"]
    return {f"{prefix}.{i}.{name}": value for i, slots in state.items() for name, value in slots.items()}


def restore_optimiser(prefix: str, optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    state = optimiser.state_dict()
    slots: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith(prefix + "."):
            position, slot = name[len(prefix) + 1 :].split(".")
            slots.setdefault(int(position), {})[slot] = value
    optimiser.load_state_dict({**state, "state": slots})


def module_tensors(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().cpu().contiguous().clone() for name, value in module.state_dict().items()}


def metadata_of(data: bytes) -> dict[str, str]:
    size = int.from_bytes(data[:8], "little")
    return dict(json.loads(data[8 : 8 + size])["__metadata__"])
