"""The listener of Let's Face It: trained by likelihood, sampled frame by frame, with look-ahead 0.

Where this departs from the paper and its release (github.com/jonepatr/lets_face_it, MIT, from which no code is taken):
- The listener's own speech is an input only where a dataset offers it (`own-` features).
- Sound is one of the dataset's features, standardised. Spans are rescaled to the dataset's frame rate.
- Log-determinants are the true ones (`logdet`). The mismatch term compares the likelihood given a wrong speaker with
  the likelihood given the right one, and the wrong speakers come from a derangement (`mismatch`).

B clips, K samples, T frames, D motion channels, F audio features, H channels of the encoded speaker.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import torch
from torch import Tensor

from dyadbench.api import (
    Array,
    Context,
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
from dyadbench.nn.component import NetComponent, to_tensor
from dyadbench.nn.inputs import CLIPS, audio_of, moments
from dyadbench.nn.sampling import normals
from dyadbench_lfi.config import FlowConfig
from dyadbench_lfi.network import ListenerFlow, Stream

FPS = 25.0  # the configuration gives spans in frames at this rate


def derangement(n: int, generator: torch.Generator | None) -> Tensor:
    """A random permutation of n rows (2 or more) in which no row keeps its place: row i is replaced by row out[i]."""
    order = torch.randperm(n, generator=generator)
    out = torch.empty_like(order)
    out[order] = order.roll(1)  # one cycle through all rows
    return out


class FaceFlow(NetComponent[ListenerFlow]):
    """api.Predictor and api.Trainable in any motion space, with or without sound."""

    def __init__(self, config: FlowConfig, setup: Setup):
        self.config, self.setup = config, setup
        self.audio = audio_of(config.audio, setup, prefer=("mfcc-78",), who="lfi")
        self.history, self.frames = self._span(config.history), self._span(config.frames)
        own = f"own-{self.audio}"
        self.own_voice = own if config.own_voice == "auto" and own in setup.audio else None
        self.streams = {"face": Stream(setup.space.dim, self._span(config.face_past), config.face_hidden)}
        for name, feature, past, hidden in (
            ("own-sound", self.own_voice, config.own_voice_past, config.own_hidden),
            ("sound", self.audio, config.voice_past, config.voice_hidden),
        ):
            if feature:
                self.streams[name] = Stream(setup.audio[feature].dim, self._span(past), hidden)
        self.build_net(
            lambda: ListenerFlow(
                setup.space.dim, self.streams, own_past=self._span(config.own_past), flow_steps=config.flow_steps,
                condition=config.condition, hidden=config.hidden, copies=config.copies,
                true_logdet=config.logdet == "true",
            ),
            setup,
        )  # fmt: skip
        self.needs = Needs(audio=tuple(filter(None, (self.audio, self.own_voice))), lookahead=0)

    def _span(self, frames: int) -> int:
        return max(1, round(frames * self.setup.space.fps / FPS))

    # --- training ---------------------------------------------------------------------------------------

    def _tracks(self, face: Tensor, audio: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The streams, standardised: name -> (B, T, C). A frame's sound is the mean of its rows."""
        tracks = {"face": self.net.standardised("face", face)}
        for name, feature in (("own-sound", self.own_voice), ("sound", self.audio)):
            if feature:
                sound = audio[feature].unflatten(1, (face.shape[1], -1)).mean(2)
                tracks[name] = self.net.standardised(name, sound)
        return tracks

    def _dropout(self, batch: WindowBatch) -> dict[str, Tensor] | None:
        """Dropout of whole frames of each history: 0 with probability p, else 1 / (1 - p); None in validation.

        A frame that may not rely on its recent past has to follow the speaker.
        """
        if batch.step < 0:
            return None
        factors = {}
        config = self.config
        drops = {
            "face": config.face_drop,
            "own-sound": config.own_drop,
            "sound": config.voice_drop,
            "own": config.past_drop,
        }
        frames = self.frames - self.history
        pasts = {name: stream.past for name, stream in self.streams.items()} | {"own": self.net.own_past}
        for name, past in pasts.items():
            chance = batch.draw_rows(torch.rand, frames, past)
            factors[name] = ((chance >= drops[name]) / (1 - drops[name])).to(self.device)
        return factors

    def _bits(self, batch: WindowBatch, dropout: Mapping[str, Tensor] | None, order: Tensor | None = None) -> Tensor:
        """Mean of -log2 p over the scored frames that exist. With `order`, row i is given the speaker of row order[i].

        The first `history` frames of a window only serve as context.
        """
        first = self.history
        tracks = self._tracks(batch.speaker_motion, batch.audio)
        if order is not None:
            tracks = {name: track if name == "own-sound" else track[order] for name, track in tracks.items()}
        motion = self.net.standardised("own", batch.listener_motion)
        speaker, own = (
            self.net.speaker(tracks, first, dropout),
            self.net.own(motion, first, dropout["own"] if dropout else None),
        )
        bits = self.net.bits(motion[:, first:], own, speaker)  # (B, scored)
        valid = batch.valid[:, first:]
        return (bits * valid).sum() / valid.sum().clamp_min(1)

    def _loss(self, batch: WindowBatch) -> Loss:
        rows, config, dropout = len(batch.clips), self.config, self._dropout(batch)
        chance = torch.rand((), generator=batch.generator)  # one per batch, the same in all processes
        trick = batch.step >= 0 and config.mismatch != "off" and rows > 1 and bool(chance < config.mismatch_share)
        if trick and config.mismatch == "as-released" and self.net.get_buffer("tricked"):
            return self._released_mismatch(batch, dropout)
        bits = self._bits(batch, dropout)
        if not trick or config.mismatch == "as-released":
            return Loss({"all": bits}, {"bits": bits.detach()})
        gap = self._bits(batch, dropout, derangement(rows, batch.generator).to(self.device)) - bits
        # The gap is clamped: without a limit, the flow would unlearn motion that does not depend on the speaker.
        total = bits - config.mismatch_weight * gap.clamp_max(config.margin * self.net.channels)
        return Loss({"all": total}, {"bits": bits.detach(), "mismatch": gap.detach()})

    def _released_mismatch(self, batch: WindowBatch, dropout: Mapping[str, Tensor] | None) -> Loss:
        """The release's rule: any permutation, and only while the last mismatched likelihood was above 1 (0 bits).

        The draw that ends it has a weight of 1 and not the release's -0.1: at most one batch of a run, and
        none where log-determinants are as released, too.
        """
        order = torch.randperm(len(batch.clips), generator=batch.generator).to(self.device)
        wrong = self._bits(batch, dropout, order)
        above = bool(wrong < 0)
        self.net.get_buffer("tricked").fill_(above)  # looked at only while it is on: once off, it stays off
        return Loss({"all": -self.config.mismatch_weight * wrong if above else wrong}, {"mismatch": wrong.detach()})

    def stages(self, data: TrainData) -> Iterator[Stage]:
        config = self.config
        self._standardise(data)
        adam = Optimiser(
            "all", list(self.net.parameters()), config.lr, config.betas,
            schedule=lambda step: config.decay ** (step // config.decay_every),
        )  # fmt: skip
        yield Stage(
            "flow", self.net, Windows(self.frames, config.batch, self.needs.audio), self._loss, (adam,), config.steps,
            clip_norm=config.clip_norm, validate_every=config.validate_every,
            select="bits" if config.validate_every else None,
        )  # fmt: skip
        self.net.eval()

    @torch.no_grad()
    def _standardise(self, data: TrainData) -> None:
        """Sets the inputs' mean and scale, then initialises the ActNorms from the starts of the first training clips.

        This happens before the first step because several processes see different rows of a batch, so ActNorms
        initialised by the batch would differ between them.
        """
        clips = [dyad for _, dyad in zip(range(CLIPS), data.dyads("train", self.needs.audio), strict=False)]
        values = {
            "own": [d.listener.motion for d in clips],
            "face": [d.speaker.motion for d in clips],
            "sound": [d.speaker.audio[self.audio] for d in clips] if self.audio else [],
            "own-sound": [d.speaker.audio[self.own_voice] for d in clips] if self.own_voice else [],
        }
        for name, parts in values.items():
            if parts:
                mean, scale = moments([torch.from_numpy(part) for part in parts])
                self.net.get_buffer(f"{name}_mean").copy_(mean)
                self.net.get_buffer(f"{name}_scale").copy_(scale)
        long_clips = [d for d in clips if d.clip.frames >= self.frames] or clips[:1]
        frames = min(self.frames, long_clips[0].clip.frames)

        def starts(tracks: Iterable[Array], rate: int = 1) -> Tensor:
            return torch.from_numpy(np.stack([track[: frames * rate] for track in tracks])).to(self.device)

        audio = {
            name: starts((d.speaker.audio[name] for d in long_clips), self.setup.audio[name].per_frame)
            for name in self.needs.audio
        }
        tracks = self._tracks(starts(d.speaker.motion for d in long_clips), audio)
        motion = self.net.standardised("own", starts(d.listener.motion for d in long_clips))
        first = min(self.history, frames - 1)
        self.net.train()  # an ActNorm initialises itself in its first pass in training mode
        self.net.bits(motion[:, first:], self.net.own(motion, first), self.net.speaker(tracks, first))
        self.net.eval()

    # --- sampling ---------------------------------------------------------------------------------------

    @torch.no_grad()
    def sample(self, context: Context, k: int, noise: Noise) -> Reaction:
        """K reactions of exactly the context's frames. A frame depends on the speaker up to that frame only."""
        self.net.eval()
        face = to_tensor(context.speaker_motion, self.device)
        audio = {name: to_tensor(values, self.device) for name, values in context.audio.items()}
        latent = normals(
            noise, context.clips, k, context.frames, self.net.channels, purpose="flow", device=self.device
        )  # (B, K, T, D)
        motion_standardised = self.net.generate(
            self.net.speaker(self._tracks(face, audio)), latent.flatten(0, 1) * self.config.temperature
        )
        motion = motion_standardised * self.net.get_buffer("own_scale") + self.net.get_buffer("own_mean")
        return Reaction(motion.view(latent.shape).cpu().numpy())
