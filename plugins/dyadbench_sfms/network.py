"""The networks of SFMS's tokenizer (arXiv 2504.05748, section 3): scores, keyframe encoder, inpainter, decoder.

N windows, T frames per window, D motion channels, C features. A row is a window; where each channel has keyframes of
its own, it is one channel of a window, with one value per frame. R is the number of rows. Motion is standardised on the
way in and out.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dyadbench.nn.attention import Attention, Block, FeedForward, sinusoid
from dyadbench.nn.quantize import FSQ, VQ, LearntBook
from dyadbench_sfms.config import TokenizerConfig
from dyadbench_sfms.selection import neighbours


def quantizer(config: TokenizerConfig) -> FSQ | VQ | LearntBook:
    if config.quantizer == "fsq":
        return FSQ(config.levels, config.dim)
    if config.book == "ema":
        return VQ(config.codes, config.dim, decay=config.decay, commitment=config.commitment, reset=config.reset)
    return LearntBook(config.codes, config.dim, config.commitment)


class Blocks(nn.ModuleList):
    """Transformer blocks and a norm: (R, T, C) -> (R, T, C)."""

    def __init__(self, config: TokenizerConfig):
        dim, more = config.dim, {"hidden": config.hidden, "dropout": config.dropout}
        super().__init__([Block(dim, config.heads, **more) for _ in range(config.layers)] + [nn.LayerNorm(dim)])  # type: ignore[arg-type]

    def forward(self, x: Tensor, seen: Tensor) -> Tensor:
        """seen (R, T): frames that attention may use."""
        *blocks, norm = self
        for block in blocks:
            x = block(x, seen[:, None, None])
        out: Tensor = norm(x)
        return out


class CrossBlock(nn.Module):
    """Pre-norm attention to a memory, then feed-forward."""

    def __init__(self, config: TokenizerConfig):
        super().__init__()
        dim = config.dim
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attention = Attention(dim, config.heads, dropout=config.dropout)
        self.mlp = FeedForward(dim, config.hidden, dropout=config.dropout)

    def forward(self, x: Tensor, memory: Tensor, mask: Tensor) -> Tensor:
        x = x + self.attention(self.norm1(x), memory, mask)
        out: Tensor = x + self.mlp(self.norm2(x))
        return out


class Scorer(nn.Module):
    """Logits of being a keyframe: convolution, linear, positions, transformer (the paper's Phi_score)."""

    def __init__(self, config: TokenizerConfig, channels: int):
        super().__init__()
        self.conv = nn.Conv1d(channels, config.dim, 3, padding=1)
        self.linear, self.blocks = nn.Linear(config.dim, config.dim), Blocks(config)
        self.head = nn.Linear(config.dim, channels if config.keyframe_axis == "channel" else 1)

    def forward(self, motion: Tensor, valid: Tensor) -> Tensor:
        """motion (N, T, D), valid (N, T) -> (N, T, 1 or D)."""
        x = self.linear(self.conv(motion.transpose(1, 2)).transpose(1, 2))
        out: Tensor = self.head(self.blocks(x + sinusoid(x.shape[1], x.shape[2], x.device), valid))
        return out


class Across(nn.ModuleList):
    """The channels of a frame attend to each other: rows (N * D, T, C) -> the same."""

    def __init__(self, config: TokenizerConfig, channels: int):
        dim, more = config.dim, {"hidden": config.hidden, "dropout": config.dropout}
        super().__init__(Block(dim, config.heads, **more) for _ in range(config.layers))  # type: ignore[arg-type]
        self.channels = channels

    def forward(self, rows: Tensor) -> Tensor:
        x = rows.unflatten(0, (-1, self.channels)).transpose(1, 2)  # (N, T, D, C)
        windows = x.shape[:2]
        x = x.flatten(0, 1)
        for block in self:
            x = block(x)
        return x.unflatten(0, windows).transpose(1, 2).flatten(0, 1)


class Inpainter(nn.Module):
    """Quantised keyframes to the dense motion.

    The query of a transition frame is its position, its two neighbouring keyframes and the distances to them. These are
    concatenated and not added, as the paper insists. Transition frames attend to all keyframes; then keyframes and
    transitions are decoded together. With `across`, the channels of each frame attend to each other before that.
    """

    def __init__(self, config: TokenizerConfig, channels: int, across: int):
        """channels: of a row; across: rows of a window that attend to each other, 0 for none."""
        super().__init__()
        dim, places = config.dim, config.places
        self.places = places
        self.none_before, self.none_after = (nn.Parameter(torch.randn(dim) * 0.02) for _ in range(2))
        self.ask = nn.Linear(2 * dim + 3 * places, dim)
        self.keep = nn.Linear(dim + places, dim)
        self.transition = nn.ModuleList(CrossBlock(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(dim)
        self.merge, self.blocks = nn.Linear(dim + places, dim), Blocks(config)
        self.out = nn.Linear(dim, channels)
        self.across = Across(config, across) if across else None

    def _questions(self, quantised: Tensor, keys: Tensor) -> Tensor:
        """The query of each frame: (R, T, C)."""
        frames = keys.shape[1]
        before, after = neighbours(keys)
        place = torch.arange(frames, device=keys.device)
        # (T + 1, places): the encoding of each distance; the last row stands for "no neighbour".
        table = sinusoid(frames + 1, self.places, keys.device)

        def neighbour(index: Tensor, missing: Tensor, none: Tensor) -> Tensor:
            vectors = quantised.gather(1, index.clamp(0, frames - 1)[..., None].expand_as(quantised))
            return torch.where(missing[..., None], none, vectors)

        first, last = before < 0, after >= frames
        parts = [
            table[:frames].expand(len(keys), -1, -1), neighbour(before, first, self.none_before), neighbour(after, last, self.none_after),
            table[torch.where(first, frames, place - before)], table[torch.where(last, frames, after - place)],
        ]  # fmt: skip
        out: Tensor = self.ask(torch.cat(parts, -1))
        return out

    def forward(
        self, quantised: Tensor, keys: Tensor, valid: Tensor, gate: Tensor | None = None, channel: Tensor | None = None
    ) -> Tensor:
        """quantised (R, T, C), read at keyframes only; keys, valid (R, T); gate (R, T): keys with a gradient, or None;
        channel (R, C): which channel a row is. -> (R, T, D or 1)."""
        positions = sinusoid(keys.shape[1], self.places, keys.device).expand(len(keys), -1, -1)
        x = self._questions(quantised, keys)
        if channel is not None:
            x = x + channel[:, None]
        memory, mask = self.keep(torch.cat([quantised, positions], -1)), keys[:, None, None]
        for block in self.transition:
            x = block(x, memory, mask)
        x = self.norm(x)  # (R, T, C) inpainted transitions
        # Keyframes keep their own code. In training the gate passes a gradient to the scores.
        gate = keys.to(x.dtype) if gate is None else gate
        x = gate[..., None] * quantised + (1 - gate[..., None]) * x
        x = self.merge(torch.cat([x, positions], -1))
        if channel is not None:
            x = x + channel[:, None]
        if self.across is not None:
            x = self.across(x)
        out: Tensor = self.out(self.blocks(x, valid))
        return out


class SparseNet(nn.Module):
    """All networks: motion -> scores; motion and keyframes -> latents and codes; codes -> motion."""

    mean: Tensor
    scale: Tensor

    def __init__(self, config: TokenizerConfig, channels: int):
        super().__init__()
        self.config, self.channels = config, channels
        self.apart = config.keyframe_axis == "channel"
        inward = 1 if self.apart else channels
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("scale", torch.ones(channels))
        scored = config.placement not in ("static", "none")
        self.scorer = Scorer(config, channels) if scored else None
        self.inward, self.encoder = nn.Linear(inward, config.dim), Blocks(config)
        self.quantizer = quantizer(config)
        self.inpainter = Inpainter(config, inward, channels if config.across else 0)
        self.channel = nn.Parameter(torch.randn(channels, config.dim) * 0.02) if self.apart else None

    # --- rows -------------------------------------------------------------------------------------------

    def lines(self, grid: Tensor) -> Tensor:
        """Values per frame (N, T), or per frame and channel (N, T, D) -> rows (R, T)."""
        return grid.transpose(1, 2).flatten(0, 1) if self.apart else grid

    def grid(self, lines: Tensor) -> Tensor:
        """The inverse of `lines`: (R, T) -> (N, T) or (N, T, D)."""
        return lines.unflatten(0, (-1, self.channels)).transpose(1, 2) if self.apart else lines

    def rows(self, motion: Tensor) -> Tensor:
        """(N, T, D) -> (R, T, D or 1)."""
        return self.lines(motion)[..., None] if self.apart else motion

    def motion(self, rows: Tensor) -> Tensor:
        """(R, T, D or 1) -> (N, T, D)."""
        return self.grid(rows[..., 0]) if self.apart else rows

    def each(self, valid: Tensor) -> Tensor:
        """(N, T) -> (R, T)."""
        return valid.repeat_interleave(self.channels, 0) if self.apart else valid

    def _channel_of(self, rows: int) -> Tensor | None:
        return None if self.channel is None else self.channel.repeat(rows // self.channels, 1)

    # --- steps ------------------------------------------------------------------------------------------

    def scores(self, motion: Tensor, valid: Tensor) -> Tensor:
        """(N, T, D), (N, T) -> (R, T); zeros where nothing is scored."""
        if self.scorer is None:
            return motion.new_zeros(self.each(valid).shape)
        scores: Tensor = self.scorer(motion, valid)
        return self.lines(scores if self.apart else scores[..., 0])

    def encode(self, rows: Tensor, keys: Tensor, valid: Tensor) -> Tensor:
        """rows (R, T, D or 1), keys and valid (R, T) -> latents (R, T, C), made from the keyframes alone by default."""
        x = self.inward(rows) + sinusoid(rows.shape[1], self.config.dim, rows.device)
        channel = self._channel_of(len(rows))
        if channel is not None:
            x = x + channel[:, None]
        context = keys if self.config.view == "keyframes" else valid
        out: Tensor = self.encoder(x, context)
        return out

    def quantise(self, latents: Tensor, keys: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Quantises the latents of keyframes only, so that the codebook never learns from transitions.

        Returns (R, T, C) with code vectors at keyframes and latents elsewhere, ids (R, T) with 0 elsewhere, the quantiser's
        loss, and the mean squared distance of keyframes to their codes.
        """
        keyframes = latents[keys]  # (number of keyframes, C)
        codes, ids, aux = self.quantizer(keyframes)
        distance = nn.functional.mse_loss(codes, keyframes)
        quantised = latents.masked_scatter(keys[..., None], codes.to(latents.dtype))
        return (
            quantised,
            torch.zeros(keys.shape, dtype=torch.long, device=keys.device).masked_scatter(keys, ids),
            aux,
            distance,
        )

    def decode(self, quantised: Tensor, keys: Tensor, valid: Tensor, gate: Tensor | None = None) -> Tensor:
        """-> (R, T, D or 1)."""
        out: Tensor = self.inpainter(quantised, keys, valid, gate, self._channel_of(len(keys)))
        return out

    def vectors(self, ids: Tensor, keys: Tensor) -> Tensor:
        """ids (R, T), read at keyframes -> (R, T, C), zeros elsewhere. Raises ValueError for an id outside the book."""
        codes = self.quantizer.decode(ids[keys])
        return codes.new_zeros(*keys.shape, codes.shape[-1]).masked_scatter(keys[..., None], codes)
