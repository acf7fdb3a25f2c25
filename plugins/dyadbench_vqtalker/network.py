"""The networks: frames to a grid of codes and back, and the trunk that predicts one residual layer of the grid.

B rows, T frames, D motion channels, G groups, R residual layers, V codes per codebook.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from dyadbench.api import AudioSpec
from dyadbench.nn.attention import Block, KVCache
from dyadbench.nn.grfsq import GRFSQ, GRVQ, Grid
from dyadbench.nn.quantize import quantise_where
from dyadbench.nn.regression import SpeakerRegression
from dyadbench_vqtalker.config import GridConfig, PredictorConfig
from dyadbench_vqtalker.speech import SpeechTokens


def quantizer(config: GridConfig) -> Grid:
    """The grid that `config` describes."""
    if config.quantizer == "fsq":
        return GRFSQ(
            config.latent, config.groups, config.residual, config.levels, literal=config.literal, dropout=config.drop
        )
    return GRVQ(
        config.latent, config.groups, config.residual, config.codes, decay=config.decay, commitment=config.commitment,
        reset=config.reset, dropout=config.drop,
    )  # fmt: skip


class Stack(nn.Module):
    """Linear, transformer blocks, norm, linear: (N, T, inward) -> (N, T, outward)."""

    def __init__(self, inward: int, outward: int, dim: int, heads: int, layers: int, dropout: float):
        super().__init__()
        self.inward, self.outward, self.norm = nn.Linear(inward, dim), nn.Linear(dim, outward), nn.LayerNorm(dim)
        self.blocks = nn.ModuleList(Block(dim, heads, dropout=dropout, rotary=True) for _ in range(layers))

    def forward(self, x: Tensor) -> Tensor:
        x = self.inward(x)
        for block in self.blocks:
            x = block(x)
        out: Tensor = self.outward(self.norm(x))
        return out


class GridNet(nn.Module):
    """(N, block, D) <-> grid of codes; the motion decoder and the emotion decoder start from the same quantised rows."""

    mean: Tensor
    scale: Tensor

    def __init__(self, config: GridConfig, channels: int, emotion: bool):
        super().__init__()
        sizes = (config.dim, config.heads, config.layers, config.dropout)
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("scale", torch.ones(channels))
        self.encoder, self.quantizer = Stack(channels, config.latent, *sizes), quantizer(config)
        self.motion = Stack(config.latent, channels, *sizes)
        self.emotion = Stack(config.latent, 25, *sizes) if emotion else None

    def encode(self, motion: Tensor, valid: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """(N, block, D), frames that exist -> quantised (N, block, latent), ids (N, block, G, R), the quantiser's loss."""
        return quantise_where(self.quantizer, self.encoder((motion - self.mean) / self.scale), valid)

    def decode(self, quantised: Tensor) -> Tensor:
        """(N, block, latent) -> motion (N, block, D)."""
        return self.motion(quantised) * self.scale + self.mean


@runtime_checkable
class GridOfCodes(Protocol):
    """A tokenizer whose residual layers can be summed one by one, such as nn.grfsq's."""

    def ids_of(self, motion: Tensor) -> Tensor: ...

    def dequantise(self, ids: Tensor, count: Tensor | None = None) -> Tensor: ...


def chunk_mask(frames: int, chunk: int, device: torch.device) -> Tensor:
    """(frames, frames): True where a frame (row) may attend to another (column): its own chunk and all earlier ones."""
    place = torch.arange(frames, device=device) // chunk
    return place[:, None] >= place


class ListenerLatent(nn.Module):
    """What kind of listener reacts: L numbers z, from N(0, I) in sampling and from the listener in training (1312.6114).

    Codes of groups, layers and frames are independent given the speaker. A z that all of them hear lets them agree.
    """

    def __init__(self, frame: int, dim: int, size: int):
        """frame: channels of a dequantised frame; dim: of the trunk; size: L."""
        super().__init__()
        self.size = size
        self.seen = nn.Sequential(nn.Linear(frame, dim), nn.GELU(), nn.Linear(dim, dim))
        self.posterior = nn.Linear(2 * dim, 2 * size)
        self.heard = nn.Linear(size, dim)

    def encode(self, listener: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """listener (B, T, frame), valid (B, T) -> mean and log-variance of q(z | listener), (B, L) each.

        The mean and the spread over time of what a small network sees in each frame, so that a clip's length is no clue.
        """
        seen, weight = self.seen(listener), valid[..., None] / valid.sum(1).clamp_min(1)[:, None, None]  # (B, T, dim)
        mean = (seen * weight).sum(1)  # (B, dim)
        spread = ((seen - mean[:, None]).square() * weight).sum(1).add(1e-6).sqrt()
        centre, log_variance = self.posterior(torch.cat([mean, spread], 1)).chunk(2, 1)
        return centre, log_variance.clamp(-8, 4)  # so that no sample runs away early in training


def divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mean, variance) || N(0, I)) in nats, summed over the last axis (1312.6114, appendix B)."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(-1)


class CoarseToFineNet(nn.Module):
    """One pass: the speaker and the sum of the coarser layers -> logits of the next residual layer.

    All layers share the trunk and are told apart by an indicator that is added to the input. Each group has a head of its
    own, which all layers share, too. With chunks, the speaker is delayed by chunk - 1 - `ahead` frames: a mask over chunks
    then suffices to hide every frame later than `ahead` after a chunk's first one.
    """

    face_mean: Tensor
    face_scale: Tensor
    sound_mean: Tensor
    sound_scale: Tensor

    def __init__(
        self,
        config: PredictorConfig,
        channels: int,
        sound: AudioSpec | None,
        grid: tuple[int, int, int, int],
        speech_codes: int = 0,
    ):
        """grid: groups, residual layers, codes per codebook, channels of a dequantised frame.

        speech_codes: of discrete speech; 0 for the sound's features themselves.
        """
        super().__init__()
        self.groups, self.residual, self.codes, latent = grid
        self.chunk, self.per_frame = config.chunk, sound.per_frame if sound else 1
        self.delay = config.chunk - 1 - config.ahead if config.chunk else 0
        dim, width = config.dim, sound.dim if sound else 0
        for name, size in (("face", channels), ("sound", width)):
            self.register_buffer(f"{name}_mean", torch.zeros(size))
            self.register_buffer(f"{name}_scale", torch.ones(size))
        self.face = nn.Linear(channels, dim)
        self.sound = nn.Linear(width * self.per_frame, dim) if sound and not speech_codes else None
        self.speech = SpeechTokens(speech_codes, sound, dim) if sound and speech_codes else None
        self.taps, reach = config.taps, [config.taps**n for n in range(config.convolutions)]
        self.convolutions = nn.ModuleList(nn.Conv1d(dim, dim, config.taps, dilation=n) for n in reach)
        self.coarser = nn.Linear(latent, dim)
        self.indicator = nn.Parameter(torch.randn(self.residual, dim) * 0.02)
        self.blocks = nn.ModuleList(
            Block(dim, config.heads, dropout=config.dropout, rotary=True) for _ in range(config.layers)
        )
        self.norm, self.heads = nn.LayerNorm(dim), nn.Linear(dim, self.groups * self.codes)
        self.latent = ListenerLatent(latent, dim, config.latent) if config.latent else None
        self.regression = SpeakerRegression(dim, channels, config.regress_to) if config.regress else None

    def speaker(self, face: Tensor, sound: Tensor | None, valid: Tensor | None = None) -> Tensor:
        """face (B, T, D), sound (B, T * per_frame, F) -> (B, T, dim), computed once for all samples and layers.

        valid (B, T): frames that exist, or None for all. A convolution reads zeros for the others, as outside the clip.
        """
        x = self.embedded(face, sound)
        x = nn.functional.pad(x, (0, 0, self.delay, 0))[:, : len(face[0])]
        for convolution in self.convolutions:
            visible = x if valid is None or self.chunk else x * valid[..., None]
            x = x + self._around(nn.functional.gelu(visible), convolution)
        return x

    def embedded(self, face: Tensor, sound: Tensor | None) -> Tensor:
        """The speaker frame by frame: (B, T, dim)."""
        x: Tensor = self.face((face - self.face_mean) / self.face_scale)
        if self.sound is not None and sound is not None:
            rows = ((sound - self.sound_mean) / self.sound_scale).unflatten(1, (-1, self.per_frame)).flatten(2)
            x = x + self.sound(rows)
        if self.speech is not None and sound is not None:
            x = x + self.speech(sound)
        return x

    def _around(self, x: Tensor, convolution: nn.Module) -> Tensor:
        """One convolution over time, causal with chunks, else centred: (B, T, dim) -> (B, T, dim)."""
        span = (self.taps - 1) * int(convolution.dilation[0])  # type: ignore[index]
        sides = (span, 0) if self.chunk else (span // 2, span - span // 2)
        out: Tensor = convolution(nn.functional.pad(x.transpose(1, 2), sides)).transpose(1, 2)
        return out

    def forward(self, speaker: Tensor, coarser: Tensor, layer: Tensor, valid: Tensor | None = None) -> Tensor:
        """One pass over all frames, (B, T, dim).

        speaker (B, T, dim); coarser (B, T, latent), the dequantised sum of the earlier layers; layer (B,), the layer to
        predict; valid (B, T), frames that exist, or None for all.
        """
        x = speaker + self.coarser(coarser) + self.indicator[layer][:, None]
        mask = chunk_mask(x.shape[1], self.chunk, x.device) if self.chunk else None
        if valid is not None and not self.chunk:  # with chunks, no frame attends beyond the clip's end
            mask = valid[:, None, None]
        for block in self.blocks:
            x = block(x, mask)
        out: Tensor = self.norm(x)
        return out

    def heard_step(self, x: Tensor, tails: list[Tensor]) -> Tensor:
        """The next chunk of embedded, delayed frames (B, chunk, dim), after what the convolutions keep in `tails`.

        Equal to the last chunk of `speaker` over the whole stream so far.
        """
        for place, convolution in enumerate(self.convolutions):
            joined = torch.cat([tails[place], nn.functional.gelu(x)], 1)
            tails[place] = joined[:, x.shape[1] :]
            x = x + convolution(joined.transpose(1, 2)).transpose(1, 2)
        return x

    def tails(self, rows: int) -> list[Tensor]:
        """What `heard_step` keeps before a clip's start: zeros (B, span, dim) for each convolution."""
        spans = [(self.taps - 1) * int(c.dilation[0]) for c in self.convolutions]  # type: ignore[index]
        return [self.face.weight.new_zeros(rows, span, self.face.out_features) for span in spans]

    def step(self, speaker: Tensor, coarser: Tensor, layer: int, caches: list[KVCache], offset: int) -> Tensor:
        """`forward` for the next chunk alone, at frame `offset`; `caches`, one per block, hold the earlier ones."""
        x = speaker + self.coarser(coarser) + self.indicator[layer]
        for block, cache in zip(self.blocks, caches, strict=True):
            x = block(x, cache=cache, offset=offset)
        out: Tensor = self.norm(x)
        return out

    def logits(self, hidden: Tensor) -> Tensor:
        """(..., dim) -> (..., G, V)."""
        out: Tensor = self.heads(hidden).unflatten(-1, (self.groups, self.codes))
        return out
