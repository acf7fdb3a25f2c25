"""What predictors that see and hear a speaker set up alike: which sound they take, and how their inputs spread."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dyadbench.api import DyadbenchError, Setup, TrainData

CLIPS = 64  # training clips that the spread of the inputs is measured on


def audio_of(wish: str, setup: Setup, *, prefer: Sequence[str], who: str) -> str | None:
    """The feature that `wish` means on this data set: its name, "auto" (the first of `prefer`, else any) or "none".

    None for no sound. Raises DyadbenchError, in the name of `who`, for a feature that the data set does not have.
    """
    if wish == "none" or not setup.audio:
        return None
    if wish == "auto":
        return next((name for name in prefer if name in setup.audio), next(iter(setup.audio)))
    if wish not in setup.audio:
        raise DyadbenchError(f"{who}: there is no audio feature {wish!r}; this data set has {', '.join(setup.audio)}")
    return wish


def moments(parts: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Mean and spread (never 0) of the channels of sequences (T, C): two of (C,)."""
    rows = torch.cat(list(parts))
    return rows.mean(0), rows.std(0) + 1e-3


def input_moments(data: TrainData, audio: str | None) -> dict[str, tuple[Tensor, Tensor]]:
    """`moments` of the speaker's coefficients ("face") and, where there is one, of the sound ("sound")."""
    found: dict[str, list[Tensor]] = {"face": [], "sound": []}
    for _, dyad in zip(range(CLIPS), data.dyads("train", (audio,) if audio else ()), strict=False):
        found["face"].append(torch.from_numpy(dyad.speaker.motion))
        if audio:
            found["sound"].append(torch.from_numpy(dyad.speaker.audio[audio]))
    return {name: moments(parts) for name, parts in found.items() if parts}
