"""Turns the 25 unbounded numbers that a regression gives per frame into emotion."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from dyadbench.api import EMOTION_DIM, EMOTION_LOW

LOW = torch.tensor(EMOTION_LOW)  # (25,)
AUS, PROBABILITIES = slice(0, 15), slice(17, EMOTION_DIM)
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
        out[..., AUS] = out[..., AUS].round()
        return out
    out = emotion.maximum(LOW.to(emotion)).clamp_max(1.0)
    out[..., PROBABILITIES] = out[..., PROBABILITIES].clamp_min(1e-6)
    out[..., PROBABILITIES] /= out[..., PROBABILITIES].sum(-1, keepdim=True)
    return out
