"""Common set-up of predictors: which audio feature they use, and the mean and spread of their inputs."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dyadbench.api import AUDIO_FEATURES, OWN_VOICE, VIDEO_FEATURES, DyadbenchError, Setup, TrainData

CLIPS = 64  # training clips on which the inputs' mean and spread are measured


def audio_of(wish: str, setup: Setup, *, prefer: Sequence[str], who: str, besides: str | None = None) -> str | None:
    """Resolves the setting `wish` on this dataset: a feature's name, "none", or "auto" (features that the
    user has computed, else the first of `prefer`, else the first).

    Returns None for no sound. "auto" never takes features of the video or of the listener's own voice, nor `besides`, which the predictor uses already.
    Raises DyadbenchError, which names `who`, for a feature that the dataset does not have.
    """
    sounds = [n for n in setup.audio if n not in (VIDEO_FEATURES, besides) and not n.startswith(OWN_VOICE)]
    if wish == "none" or not setup.audio:
        return None
    if wish == "auto":
        return next((name for name in (AUDIO_FEATURES, *prefer, *sounds) if name in sounds), None)
    if wish not in setup.audio:
        raise DyadbenchError(f"{who}: there is no audio feature {wish!r}; this dataset has {', '.join(setup.audio)}")
    return wish


def video_of(wish: str, setup: Setup, *, who: str) -> str | None:
    """Resolves the setting `wish` on this dataset: the name of a feature of the video's frames, or "none".

    Raises DyadbenchError, which names `who`, for a feature that the dataset does not have.
    """
    if wish == "none":
        return None
    if wish not in setup.audio:
        raise DyadbenchError(
            f"{who}: there is no feature {wish!r}; this dataset has {', '.join(setup.audio) or 'none'}"
        )
    return wish


def beside(motion: Tensor, emotion: Tensor | None) -> Tensor:
    """Motion (B, T, D) with the emotion beside it, (B, T, D + 25), where there is one."""
    return motion if emotion is None else torch.cat([motion, emotion], -1)


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
