"""Tokens of 8 frames: the VQ-VAE of Learning2Listen over windows of 32 frames (2204.08451, section 3.2).

The encoder is bidirectional inside a window, so a token depends on its whole window and on nothing beyond it. With
`token_axis="channel_slice"` a token is a slice of channels over the whole window, as in the released quantiser.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch

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
from dyadbench.nn.losses import sum_of_group_means
from dyadbench_l2l.config import TokenizerConfig
from dyadbench_l2l.network import WindowVQ

CHUNK = 1024  # windows per pass through the network, to limit memory


def noam(warmup: int) -> Callable[[int], float]:
    """Factor on the peak learning rate: linear for `warmup` steps, then as 1 / sqrt(step) (1706.03762, eq. 3)."""
    return lambda step: min((step + 1) / warmup, (warmup / (step + 1)) ** 0.5)


class WindowTokenizer(NetComponent[WindowVQ]):
    """api.Tokenizer and api.Trainable over any motion space; decodes motion only."""

    def __init__(self, config: TokenizerConfig, setup: Setup):
        self.config, self.setup = config, setup
        self.build_net(lambda: WindowVQ(config, setup.space.dim), setup)
        self.tokens = TokenSpec(config.codes, frames_per_token=config.patch, lookahead=config.block - config.patch)

    # --- use --------------------------------------------------------------------------------------------

    @torch.no_grad()
    def encode(self, motion: Array) -> Tokens:
        """(B, T, D) -> ids (B, N), where N counts the tokens of whole windows; the last frame repeats to fill the last one.

        Raises DyadbenchError where D is not the space's.
        """
        space, block = self.setup.space, self.config.block
        if motion.ndim != 3 or motion.shape[1] == 0 or motion.shape[2] != space.dim:
            raise DyadbenchError(f"{space.name} motion is (B, T, {space.dim}), got {motion.shape}; check the dataset")
        self.net.eval()
        frames = motion.shape[1]
        x = to_tensor(motion, self.device)
        spare = -frames % block
        x = torch.cat([x, x[:, -1:].expand(-1, spare, -1)], 1).unflatten(1, (-1, block)).flatten(0, 1)
        ids = torch.cat([self.net.encode(part)[1] for part in x.split(CHUNK)])
        return Tokens(ids.reshape(len(motion), -1).cpu().numpy(), frames=frames)

    @torch.no_grad()
    def decode(self, tokens: Tokens, frames: int) -> tuple[Array, None]:
        """ids (B, N) -> motion (B, frames, D) and no emotion; the last token repeats until its window is full.

        Raises ValueError for an id outside the book or too few tokens for the frames.
        """
        clips, length = tokens.ids.shape
        if length * self.config.patch < frames:
            raise ValueError(f"{frames} frames need {-(-frames // self.config.patch)} tokens, got {length}")
        self.net.eval()
        ids = to_tensor(tokens.ids, self.device)
        ids = torch.cat([ids, ids[:, -1:].expand(-1, -length % self.net.tokens)], 1).reshape(-1, self.net.tokens)
        whole = torch.cat([self.net.decode(part) for part in ids.split(CHUNK)])
        return whole.reshape(clips, -1, whole.shape[2])[:, :frames].float().cpu().numpy(), None

    # --- training ---------------------------------------------------------------------------------------

    def _loss(self, batch: WindowBatch) -> Loss:
        """Mean absolute error of standardised motion, with the same weight for each group of channels, plus the quantiser's."""
        quantised, _, aux = self.net.encode(batch.listener_motion, batch.valid[:, :: self.config.patch])
        target = (batch.listener_motion - self.net.mean) / self.net.scale
        error = (self.net.unfold(quantised) - target).abs()
        motion = sum_of_group_means(error, self.setup.space.groups.values(), batch.valid)
        return Loss({"all": motion + aux}, {"motion": motion.detach()})

    def _measure(self, data: TrainData) -> None:
        clips = [dyad.listener.motion.astype(np.float64) for dyad in data.dyads("train")]
        frames = np.concatenate(clips)
        # The release divides by the standard deviation, over clips, of each clip's standard deviation.
        released = self.config.scale == "released"
        spread = np.std([clip.std(0) for clip in clips], axis=0) if released else frames.std(0)
        self.net.mean.copy_(torch.from_numpy(frames.mean(0)))
        self.net.scale.copy_(torch.from_numpy(spread).clamp_min(1e-4))

    def stages(self, data: TrainData) -> Iterator[Stage]:
        config = self.config
        self._measure(data)
        adam = Optimiser(
            "all", list(self.net.parameters()), config.lr, (0.9, 0.98), config.weight_decay, noam(config.warmup)
        )
        yield Stage(
            "tokenizer", self.net, Windows(config.block, config.batch), self._loss, (adam,), config.steps,
            validate_every=config.validate_every, select="loss" if config.validate_every else None,
        )  # fmt: skip
        self.net.eval()
