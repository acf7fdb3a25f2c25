"""Trans-VAE: what the speaker does becomes one latent, drawn at random, and a transformer makes frames of it.

The baseline sees pixels through an image encoder and hears MFCC. Here the speaker's motion and emotion stand where
the pixels do, or features of the frames where a dataset offers them (`video`); the sound is the dataset's.

B clips, K samples, R = B * K rows, T frames, w frames of a window, N latents, C channels.
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
    DyadbenchError,
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
from dyadbench.nn.emotion import emotion_output
from dyadbench.nn.inputs import CLIPS, audio_of, moments
from dyadbench.nn.losses import masked_mean
from dyadbench.nn.sampling import normals
from dyadbench_transvae.config import OnlineConfig, TransVAEConfig
from dyadbench_transvae.network import OnlineTransVAE, Outcome, TransVAE

VIDEO = "video-features"  # by convention the name of what was computed from the speaker's frames
NEAR = (
    100.0 / 256
)  # squared distance per frame at which two reactions count as different: 100 for the release's 256 frames


class TransVAEPredictor:
    """api.Predictor and api.Trainable, offline or online by its configuration."""

    def __init__(self, config: TransVAEConfig, setup: Setup):
        self.config, self.setup = config, setup
        self.window = config.window if isinstance(config, OnlineConfig) else 0
        self.delay = config.delay if isinstance(config, OnlineConfig) else 0
        self.device = torch.device(setup.device)
        self.sound, self.video = self._features()
        face = _width(setup.audio[self.video]) if self.video else setup.space.dim + 25 * setup.has_emotion
        sizes = {
            "face": face, "sound": _width(setup.audio[self.sound]) if self.sound else 0,
            "motion": setup.space.dim, "emotion": 25 * setup.has_emotion,
        }  # fmt: skip
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(setup.seed)
            net = OnlineTransVAE(config, **sizes) if isinstance(config, OnlineConfig) else TransVAE(config, **sizes)
        self.net = net.to(self.device).eval()
        lookahead = max(0, self.window - 1 - self.delay) if self.window else None
        self.needs = Needs(audio=tuple(filter(None, (self.sound, self.video))), lookahead=lookahead)

    def _features(self) -> tuple[str | None, str | None]:
        """Names of the sound and of the features of frames, each None where there is none or none is asked for."""
        wish, audio = self.config.video, self.setup.audio
        if wish not in ("none", *audio):
            raise DyadbenchError(
                f"trans-vae: there is no feature {wish!r}; this dataset has {', '.join(audio) or 'none'}"
            )
        heard = {name: spec for name, spec in audio.items() if name not in (VIDEO, wish)}
        if self.config.audio == "auto" and not heard:
            sound = None
        else:
            prefer = ("mfcc-78", *heard)
            sound = audio_of(self.config.audio, self.setup, prefer=prefer, who="trans-vae")
        return sound, None if wish == "none" else wish

    # --- training ---------------------------------------------------------------------------------------

    def _generated(self, batch: WindowBatch) -> Outcome:
        """A reaction to each row: R = B, one of many by latents drawn anew."""
        sound = batch.audio[self.sound] if self.sound else None
        face = batch.audio[self.video] if self.video else _beside(batch.speaker_motion, batch.speaker_emotion)
        features, exists = self._speaker(face, sound, batch.valid)
        features, exists = features[:, self.delay :], exists[:, self.delay :]
        shape = self._latents(features.shape[1]), self.config.dim
        noise = batch.draw_rows(torch.randn, *shape) if batch.step >= 0 else torch.randn(len(features), *shape)
        out: Outcome = self.net(features, exists, noise.to(self.device))
        return out

    def _errors(self, made: Outcome, batch: WindowBatch) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Reconstruction error, divergence of the latents from N(0, 1), and what is logged."""
        valid, log, total = batch.valid[:, self.delay :], {}, torch.zeros((), device=self.device)
        motion = batch.listener_motion[:, self.delay :]
        error = (made.motion[:, : motion.shape[1]] - motion) ** 2
        expression = self.setup.space.slice("expression")
        rest = [i for i in range(motion.shape[2]) if not expression.start <= i < expression.stop]
        log["expression"], log["head"] = (
            masked_mean(error[..., expression], valid),
            masked_mean(error[..., rest], valid),
        )
        total = total + log["expression"] + self.config.head_weight * log["head"]
        if made.emotion is not None:
            aim = batch.listener_emotion[:, self.delay :]
            log["emotion"] = masked_mean((made.emotion[:, : aim.shape[1]] - aim) ** 2, valid)
            total = total + log["emotion"]
        variance = made.log_variance.exp()
        log["kl"] = -0.5 * (1 + made.log_variance - made.mean**2 - variance).mean()
        log["spread"] = variance.sqrt().mean()
        return total, log["kl"], {name: value.detach() for name, value in log.items()}

    def _loss(self, batch: WindowBatch) -> Loss:
        """Reconstruction, divergence, and how alike two reactions to one speaker are."""
        made = self._generated(batch)
        error, kl, log = self._errors(made, batch)
        with torch.no_grad():
            other = self._generated(batch)
        alike = self._alike(made.motion, other.motion, batch)
        if made.emotion is not None and other.emotion is not None:
            alike = alike + self._alike(made.emotion, other.emotion, batch)
        log["alike"] = alike.detach()
        return Loss({"all": error + self.config.kl * kl + self.config.diversity * alike}, log)

    def _alike(self, one: Tensor, other: Tensor, batch: WindowBatch) -> Tensor:
        """exp(-d / NEAR), d the squared distance of two reactions per frame (all channels), mean over rows.

        The release sums over the crop's frames, so that a shorter crop would ask for wilder reactions.
        """
        valid = batch.valid[:, self.delay :]
        gap = ((one - other)[:, : valid.shape[1]] ** 2 * valid[..., None]).sum((1, 2)) / valid.sum(1).clamp_min(1)
        return (-gap / NEAR).exp().mean()

    def _validate(self, batch: WindowBatch) -> Mapping[str, Any]:
        error, kl, log = self._errors(self._generated(batch), batch)
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
        """Means and spreads of the speakers' face and sound."""
        found: dict[str, list[Tensor]] = {"face": [], "sound": []}
        for _, dyad in zip(range(CLIPS), data.dyads("train", self.needs.audio), strict=False):
            found["face"].append(torch.from_numpy(self._face(dyad.speaker)))
            if self.sound:
                sound = dyad.speaker.audio[self.sound]
                found["sound"].append(torch.from_numpy(sound.reshape(dyad.clip.frames, -1)))
        for name, parts in found.items():
            if parts:
                mean, scale = moments(parts)
                getattr(self.net, f"{name}_mean").copy_(mean)
                getattr(self.net, f"{name}_scale").copy_(scale)

    def _face(self, track: Track) -> np.ndarray:
        """What stands in place of a track's pixels: (T, F)."""
        if self.video:
            return track.audio[self.video].reshape(len(track.motion), -1)
        return track.motion if track.emotion is None else np.concatenate([track.motion, track.emotion], 1)

    # --- sampling ---------------------------------------------------------------------------------------

    @torch.no_grad()
    def sample(self, context: Context, k: int, noise: Noise) -> Reaction:
        """K reactions of exactly the context's frames, which differ by their latents alone."""
        self.net.eval()
        clips, frames = len(context.clips), context.frames
        sound = self._tensor(context.audio[self.sound]) if self.sound else None
        emotion = None if context.speaker_emotion is None else self._tensor(context.speaker_emotion)
        face = (
            self._tensor(context.audio[self.video])
            if self.video
            else _beside(self._tensor(context.speaker_motion), emotion)
        )
        places = torch.arange(frames, device=self.device)
        exists = places < self._tensor(context.lengths)[:, None]
        features, exists = self._speaker(face, sound, exists)
        latents = normals(noise, context.clips, k, self._latents(frames), self.config.dim, device=self.device)
        made = self.net(features, exists, latents.flatten(0, 1), k)

        def shaped(values: Tensor) -> Tensor:
            cut = values[:, :frames]
            if isinstance(self.config, OnlineConfig) and self.config.tail == "zeros":
                cut[:, frames - frames % self.window :] = 0.0
            return cut.unflatten(0, (clips, k))

        motion = shaped(made.motion).cpu().numpy()
        if made.emotion is None:
            return Reaction(motion)
        felt = emotion_output(made.emotion, self.config.emotion)
        return Reaction(motion, shaped(felt).cpu().numpy())

    def _tensor(self, values: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(self.device)

    def _latents(self, frames: int) -> int:
        return -(-frames // self.window) if self.window else 1

    def _speaker(self, face: Tensor, sound: Tensor | None, exists: Tensor) -> tuple[Tensor, Tensor]:
        """Features (B, T, C) of what is heard at each frame, `delay` frames late, and whether anything is."""
        features: Tensor = self.net.speaker(face, sound, exists.shape[1])
        if self.delay:
            features = nn.functional.pad(features, (0, 0, self.delay, 0))[:, : -self.delay]
            exists = exists & nn.functional.pad(exists, (self.delay, 0))[:, : -self.delay]
        return features, exists

    # --- state ------------------------------------------------------------------------------------------

    def parameters(self) -> Iterator[nn.Parameter]:
        return self.net.parameters()

    def state_dict(self) -> Mapping[str, Any]:
        return self.net.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> Any:
        return self.net.load_state_dict(state)


def _width(spec: AudioSpec) -> int:
    return spec.dim * spec.per_frame


def _beside(motion: Tensor, emotion: Tensor | None) -> Tensor:
    return motion if emotion is None else torch.cat([motion, emotion], -1)
