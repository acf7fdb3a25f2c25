"""Tokens of 8 frames: the convolutional VQ-VAE of LM-Listener (2308.10897), which is T2M-GPT's (2301.06052).

Encoder and decoder run over a whole clip; in the paper preset a token depends on about a hundred frames around its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
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
from dyadbench.nn.component import NetComponent, to_tensor
from dyadbench.nn.losses import masked_mean, sum_of_group_means
from dyadbench.nn.quantize import VQ, perplexity, quantise_where, usage
from dyadbench_difflistener.config import TokenizerConfig

# Dilations of the residual blocks are powers of 3: they fall in the encoder (9, 3, 1) and rise in the decoder (1, 3, 9).
GROWTH = 3


class Conv(nn.Conv1d):
    """A convolution that keeps the length; a causal one looks back only."""

    def __init__(self, inward: int, outward: int, size: int = 3, *, dilation: int = 1, causal: bool = False):
        super().__init__(inward, outward, size, dilation=dilation)
        reach = (size - 1) * dilation
        self.reach = (reach, 0) if causal else (reach // 2, reach - reach // 2)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(F.pad(x, self.reach))


class Residual(nn.Module):
    def __init__(self, dim: int, dilation: int, causal: bool):
        super().__init__()
        self.wide, self.point = Conv(dim, dim, dilation=dilation, causal=causal), nn.Conv1d(dim, dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.point(F.relu(self.wide(F.relu(x))))
        return out


class ConvVQ(nn.Module):
    """(B, n, D) <-> (B, n / patch) ids, for n a multiple of patch. Motion is standardised inside."""

    mean: Tensor
    scale: Tensor

    def __init__(self, config: TokenizerConfig, channels: int):
        super().__init__()
        dim, causal = config.dim, config.causal
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("scale", torch.ones(channels))
        dilations = [GROWTH**i for i in reversed(range(config.depth))]
        encoder: list[nn.Module] = [Conv(channels, dim), nn.ReLU()]
        decoder: list[nn.Module] = [Conv(dim, dim, causal=causal), nn.ReLU()]
        for _ in range(config.patch.bit_length() - 1):
            encoder += [nn.Conv1d(dim, dim, 4, stride=2, padding=1), *(Residual(dim, d, False) for d in dilations)]
            decoder += [Residual(dim, d, causal) for d in reversed(dilations)]
            decoder += [nn.Upsample(scale_factor=2, mode="nearest"), Conv(dim, dim, causal=causal)]
        self.encoder = nn.Sequential(*encoder, Conv(dim, dim))
        self.decoder = nn.Sequential(
            *decoder, Conv(dim, dim, causal=causal), nn.ReLU(), Conv(dim, channels, causal=causal)
        )
        self.quantizer = VQ(
            config.codes, dim, decay=config.decay, commitment=config.commitment, reset=config.reset
        )  # fmt: skip

    def encode(self, motion: Tensor, valid: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """(B, n, D), tokens that exist (B, n / patch) -> quantised (B, n / patch, C), ids (B, n / patch), commitment loss."""
        z = self.encoder(((motion - self.mean) / self.scale).transpose(1, 2)).transpose(1, 2)
        return quantise_where(self.quantizer, z, valid)

    def unfold(self, quantised: Tensor) -> Tensor:
        """(B, N, C) -> standardised motion (B, N * patch, D)."""
        out: Tensor = self.decoder(quantised.transpose(1, 2)).transpose(1, 2)
        return out

    def decode(self, ids: Tensor) -> Tensor:
        """ids (B, N) -> motion (B, N * patch, D). Raises ValueError for an id outside the book."""
        return self.unfold(self.quantizer.decode(ids)) * self.scale + self.mean


@torch.enable_grad()
def reach_ahead(config: TokenizerConfig) -> tuple[int, int]:
    """Look-ahead of the encoder and of the decoder in frames, measured by the gradients of a network of ones.

    Encoder: frames after a token's own that its code depends on. Decoder: frames from a decoded frame to the start of the
    last token that it depends on.
    """
    with torch.random.fork_rng(devices=[]):
        net = ConvVQ(config.model_copy(update={"dim": 1, "codes": 1}), 1).double()
    for name, value in net.named_parameters():
        nn.init.constant_(
            value, 1.0 if name.endswith("weight") else 0.0
        )  # so no two paths cancel and every ReLU is open
    patch, middle = config.patch, 32 * GROWTH**config.depth
    frames = torch.ones(1, 1, 2 * middle * patch, dtype=torch.float64, requires_grad=True)
    tokens = torch.ones(1, 1, 2 * middle, dtype=torch.float64, requires_grad=True)
    (used,) = torch.autograd.grad(net.encoder(frames)[0, 0, middle], frames)
    encoding = int(used[0, 0].nonzero().max()) - (middle + 1) * patch + 1
    decoded, ahead = net.decoder(tokens)[0, 0], 0
    for phase in range(patch):
        (used,) = torch.autograd.grad(decoded[middle * patch + phase], tokens, retain_graph=True)
        ahead = max(ahead, (int(used[0, 0].nonzero().max()) - middle) * patch - phase)
    return max(0, encoding), ahead


def ramp(warmup: int, steps: int, drop_at: float = 1.0) -> Callable[[int], float]:
    """Factor on the learning rate: linear for `warmup` steps, a twentieth after the share `drop_at` of the steps."""
    return lambda step: min(1.0, (step + 1) / warmup) * (0.05 if step >= drop_at * steps else 1.0)


class ConvTokenizer(NetComponent[ConvVQ]):
    """api.Tokenizer and api.Trainable over any motion space; decodes motion only.

    `decode_ahead`: frames from a decoded one to the start of the last token that it depends on; 0 where it is causal.
    """

    def __init__(self, config: TokenizerConfig, setup: Setup):
        self.config, self.setup = config, setup
        self.build_net(lambda: ConvVQ(config, setup.space.dim), setup)
        ahead, self.decode_ahead = reach_ahead(config)
        self.tokens = TokenSpec(config.codes, frames_per_token=config.patch, lookahead=ahead)

    # --- use --------------------------------------------------------------------------------------------

    @torch.no_grad()
    def encode(self, motion: Array) -> Tokens:
        """(B, T, D) -> ids (B, N). The last frame repeats until the last token is full.

        Raises DyadbenchError where D is not the space's.
        """
        space = self.setup.space
        if motion.ndim != 3 or motion.shape[1] == 0 or motion.shape[2] != space.dim:
            raise DyadbenchError(f"{space.name} motion is (B, T, {space.dim}), got {motion.shape}; check the dataset")
        self.net.eval()
        frames = motion.shape[1]
        x = to_tensor(motion, self.device)
        x = torch.cat([x, x[:, -1:].expand(-1, -frames % self.config.patch, -1)], 1)
        return Tokens(self.net.encode(x)[1].cpu().numpy(), frames=frames)

    @torch.no_grad()
    def decode(self, tokens: Tokens, frames: int) -> tuple[Array, None]:
        """ids (B, N) -> motion (B, frames, D) and no emotion.

        Raises ValueError for an id outside the book or too few tokens for the frames.
        """
        known = tokens.ids.shape[1]
        if known * self.config.patch < frames:
            raise ValueError(f"{frames} frames need {-(-frames // self.config.patch)} tokens, got {known}")
        self.net.eval()
        ids = to_tensor(tokens.ids, self.device)
        return self.net.decode(ids)[:, :frames].float().cpu().numpy(), None

    # --- training ---------------------------------------------------------------------------------------

    def _parts(self, batch: WindowBatch) -> tuple[dict[str, Tensor], Tensor]:
        """The terms of the loss by name, and the ids of what exists, (n,)."""
        exists = batch.valid[:, :: self.config.patch]
        quantised, ids, commitment = self.net.encode(batch.listener_motion, exists)
        made, target = self.net.unfold(quantised), (batch.listener_motion - self.net.mean) / self.net.scale
        error = F.smooth_l1_loss(made, target, reduction="none")
        motion = sum_of_group_means(error, self.setup.space.groups.values(), batch.valid)
        parts = {"motion": motion, "commitment": commitment}
        if self.config.velocity:
            both = batch.valid[:, 1:] & batch.valid[:, :-1]
            speed = F.smooth_l1_loss(made.diff(dim=1), target.diff(dim=1), reduction="none")
            parts["velocity"] = self.config.velocity * masked_mean(speed, both)
        return parts, ids[exists]

    def _loss(self, batch: WindowBatch) -> Loss:
        parts, ids = self._parts(batch)
        log = {name: value.detach() for name, value in parts.items()}
        return Loss({"all": torch.stack(list(parts.values())).sum()}, {**log, **self._use(ids)})

    def _validate(self, batch: WindowBatch) -> Mapping[str, Any]:
        parts, ids = self._parts(batch)
        return {"loss": torch.stack(list(parts.values())).sum(), **parts, **self._use(ids)}

    def _use(self, ids: Tensor) -> dict[str, float]:
        """Of the book, in one batch: the share of codes that occur, and the perplexity."""
        return {"used": usage(ids, self.config.codes), "perplexity": perplexity(ids, self.config.codes)}

    def stages(self, data: TrainData) -> Iterator[Stage]:
        config = self.config
        frames = np.concatenate([dyad.listener.motion.astype(np.float64) for dyad in data.dyads("train")])
        self.net.mean.copy_(torch.from_numpy(frames.mean(0)))
        self.net.scale.copy_(torch.from_numpy(frames.std(0)).clamp_min(1e-4))
        schedule = ramp(config.warmup, config.steps, config.drop_at)
        adam = Optimiser("all", list(self.net.parameters()), config.lr, (0.9, 0.99), config.weight_decay, schedule)
        yield Stage(
            "tokenizer", self.net, Windows(config.window, config.batch), self._loss, (adam,), config.steps,
            validate=self._validate, validate_every=config.validate_every, select="loss" if config.validate_every else None,
        )  # fmt: skip
        self.net.eval()
