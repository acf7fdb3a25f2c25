"""Losses that two methods or more share."""

from __future__ import annotations

from torch import Tensor

from dyadbench.api import MotionSpace

# Channels of faceverse-58 in file order; the release's 13 groups.
FACEVERSE_GROUPS: dict[str, tuple[int, int]] = {
    "brow": (0, 5), "cheek": (5, 8), "blink": (8, 10), "look": (10, 18), "squint": (18, 20), "wide": (20, 22),
    "jaw": (22, 26), "mouth": (26, 43), "smile": (43, 45), "mouth-2": (45, 49), "nose-tongue": (49, 52),
    "rotation": (52, 55), "translation": (55, 58),
}  # fmt: skip


def groups_of(space: MotionSpace) -> list[tuple[int, int]]:
    """[start, stop) of the groups whose errors are averaged apart."""
    return list((FACEVERSE_GROUPS if space.name == "faceverse-58" else space.groups).values())


def masked_mean(values: Tensor, valid: Tensor) -> Tensor:
    """Mean of (..., C) over the positions where valid (...) and over C; 0 where there is none."""
    weight = valid[..., None].to(values.dtype)
    return (values * weight).sum() / (weight.sum() * values.shape[-1]).clamp_min(1)


def blendshape_loss(decoded: Tensor, motion: Tensor, groups: list[tuple[int, int]], valid: Tensor) -> Tensor:
    """Sum over groups of the mean absolute error: a small group counts as much as a large one.

    decoded, motion: (..., D); valid: (...) bool, frames that exist.
    """
    error = (decoded - motion).abs()
    total = error.new_zeros(())
    for start, stop in groups:
        total = total + masked_mean(error[..., start:stop], valid)
    return total
