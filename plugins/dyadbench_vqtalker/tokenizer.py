"""A grid of codes per frame: encoder, quantiser, motion decoder and emotion decoder (VQTalker, arXiv 2412.09892).

The paper quantises the motion of an image codec frame by frame. Here the motion is that of a 3D morphable model, whose
channels include head pose, gaze and blinks. `block` frames may be encoded and decoded together. The ids of the first r
layers can be decoded without the others.

B clips, T frames, D motion channels, G groups, R residual layers.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

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
from dyadbench.nn.component import NetComponent, to_tensor
from dyadbench.nn.emotion import LOW
from dyadbench.nn.losses import groups_of, masked_mean, sum_of_group_means
from dyadbench.nn.schedules import ramp
from dyadbench_vqtalker.config import GridConfig
from dyadbench_vqtalker.network import GridNet

CHUNK = 16_384  # frames per pass through the network, to limit memory


class GridTokenizer(NetComponent[GridNet]):
    """api.Tokenizer and api.Trainable over any motion space; decodes emotion where the dataset has it."""

    def __init__(self, config: GridConfig, setup: Setup):
        self.config, self.setup = config, setup
        self.build_net(lambda: GridNet(config, setup.space.dim, setup.has_emotion), setup)
        self.groups = groups_of(setup.space)
        self.tokens = TokenSpec(
            self.net.quantizer.codes, frames_per_token=1, groups=config.groups, residual=config.residual,
            lookahead=config.block - 1,
        )  # fmt: skip

    # --- use --------------------------------------------------------------------------------------------

    def _blocks(self, values: Tensor) -> Tensor:
        """(B, T, ...) -> (B * blocks, block, ...), zeros after the end."""
        size = self.config.block
        spare = -values.shape[1] % size
        if spare:
            values = torch.cat([values, values.new_zeros(len(values), spare, *values.shape[2:])], 1)
        return values.unflatten(1, (-1, size)).flatten(0, 1)

    def _frames(self, parts: list[Tensor], rows: int, frames: int) -> Tensor:
        """Parts of (B * blocks, block, ...) -> (B, frames, ...)."""
        whole = torch.cat(parts)
        return whole.reshape(rows, -1, *whole.shape[2:])[:, :frames]

    def _split(self, values: Tensor) -> tuple[Tensor, ...]:
        return self._blocks(values).split(max(1, CHUNK // self.config.block))

    @torch.no_grad()
    def ids_of(self, motion: Tensor) -> Tensor:
        """(B, T, D) -> (B, T, G, R)."""
        self.net.eval()
        return self._frames([self.net.encode(part)[1] for part in self._split(motion)], *motion.shape[:2])

    @torch.no_grad()
    def encode(self, motion: Array) -> Tokens:
        """(B, T, D) -> ids (B, T, G, R), or (B, T) with one codebook. Raises DyadbenchError where D is not the space's."""
        if motion.ndim != 3 or motion.shape[2] != self.setup.space.dim:
            raise DyadbenchError(
                f"{self.setup.space.name} motion is (B, T, {self.setup.space.dim}), got {motion.shape}; check the dataset"
            )
        ids = self.ids_of(to_tensor(motion, self.device)).cpu().numpy()
        lone = self.tokens.groups * self.tokens.residual == 1
        return Tokens(ids[..., 0, 0] if lone else ids, frames=motion.shape[1])

    def dequantise(self, ids: Tensor, count: Tensor | None = None) -> Tensor:
        """ids (B, T, G, r) -> the sum of the layers, (B, T, latent); with `count`, of the first count[b] layers in row b."""
        return self.net.quantizer.dequantise(ids, count)

    @torch.no_grad()
    def decode(self, tokens: Tokens, frames: int) -> tuple[Array, Array | None]:
        """ids (B, N, G, r), r up to R -> motion (B, frames, D) and emotion (B, frames, 25) or None.

        Raises ValueError for an id outside the codebook, a grid of another shape, or fewer tokens than frames.
        """
        ids = to_tensor(tokens.ids, self.device)
        ids = ids[..., None, None] if ids.dim() == 2 else ids
        if ids.dim() != 4 or ids.shape[1] < frames:
            raise ValueError(
                f"{frames} frames need at least {frames} tokens in a grid (B, N, G, R), got {tokens.ids.shape}"
            )
        self.net.eval()
        motion, emotion = [], []
        for part in self._split(ids[:, :frames]):
            rows = self.dequantise(part)
            motion.append(self.net.decode(rows))
            if self.net.emotion is not None:
                emotion.append(self.net.emotion(rows).clamp(max=1.0).maximum(LOW.to(rows)))

        def joined(parts: list[Tensor]) -> Array:
            return self._frames(parts, len(ids), frames).float().cpu().numpy()

        return joined(motion), joined(emotion) if emotion else None

    # --- training ---------------------------------------------------------------------------------------

    def _loss(self, batch: WindowBatch) -> Loss:
        """Blendshape loss, the quantiser's loss, and the mean absolute error of emotion."""
        target, valid = self._blocks(batch.listener_motion), self._blocks(batch.valid)
        quantised, _, aux = self.net.encode(target, valid)
        motion = sum_of_group_means((self.net.decode(quantised) - target).abs(), self.groups, valid)
        total, log = motion + aux, {"motion": motion.detach()}
        if self.net.emotion is not None:
            if batch.listener_emotion is None:
                raise DyadbenchError(
                    "the dataset declares emotion, but a clip of this batch has none; check the dataset"
                )
            felt = self._blocks(batch.listener_emotion)
            emotion = masked_mean((self.net.emotion(quantised) - felt).abs(), valid)
            total, log = total + self.config.emotion_weight * emotion, {**log, "emotion": emotion.detach()}
        return Loss({"all": total}, log)

    def stages(self, data: TrainData) -> Iterator[Stage]:
        config = self.config
        frames = np.concatenate([dyad.listener.motion for dyad in data.dyads("train")])
        self.net.mean.copy_(torch.from_numpy(frames.mean(0)))
        self.net.scale.copy_(torch.from_numpy(frames.std(0) + 1e-3))
        adam = Optimiser(
            "all", list(self.net.parameters()), config.lr, (0.9, 0.95), config.weight_decay,
            ramp(config.warmup, steps=config.steps),
        )  # fmt: skip
        yield Stage(
            "tokenizer", self.net, Windows(config.frames, config.batch), self._loss, (adam,), config.steps, clip_norm=1.0,
            validate_every=config.validate_every, select="loss" if config.validate_every else None,
        )  # fmt: skip
        self.net.eval()
