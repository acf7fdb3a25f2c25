"""REGNN (Xu et al., "MHP", the baseline of REACT 2024): reactions from the speaker's code, noise, and an inverted network.

Where this departs from the release (github.com/reactmultimodalchallenge/baseline_react2024, no licence, no code taken):
- no pixels: the speaker's motion, emotion and one of the dataset's audio features, standardised, stand for the Swin
  and VGGish features; `video` names a feature of the frames where a dataset has one;
- training windows begin anywhere in a clip and not every 25 frames;
- the graph keeps each row's own neighbours, noise has one size for clips of any length and is one for both windows of
  a frame, the motor's inverse takes up to 50 iterations, and what does not settle is counted in a warning.

W windows, K reactions, T frames of a window, C channels of a reaction.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dyadbench.api import (
    Array,
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
from dyadbench.nn.emotion import emotion_output
from dyadbench.nn.inputs import CLIPS, audio_of, moments
from dyadbench_regnn.config import RegnnConfig
from dyadbench_regnn.network import Regnn
from dyadbench_regnn.reactions import Reactions

VIDEO = "video-features"  # by convention what was computed from the speaker's frames: never taken for sound
FLOOR = 0.05  # least deviation an input is divided by: an action unit may be still in all the clips that are looked at


class RegnnPredictor:
    """api.Predictor and api.Trainable. Its reactions are emotion alone, or motion alone."""

    def __init__(self, config: RegnnConfig, setup: Setup):
        if config.channels == "emotion" and not setup.has_emotion:
            raise DyadbenchError(
                "regnn makes the 25 channels of emotion, which this dataset does not have; take regnn-motion"
            )
        if config.video not in ("none", *setup.audio):
            raise DyadbenchError(
                f"regnn: there is no feature {config.video!r}; this dataset has {', '.join(setup.audio) or 'none'}"
            )
        self.config, self.setup = config, setup
        self.device = torch.device(setup.device)
        self.video = None if config.video == "none" else config.video
        heard = {name: spec for name, spec in setup.audio.items() if name not in (VIDEO, self.video)}
        heard_setup = replace(setup, audio=heard)
        self.sound = audio_of(config.audio, heard_setup, prefer=("mfcc-78", "mel-128"), who="regnn")
        self.channels = 25 if config.channels == "emotion" else setup.space.dim
        seen = setup.audio[self.video].dim if self.video else setup.space.dim + 25 * setup.has_emotion
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(setup.seed)
            sound = setup.audio[self.sound].dim if self.sound else 0
            self.net = Regnn(config, seen=seen, sound=sound, channels=self.channels)
        self.net.to(self.device).eval()
        # The speaker's window of a frame may begin with that frame; with "past" it ends before its first one.
        self.lag = config.frames if config.hears == "past" else 0
        self.needs = Needs(
            audio=tuple(filter(None, (self.sound, self.video))), lookahead=0 if self.lag else config.frames - 1
        )

    def _tensors(
        self, motion: Array, emotion: Array | None, audio: Mapping[str, Array]
    ) -> tuple[Tensor, Tensor | None, dict[str, Tensor]]:
        """One clip's tracks (T, C) as batches of one."""

        def batch(values: Array) -> Tensor:
            return torch.from_numpy(np.ascontiguousarray(values))[None].to(self.device)

        return batch(motion), None if emotion is None else batch(emotion), {n: batch(v) for n, v in audio.items()}

    # --- the speaker ------------------------------------------------------------------------------------

    def _streams(
        self, motion: Tensor, emotion: Tensor | None, audio: Mapping[str, Tensor]
    ) -> tuple[Tensor, Tensor | None]:
        """Standardised seen (B, T, S) and sound (B, T, F) of whole tracks. A frame's features are the mean of its rows."""

        def per_frame(name: str) -> Tensor:
            return audio[name].unflatten(1, (motion.shape[1], -1)).mean(2)

        seen = per_frame(self.video) if self.video else torch.cat([motion] if emotion is None else [motion, emotion], 2)
        seen = (seen - self.net.seen_mean) / self.net.seen_scale
        sound = (per_frame(self.sound) - self.net.sound_mean) / self.net.sound_scale if self.sound else None
        return seen, sound

    def starts(self, frames: int) -> list[int]:
        """First frames of the windows that cover a clip; the last one ends where the clip ends."""
        size = self.config.frames
        starts = list(range(0, max(frames - size, 0) + 1, self.config.stride))
        return starts if starts[-1] + size >= frames else [*starts, frames - size]

    def _windows(self, track: Tensor, starts: list[int]) -> Tensor:
        """(T, C) -> (W, size, C): what is heard for the reactions of each window; zeros, the mean, outside the clip."""
        size = self.config.frames
        padded = torch.nn.functional.pad(track, (0, 0, self.lag, size))
        return torch.stack([padded[start : start + size] for start in starts])

    # --- training ---------------------------------------------------------------------------------------

    def _loss(self, batch: WindowBatch, pools: Mapping[str, Reactions]) -> Loss:
        config, size = self.config, self.config.frames
        training = batch.step >= 0
        pool = pools["train" if training else "val"]
        seen, sound = self._streams(batch.speaker_motion, batch.speaker_emotion, batch.audio)
        seen, sound = seen[:, :size], None if sound is None else sound[:, :size]
        keys = batch.draw_rows(torch.rand, pool.most).numpy() if training else None
        if training and self.lag:
            seen, sound = self._just_come_in(batch, seen, sound)
        reactions, there = pool.draw(batch.clips, batch.starts + self.lag, size, config.reactions, keys)
        code, graphs = self.net.speaker(seen, sound)
        codes = self.net.motor(reactions.to(self.device), graphs)  # (W, K, C, T)
        nearest, apart = self.net.loss(code, codes, there.to(self.device))
        return Loss({"all": nearest + apart}, {"nearest": nearest.detach(), "apart": apart.detach()})

    def _just_come_in(self, batch: WindowBatch, seen: Tensor, sound: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """In a share of rows the window begins before the clip does, as at the start of every clip in sampling."""
        size = self.config.frames
        missing = batch.draw_rows(torch.rand, 1) * (size + 1)  # (W, 1)
        missing = torch.where(batch.draw_rows(torch.rand, 1) < self.config.cold, missing, 0.0).floor()
        here = (torch.arange(size) >= missing).to(self.device)[..., None]  # (W, size, 1)
        return seen * here, None if sound is None else sound * here

    def stages(self, data: TrainData) -> Iterator[Stage]:
        config = self.config
        pools = {split: Reactions(data, split, config.channels) for split in ("train", "val") if data.clips(split)}
        self._standardise(data, pools["train"])
        adam = Optimiser(
            "all", list(self.net.parameters()), config.lr, weight_decay=config.weight_decay,
            schedule=lambda step: 1.0 if step < config.decay_at else 0.1,
        )  # fmt: skip
        yield Stage(
            "regnn", self.net, Windows(config.frames + self.lag, config.batch, self.needs.audio),
            lambda batch: self._loss(batch, pools), (adam,), config.steps, validate_every=config.validate_every,
        )  # fmt: skip
        self.net.eval()

    @torch.no_grad()
    def _standardise(self, data: TrainData, pool: Reactions) -> None:
        """Statistics of clips from all over the training split, then the ActNorms from the reactions to them.

        Here and not in the first step: several processes see different rows of it and would start apart, and a batch
        may lack action units that are rare.
        """
        every = max(1, len(data.clips("train")) // CLIPS)
        clips = list(islice(data.dyads("train", self.needs.audio), 0, None, every))
        found: dict[str, list[Tensor]] = {"seen": [], "sound": []}
        for dyad in clips:  # mean 0 and scale 1 as yet
            seen, sound = self._streams(*self._tensors(dyad.speaker.motion, dyad.speaker.emotion, dyad.speaker.audio))
            found["seen"].append(seen[0])
            found["sound"] += [] if sound is None else [sound[0]]
        for name, parts in found.items():
            if parts:
                mean, scale = moments(parts)
                if name == "seen" and not self.video:
                    scale[self.setup.space.dim :].clamp_(min=FLOOR)
                getattr(self.net, f"{name}_mean").copy_(mean)
                getattr(self.net, f"{name}_scale").copy_(scale)
        starts = [self.starts(dyad.clip.frames) for dyad in clips]
        names = tuple(dyad.clip.id for dyad, own in zip(clips, starts, strict=True) for _ in own)
        keys = np.random.default_rng(self.setup.seed).random((len(names), pool.most))
        reactions, _ = pool.draw(names, np.concatenate(starts), self.config.frames, 1, keys)
        heard = [
            self._heard(*self._tensors(dyad.speaker.motion, dyad.speaker.emotion, dyad.speaker.audio), own)
            for dyad, own in zip(clips, starts, strict=True)
        ]
        graphs = torch.cat([each[1] for each in heard])
        self.net.motor.train()
        self.net.motor(reactions.to(self.device), graphs)
        self.net.motor.eval()

    # --- sampling ---------------------------------------------------------------------------------------

    @torch.no_grad()
    def sample(self, context: Context, k: int, noise: Noise) -> Reaction:
        """K reactions of exactly the context's frames; where windows overlap, the mean of both."""
        self.net.eval()
        out = np.zeros((len(context.clips), k, context.frames, self.channels), np.float32)
        unsettled = 0
        for row, clip in enumerate(context.clips):
            frames = int(context.lengths[row])
            starts = self.starts(frames)
            audio = {
                name: values[row, : frames * self.setup.audio[name].per_frame] for name, values in context.audio.items()
            }
            emotion = None if context.speaker_emotion is None else context.speaker_emotion[row, :frames]
            code, graphs = self._heard(*self._tensors(context.speaker_motion[row, :frames], emotion, audio), starts)
            drawn = torch.stack([self._noise(noise, clip, sample, frames, starts) for sample in range(k)], 1)
            made, moving = self.net.motor.inverse(
                code[:, None] + drawn.to(self.device), graphs,
                iterations=self.config.iterations, tolerance=self.config.tolerance,
            )  # fmt: skip
            unsettled += int(moving.sum())
            out[row, :, :frames] = self._joined(made, starts, frames).cpu().numpy()
        if unsettled:
            warnings.warn(
                f"regnn: the motor's inverse did not settle to {self.config.tolerance:g} in {unsettled} windows "
                f"of {len(context.clips)} clips after {self.config.iterations} iterations",
                RuntimeWarning, stacklevel=2,
            )  # fmt: skip
        if self.config.channels == "motion":
            return Reaction(out)
        return Reaction(None, emotion_output(torch.from_numpy(out), self.config.emotion).numpy())

    def _heard(
        self, motion: Tensor, emotion: Tensor | None, audio: Mapping[str, Tensor], starts: list[int]
    ) -> tuple[Tensor, Tensor]:
        """Code (W, C, T) and graphs (W, P, C, C) of one clip's windows; tracks (1, T, C)."""
        seen, sound = self._streams(motion, emotion, audio)
        windows = self._windows(seen[0], starts), None if sound is None else self._windows(sound[0], starts)
        code, graphs = self.net.speaker(*windows)
        return code, graphs

    def _noise(self, noise: Noise, clip: str, sample: int, frames: int, starts: list[int]) -> Tensor:
        """What is added to the speaker's code in each window: (W, C, T).

        The release draws each window anew, so the mean of two windows has half the variance, and rescales by the
        largest of all entries, so that its noise is the smaller the longer the clip.
        """
        size, stream = self.config.frames, noise.stream(clip, sample, "code")
        if self.config.noise == "fixed":
            track = self.config.sigma * stream.standard_normal((max(frames, size), self.channels), np.float32)
            return torch.from_numpy(np.stack([track[start : start + size].T for start in starts]))
        drawn = stream.standard_normal((len(starts), self.channels, size), np.float32)
        return torch.from_numpy(drawn * min(1.0, float(np.sqrt(self.config.noise_max) / np.abs(drawn).max())))

    def _joined(self, made: Tensor, starts: list[int], frames: int) -> Tensor:
        """Windows (W, K, C, size) to whole clips (K, T, C)."""
        size = self.config.frames
        total = made.new_zeros(made.shape[1], max(frames, size), self.channels)
        count = made.new_zeros(max(frames, size), 1)
        for part, start in zip(made.mT, starts, strict=True):
            total[:, start : start + size] += part
            count[start : start + size] += 1
        return (total / count)[:, :frames]

    # --- state ------------------------------------------------------------------------------------------

    def parameters(self) -> Iterator[nn.Parameter]:
        return self.net.parameters()

    def state_dict(self) -> Mapping[str, Any]:
        return self.net.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> Any:
        return self.net.load_state_dict(state)
