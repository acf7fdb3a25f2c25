"""The network of Trans-VAE (REACT's baseline, after the paper's text and measured sizes), without its image encoder.

R rows, T frames, w frames per window, C channels, D motion channels. Layers are post-norm, as in 1706.03762.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dyadbench.nn.attention import Attention, block_causal_mask, sinusoid
from dyadbench_transvae.config import OnlineConfig, TransVAEConfig

Keys = tuple[Tensor, Tensor]  # keys and values of an attention, (R, H, T, C / H) each


@dataclass(frozen=True)
class Outcome:
    """What one pass generates, and the distributions that its latents came from."""

    motion: Tensor  # (R, T, D)
    emotion: Tensor | None  # (R, T, 25)
    mean: Tensor  # (R, N, C): one latent per clip offline, per window online
    log_variance: Tensor


def _mlp(config: TransVAEConfig) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(config.dim, config.hidden), nn.ReLU(), nn.Dropout(config.dropout), nn.Linear(config.hidden, config.dim)
    )  # fmt: skip


class LatentOf(nn.Module):
    """N(mean, variance) of a set of frames: two learned tokens attend to the frames in one transformer encoder layer.

    As in the release, there is no positional encoding, so the order of the frames does not change the distribution.
    """

    def __init__(self, config: TransVAEConfig):
        super().__init__()
        self.inward = nn.Linear(config.dim, config.dim)
        self.tokens = nn.Parameter(torch.randn(2, config.dim))
        self.attention = Attention(config.dim, config.heads, dropout=config.dropout)
        self.mlp, self.drop = _mlp(config), nn.Dropout(config.dropout)
        self.norm1, self.norm2 = nn.LayerNorm(config.dim), nn.LayerNorm(config.dim)

    def keys(self, frames: Tensor) -> Keys:
        """Keys of frames (R, T, C). Keys of several pieces may be joined."""
        return self.attention.keys(self.inward(frames))

    def forward(self, keys: Keys, exists: Tensor) -> tuple[Tensor, Tensor]:
        """Keys of T frames, exists (R, T) -> mean and log-variance, (R, C) each.

        Only the tokens' outputs are used, so only they are computed.
        """
        tokens = self.tokens.expand(len(exists), -1, -1)  # (R, 2, C)
        mask = torch.nn.functional.pad(exists, (2, 0), value=True)[:, None, None]  # (R, 1, 1, 2 + T)
        x = self.norm1(tokens + self.drop(self.attention(tokens, joined(self.attention.keys(tokens), keys), mask=mask)))
        x = self.norm2(x + self.drop(self.mlp(x)))
        return x[:, 0], x[:, 1]


class DecoderLayer(nn.Module):
    """A transformer decoder layer: self-attention, cross-attention, feed-forward."""

    def __init__(self, config: TransVAEConfig):
        super().__init__()
        self.attention, self.cross = (Attention(config.dim, config.heads, dropout=config.dropout) for _ in range(2))
        self.mlp, self.drop = _mlp(config), nn.Dropout(config.dropout)
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(config.dim) for _ in range(3))

    def keys(self, x: Tensor) -> tuple[Keys, Keys]:
        """Keys of x (R, T, C) for self-attention and for cross-attention."""
        return self.attention.keys(x), self.cross.keys(x)

    def forward(self, x: Tensor, own: Keys, memory: Keys, exists: Tensor | None = None) -> Tensor:
        """x (R, n, C) -> (R, n, C): the last n of the T positions whose keys are `own`. Self-attention is causal.

        Cross-attention sees the whole memory, or the part of it that `exists`.
        """
        mask = block_causal_mask(x.shape[1], own[0].shape[2], 1, x.device)
        x = self.norm1(x + self.drop(self.attention(x, own, mask=mask)))
        x = self.norm2(x + self.drop(self.cross(x, memory, mask=exists)))
        out: Tensor = self.norm3(x + self.drop(self.mlp(x)))
        return out


def joined(*parts: Keys) -> Keys:
    """Joins the keys of consecutive pieces."""
    return torch.cat([k for k, _ in parts], 2), torch.cat([v for _, v in parts], 2)


class TransVAE(nn.Module):
    """The speaker's features -> latent -> decoder A -> decoder B -> heads (offline)."""

    face_mean: Tensor  # (F,)
    face_scale: Tensor
    sound_mean: Tensor  # (rows * S,)
    sound_scale: Tensor

    def __init__(self, config: TransVAEConfig, *, face: int, sound: int, motion: int, emotion: int):
        super().__init__()
        self.config, dim = config, config.dim
        for name, size in (("face", face), ("sound", max(sound, 1))):
            self.register_buffer(f"{name}_mean", torch.zeros(size))
            self.register_buffer(f"{name}_scale", torch.ones(size))
        self.face_in, self.sound_in = nn.Linear(face, dim), nn.Linear(sound, dim) if sound else None
        self.fuse = nn.Linear(2 * dim if sound else dim, dim)
        self.latent = LatentOf(config)
        self.first, self.second = DecoderLayer(config), DecoderLayer(config)
        self.second.load_state_dict(self.first.state_dict())  # torch's stacks start from copies of one layer
        self.drop = nn.Dropout(config.dropout)
        self.motion = nn.Linear(dim, motion)
        self.emotion = nn.Sequential(nn.Linear(motion + dim, dim), nn.Linear(dim, emotion)) if emotion else None

    def speaker(self, face: Tensor, sound: Tensor | None, frames: int) -> Tensor:
        """face (B, T * rows, F), sound (B, T * rows, S) -> features (B, T, C). The rows of a frame are concatenated."""
        x = self.face_in((rows_of(face, frames) - self.face_mean) / self.face_scale)
        if sound is not None and self.sound_in is not None:
            voice = (rows_of(sound, frames) - self.sound_mean) / self.sound_scale
            x = torch.cat([x, self.sound_in(voice)], -1)
        out: Tensor = self.fuse(x)
        return out

    def decode(self, z: Tensor, frames: int, exists: Tensor | None = None) -> Tensor:
        """Latents z (R, C) -> hidden (R, frames, C). The queries are positions, and all of them read the same z.

        exists (R, frames), None for all: decoder B attends to its whole input, so frames after the clip must be masked.
        """
        places = sinusoid(frames, self.config.dim, z.device)
        x = self.drop(places.expand(len(z), -1, -1))  # (R, T, C)
        x = self.first(x, self.first.attention.keys(x), self.first.cross.keys(z[:, None]))
        return self.second(x, *self.second.keys(x), None if exists is None else exists[:, None, None])

    def emotion_of(self, motion: Tensor, hidden: Tensor) -> Tensor | None:
        return None if self.emotion is None else self.emotion(torch.cat([motion, hidden], -1))

    def forward(self, speaker: Tensor, exists: Tensor, noise: Tensor, k: int = 1) -> Outcome:
        """Features (B, T, C), exists (B, T), noise (B * k, 1, C) -> k reactions per row, R = B * k."""
        mean, log_variance = self.latent(self.latent.keys(speaker), exists)
        if k > 1:
            mean, log_variance = mean.repeat_interleave(k, 0), log_variance.repeat_interleave(k, 0)
        z = mean + (log_variance / 2).exp() * noise[:, 0]  # (R, C), reparameterisation: std = exp(log var / 2)
        short = None if bool(exists.all()) else exists.repeat_interleave(k, 0)
        hidden = self.decode(z, speaker.shape[1], short)
        motion = self.motion(hidden)
        return Outcome(motion, self.emotion_of(motion, hidden), mean[:, None], log_variance[:, None])


class OnlineTransVAE(TransVAE):
    """Generates window after window, each given the speaker so far and its own earlier reactions.

    The release encodes the whole past again for each window. Here the keys of the past are cached, with the same result.
    """

    config: OnlineConfig

    def __init__(self, config: OnlineConfig, *, face: int, sound: int, motion: int, emotion: int):
        super().__init__(config, face=face, sound=sound, motion=motion, emotion=emotion)
        dim = config.dim
        self.react = nn.Linear(dim + motion + emotion, dim)  # a speaker's frame beside the listener's
        self.past_in, self.now_in = nn.Linear(motion, dim), nn.Linear(dim, dim)
        self.third, self.lstm = DecoderLayer(config), nn.LSTM(dim, dim, batch_first=True)

    @property
    def window(self) -> int:
        """Frames generated at once; the release has 16 in training and 8 in validation and sampling."""
        return (self.training and self.config.train_window) or self.config.window

    def forward(self, speaker: Tensor, exists: Tensor, noise: Tensor, k: int = 1) -> Outcome:
        """As offline, with noise (B * k, N, C) for N windows; whole windows are generated, N * w frames."""
        if k > 1:
            speaker, exists = speaker.repeat_interleave(k, 0), exists.repeat_interleave(k, 0)
        frame_keys: list[Keys] = []  # per past window: the input of the latent's distribution
        motion_keys: list[tuple[Keys, Keys]] = []  # per past window: the input of decoder C
        windows: list[tuple[Tensor, Tensor | None]] = []
        means, log_variances = [], []
        for i, features in enumerate(speaker.split(self.window, 1)):
            # features: (R, w, C)
            stop = (i + 1) * self.window
            now = self.latent.keys(self._fuse_reaction(features, None, None))
            mean, log_variance = self.latent(joined(*frame_keys, now), exists[:, :stop])
            z = mean + (log_variance / 2).exp() * noise[:, i]
            hidden = self.decode(z, self.window)  # (R, w, C)
            motion = self._continue(hidden, motion_keys, windows[-1][0][:, -1] if windows else None)
            emotion = self.emotion_of(motion, hidden)
            windows.append((motion, emotion))
            frame_keys.append(self.latent.keys(self._fuse_reaction(features, motion, emotion)))
            motion_keys.append(self.third.keys(self.past_in(motion)))
            means.append(mean)
            log_variances.append(log_variance)
        emotions = [emotion for _, emotion in windows if emotion is not None]
        return Outcome(
            torch.cat([motion for motion, _ in windows], 1), torch.cat(emotions, 1) if emotions else None,
            torch.stack(means, 1), torch.stack(log_variances, 1),
        )  # fmt: skip

    def _fuse_reaction(self, features: Tensor, motion: Tensor | None, emotion: Tensor | None) -> Tensor:
        """The speaker's features (R, w, C) joined with the listener's reaction, zeros before it is generated: (R, w, C)."""
        if motion is None:
            reaction = features.new_zeros(*features.shape[:2], self.react.in_features - features.shape[2])
        else:
            reaction = motion if emotion is None else torch.cat([motion, emotion], -1)
            reaction = reaction[:, : features.shape[1]]  # the clip may end within the window
        out: Tensor = self.react(torch.cat([features, reaction], -1))
        return out

    def _continue(self, hidden: Tensor, motion_keys: list[tuple[Keys, Keys]], last: Tensor | None) -> Tensor:
        """Motion of a window from B's output and the motion before it, through decoder C and the LSTM: (R, w, D)."""
        if last is None:
            return self.motion(hidden)
        x = self.now_in(hidden)
        own, memory = self.third.keys(x)
        x = self.third(x, joined(*(k for k, _ in motion_keys), own), joined(*(m for _, m in motion_keys), memory))
        start = self.past_in(last)[None]  # (1, R, C)
        x, _ = self.lstm(x, (start, start))
        return self.motion(x)


def rows_of(values: Tensor, frames: int) -> Tensor:
    """(B, T * rows, F) -> (B, T, rows * F)."""
    return values.reshape(len(values), frames, -1)
