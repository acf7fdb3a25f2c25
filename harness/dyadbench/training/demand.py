"""Checks of stages and losses, before anything is trained on them."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dyadbench.api import DyadbenchError, Loss, Stage, WindowBatch

NAME = re.compile(r"[A-Za-z0-9_-]+")


class NonFiniteLoss(DyadbenchError):
    """A loss became NaN or infinite; the last good checkpoint is kept."""


def demand_stage(stage: Any, before: Collection[str]) -> None:
    """Raises DyadbenchError for a stage that would train nothing, or that has the name of an earlier one.

    Weights are stored under the stage's name: a second stage with that name would count as finished.
    """
    if not isinstance(stage, Stage):
        raise DyadbenchError(f"stages() yields a {type(stage).__name__}; it must yield api.Stage objects")
    for what, name in (("a stage", stage.name), *(("an optimiser", optimiser.name) for optimiser in stage.optimisers)):
        if not isinstance(name, str) or not NAME.fullmatch(name):  # folders and stored tensors are named so
            raise DyadbenchError(f"the name of {what} is {name!r}; a name has letters, digits, - and _ alone")
    if stage.name in before:
        raise DyadbenchError(f"two stages are named {stage.name!r}; give each its own name")
    for what, count in (
        ("steps", stage.steps), ("accumulate", stage.accumulate), ("windows.frames", stage.windows.frames), ("windows.batch", stage.windows.batch),
    ):  # fmt: skip
        if not isinstance(count, int | np.integer) or count < 1:
            raise DyadbenchError(f"stage {stage.name!r} has {what}={count!r}; a whole number from 1 is due")
    if stage.ema is not None and not 0 <= stage.ema < 1:
        raise DyadbenchError(f"stage {stage.name!r} has ema={stage.ema!r}; a number from 0 to below 1 is due")
    if stage.patience is not None and stage.select is None:
        raise DyadbenchError(
            f"stage {stage.name!r} has patience and no select, so nothing says which validation is better"
        )
    names = [optimiser.name for optimiser in stage.optimisers]
    if not names or len(set(names)) < len(names):
        raise DyadbenchError(
            f"stage {stage.name!r} needs at least one optimiser, each with a name of its own, not {names}"
        )
    for optimiser in stage.optimisers:
        if not list(optimiser.parameters):
            raise DyadbenchError(f"optimiser {optimiser.name!r} of stage {stage.name!r} has no parameters to train")
        held = {id(parameter) for parameter in stage.module.parameters()}
        if any(id(parameter) not in held for parameter in optimiser.parameters):
            raise DyadbenchError(
                f"optimiser {optimiser.name!r} of stage {stage.name!r} trains a parameter that the stage's module does not have, so "
                "that no checkpoint would hold it"
            )


def demand_loss(loss: Any, stage: Stage) -> None:
    """Raises DyadbenchError where a loss is not one number per optimiser."""
    names = [optimiser.name for optimiser in stage.optimisers]
    form = f"Loss({{{', '.join(f'{name!r}: tensor' for name in names)}}})"
    if not isinstance(loss, Loss):
        raise DyadbenchError(f"the loss of stage {stage.name!r} returned a {type(loss).__name__}; return {form}")
    if set(loss.total) != set(names):
        raise DyadbenchError(
            f"the loss of stage {stage.name!r} has the parts {', '.join(loss.total) or 'none'}, but its optimisers are "
            f"{', '.join(names)}; return {form}"
        )
    for name, value in loss.total.items():
        if not isinstance(value, Tensor) or value.ndim:
            kind = f"of shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"
            raise DyadbenchError(f"loss {name!r} of stage {stage.name!r} is {kind}; it must be a tensor without axes")


def demand_finite(loss: Loss, stage: Stage, batch: WindowBatch) -> None:
    """Raises NonFiniteLoss, which names the step and the clips."""
    for name, value in loss.total.items():
        if not torch.isfinite(value):
            raise NonFiniteLoss(
                f"stage {stage.name!r}, step {batch.step}: loss {name!r} is {float(value.detach())} on clips "
                f"{', '.join(batch.clips[:8])}; the last checkpoint is kept; lower the learning rate or look at these clips"
            )
