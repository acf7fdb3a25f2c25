"""REGNN (Xu et al., the baseline of REACT 2024): reactions from the speaker's code, noise, and an inverted network.

Where this departs from the release (github.com/reactmultimodalchallenge/baseline_react2024, no licence, no code taken):
- There are no pixels. The speaker's motion, emotion and one of the dataset's audio features, standardised, replace the
  Swin and VGGish features. `video` names a feature of the video frames where a dataset has one.
- Training windows begin anywhere in a clip and not only at every 25th frame.
- Each row of the graph keeps its own neighbours. The noise does not depend on a clip's length, and the two windows that
  overlap at a frame share it. The motor's inverse takes up to 50 iterations; windows that do not converge are counted in
  a warning.

B clips, K samples, W windows, T frames per window, C channels of a reaction, P graphs.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from dyadbench.api import (
    EMOTION_CHANNELS,
    Array,
    Context,
    Dyad,
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
from dyadbench.nn.inputs import CLIPS, audio_of, moments, video_of
from dyadbench_regnn.config import RegnnConfig
from dyadbench_regnn.network import Regnn
from dyadbench_regnn.picture import picture
from dyadbench_regnn.reactions import Reactions

FLOOR = 0.05  # lowest scale of an emotion channel: an action unit may be constant in all the clips that are measured


class RegnnPredictor(NetComponent[Regnn]):
    """api.Predictor and api.Trainable. Its reactions are either emotion or motion."""

    def __init__(self, config: RegnnConfig, setup: Setup):
        if config.channels == "emotion" and not setup.has_emotion:
            raise DyadbenchError(
                "regnn generates the 25 channels of emotion, but this dataset has none; take regnn-motion"
            )
        self.config, self.setup = config, setup
        self.video = video_of(config.video, setup, who="regnn")
        self.sound = audio_of(config.audio, setup, prefer=("mfcc-78", "mel-128"), who="regnn", besides=self.video)
        self.channels = 25 if config.channels == "emotion" else setup.space.dim
        width = setup.audio[self.video].dim if self.video else setup.space.dim + 25 * setup.has_emotion
        sound = setup.audio[self.sound].dim if self.sound else 0
        self.build_net(lambda: Regnn(config, seen=width, sound=sound, channels=self.channels), setup)
        # "present": a window and its speaker's window are the same frames. "past": the speaker's window lies just before.
        self.lag = config.frames if config.hears == "past" else 0
        self.needs = Needs(
            audio=tuple(filter(None, (self.sound, self.video))), lookahead=0 if self.lag else config.frames - 1
        )

    def _tensors(
        self, motion: Array, emotion: Array | None, audio: Mapping[str, Array]
    ) -> tuple[Tensor, Tensor | None, dict[str, Tensor]]:
        """The tracks of one clip, (T, C) each, as batches of one: (1, T, C)."""

        def batch(values: Array) -> Tensor:
            return torch.from_numpy(np.ascontiguousarray(values))[None].to(self.device)

        return batch(motion), None if emotion is None else batch(emotion), {n: batch(v) for n, v in audio.items()}

    # --- the speaker ------------------------------------------------------------------------------------

    def _streams(
        self, motion: Tensor, emotion: Tensor | None, audio: Mapping[str, Tensor]
    ) -> tuple[Tensor, Tensor | None]:
        """Standardised inputs of whole tracks: seen (B, T, S) and sound (B, T, F). A frame's features are the mean of its rows."""

        def per_frame(name: str) -> Tensor:
            return audio[name].unflatten(1, (motion.shape[1], -1)).mean(2)

        seen = per_frame(self.video) if self.video else torch.cat([motion] if emotion is None else [motion, emotion], 2)
        seen = (seen - self.net.seen_mean) / self.net.seen_scale
        sound = (per_frame(self.sound) - self.net.sound_mean) / self.net.sound_scale if self.sound else None
        return seen, sound

    def starts(self, frames: int) -> list[int]:
        """First frames of the windows that cover a clip.

        The last window ends where the clip ends; online it is one more stride, or the clip's end would decide which frames it
        averages with.
        """
        size = self.config.frames
        starts = list(range(0, max(frames - size, 0) + 1, self.config.stride))
        if starts[-1] + size >= frames:
            return starts
        return [*starts, starts[-1] + self.config.stride if self.lag else frames - size]

    def _windows(self, track: Tensor, starts: list[int]) -> Tensor:
        """(T, C) -> (W, size, C): the speaker's window of each window; outside the clip it is 0, the standardised mean."""
        size = self.config.frames
        padded = torch.nn.functional.pad(track, (0, 0, self.lag, size))
        return torch.stack([padded[start : start + size] for start in starts])

    # --- training ---------------------------------------------------------------------------------------

    def _loss(self, batch: WindowBatch, pools: Mapping[str, Reactions]) -> Loss:
        config, size = self.config, self.config.frames
        training = batch.step >= 0
        pool = pools["train" if training else "val"]
        seen, sound = self._streams(batch.speaker_motion, batch.speaker_emotion, batch.audio)
        seen, sound = self._heard(seen, batch.valid), None if sound is None else self._heard(sound, batch.valid)
        keys = batch.draw_rows(torch.rand, pool.most).numpy() if training else None
        if training and self.lag:
            seen, sound = self._cold_start(batch, seen, sound)
        reactions, exists = pool.draw(batch.clips, batch.starts + self.lag, size, config.reactions, keys)
        code, graphs = self.net.speaker(seen, sound)
        codes = self.net.motor(reactions.to(self.device), graphs)  # (W, K, C, T)
        nearest, spread = self.net.loss(code, codes, exists.to(self.device))
        return Loss({"all": nearest + spread}, {"nearest": nearest.detach(), "apart": spread.detach()})

    def _heard(self, values: Tensor, valid: Tensor) -> Tensor:
        """The speaker's windows (W, size, C) of rows (W, size + lag, C): `lag` frames before the reaction's, as in sampling.

        In a clip that is shorter than both together the reaction ends with the clip, and what lies before the clip is 0, the
        standardised mean, like what lies after a clip that is shorter than a window.
        """
        size = self.config.frames
        early = (self.lag + size - valid.sum(1)).clamp(0, self.lag)  # (W,) frames by which the reaction begins earlier
        frame = torch.arange(size, device=values.device) - early[:, None]
        index = frame.clamp_min(0)[..., None]
        exists = ((frame >= 0) & valid.gather(1, index[..., 0]))[..., None]
        return values.gather(1, index.expand(-1, -1, values.shape[2])) * exists

    def _cold_start(self, batch: WindowBatch, seen: Tensor, sound: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """In a share of the rows the window begins before the clip, as the first window of every clip does in sampling."""
        size = self.config.frames
        missing = batch.draw_rows(torch.rand, 1) * (size + 1)  # (W, 1)
        missing = torch.where(batch.draw_rows(torch.rand, 1) < self.config.cold, missing, 0.0).floor()
        exists = (torch.arange(size) >= missing).to(self.device)[..., None]  # (W, size, 1)
        return seen * exists, None if sound is None else sound * exists

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
            select="loss" if config.validate_every else None,
        )  # fmt: skip
        self.net.eval()

    @torch.no_grad()
    def _standardise(self, data: TrainData, pool: Reactions) -> None:
        """Sets the inputs' mean and scale from clips spread over the training split, then initialises the ActNorms.

        This happens before the first step because several processes see different rows of a batch, so ActNorms
        initialised by the batch would differ between them. A batch may also lack rare action units.
        """
        every = max(1, len(data.clips("train")) // CLIPS)
        clips = list(islice(data.dyads("train", self.needs.audio), 0, None, every))
        values: dict[str, list[Tensor]] = {"seen": [], "sound": []}
        for dyad in clips:  # the network's mean and scale are still 0 and 1 here
            seen, sound = self._streams(*self._tensors(dyad.speaker.motion, dyad.speaker.emotion, dyad.speaker.audio))
            values["seen"].append(seen[0])
            values["sound"] += [] if sound is None else [sound[0]]
        for name, parts in values.items():
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
        encoded = [
            self._encode_speaker(*self._tensors(dyad.speaker.motion, dyad.speaker.emotion, dyad.speaker.audio), own)
            for dyad, own in zip(clips, starts, strict=True)
        ]
        graphs = torch.cat([each[1] for each in encoded])
        self.net.motor.train()  # an ActNorm initialises itself in its first pass in training mode
        self.net.motor(reactions.to(self.device), graphs)
        self.net.motor.eval()

    # --- sampling ---------------------------------------------------------------------------------------

    @torch.no_grad()
    def sample(self, context: Context, k: int, noise: Noise) -> Reaction:
        """K reactions of exactly the context's frames. Where windows overlap, their mean is taken."""
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
            code, graphs = self._encode_speaker(
                *self._tensors(context.speaker_motion[row, :frames], emotion, audio), starts
            )
            noises = torch.stack([self._noise(noise, clip, sample, frames, starts) for sample in range(k)], 1)
            reactions, moving = self.net.motor.inverse(
                code[:, None] + noises.to(self.device), graphs,
                iterations=self.config.iterations, tolerance=self.config.tolerance,
            )  # fmt: skip
            unsettled += int(moving.sum())
            out[row, :, :frames] = self._joined(reactions, starts, frames).cpu().numpy()
        if unsettled:
            warnings.warn(
                f"regnn: the motor's inverse did not converge to {self.config.tolerance:g} in {unsettled} windows "
                f"of {len(context.clips)} clips after {self.config.iterations} iterations",
                RuntimeWarning, stacklevel=2,
            )  # fmt: skip
        if self.config.channels == "motion":
            return Reaction(out)
        return Reaction(None, emotion_output(torch.from_numpy(out), self.config.emotion).numpy())

    def _encode_speaker(
        self, motion: Tensor, emotion: Tensor | None, audio: Mapping[str, Tensor], starts: list[int]
    ) -> tuple[Tensor, Tensor]:
        """Code (W, C, T) and graphs (W, P, C, C) of one clip's windows; tracks (1, T, C)."""
        seen, sound = self._streams(motion, emotion, audio)
        windows = self._windows(seen[0], starts), None if sound is None else self._windows(sound[0], starts)
        code, graphs = self.net.speaker(*windows)
        return code, graphs

    @torch.no_grad()
    def draw(self, dyad: Dyad) -> Mapping[str, str]:
        """The graph that the speaker gives the channels of a reaction: the mean over windows and graphs (api.Drawable)."""
        self.net.eval()
        tracks = self._tensors(dyad.speaker.motion, dyad.speaker.emotion, dyad.speaker.audio)
        graphs = self._encode_speaker(*tracks, self.starts(dyad.clip.frames))[1]
        names = EMOTION_CHANNELS if self.config.channels == "emotion" else self.setup.space.channels
        return {"graph": picture(f"{dyad.clip.id}: mean graph", graphs.mean((0, 1)).cpu().numpy(), names)}

    def _noise(self, noise: Noise, clip: str, sample: int, frames: int, starts: list[int]) -> Tensor:
        """The noise that is added to the speaker's code in each window: (W, C, T).

        "fixed" draws one noise per clip, which overlapping windows share. "released" draws one per window, so the mean of
        two windows has half the variance; it also divides by the largest entry, so longer clips get smaller noise.
        """
        size, stream = self.config.frames, noise.stream(clip, sample, "code")
        if self.config.noise == "fixed":
            track = self.config.sigma * stream.standard_normal((starts[-1] + size, self.channels), np.float32)
            return torch.from_numpy(np.stack([track[start : start + size].T for start in starts]))
        values = stream.standard_normal((len(starts), self.channels, size), np.float32)
        return torch.from_numpy(values * min(1.0, float(np.sqrt(self.config.noise_max) / np.abs(values).max())))

    def _joined(self, reactions: Tensor, starts: list[int], frames: int) -> Tensor:
        """Windows (W, K, C, size) to whole clips (K, T, C)."""
        size = self.config.frames
        total = reactions.new_zeros(reactions.shape[1], starts[-1] + size, self.channels)
        count = reactions.new_zeros(starts[-1] + size, 1)
        for part, start in zip(reactions.mT, starts, strict=True):
            total[:, start : start + size] += part
            count[start : start + size] += 1
        return (total / count)[:, :frames]
