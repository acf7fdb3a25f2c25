"""Losses that several methods share."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from dyadbench.api import MotionSpace

# Channels of faceverse-58 in file order; the release's 13 groups.
FACEVERSE_GROUPS: dict[str, tuple[int, int]] = {
    "brow": (0, 5), "cheek": (5, 8), "blink": (8, 10), "look": (10, 18), "squint": (18, 20), "wide": (20, 22),
    "jaw": (22, 26), "mouth": (26, 43), "smile": (43, 45), "mouth-2": (45, 49), "nose-tongue": (49, 52),
    "rotation": (52, 55), "translation": (55, 58),
}  # fmt: skip


PIECE = 5  # channels; a group of FaceVerse has 4.5 on average


def groups_of(space: MotionSpace) -> list[tuple[int, int]]:
    """The groups of channels, as [start, stop), whose mean errors are summed: each group has the same weight in the loss.

    FaceVerse's coefficients have names, so its groups are those of Dense-FSQ's release (brow, cheek, ...). The channels of
    other spaces have no meaning of their own. Their groups are cut into pieces of at most 5 channels: the 50 expression
    channels of deca-56 then weigh 10 of 12 and not 1 of 3, beside 3 of rotation and 3 of the jaw.
    """
    if space.name == "faceverse-58":
        return list(FACEVERSE_GROUPS.values())
    return [(at, min(at + PIECE, stop)) for start, stop in space.groups.values() for at in range(start, stop, PIECE)]


def masked_mean(values: Tensor, valid: Tensor) -> Tensor:
    """Mean of (..., C) over the valid positions (...) and over C; 0 if no position is valid."""
    weight = valid[..., None].to(values.dtype)
    return (values * weight).sum() / (weight.sum() * values.shape[-1]).clamp_min(1)


def sum_of_group_means(error: Tensor, groups: Iterable[tuple[int, int]], valid: Tensor) -> Tensor:
    """Sum over groups of channels of the mean error, (), so that a small group counts as much as a large one.

    error: (..., D), an error of each channel; valid: (...) bool, frames that exist.
    """
    total = error.new_zeros(())
    for start, stop in groups:
        total = total + masked_mean(error[..., start:stop], valid)
    return total


def change_weights(ids: Tensor, more: float) -> Tensor:
    """Weights of tokens (B, n, ...): 1, and 1 + more where a token differs from the one before it.

    A token that repeats the one before says nothing of the speaker, and most do.
    """
    changed = torch.zeros_like(ids, dtype=torch.bool)
    changed[:, 1:] = ids[:, 1:] != ids[:, :-1]
    return 1 + more * changed
