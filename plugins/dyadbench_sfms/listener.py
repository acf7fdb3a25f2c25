"""The predictor's network (arXiv 2504.05748, section 3.4): what the next frames are, keyframes' codes or transitions.

The speaker's face attends to the speaker's voice through gated blocks (eq. 12). The listener's past is embedded, with
class 0 for a transition. Both, and one query per frame to come, go through a joint transformer (section IV-C2).

With `joint`, as in the paper, every position there attends to every other. Without it the speaker's positions attend
only to each other. They then do not depend on the listener, and one pass per clip serves all its samples.

B clips, K samples, R = B * K rows, P frames of past, n frames to come, D motion channels, F audio features, C channels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dyadbench.api import AudioSpec
from dyadbench.nn.attention import Attention, Block, GatedBlock, look_back
from dyadbench_sfms.config import PredictorConfig

# The speaker's keys and values in each block of the joint stack; with `joint`, the speaker before that stack (B, P, C).
Memory = list[tuple[Tensor, Tensor]] | Tensor


class KeyframeNet(nn.Module):
    face_mean: Tensor
    face_scale: Tensor
    sound_mean: Tensor
    sound_scale: Tensor
    neutral: Tensor
    opening: Tensor
    balance: Tensor

    def __init__(self, config: PredictorConfig, channels: int, audio: AudioSpec | None, codes: int):
        super().__init__()
        self.config, self.per_frame = config, audio.per_frame if audio else 1
        dim, width = config.dim, audio.dim if audio else 0
        for name, size in (("face", channels), ("sound", width)):
            self.register_buffer(f"{name}_mean", torch.zeros(size))
            self.register_buffer(f"{name}_scale", torch.ones(size))
        self.register_buffer("neutral", torch.zeros(channels))  # the listener's mean face
        self.register_buffer("opening", torch.zeros(config.past, dtype=torch.long))  # the classes of a neutral past
        self.register_buffer("balance", torch.zeros(()))  # log of the keyframes' weight in the loss
        self.face_in = nn.Linear(channels, dim)
        self.sound_in = nn.Conv1d(width, dim, config.taps, padding="same") if audio else None
        self.token_in = nn.Embedding(codes + 1, dim)
        self.of_speaker, self.of_listener = (nn.Parameter(torch.randn(dim) * 0.02) for _ in range(2))
        self.queries = nn.Parameter(torch.randn(config.patch, dim) * 0.02)
        more: dict[str, int | float] = {"hidden": config.hidden, "dropout": config.dropout}
        layers = range(config.layers)
        self.fuse = nn.ModuleList(
            GatedBlock(dim, config.heads, rotary=True, cross_rotary=True, gain=config.gate_gain, **more)  # type: ignore[arg-type]
            for _ in layers
        )
        self.listen, self.joint = (
            nn.ModuleList(Block(dim, config.heads, rotary=True, **more) for _ in layers)  # type: ignore[arg-type]
            for _ in range(2)
        )
        lags = [min(3.0 * (2**head - 1), config.past / 2) for head in range(config.heads)]
        for part in self.modules():  # head h first looks 3 (2^h - 1) frames back: 0, 3, 9, 21, ...
            if isinstance(part, Attention):
                look_back(part, lags)
        self.norm, self.head = nn.LayerNorm(dim), nn.Linear(dim, codes + 1)

    def speaker(self, face: Tensor, sound: Tensor | None) -> Tensor:
        """face (B, P, D), sound (B, P * per_frame, F) -> (B, P, C). Max-pooling joins the audio rows of a frame."""
        x = self.face_in((face - self.face_mean) / self.face_scale)
        if self.sound_in is not None and sound is not None:
            voice = self.sound_in(((sound - self.sound_mean) / self.sound_scale).transpose(1, 2))
            voice = F.max_pool1d(voice, self.per_frame).transpose(1, 2)
        else:
            voice = torch.zeros_like(x)  # no sound: the gated blocks attend to zeros
        for block in self.fuse:
            x = block(x, voice)
        return x + self.of_speaker

    def memory(self, x: Tensor) -> Memory:
        """(B, P, C) -> what the joint stack reads of the speaker, once for all samples of a clip."""
        if self.config.joint:
            return x
        memory_of_blocks = []
        for block in self.joint:
            memory_of_blocks.append(block.attention.keys(block.norm1(x), self.config.ahead))  # type: ignore[operator, union-attr]
            x = block(x)
        return memory_of_blocks

    def forward(self, past: Tensor, speaker: Memory) -> Tensor:
        """past (R, P) classes; speaker: from `memory`, of R or R / K rows -> logits (R, n, 1 + codes)."""
        x = self.token_in(past)
        for block in self.listen:
            x = block(x)
        x = torch.cat([x + self.of_listener, self.queries.expand(len(x), -1, -1)], 1)
        heard = speaker.repeat_interleave(len(x) // len(speaker), 0) if isinstance(speaker, Tensor) else None
        patch, ahead, offset = self.config.patch, self.config.ahead, 0
        for i, block in enumerate(self.joint):
            last = i + 1 == len(self.joint)
            attention: Attention = block.attention  # type: ignore[assignment]
            normed = block.norm1(x)  # type: ignore[operator]
            if heard is None:
                of_speaker = tuple(each.repeat_interleave(len(x) // len(each), 0) for each in speaker[i])
            else:
                normed_heard = block.norm1(heard)  # type: ignore[operator]
                of_speaker = attention.keys(normed_heard, ahead)
            both = [torch.cat(pair, 2) for pair in zip(of_speaker, attention.keys(normed), strict=True)]
            memory = (both[0], both[1])
            if heard is not None and not last:  # nothing reads the speaker's positions of the last block
                heard = heard + attention(normed_heard, memory, offset=ahead)
                heard = heard + block.mlp(block.norm2(heard))  # type: ignore[operator]
            if last:  # only the frames to come are read from the last block
                x, normed, offset = x[:, -patch:], normed[:, -patch:], self.config.past
            x = x + attention(normed, memory, offset=offset)
            x = x + block.mlp(block.norm2(x))  # type: ignore[operator]
        out: Tensor = self.head(self.norm(x))
        return out

    def calibrated(self, logits: Tensor) -> Tensor:
        """Removes the loss's weight of keyframes from the logits.

        Cross entropy with weight w on keyframes learns odds that are w times the true ones, so log w is subtracted.
        """
        return torch.cat([logits[..., :1], logits[..., 1:] - self.balance], -1)
