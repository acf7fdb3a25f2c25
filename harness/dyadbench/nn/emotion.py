"""Turns the 25 unbounded numbers that a regression gives per frame into emotion."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from dyadbench.api import ACTION_UNITS, EMOTION_LOW, EXPRESSIONS

LOW = torch.tensor(EMOTION_LOW)  # (25,)
EmotionOutput = Literal["valid", "raw", "rounded"]


def emotion_output(emotion: Tensor, how: EmotionOutput) -> Tensor:
    """The emotion (..., 25) that is scored, as a new tensor.

    "valid": every channel within its range, the 8 expression probabilities summing to 1. "raw": as the network gives it.
    "rounded": raw with whole-numbered action units, as the REACT baselines' `evaluate.py --binarize`.
    """
    if how == "raw":
        return emotion.clone()
    if how == "rounded":
        out = emotion.clone()
        out[..., ACTION_UNITS] = out[..., ACTION_UNITS].round()
        return out
    out = emotion.maximum(LOW.to(emotion)).clamp_max(1.0)
    out[..., EXPRESSIONS] = out[..., EXPRESSIONS].clamp_min(1e-6)
    out[..., EXPRESSIONS] /= out[..., EXPRESSIONS].sum(-1, keepdim=True)
    return out
