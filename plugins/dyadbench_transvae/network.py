"""The network of Trans-VAE (REACT's baseline, after the paper's text and measured sizes), without its image encoder.

R rows, T frames, w frames of a window, C channels, D motion channels. Layers are post-norm, as in 1706.03762.
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
    """N(mean, variance) of a set of frames: two learned tokens ask, one transformer encoder layer answers.

    There are no positions, so the distribution does not know the order of the frames; that is the method.
    """

    def __init__(self, config: TransVAEConfig):
        super().__init__()
        self.inward = nn.Linear(config.dim, config.dim)
        self.tokens = nn.Parameter(torch.randn(2, config.dim))
        self.attention = Attention(config.dim, config.heads, dropout=config.dropout)
        self.mlp, self.drop = _mlp(config), nn.Dropout(config.dropout)
        self.norm1, self.norm2 = nn.LayerNorm(config.dim), nn.LayerNorm(config.dim)

    def keys(self, frames: Tensor) -> Keys:
        """Of frames (R, T, C); those of several pieces may be joined."""
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
        """Of x (R, T, C) as the target and as the memory."""
        return self.attention.keys(x), self.cross.keys(x)

    def forward(self, x: Tensor, own: Keys, memory: Keys, exists: Tensor | None = None) -> Tensor:
        """x: the last n of the T positions whose keys are `own`, causal; the memory is seen whole, or where it exists: (R, n, C)."""
        mask = block_causal_mask(x.shape[1], own[0].shape[2], 1, x.device)
        x = self.norm1(x + self.drop(self.attention(x, own, mask=mask)))
        x = self.norm2(x + self.drop(self.cross(x, memory, mask=exists)))
        out: Tensor = self.norm3(x + self.drop(self.mlp(x)))
        return out


def joined(*parts: Keys) -> Keys:
    """Keys of neighbouring pieces as one."""
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
        self.second.load_state_dict(self.first.state_dict())  # alike at the start, as torch's stacks of layers are
        self.drop = nn.Dropout(config.dropout)
        self.motion = nn.Linear(dim, motion)
        self.emotion = nn.Sequential(nn.Linear(motion + dim, dim), nn.Linear(dim, emotion)) if emotion else None

    def speaker(self, face: Tensor, sound: Tensor | None, frames: int) -> Tensor:
        """face (B, T * rows, F), sound (B, T * rows, S) -> features (B, T, C). The rows of a frame stand side by side."""
        x = self.face_in((rows_of(face, frames) - self.face_mean) / self.face_scale)
        if sound is not None and self.sound_in is not None:
            voice = (rows_of(sound, frames) - self.sound_mean) / self.sound_scale
            x = torch.cat([x, self.sound_in(voice)], -1)
        out: Tensor = self.fuse(x)
        return out

    def decode(self, z: Tensor, frames: int, exists: Tensor | None = None) -> Tensor:
        """Latents z (R, C) -> hidden (R, frames, C): positions ask, every one of them is given the same z.

        exists (R, frames) or None for all: B reads its whole input, which must not reach beyond the clip.
        """
        places = sinusoid(frames, self.config.dim, z.device)
        x = self.drop(places.expand(len(z), -1, -1))  # (R, T, C)
        x = self.first(x, self.first.attention.keys(x), self.first.cross.keys(z[:, None]))
        return self.second(x, *self.second.keys(x), None if exists is None else exists[:, None, None])

    def feel(self, motion: Tensor, hidden: Tensor) -> Tensor | None:
        return None if self.emotion is None else self.emotion(torch.cat([motion, hidden], -1))

    def forward(self, speaker: Tensor, exists: Tensor, noise: Tensor, k: int = 1) -> Outcome:
        """Features (B, T, C), exists (B, T), noise (B * k, 1, C) -> k reactions for each row, R = B * k."""
        mean, log_variance = self.latent(self.latent.keys(speaker), exists)
        if k > 1:
            mean, log_variance = mean.repeat_interleave(k, 0), log_variance.repeat_interleave(k, 0)
        z = mean + (log_variance / 2).exp() * noise[:, 0]
        short = None if bool(exists.all()) else exists.repeat_interleave(k, 0)
        hidden = self.decode(z, speaker.shape[1], short)
        motion = self.motion(hidden)
        return Outcome(motion, self.feel(motion, hidden), mean[:, None], log_variance[:, None])


class OnlineTransVAE(TransVAE):
    """Window after window, each given the speaker so far and its own reactions so far.

    The release encodes everything anew for each window; here the keys of what is past are kept, which gives the same.
    """

    config: OnlineConfig

    def __init__(self, config: OnlineConfig, *, face: int, sound: int, motion: int, emotion: int):
        super().__init__(config, face=face, sound=sound, motion=motion, emotion=emotion)
        dim = config.dim
        self.react = nn.Linear(dim + motion + emotion, dim)  # a speaker's frame beside the listener's
        self.past_in, self.now_in = nn.Linear(motion, dim), nn.Linear(dim, dim)
        self.third, self.lstm = DecoderLayer(config), nn.LSTM(dim, dim, batch_first=True)

    def forward(self, speaker: Tensor, exists: Tensor, noise: Tensor, k: int = 1) -> Outcome:
        """As offline, with noise (B * k, N, C) for N windows; whole windows are generated, N * w frames."""
        if k > 1:
            speaker, exists = speaker.repeat_interleave(k, 0), exists.repeat_interleave(k, 0)
        seen: list[Keys] = []  # of past frames, as the latent reads them
        told: list[tuple[Keys, Keys]] = []  # of past motion, as decoder C reads it
        windows: list[tuple[Tensor, Tensor | None]] = []
        means, log_variances = [], []
        for i, heard in enumerate(speaker.split(self.config.window, 1)):  # (R, w, C)
            stop = (i + 1) * self.config.window
            now = self.latent.keys(self._fused(heard, None, None))
            mean, log_variance = self.latent(joined(*seen, now), exists[:, :stop])
            z = mean + (log_variance / 2).exp() * noise[:, i]
            hidden = self.decode(z, self.config.window)  # (R, w, C)
            motion = self._moved(hidden, told, windows[-1][0][:, -1] if windows else None)
            emotion = self.feel(motion, hidden)
            windows.append((motion, emotion))
            seen.append(self.latent.keys(self._fused(heard, motion, emotion)))
            told.append(self.third.keys(self.past_in(motion)))
            means.append(mean)
            log_variances.append(log_variance)
        felt = [emotion for _, emotion in windows if emotion is not None]
        return Outcome(
            torch.cat([motion for motion, _ in windows], 1), torch.cat(felt, 1) if felt else None,
            torch.stack(means, 1), torch.stack(log_variances, 1),
        )  # fmt: skip

    def _fused(self, heard: Tensor, motion: Tensor | None, emotion: Tensor | None) -> Tensor:
        """The speaker's features with the listener's reaction, which is zeros while it is not known: (R, w, C)."""
        if motion is None:
            own = heard.new_zeros(*heard.shape[:2], self.react.in_features - heard.shape[2])
        else:
            own = motion if emotion is None else torch.cat([motion, emotion], -1)
            own = own[:, : heard.shape[1]]  # the clip may end within the window
        out: Tensor = self.react(torch.cat([heard, own], -1))
        return out

    def _moved(self, hidden: Tensor, told: list[tuple[Keys, Keys]], last: Tensor | None) -> Tensor:
        """Motion of a window from B's output and the motion before it, through decoder C and the LSTM: (R, w, D)."""
        if last is None:
            return self.motion(hidden)
        x = self.now_in(hidden)
        own, memory = self.third.keys(x)
        x = self.third(x, joined(*(k for k, _ in told), own), joined(*(m for _, m in told), memory))
        start = self.past_in(last)[None]  # (1, R, C)
        x, _ = self.lstm(x, (start, start))
        return self.motion(x)


def rows_of(values: Tensor, frames: int) -> Tensor:
    """(B, T * rows, F) -> (B, T, rows * F)."""
    return values.reshape(len(values), frames, -1)
