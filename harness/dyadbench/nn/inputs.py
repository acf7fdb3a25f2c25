"""Common set-up of predictors: which audio feature they use, and the mean and spread of their inputs."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dyadbench.api import DyadbenchError, Setup, TrainData

CLIPS = 64  # training clips on which the inputs' mean and spread are measured


def audio_of(wish: str, setup: Setup, *, prefer: Sequence[str], who: str) -> str | None:
    """Resolves the setting `wish` on this dataset: a feature's name, "auto" (the first of `prefer`, else any) or "none".

    Returns None for no sound. Raises DyadbenchError, which names `who`, for a feature that the dataset does not have.
    """
    if wish == "none" or (wish == "auto" and not setup.audio):
        return None
    if wish == "auto":
        return next((name for name in prefer if name in setup.audio), next(iter(setup.audio)))
    if wish not in setup.audio:
        offered = ", ".join(setup.audio) or "no sound"
        raise DyadbenchError(f"{who}: there is no audio feature {wish!r}; this dataset has {offered}")
    return wish


def moments(parts: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (never 0) per channel of sequences (T, C): (C,) each."""
    rows = torch.cat(list(parts))
    return rows.mean(0), rows.std(0) + 1e-3


def input_moments(data: TrainData, audio: str | None) -> dict[str, tuple[Tensor, Tensor]]:
    """`moments` of the speaker's coefficients ("face") and, where there is one, of the sound ("sound")."""
    values: dict[str, list[Tensor]] = {"face": [], "sound": []}
    for _, dyad in zip(range(CLIPS), data.dyads("train", (audio,) if audio else ()), strict=False):
        values["face"].append(torch.from_numpy(dyad.speaker.motion))
        if audio:
            values["sound"].append(torch.from_numpy(dyad.speaker.audio[audio]))
    return {name: moments(parts) for name, parts in values.items() if parts}
