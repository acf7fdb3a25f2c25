"""Trans-VAE: a transformer decodes a random latent, whose distribution depends on the speaker, into a reaction.

The baseline sees pixels through an image encoder and hears MFCC. Here the speaker's motion and emotion replace the pixels,
or features of the video frames where a dataset offers them (`video`). The sound is one of the dataset's features.

B clips, K samples, R = B * K rows, T frames, w frames per window, N latents, C channels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dyadbench.api import (
    AudioSpec,
    Context,
    Loss,
    Needs,
    Noise,
    Optimiser,
    Reaction,
    Setup,
    Stage,
    Track,
    TrainData,
    WindowBatch,
    Windows,
)  # fmt: skip
from dyadbench.nn.component import NetComponent, to_tensor
from dyadbench.nn.emotion import emotion_output
from dyadbench.nn.inputs import CLIPS, audio_of, beside, moments, video_of
from dyadbench.nn.losses import masked_mean
from dyadbench.nn.sampling import normals
from dyadbench_transvae.config import OnlineConfig, TransVAEConfig
from dyadbench_transvae.network import OnlineTransVAE, Outcome, TransVAE

HEAD = ("rotation", "translation", "jaw")  # groups of channels that `head_weight` weighs
# Squared distance per frame at which two reactions count as different. The release has 100 per crop of 256 frames.
NEAR = 100.0 / 256


class TransVAEPredictor(NetComponent[TransVAE | OnlineTransVAE]):
    """api.Predictor and api.Trainable, offline or online by its configuration."""

    def __init__(self, config: TransVAEConfig, setup: Setup):
        self.config, self.setup = config, setup
        self.window = config.window if isinstance(config, OnlineConfig) else 0
        self.delay = config.delay if isinstance(config, OnlineConfig) else 0
        self.video = video_of(config.video, setup, who="trans-vae")
        self.sound = audio_of(config.audio, setup, prefer=("mfcc-78",), who="trans-vae", besides=self.video)
        face = _width(setup.audio[self.video]) if self.video else setup.space.dim + 25 * setup.has_emotion
        sizes = {
            "face": face, "sound": _width(setup.audio[self.sound]) if self.sound else 0,
            "motion": setup.space.dim, "emotion": 25 * setup.has_emotion,
        }  # fmt: skip
        self.build_net(
            lambda: OnlineTransVAE(config, **sizes) if isinstance(config, OnlineConfig) else TransVAE(config, **sizes),
            setup,
        )
        lookahead = max(0, self.window - 1 - self.delay) if self.window else None
        self.parts = self._parts()
        self.needs = Needs(audio=tuple(filter(None, (self.sound, self.video))), lookahead=lookahead)

    def _parts(self) -> dict[str, tuple[list[int], float]]:
        """Channels and weight of each part of the loss: the head (rotation, translation, jaw) and all other channels."""
        space = self.setup.space
        head = sorted(i for group in HEAD if group in space.groups for i in range(*space.groups[group]))
        rest = [i for i in range(space.dim) if i not in head]
        parts = {"expression": (rest, 1.0), "head": (head, self.config.head_weight)}
        return {name: part for name, part in parts.items() if part[0]}

    # --- training ---------------------------------------------------------------------------------------

    def _generate(self, batch: WindowBatch) -> Outcome:
        """One random reaction per row of the batch, R = B; another call draws another one."""
        sound = batch.audio[self.sound] if self.sound else None
        face = batch.audio[self.video] if self.video else beside(batch.speaker_motion, batch.speaker_emotion)
        features, exists = self._speaker(face, sound, batch.valid)
        # The first `delay` frames have no speaker yet, so they are not trained.
        features, exists = features[:, self.delay :], exists[:, self.delay :]
        shape = self._latents(features.shape[1]), self.config.dim
        noise = batch.draw_rows(torch.randn, *shape) if batch.step >= 0 else torch.randn(len(features), *shape)
        out: Outcome = self.net(features, exists, noise.to(self.device))
        return out

    def _errors(self, outcome: Outcome, batch: WindowBatch) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Reconstruction error, divergence of the latents from N(0, 1), and the values to log."""
        valid, log, total = batch.valid[:, self.delay :], {}, torch.zeros((), device=self.device)
        motion = batch.listener_motion[:, self.delay :]
        error = (outcome.motion[:, : motion.shape[1]] - motion) ** 2
        for name, (channels, weight) in self.parts.items():
            log[name] = masked_mean(error[..., channels], valid)
            total = total + weight * log[name]
        if outcome.emotion is not None and batch.listener_emotion is not None:
            target = batch.listener_emotion[:, self.delay :]
            log["emotion"] = masked_mean((outcome.emotion[:, : target.shape[1]] - target) ** 2, valid)
            total = total + log["emotion"]
        variance = outcome.log_variance.exp()
        log["kl"] = -0.5 * (1 + outcome.log_variance - outcome.mean**2 - variance).mean()
        log["spread"] = variance.sqrt().mean()
        return total, log["kl"], {name: value.detach() for name, value in log.items()}

    def _loss(self, batch: WindowBatch) -> Loss:
        """Reconstruction, divergence, and the similarity of two reactions to the same speaker, which is penalised."""
        outcome = self._generate(batch)
        error, kl, log = self._errors(outcome, batch)
        with torch.no_grad():
            other = self._generate(batch)
        similarity = self._similarity(outcome.motion, other.motion, batch)
        if outcome.emotion is not None and other.emotion is not None:
            similarity = similarity + self._similarity(outcome.emotion, other.emotion, batch)
        log["alike"] = similarity.detach()
        return Loss({"all": error + self.config.kl * kl + self.config.diversity * similarity}, log)

    def _similarity(self, one: Tensor, other: Tensor, batch: WindowBatch) -> Tensor:
        """Mean over rows of exp(-d / NEAR), where d is the squared distance per frame of two reactions (B, T, C).

        The release sums d over the crop, so the term would demand more varied reactions of a shorter crop.
        """
        valid = batch.valid[:, self.delay :]
        gap = ((one - other)[:, : valid.shape[1]] ** 2 * valid[..., None]).sum((1, 2)) / valid.sum(1).clamp_min(1)
        return (-gap / NEAR).exp().mean()

    def _validate(self, batch: WindowBatch) -> Mapping[str, Any]:
        error, kl, log = self._errors(self._generate(batch), batch)
        return {"loss": error + self.config.kl * kl, **log}

    def stages(self, data: TrainData) -> Iterator[Stage]:
        config = self.config
        self._measure(data)
        adam = Optimiser("all", list(self.net.parameters()), config.lr, weight_decay=config.weight_decay)
        yield Stage(
            "predictor", self.net, Windows(config.frames + self.delay, config.batch, self.needs.audio), self._loss, (adam,),
            config.steps, validate=self._validate, validate_every=config.validate_every,
            select="loss" if config.validate_every else None,
        )  # fmt: skip
        self.net.eval()

    def _measure(self, data: TrainData) -> None:
        """Mean and standard deviation of the speakers' face and sound."""
        values: dict[str, list[Tensor]] = {"face": [], "sound": []}
        for _, dyad in zip(range(CLIPS), data.dyads("train", self.needs.audio), strict=False):
            values["face"].append(torch.from_numpy(self._face(dyad.speaker)))
            if self.sound:
                sound = dyad.speaker.audio[self.sound]
                values["sound"].append(torch.from_numpy(sound.reshape(dyad.clip.frames, -1)))
        for name, parts in values.items():
            if parts:
                mean, scale = moments(parts)
                getattr(self.net, f"{name}_mean").copy_(mean)
                getattr(self.net, f"{name}_scale").copy_(scale)

    def _face(self, track: Track) -> np.ndarray:
        """The input that replaces a track's pixels: (T, F)."""
        if self.video:
            return track.audio[self.video].reshape(len(track.motion), -1)
        return track.motion if track.emotion is None else np.concatenate([track.motion, track.emotion], 1)

    # --- sampling ---------------------------------------------------------------------------------------

    @torch.no_grad()
    def sample(self, context: Context, k: int, noise: Noise) -> Reaction:
        """K reactions of exactly the context's frames. They differ only in their latents."""
        self.net.eval()
        clips, frames = len(context.clips), context.frames
        sound = to_tensor(context.audio[self.sound], self.device) if self.sound else None
        emotion = None if context.speaker_emotion is None else to_tensor(context.speaker_emotion, self.device)
        face = (
            to_tensor(context.audio[self.video], self.device)
            if self.video
            else beside(to_tensor(context.speaker_motion, self.device), emotion)
        )
        places = torch.arange(frames, device=self.device)
        exists = places < to_tensor(context.lengths, self.device)[:, None]
        features, exists = self._speaker(face, sound, exists)
        latents = normals(noise, context.clips, k, self._latents(frames), self.config.dim, device=self.device)
        outcome = self.net(features, exists, latents.flatten(0, 1), k)

        def shaped(values: Tensor) -> Tensor:
            cut = values[:, :frames]
            if isinstance(self.config, OnlineConfig) and self.config.tail == "zeros":
                whole = to_tensor(context.lengths // self.window * self.window, self.device)
                cut = torch.where((places < whole[:, None]).repeat_interleave(k, 0)[..., None], cut, 0.0)
            return cut.unflatten(0, (clips, k))

        motion = shaped(outcome.motion).cpu().numpy()
        if outcome.emotion is None:
            return Reaction(motion)
        emotions = emotion_output(outcome.emotion, self.config.emotion)
        return Reaction(motion, shaped(emotions).cpu().numpy())

    def _latents(self, frames: int) -> int:
        return -(-frames // self.net.window) if isinstance(self.net, OnlineTransVAE) else 1

    def _speaker(self, face: Tensor, sound: Tensor | None, exists: Tensor) -> tuple[Tensor, Tensor]:
        """Features (B, T, C) of the speaker `delay` frames before each frame, and which of these exist (B, T)."""
        features: Tensor = self.net.speaker(face, sound, exists.shape[1])
        if self.delay:
            features = nn.functional.pad(features, (0, 0, self.delay, 0))[:, : -self.delay]
            exists = exists & nn.functional.pad(exists, (self.delay, 0))[:, : -self.delay]
        return features, exists


def _width(spec: AudioSpec) -> int:
    return spec.dim * spec.per_frame
