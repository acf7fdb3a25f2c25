"""The gradients of one step: of each optimiser its own, averaged over processes; and the moving average of weights."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from dyadbench.api import Loss, Optimiser, Stage
from dyadbench.training.checkpoint import Weights

Gradients = list[Tensor | None]  # one per parameter; None where the loss does not depend on it


def trained_by(optimiser: Optimiser) -> list[nn.Parameter]:
    """The parameters that an optimiser changes. A stage may freeze some of those that it names."""
    return [parameter for parameter in optimiser.parameters if parameter.requires_grad]


def accumulate(loss: Loss, stage: Stage, grads: dict[str, Gradients], weight: float) -> None:
    """Adds the gradient of each optimiser's own loss, and of no other loss, to `grads`.

    `torch.autograd.grad` and not `.backward()`: two optimisers may share parameters on the way (SFMS's scorer feeds
    the tokenizer), and `.backward()` of one loss would leave its gradient in the other's parameters. It also lets a
    loss use any part of a module in any order, which DDP's hooks do not.
    """
    for i, optimiser in enumerate(stage.optimisers):
        parameters = trained_by(optimiser)
        scaled = loss.total[optimiser.name] * (weight / stage.accumulate)
        # The graph is kept until the last optimiser, since losses share parts of it.
        last = i + 1 == len(stage.optimisers)
        gradients = torch.autograd.grad(scaled, parameters, retain_graph=not last, allow_unused=True)
        total = grads.setdefault(optimiser.name, [None] * len(parameters))
        for j, grad in enumerate(gradients):
            if grad is not None:
                total[j] = grad if (before := total[j]) is None else before + grad


def averaged(parameters: Sequence[Tensor], grads: Gradients, fabric: Fabric) -> Gradients:
    """The mean over processes, in one message per optimiser.

    A parameter may be used in one process's rows and unused in another's (a layer that is dropped at random), so the
    processes first agree on which parameters have a gradient anywhere.
    """
    if fabric.world_size == 1:
        return grads
    used = torch.tensor([float(grad is not None) for grad in grads], device=fabric.device)
    used = fabric.all_reduce(used, reduce_op="sum")  # type: ignore[assignment]
    # One flat message: a collective per parameter would cost its latency hundreds of times per step.
    dense = [torch.zeros_like(p) if g is None else g for p, g in zip(parameters, grads, strict=True)]
    flat = fabric.all_reduce(torch.cat([grad.flatten() for grad in dense]), reduce_op="mean")
    assert isinstance(flat, Tensor)
    parts = flat.split([grad.numel() for grad in dense])
    return [
        part.view_as(grad) if count else None for part, grad, count in zip(parts, dense, used.tolist(), strict=True)
    ]


def move_average(average: Weights, module: nn.Module, decay: float) -> None:
    """One step of the exponential moving average of the weights, in place."""
    for name, value in module.state_dict().items():
        mean = average[name]
        if value.is_floating_point():
            # average = decay * average + (1 - decay) * weights
            mean.lerp_(value.detach().to(mean.device), 1 - decay)
        else:  # counters have no average
            mean.copy_(value)
