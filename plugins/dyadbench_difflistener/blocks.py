"""How a clip is cut into blocks that are denoised one after another, and what each may know of the speaker."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from dyadbench_difflistener.config import PredictorConfig


@dataclass(frozen=True)
class Block:
    """Tokens [start, stop), of which those before `first` are held; start may be before the clip."""

    start: int
    first: int
    stop: int


def plan(config: PredictorConfig, tokens: int) -> list[Block]:
    """The blocks that cover `tokens` tokens.

    With the whole block heard, the first is a window and later ones continue it; a clip of one window is one block,
    as in the paper. Otherwise all blocks bring `window - overlap` new tokens, whatever the clip's length.
    """
    window, overlap = config.window, config.overlap
    stride = window - overlap
    if config.ahead is not None:
        return [Block(first - overlap, first, first + stride) for first in range(0, tokens, stride)]
    blocks = [Block(0, 0, min(window, tokens))]
    while blocks[-1].stop < tokens:
        first = blocks[-1].stop
        blocks.append(Block(first - overlap, first, min(first + stride, tokens)))
    return blocks


def cut(values: Tensor, start: int, stop: int) -> Tensor:
    """values[:, start:stop] of (B, n, ...), with zeros where that is outside."""
    inside = values[:, max(0, start) : max(0, stop)]
    before, after = max(0, min(0, stop) - start), max(0, stop - max(start, values.shape[1]))
    return F.pad(inside, (0, 0) * (values.dim() - 2) + (before, after))


def heard_frames(config: PredictorConfig, block: Block, patch: int, lengths: Tensor) -> Tensor:
    """(B, frames of the block): speaker frames that are in the clip and not further ahead than may be."""
    frame = torch.arange(block.start * patch, block.stop * patch, device=lengths.device)
    heard = (frame >= 0) & (frame < lengths[:, None])
    return heard if config.ahead is None else heard & (frame < block.first * patch + config.ahead)


@dataclass(frozen=True)
class Layout:
    """What a row of training has, by token (B, W): history that is there, tokens that are held, frames heard."""

    there: Tensor
    held: Tensor
    heard: Tensor  # (B, W * patch)


def training_layout(config: PredictorConfig, rows: int, patch: int, *, training: bool) -> Layout:
    """Rows as sampling will meet them: starts and continuations. Drawn on the CPU, so that devices agree."""
    window, overlap = config.window, config.overlap
    place, chance = torch.arange(window), torch.rand(rows, 1) if training else torch.ones(rows, 1)
    if config.ahead is None:
        held = (place < overlap) & (chance < config.prefix)
        there = torch.ones(rows, window, dtype=torch.bool)
        return Layout(there, held, there.repeat_interleave(patch, 1))
    missing = torch.where(chance < config.cold, 1 + torch.randint(max(overlap, 1), (rows, 1)), 0).clamp_max(overlap)
    there = place >= missing
    heard = torch.arange(window * patch) < overlap * patch + config.ahead
    return Layout(there, (place < overlap).expand(rows, -1), heard & there.repeat_interleave(patch, 1))
