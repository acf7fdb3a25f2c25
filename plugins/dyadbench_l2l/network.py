"""The networks of Learning2Listen (2204.08451, sections 3.2 and 3.3): the window VQ-VAE and the cross-modal predictor.

B rows, n frames, N = n / patch tokens, D motion channels, F audio features, C channels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dyadbench.nn.attention import Attention, Block, FeedForward
from dyadbench.nn.quantize import VQ, LearntBook, Quantizer, quantise_where
from dyadbench_l2l.config import PredictorConfig, TokenizerConfig


def _conv(inward: int, outward: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv1d(inward, outward, 5, stride, padding=2, padding_mode="replicate"), nn.LeakyReLU(0.2), nn.BatchNorm1d(outward)
    )  # fmt: skip


def as_released(net: nn.Module) -> None:
    """The release's transformer layers: scores scaled by the model's width, no biases of queries, keys and values, GELU
    by tanh."""
    for part in list(net.modules()):
        if isinstance(part, Attention):
            part.scale = part.query.in_features**-0.5
            for linear in (part.query, part.key, part.value):
                linear.register_parameter("bias", None)
        elif isinstance(part, FeedForward):
            part[1] = nn.GELU("tanh")


class Downsample(nn.Module):
    """Halves time until a patch is one vector: (B, n, C) -> (B, n / patch, dim)."""

    def __init__(self, channels: int, dim: int, patch: int):
        super().__init__()
        halvings = patch.bit_length() - 1
        parts: list[nn.Module] = [_conv(channels, dim, stride=2)]
        for _ in range(halvings - 1):
            parts += [_conv(dim, dim), nn.MaxPool1d(2)]
        self.parts = nn.Sequential(*parts)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.parts(x.transpose(1, 2)).transpose(1, 2)
        return out


class Upsample(nn.Module):
    """The way back: (B, N, dim) -> (B, N * patch, dim)."""

    def __init__(self, dim: int, patch: int):
        super().__init__()
        parts: list[nn.Module] = [
            nn.ConvTranspose1d(dim, dim, 5, 2, padding=2, output_padding=1), nn.LeakyReLU(0.2), nn.BatchNorm1d(dim)
        ]  # fmt: skip
        for _ in range(patch.bit_length() - 2):
            parts += [_conv(dim, dim), nn.Upsample(scale_factor=2, mode="nearest")]
        self.parts = nn.Sequential(*parts)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.parts(x.transpose(1, 2)).transpose(1, 2)
        return out


class WindowVQ(nn.Module):
    """One window of `block` frames <-> block / patch tokens. Motion is standardised inside."""

    mean: Tensor
    scale: Tensor

    def __init__(self, config: TokenizerConfig, channels: int):
        super().__init__()
        dim, self.tokens = config.dim, config.block // config.patch
        self.slices = config.token_axis == "channel_slice"
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("scale", torch.ones(channels))
        self.down, self.inward = Downsample(channels, dim, config.patch), nn.Linear(dim, dim)
        self.up, self.outward = Upsample(dim, config.patch), nn.Linear(dim, dim)
        self.token_at = nn.Parameter(torch.randn(self.tokens, dim) * 0.02)
        self.frame_at = nn.Parameter(torch.randn(config.block, dim) * 0.02)
        released = config.network == "released"
        self.encoder, self.decoder = (
            nn.Sequential(
                *(Block(dim, config.heads, hidden=config.hidden, dropout=config.dropout) for _ in range(config.layers)),
                nn.Identity() if released else nn.LayerNorm(dim),
            )
            for _ in range(2)
        )
        self.motion = nn.Conv1d(dim, channels, 5, padding=2, padding_mode="zeros" if released else "replicate")
        if released:
            as_released(self)
        self.quantizer: Quantizer = (
            VQ(config.codes, dim, decay=config.decay, commitment=config.commitment, reset=config.reset)
            if config.book == "ema"
            else LearntBook(config.codes, dim, config.commitment)
        )

    def _turned(self, z: Tensor) -> Tensor:
        """Vectors of patches (B, N, C) as the rows that are quantised, (B, N, C).

        The release lays channels before patches and cuts again, so its row r is channels r C / N on of all patches.
        """
        return z.transpose(1, 2).reshape(z.shape) if self.slices else z

    def _turned_back(self, rows: Tensor) -> Tensor:
        return rows.reshape(len(rows), rows.shape[2], rows.shape[1]).transpose(1, 2) if self.slices else rows

    def quantise(self, z: Tensor, valid: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """z (B, N, C), patches that exist (B, N) -> quantised (B, N, C), ids (B, N), the quantiser's loss.

        The release's rows are of all patches, so that each exists.
        """
        quantised, ids, aux = quantise_where(self.quantizer, self._turned(z), None if self.slices else valid)
        return self._turned_back(quantised), ids, aux

    def encode(self, motion: Tensor, valid: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """(B, block, D) -> as `quantise`."""
        x = self.inward(self.down((motion - self.mean) / self.scale))
        return self.quantise(self.encoder(x + self.token_at), valid)

    def unfold(self, quantised: Tensor) -> Tensor:
        """(B, N, C) -> standardised motion (B, block, D)."""
        x = self.decoder(self.outward(self.up(quantised)) + self.frame_at)
        out: Tensor = self.motion(x.transpose(1, 2)).transpose(1, 2)
        return out

    def decode(self, ids: Tensor) -> Tensor:
        """ids (B, N) -> motion (B, block, D). Raises ValueError for an id outside the book."""
        return self.unfold(self._turned_back(self.quantizer.decode(ids))) * self.scale + self.mean


class CrossLayer(nn.Module):
    """Voice asks, face answers: the queries are the voice, and what is found is added to the face (eq. 4)."""

    def __init__(self, config: PredictorConfig):
        super().__init__()
        self.norm_face, self.norm = (nn.LayerNorm(config.wide) for _ in range(2))
        self.norm_sound: nn.Module = nn.Identity() if config.network == "released" else nn.LayerNorm(config.wide)
        self.attention = Attention(config.wide, config.heads, dropout=config.dropout)
        self.mlp = FeedForward(config.wide, config.hidden, dropout=config.dropout)

    def forward(self, face: Tensor, sound: Tensor) -> Tensor:
        face = face + self.attention(self.norm_sound(sound), self.norm_face(face))
        out: Tensor = face + self.mlp(self.norm(face))
        return out


class PatchPredictor(nn.Module):
    """The speaker's window as past + 1 vectors, beside the listener's last tokens, in one transformer.

    Output j of the first `horizon` is the token j patches from now, all scored in training; sampling uses output 0.
    """

    face_mean: Tensor
    face_scale: Tensor
    sound_mean: Tensor
    sound_scale: Tensor
    rest: Tensor

    def __init__(self, config: PredictorConfig, *, channels: int, features: int, codes: int, patch: int):
        super().__init__()
        self.config, self.codes = config, codes
        wide, dim, frames = config.wide, config.dim, (config.past + 1) * patch
        for name, size in (("face", channels), ("sound", max(features, 1))):
            self.register_buffer(f"{name}_mean", torch.zeros(size))
            self.register_buffer(f"{name}_scale", torch.ones(size))
        self.register_buffer("rest", torch.zeros(channels))  # the mean listener, before a history that is re-encoded
        self.face_in = nn.Linear(channels, wide)
        self.sound_in = nn.Linear(features, wide) if features else None
        self.null_face, self.null_sound = (nn.Parameter(torch.randn(wide) * 0.02) for _ in range(2))
        self.face_at, self.sound_at = (nn.Parameter(torch.randn(frames, wide) * 0.02) for _ in range(2))
        self.cross = nn.ModuleList(CrossLayer(config) for _ in range(config.cross_layers))
        self.down, self.narrow = Downsample(wide, wide, patch), nn.Linear(wide, dim)
        self.token_in = nn.Embedding(codes + 1, dim)  # the last is "nothing yet"
        self.token_at = nn.Parameter(torch.randn(config.past, dim) * 0.02)
        self.place = nn.Parameter(torch.randn(2 * config.past + 1, dim) * 0.02)
        self.drop = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(
            Block(dim, config.heads, hidden=config.hidden, dropout=config.dropout) for _ in range(config.layers)
        )
        self.released = config.network == "released"
        self.norm, self.head = nn.LayerNorm(dim), nn.Linear(dim, codes, bias=not self.released)
        if self.released:
            self._start_as_released()

    def _start_as_released(self) -> None:
        """Weights from N(0, 0.02), positions and biases 0; "nothing yet" is a vector of zeros that never learns."""
        as_released(self)
        self.token_in.padding_idx = self.codes
        for part in self.modules():
            if isinstance(part, nn.Linear | nn.Embedding):
                nn.init.normal_(part.weight, std=0.02)
            if isinstance(part, nn.Linear) and part.bias is not None:
                nn.init.zeros_(part.bias)
        with torch.no_grad():
            self.token_in.weight[self.codes] = 0
            for places in (self.face_at, self.sound_at, self.token_at, self.place):
                places.zero_()

    def _mask(self, tokens: Tensor) -> Tensor | None:
        """Who may look where, (B, 1, n, n). The release stops the places of a history that is not there from asking the
        history, where it should stop them from being asked; otherwise all see all."""
        if not self.released:
            return None
        past = self.config.past
        mask = torch.ones(len(tokens), 1, 2 * past + 1, 2 * past + 1, dtype=torch.bool, device=tokens.device)
        mask[:, 0, :past, :past] = (tokens != self.codes)[:, :, None]
        return mask

    def speaker(self, face: Tensor, sound: Tensor | None, null: Tensor) -> Tensor:
        """face (B, n, D), sound (B, n * rows, F), null (B, n): frames before the conversation -> (B, past + 1, dim).

        A frame's sound is the strongest of its rows in every feature.
        """
        x = self.face_in((face - self.face_mean) / self.face_scale)
        x = torch.where(null[..., None], self.null_face, x) + self.face_at
        if sound is None or self.sound_in is None:
            voice = self.null_sound + self.sound_at.expand_as(x)
        else:
            voice = ((sound - self.sound_mean) / self.sound_scale).unflatten(1, (x.shape[1], -1)).amax(2)
            voice = torch.where(null[..., None], self.null_sound, self.sound_in(voice)) + self.sound_at
        x, voice = self.drop(x), self.drop(voice)
        for layer in self.cross:
            x = layer(x, voice)
        out: Tensor = self.narrow(self.down(x))
        return out

    def forward(self, tokens: Tensor, heard: Tensor) -> Tensor:
        """tokens (B, past) with `codes` for nothing yet, heard (B, past + 1, dim) -> logits (B, horizon, codes)."""
        x = self.drop(torch.cat([self.token_in(tokens) + self.token_at, heard], 1) + self.place)
        mask = self._mask(tokens)
        for block in self.blocks:
            x = block(x, mask=mask)
        out: Tensor = self.head(self.norm(x[:, : self.config.horizon]))
        return out
