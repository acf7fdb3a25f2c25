"""Guidance on the speaker, for every predictor of tokens: what follows from the speaker counts `scale` times.

A listener's own past predicts the next token so well that the speaker, who explains a few percent of a real listener,
hardly moves the probabilities. A network that was trained with and without the speaker gives both, c and u, and
u + scale (c - u) moves away from what would have happened anyway (classifier-free guidance, 2205.16007).
"""

from __future__ import annotations

import torch
from torch import Tensor

from dyadbench.api import WindowBatch
from dyadbench.nn.sampling import Step


def guided(conditional: Tensor, free: Tensor, scale: float) -> Tensor:
    """Log-probabilities (..., V) of logits with and without the speaker; `scale` 1 is no guidance, 0 is deaf."""
    return torch.log_softmax(free + scale * (conditional - free), -1)


def guided_step(conditional: Step, free: Step, scale: float) -> Step:
    """A step of `nn.sampling.autoregress` from two: the same history with and without the speaker."""
    return lambda first, history: guided(conditional(first, history), free(first, history), scale)


def without_speaker(batch: WindowBatch, share: float) -> Tensor | None:
    """(B,) bool: the training rows that hear no speaker, `share` of them. None in validation, and for a share of 0."""
    if batch.step < 0 or not share:
        return None
    rows = batch.draw_rows(torch.rand) < share
    return rows.to(batch.listener_motion.device)
