"""One token per frame: transformer encoder, quantiser, motion decoder and emotion decoder over short blocks of frames.

Dense-FSQ, section III (FG 2024, code: github.com/ais-lab/FaceAIS_REACT24). "Single-frame" describes the rate of the
tokens: attention is bidirectional inside a block, so a token depends on its whole block and on nothing beyond it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dyadbench.api import (
    Array,
    DyadbenchError,
    Loss,
    Optimiser,
    Setup,
    Stage,
    Tokens,
    TokenSpec,
    TrainData,
    WindowBatch,
    Windows,
)  # fmt: skip
from dyadbench.nn.attention import Block
from dyadbench.nn.component import NetComponent, to_tensor
from dyadbench.nn.emotion import LOW
from dyadbench.nn.losses import groups_of, masked_mean, sum_of_group_means
from dyadbench.nn.quantize import FSQ, LFQ, VQ, quantise_where
from dyadbench.nn.schedules import ramp
from dyadbench_dense_fsq.config import TokenizerConfig

CHUNK = 512  # blocks per pass through the network, to limit memory


def _stack(config: TokenizerConfig) -> nn.ModuleList:
    blocks = (Block(config.dim, config.heads, dropout=config.dropout, bias=False) for _ in range(config.layers))
    return nn.ModuleList(blocks)


def _quantizer(config: TokenizerConfig) -> FSQ | VQ | LFQ:
    if config.quantizer == "fsq":
        return FSQ(config.levels, config.dim)
    if config.quantizer == "vq":
        return VQ(config.codes, config.dim, decay=config.decay, commitment=config.commitment, reset=config.reset)
    return LFQ(config.codes, config.dim, inv_temperature=config.inv_temperature)


class Encoder(nn.Module):
    """(N, block, D) -> (N, block, C)."""

    def __init__(self, config: TokenizerConfig, channels: int):
        super().__init__()
        self.inward = nn.Linear(channels, config.dim)
        self.places = nn.Parameter(torch.randn(config.block, config.dim) * 0.02)
        self.drop, self.blocks = nn.Dropout(config.dropout), _stack(config)
        self.norm = nn.LayerNorm(config.dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.drop(self.inward(x) + self.places)
        for block in self.blocks:
            x = block(x)
        out: Tensor = self.norm(x)
        return out


class Head(nn.Module):
    """One decoder after the shared stem: (N, block, C) -> (N, block, channels)."""

    def __init__(self, config: TokenizerConfig, channels: int):
        super().__init__()
        self.blocks, self.norm = _stack(config), nn.LayerNorm(config.dim, bias=False)
        self.out = nn.Linear(config.dim, channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        out: Tensor = self.out(self.norm(x))
        return out


class TokenizerNet(nn.Module):
    scale: Tensor

    def __init__(self, config: TokenizerConfig, channels: int, emotion: bool):
        super().__init__()
        self.register_buffer("scale", torch.ones(channels))  # of the coefficients, where they are standardised
        self.encoder, self.quantizer = Encoder(config, channels), _quantizer(config)
        self.stem = nn.Linear(config.dim, config.dim)
        self.places = nn.Parameter(torch.randn(config.block, config.dim) * 0.02)
        self.motion = Head(config, channels)
        self.emotion = Head(config, 25) if emotion else None

    def encode(self, motion: Tensor, valid: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """(N, block, D), frames that exist (N, block) -> quantised (N, block, C), ids (N, block), the quantiser's loss."""
        return quantise_where(self.quantizer, self.encoder(motion / self.scale), valid)

    def unfold(self, quantised: Tensor) -> Tensor:
        """The input of both decoders, (N, block, C)."""
        return self.stem(quantised) + self.places


class FrameTokenizer(NetComponent[TokenizerNet]):
    """api.Tokenizer and api.Trainable over any motion space; decodes emotion where the dataset has it."""

    def __init__(self, config: TokenizerConfig, setup: Setup):
        self.config, self.setup = config, setup
        self.build_net(lambda: TokenizerNet(config, setup.space.dim, setup.has_emotion), setup)
        self.groups = groups_of(setup.space)
        self.tokens = TokenSpec(self.net.quantizer.codes, frames_per_token=1, lookahead=config.block - 1)

    # --- use --------------------------------------------------------------------------------------------

    def _blocks(self, values: Tensor) -> Tensor:
        """(B, T, ...) -> (B * blocks, block, ...), zeros after the end."""
        size = self.config.block
        spare = -values.shape[1] % size
        if spare:
            values = torch.cat([values, values.new_zeros(len(values), spare, *values.shape[2:])], 1)
        return values.unflatten(1, (-1, size)).flatten(0, 1)

    @torch.no_grad()
    def encode(self, motion: Array) -> Tokens:
        """(B, T, D) -> ids (B, T), one per frame. Raises DyadbenchError where D is not the space's."""
        if motion.ndim != 3 or motion.shape[2] != self.setup.space.dim:
            raise DyadbenchError(
                f"{self.setup.space.name} motion is (B, T, {self.setup.space.dim}), got {motion.shape}; check the dataset"
            )
        self.net.eval()
        rows = self._blocks(to_tensor(motion, self.device))
        ids = torch.cat([self.net.encode(part)[1] for part in rows.split(CHUNK)])
        frames = motion.shape[1]
        return Tokens(ids.reshape(len(motion), -1)[:, :frames].cpu().numpy(), frames=frames)

    @torch.no_grad()
    def decode(self, tokens: Tokens, frames: int) -> tuple[Array, Array | None]:
        """ids (B, N) -> motion (B, frames, D) and emotion (B, frames, 25) or None.

        Raises ValueError for an id outside the codebook or fewer tokens than frames.
        """
        if tokens.ids.shape[1] < frames:
            raise ValueError(f"{frames} frames need at least {frames} tokens, got {tokens.ids.shape[1]}")
        self.net.eval()
        count = len(tokens.ids)
        rows = self._blocks(to_tensor(tokens.ids, self.device))
        motion, emotion = [], []
        for part in rows.split(CHUNK):
            start = self.net.unfold(self.net.quantizer.decode(part))
            motion.append(self.net.motion(start) * self.net.scale)
            if self.net.emotion is not None:
                raw = self.net.emotion(start)
                emotion.append(raw.clamp(max=1.0).maximum(LOW.to(start)) if self.config.clip_emotion else raw)

        def joined(parts: list[Tensor]) -> Array:
            whole = torch.cat(parts)
            return whole.reshape(count, -1, whole.shape[2])[:, :frames].float().cpu().numpy()

        return joined(motion), joined(emotion) if emotion else None

    # --- training ---------------------------------------------------------------------------------------

    def _loss(self, batch: WindowBatch) -> Loss:
        """Phase one: blendshape loss, quantiser loss, and by default the mean absolute error of emotion."""
        target, valid = self._blocks(batch.listener_motion), self._blocks(batch.valid)
        quantised, _, aux = self.net.encode(target, valid)
        start = self.net.unfold(quantised)
        error = self.net.motion(start) - target / self.net.scale
        error = error.square() if self.config.error == "squared" else error.abs()
        motion = sum_of_group_means(error, self.groups, valid)
        total, log = motion + aux, {"motion": motion.detach()}
        if self.net.emotion is not None and self.config.joint_emotion:
            emotion = self._emotion_error(start, batch, valid)
            total, log = total + self.config.emotion_weight * emotion, {**log, "emotion": emotion.detach()}
        return Loss({"all": total}, log)

    def _emotion_loss(self, batch: WindowBatch) -> Loss:
        """Phase two trains the emotion decoder alone; encoder and quantiser are frozen and without dropout."""
        for part in (self.net.encoder, self.net.quantizer):
            part.eval()
        with torch.no_grad():
            start = self.net.unfold(self.net.encode(self._blocks(batch.listener_motion))[0])
        return Loss({"emotion": self._emotion_error(start, batch, self._blocks(batch.valid))})

    def _emotion_error(self, start: Tensor, batch: WindowBatch, valid: Tensor) -> Tensor:
        if self.net.emotion is None or batch.listener_emotion is None:
            raise DyadbenchError("the dataset declares emotion, but a clip of this batch has none; check the dataset")
        return masked_mean((self.net.emotion(start) - self._blocks(batch.listener_emotion)).abs(), valid)

    def stages(self, data: TrainData) -> Iterator[Stage]:
        config = self.config
        if config.standardise:
            frames = np.concatenate([dyad.listener.motion for dyad in data.dyads("train")])
            self.net.scale.copy_(torch.from_numpy(frames.std(0) + 1e-3))
        windows = Windows(config.block * config.blocks, config.windows)

        def stage(name: str, loss: Any, steps: int, optimiser: str, learnt: nn.Module, select: str) -> Stage:
            schedule = ramp(config.warmup, steps=steps if config.cosine else None)
            adam = Optimiser(
                optimiser, list(learnt.parameters()), config.lr, (0.9, 0.95), config.weight_decay, schedule
            )
            return Stage(
                name, self.net, windows, loss, (adam,), steps, clip_norm=1.0, validate_every=config.validate_every,
                select=select if config.validate_every else None,
            )  # fmt: skip

        yield stage("tokenizer", self._loss, config.steps, "all", self.net, "loss")
        if self.net.emotion is not None and config.emotion_steps:
            yield stage("emotion", self._emotion_loss, config.emotion_steps, "emotion", self.net.emotion, "loss")
        self.net.eval()
