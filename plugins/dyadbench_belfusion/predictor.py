"""BeLFusion, the version of REACT's baseline: it samples a listener's window given one window of the speaker.

It trains in two stages: a recurrent auto-encoder of 50-frame windows, then a diffusion model of the listener's latent,
conditioned on the speaker's latent. Input and output are emotion; a small head turns emotion into motion. Where a dataset
has no emotion, the same network reads and writes motion windows. That is a variant and not the baseline.

B clips, K samples, N windows per clip, W frames per window, C channels of the stream, L numbers per latent.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from dyadbench.api import (
    Context,
    DyadbenchError,
    Loss,
    Needs,
    Noise,
    Optimiser,
    Reaction,
    Setup,
    Stage,
    TrainData,
    WindowBatch,
    Windows,
)  # fmt: skip
from dyadbench.nn.component import NetComponent
from dyadbench.nn.emotion import emotion_output
from dyadbench.nn.inputs import CLIPS, moments
from dyadbench.nn.losses import masked_mean
from dyadbench.nn.sampling import normals
from dyadbench_belfusion.config import BeLFusionConfig
from dyadbench_belfusion.network import BeLFusionNet

ACTIVE = 0.01  # a latent dimension is active if the variance of its mean over windows is larger (1509.00519)


class BeLFusion(NetComponent[BeLFusionNet]):
    """api.Predictor and api.Trainable."""

    def __init__(self, config: BeLFusionConfig, setup: Setup):
        if config.stream == "emotion" and not setup.has_emotion:
            raise DyadbenchError("belfusion: this dataset has no emotion; take stream=motion")
        self.config, self.setup = config, setup
        self.uses_emotion = setup.has_emotion and config.stream != "motion"
        channels, motion = (25, setup.space.dim) if self.uses_emotion else (setup.space.dim, 0)
        self.build_net(lambda: BeLFusionNet(config, channels, motion), setup)
        self.needs = Needs(lookahead=0 if config.online else config.window - 1)

    # --- stage 1: the auto-encoder ----------------------------------------------------------------------

    def _autoencoder_loss(self, batch: WindowBatch) -> Loss:
        """Error of the decoded window and of the motion head, plus the divergence of the latent from N(0, 1)."""
        net, config = self.net.vae, self.config
        swapped = self._swapped(batch, 0.5)  # one draw for both streams: they belong to one person
        target, motion = (torch.where(swapped, other, own) for own, other in self._people(batch))
        # Reparameterisation (1312.6114): std = exp(log variance / 2).
        h = net.state(hold_last(target, batch.valid))
        mu, log_variance = net.mu(h), net.log_variance(h)
        noise = batch.draw_rows(torch.randn, config.code).to(self.device) if batch.step >= 0 else 0.0
        decoded = net.decode(mu + noise * (log_variance / 2).exp())  # (R, W, C)
        error = masked_mean(((decoded - target) / net.scale) ** 2, batch.valid)
        divergence = -0.5 * (1 + log_variance - mu**2 - log_variance.exp()).sum(1).mean()
        total, log = error + config.kl * divergence, {"window": error.detach(), "kl": divergence.detach()}
        log["active"] = (mu.detach().var(0, correction=0) > ACTIVE).sum().float()
        if net.head is not None:
            goal = motion if config.head == "motion" else torch.zeros_like(motion)
            face = masked_mean((net.head(decoded) - goal) ** 2, batch.valid)
            total, log["motion"] = total + face, face.detach()
        return Loss({"all": total}, log)

    def _people(self, batch: WindowBatch) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """The stream (B, T, C) and the motion (B, T, D) of both people, the listener first."""
        motion = batch.listener_motion, batch.speaker_motion
        if not self.uses_emotion:
            return motion, motion
        if batch.listener_emotion is None or batch.speaker_emotion is None:
            raise DyadbenchError("belfusion: the dataset declares emotion, but a clip of this batch has none")
        return (batch.listener_emotion, batch.speaker_emotion), motion

    def _swapped(self, batch: WindowBatch, chance: float) -> Tensor:
        """Rows in which the two people exchange roles, (B, 1, 1); none in validation."""
        if batch.step < 0:
            return torch.zeros(len(batch.clips), 1, 1, dtype=torch.bool, device=self.device)
        return (batch.draw_rows(torch.rand, 1, 1) < chance).to(self.device)

    # --- stage 2: the diffusion -------------------------------------------------------------------------

    def windows(self, batch: WindowBatch) -> tuple[Tensor, Tensor, Tensor]:
        """The listener's window, the speaker's window it reacts to, (B, W, C) each, and which rows exist (B,)."""
        config, training = self.config, batch.step >= 0
        start = torch.zeros(len(batch.clips), dtype=torch.long)
        if config.windows == "first":
            start += batch.draw_rows(partial(torch.randint, config.window)) if training else config.window // 2
        # A cold row is the first window of a clip: online, it has no speaker before it.
        cold = torch.zeros(len(start), dtype=torch.bool)
        if config.online and training:
            cold = batch.draw_rows(torch.rand) < config.cold
        (listener, speaker), _ = self._people(batch)
        swapped = self._swapped(batch, config.swap)
        own, other = torch.where(swapped, speaker, listener), torch.where(swapped, listener, speaker)
        shift = torch.where(cold, 0, config.window) if config.online else torch.zeros_like(start)
        target, exists = self._cut(own, batch.valid, start + shift)
        condition, _ = self._cut(other, batch.valid, start)
        return target, torch.where(cold[:, None, None].to(self.device), self._nothing(condition), condition), exists

    def _cut(self, values: Tensor, valid: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
        """A window of values (B, T, C) from frame `start` (B,) on: (B, W, C), and which rows have a valid frame (B,).

        Past the clip's end the last frame repeats.
        """
        index = start[:, None].to(values.device) + torch.arange(self.config.window, device=values.device)  # (B, W)
        exists = index[:, 0] < valid.sum(1)
        index = index.minimum(valid.sum(1, keepdim=True) - 1).clamp_min(0)
        return values.gather(1, index[..., None].expand(-1, -1, values.shape[2])), exists

    def _nothing(self, like: Tensor) -> Tensor:
        """The speaker before a clip begins (online): zero emotion as in the release, or the mean face."""
        return torch.zeros_like(like) + (0.0 if self.uses_emotion else self.net.vae.mean)

    def _diffusion_loss(self, batch: WindowBatch) -> Loss:
        """Error of the denoised latent and of its decoded window, taken from the best of `draws` noises.

        Only the best draw is penalised, so the draws may differ from each other.
        """
        config, net = self.config, self.net
        target, speaker, exists = self.windows(batch)
        x0, condition = net.encode(target), net.encode(speaker)  # (B, L)
        if batch.step >= 0:
            t = batch.draw_rows(partial(torch.randint, config.noise_steps))
            noise = batch.draw_rows(torch.randn, config.draws, config.code).to(self.device)
        else:  # fixed steps, spread over the rows, so that validations are comparable
            t = torch.arange(len(x0)) % config.noise_steps
            noise = torch.randn(len(x0), config.draws, config.code).to(self.device)
        t = t[:, None].to(self.device)  # (B, 1)
        estimate = net.denoiser(net.diffusion.noised(x0[:, None], t, noise), t, condition[:, None])  # (B, draws, L)
        latent = config.latent_weight * (estimate - x0[:, None]).abs().mean(-1)  # (B, draws)
        with torch.no_grad():
            goal = net.decode(x0[:, None]) / net.vae.scale
        decoded = config.decoded_weight * (net.decode(estimate) / net.vae.scale - goal).pow(2).mean((-2, -1))
        best = (latent + decoded).amin(1) if config.pick == "joint" else latent.amin(1) + decoded.amin(1)
        log = {"latent": latent.detach().amin(1).mean(), "decoded": decoded.detach().amin(1).mean()}
        return Loss({"all": (best * exists).sum() / exists.sum().clamp_min(1)}, log)

    # --- training ---------------------------------------------------------------------------------------

    def stages(self, data: TrainData) -> Iterator[Stage]:
        config, net = self.config, self.net
        self._measure_motion(data)
        yield self._stage("autoencoder", net.vae, net.vae, Windows(config.window, config.vae_batch), config.vae_steps)
        net.eval()
        self._measure_latents(data)
        frames = config.window * (2 if config.online else 1)
        if config.windows == "first":  # the release trains on each clip's first windows, so a batch needs whole clips
            frames = max(frames, *(clip.frames for clip in data.clips("train")))
        yield self._stage("diffusion", net, net.denoiser, Windows(frames, config.batch), config.steps)
        net.eval()

    def _stage(self, name: str, module: nn.Module, learns: nn.Module, windows: Windows, steps: int) -> Stage:
        first = name == "autoencoder"
        rate = self.config.vae_lr if first else self.config.lr
        adam = Optimiser("all", list(learns.parameters()), rate, weight_decay=self.config.weight_decay)
        return Stage(
            name, module, windows, self._autoencoder_loss if first else self._diffusion_loss, (adam,), steps,
            validate_every=self.config.validate_every, select="loss" if self.config.validate_every else None,
        )  # fmt: skip

    def _measure_motion(self, data: TrainData) -> None:
        """Mean and standard deviation of both people's motion. Emotion is not standardised."""
        if self.uses_emotion:
            return
        motions = []
        for _, dyad in zip(range(CLIPS), data.dyads("train"), strict=False):
            motions += [torch.from_numpy(track.motion) for track in (dyad.speaker, dyad.listener)]
        mean, scale = moments(motions)
        self.net.vae.mean.copy_(mean)
        self.net.vae.scale.copy_(scale)

    @torch.no_grad()
    def _measure_latents(self, data: TrainData) -> None:
        """The range of each latent dimension over the training windows of both people."""
        lows, highs = [], []
        for dyad in data.dyads("train"):
            tracks = (dyad.speaker, dyad.listener)
            both = np.stack([track.emotion if self.uses_emotion else track.motion for track in tracks])  # type: ignore[misc]
            latent = self.net.vae.encode(self._windows_of(torch.from_numpy(both).to(self.device)).flatten(0, 1))
            lows.append(latent.amin(0))
            highs.append(latent.amax(0))
        self.net.low.copy_(torch.stack(lows).amin(0))
        self.net.high.copy_(torch.stack(highs).amax(0))

    # --- sampling ---------------------------------------------------------------------------------------

    def _windows_of(self, values: Tensor) -> Tensor:
        """(B, T, C) -> (B, N, W, C). The last frame repeats until the last window is full."""
        spare = -values.shape[1] % self.config.window
        padded = torch.cat([values, values[:, -1:].expand(-1, spare, -1)], 1)
        return padded.unflatten(1, (-1, self.config.window))

    @torch.no_grad()
    def sample(self, context: Context, k: int, noise: Noise) -> Reaction:
        """K reactions of exactly the context's frames: all windows of all samples in one batch, then cut."""
        self.net.eval()
        net, frames = self.net, context.frames
        x = normals(noise, context.clips, k, -(-frames // self.config.window), self.config.code, device=self.device)
        condition = self._condition(context)[:, None]  # (B, 1, N, L)

        def denoise(x: Tensor, t: int) -> Tensor:
            return net.denoiser(x, torch.full(condition.shape[:-1], t, device=self.device), condition)

        decoded = net.decode(net.diffusion.sample(denoise, x)).flatten(2, 3)[:, :, :frames]  # (B, K, T, C)
        if not self.uses_emotion:
            return Reaction(decoded.cpu().numpy())
        assert net.vae.head is not None
        motion = net.vae.head(decoded)
        return Reaction(motion.cpu().numpy(), emotion_output(decoded, self.config.emotion).cpu().numpy())

    def _condition(self, context: Context) -> Tensor:
        """The latent of the speaker's window that each window of the listener reacts to: (B, N, L)."""
        source = context.speaker_emotion if self.uses_emotion else context.speaker_motion
        if source is None:
            raise DyadbenchError("belfusion was trained on emotion, but these speakers have none; take stream=motion")
        values = torch.from_numpy(np.ascontiguousarray(source)).to(self.device)
        frames = torch.arange(context.frames, device=self.device)
        exists = frames < torch.from_numpy(np.asarray(context.lengths)).to(self.device)[:, None]
        windows = self._windows_of(hold_last(values, exists))  # (B, N, W, C)
        if self.config.online:
            # One window late: a window reacts to the speaker's window before it.
            windows = torch.cat([self._nothing(windows[:, :1]), windows[:, :-1]], 1)
        return self.net.encode(windows)


def hold_last(values: Tensor, valid: Tensor) -> Tensor:
    """values (B, T, C) with the last valid frame of each row repeated to the end; valid (B, T)."""
    last = (valid.sum(1, keepdim=True) - 1).clamp_min(0)
    index = torch.arange(values.shape[1], device=values.device).minimum(last)  # (B, T)
    return values.gather(1, index[..., None].expand_as(values))
