"""How a clip is cut into blocks that are denoised one after another, and which speaker frames each block sees."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from dyadbench_difflistener.config import PredictorConfig


@dataclass(frozen=True)
class Block:
    """Tokens [start, stop). Those before `first` are the prefix, already generated; `start` may lie before the clip."""

    start: int
    first: int
    stop: int


def plan(config: PredictorConfig, tokens: int) -> list[Block]:
    """The blocks that cover `tokens` tokens.

    If a block sees the speaker's whole block (`ahead` None), the first block is a full window and later ones continue it;
    a clip of one window is one block, as in the paper. Otherwise every block adds `window - overlap` new tokens, so that
    the plan does not depend on the clip's length.
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
    """values[:, start:stop] of (B, n, ...), with zeros outside the range."""
    inside = values[:, max(0, start) : max(0, stop)]
    before, after = max(0, min(0, stop) - start), max(0, stop - max(start, values.shape[1]))
    return F.pad(inside, (0, 0) * (values.dim() - 2) + (before, after))


def visible_frames(config: PredictorConfig, block: Block, patch: int, lengths: Tensor) -> Tensor:
    """(B, frames of the block): speaker frames inside the clip that the block may see."""
    frame = torch.arange(block.start * patch, block.stop * patch, device=lengths.device)
    visible = (frame >= 0) & (frame < lengths[:, None])
    return visible if config.ahead is None else visible & (frame < block.first * patch + config.ahead)


@dataclass(frozen=True)
class Layout:
    """The tokens of a training row that exist and that form its prefix, (B, W), and the speaker frames it sees."""

    exists: Tensor
    prefix: Tensor
    visible: Tensor  # (B, W * patch)


def training_layout(config: PredictorConfig, rows: int, patch: int, *, training: bool) -> Layout:
    """Random training rows like those of sampling: starts of clips and continuations. Drawn on the CPU for all devices."""
    window, overlap = config.window, config.overlap
    place, chance = torch.arange(window), torch.rand(rows, 1) if training else torch.ones(rows, 1)
    if config.ahead is None:
        prefix = (place < overlap) & (chance < config.prefix)
        exists = torch.ones(rows, window, dtype=torch.bool)
        return Layout(exists, prefix, exists.repeat_interleave(patch, 1))
    missing = torch.where(chance < config.cold, 1 + torch.randint(max(overlap, 1), (rows, 1)), 0).clamp_max(overlap)
    exists = place >= missing
    visible = torch.arange(window * patch) < overlap * patch + config.ahead
    return Layout(exists, (place < overlap).expand(rows, -1), visible & exists.repeat_interleave(patch, 1))
