"""The autoregressive listener of Dense-FSQ (FG 2024, code: github.com/ais-lab/FaceAIS_REACT24), mode "fixed".

Design, and where it departs from the release (which `released.py` keeps bug for bug):
- The loss counts only positions whose target is not in the input: the last patch of a window, or every position with
  block-causal attention.
- The speaker is visible only up to the patch that is generated, and as coefficients: a token of the speaker would also
  describe the rest of its block, which is the future.
- Special tokens are never generated, top-k is applied per row, and the speaker is computed once for all samples.

B clips, K samples, R = B * K rows, n positions (one token per frame), D motion channels, F audio features.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from dyadbench.api import (
    Context,
    Loss,
    Needs,
    Noise,
    Optimiser,
    Reaction,
    Setup,
    Stage,
    Tokenizer,
    TrainData,
    WindowBatch,
    Windows,
)  # fmt: skip
from dyadbench.nn.component import NetComponent, face_and_sound, ids_of
from dyadbench.nn.decoding import decoded_by_length
from dyadbench.nn.guidance import guided_step, without_speaker
from dyadbench.nn.inputs import audio_of, input_moments
from dyadbench.nn.losses import change_weights
from dyadbench.nn.sampling import Step, autoregress, uniforms
from dyadbench.nn.schedules import ramp
from dyadbench_dense_fsq.config import PredictorConfig
from dyadbench_dense_fsq.network import SPECIALS, CrossModalNet, Speaker, key_mask
from dyadbench_dense_fsq.stream import PatchStream


def block_lookahead(patch: int, block: int) -> int:
    """How many later speaker frames a decoded frame depends on: its block may end in a later patch."""
    starts = range(0, patch * block, block)
    return max(0, *((start + block - 1) // patch * patch - 1 - start for start in starts))


@dataclass(frozen=True)
class Scored:
    """What the loss compares at m positions of a window of T frames."""

    logits: Tensor  # (B, m, V)
    ids: Tensor  # (B, T)
    frame: Tensor  # (B, m), the frame of each position
    valid: Tensor  # (B, m) bool, frames that exist
    heard: Tensor  # (B, m, C), the encoded speaker, who is known up to the patch's start

    @property
    def entropy(self) -> Tensor:
        """(B, m)"""
        return F.cross_entropy(self.logits.transpose(1, 2), self.ids.gather(1, self.frame), reduction="none")


class CrossModalAR(NetComponent[CrossModalNet]):
    """api.Predictor and api.Trainable on a trained tokenizer with one token per frame, which it never changes."""

    def __init__(self, config: PredictorConfig, setup: Setup, tokenizer: Tokenizer):
        codes = tokenizer.tokens.codes
        self.config, self.setup, self.tokenizer = config, setup, tokenizer
        self.audio = audio_of(config.audio, setup, prefer=("wav2vec2", "mfcc-78"), who="crossmodal-ar")
        self.build_net(
            lambda: CrossModalNet(config, setup.space.dim, setup.audio[self.audio] if self.audio else None, codes),
            setup,
        )
        self.needs = Needs(audio=(self.audio,) if self.audio else (), lookahead=self._lookahead())

    def _lookahead(self) -> int:
        return block_lookahead(self.config.patch, (self.tokenizer.tokens.lookahead or 0) + 1)

    # --- training ---------------------------------------------------------------------------------------

    def _sound(self, batch: WindowBatch) -> Tensor | None:
        return batch.audio[self.audio] if self.audio else None

    def _entropy(self, batch: WindowBatch) -> tuple[Tensor, Tensor]:
        """Cross entropy at every scored position (B, m), and which of these exist (B, m)."""
        scored = self._scored(batch, ids_of(self.tokenizer, batch.listener_motion))
        return scored.entropy, scored.valid

    def _loss(self, batch: WindowBatch) -> Loss:
        if batch.step < 0 or not (self.config.change or self.config.regress):
            entropy, valid = self._entropy(batch)
            return Loss({"all": (entropy * valid).sum() / valid.sum().clamp_min(1)})
        ids = ids_of(self.tokenizer, batch.listener_motion)
        scored = self._scored(batch, ids)
        weight = change_weights(ids, self.config.change).gather(1, scored.frame) * scored.valid
        loss, log = (scored.entropy * weight).sum() / weight.sum().clamp_min(1), {}
        if self.net.regression is not None:
            motion = batch.listener_motion.gather(1, scored.frame[..., None].expand(-1, -1, self.setup.space.dim))
            log["regression"] = self.net.regression(scored.heard, motion, scored.valid)
            loss = loss + self.config.regress * log["regression"]
        return Loss({"all": loss}, {name: value.detach() for name, value in log.items()})

    def _scored(self, batch: WindowBatch, ids: Tensor) -> Scored:
        return self._causal(batch, ids) if self.net.causal else self._windowed(batch, ids)

    def _causal(self, batch: WindowBatch, ids: Tensor) -> Scored:
        """Scores every position: none of them sees its own patch or a later one.

        Both streams are delayed by one patch of "nothing yet", so the block-causal mask alone hides the future.
        """
        patch, n = self.config.patch, ids.shape[1]
        sound = self._sound(batch)
        rate = self.net.per_frame
        speaker = self.net.speaker(
            Speaker(
                face=F.pad(batch.speaker_motion, (0, 0, patch, 0))[:, :n],
                sound=None if sound is None else F.pad(sound, (0, 0, patch * rate, 0))[:, : n * rate],
                null=self._unheard(batch, (torch.arange(n, device=ids.device) < patch)[None]),
            )
        )
        past = self._hidden(F.pad(ids + SPECIALS, (patch, 0))[:, :n], batch)
        frame = torch.arange(n, device=ids.device).expand(len(ids), -1)
        return Scored(self.net.listener(past, speaker), ids, frame, batch.valid, speaker)

    def _windowed(self, batch: WindowBatch, ids: Tensor) -> Scored:
        """Scores only the last patch. Its history may be shortened, and ends where short clips allow."""
        config, device = self.config, ids.device
        patch, context, rate = config.patch, config.context, self.net.per_frame
        patches = (batch.valid.sum(1) // patch - 1).clamp(0, context // patch)  # patches of history that exist
        full = patches == context // patch
        # A window within a long clip already has a random place; in a short clip the end is drawn here.
        end = patch * torch.where(full, patches, _below(patches + 1, batch))
        start = torch.zeros_like(end)
        if batch.step < 0 or float(torch.rand((), generator=batch.generator)) < config.mask:
            start = end - patch * _below(end // patch + 1, batch) if batch.step >= 0 else start
        frame_of = torch.arange(-context, 0, device=device) + end[:, None]  # (B, context) frames of the window
        null, visible = frame_of < start[:, None], frame_of >= start[:, None] - patch
        frame = frame_of.clamp_min(0)
        sound = self._sound(batch)
        if sound is not None:
            rows = (frame[..., None] * rate + torch.arange(rate, device=device)).flatten(1)
            sound = sound.gather(1, rows[..., None].expand(-1, -1, sound.shape[2]))
        face = batch.speaker_motion.gather(1, frame[..., None].expand(-1, -1, batch.speaker_motion.shape[2]))
        past = self._hidden(torch.where(null, 0, ids.gather(1, frame) + SPECIALS), batch)
        mask = key_mask(visible)
        speaker = self.net.speaker(Speaker(face, sound, self._unheard(batch, null)), mask)
        logits = self.net.listener(past, speaker, mask, mask, last=patch)
        target = end[:, None] + torch.arange(patch, device=device)
        return Scored(logits, ids, target, batch.valid.gather(1, target), speaker[:, -patch:])

    def _unheard(self, batch: WindowBatch, null: Tensor) -> Tensor:
        """Frames without a speaker (B, n): those before the conversation, and all frames of a share `null` of the rows."""
        rows = without_speaker(batch, self.config.null)
        return null if rows is None else null | rows[:, None]

    def _hidden(self, past: Tensor, batch: WindowBatch) -> Tensor:
        """The listener's past (B, n) ids. A share `hide` of the rows gets "nothing yet" and must follow the speaker."""
        if batch.step < 0 or not self.config.hide:
            return past
        chance = batch.draw_rows(torch.rand, 1)
        return torch.where((chance < self.config.hide).to(past.device), 0, past)

    def stages(self, data: TrainData) -> Iterator[Stage]:
        config = self.config
        moments = {} if self.net.released else input_moments(data, self.audio)  # the release does not standardise sound
        for name, (mean, spread) in moments.items():
            getattr(self.net, f"{name}_scale").copy_(spread)
            if name == "sound":  # coefficients are already centred
                self.net.sound_mean.copy_(mean)
        if self.net.regression is not None:
            self.net.regression.measure(data)
        schedule = ramp(config.warmup, steps=config.steps if config.cosine else None)
        adam = Optimiser("all", list(self.net.parameters()), config.lr, (0.9, 0.95), config.weight_decay, schedule)
        frames = config.context * (config.contexts if self.net.causal else 1) + config.patch
        yield Stage(
            "predictor", self.net, Windows(frames, config.batch, self.needs.audio), self._loss, (adam,), config.steps,
            clip_norm=1.0, validate_every=config.validate_every, select="loss" if config.validate_every else None,
        )  # fmt: skip
        self.net.eval()

    # --- sampling ---------------------------------------------------------------------------------------

    @torch.no_grad()
    def sample(self, context: Context, k: int, noise: Noise) -> Reaction:
        """K reactions of exactly the context's frames; generated in whole patches, then cut."""
        self.net.eval()
        config, frames = self.config, context.frames
        padded = frames + -frames % config.patch
        speaker = self._speaker(context, padded)
        step = (self._cached if config.cache else self._uncached)(speaker) if self.net.causal else self._window(speaker)
        ids = autoregress(
            step, uniforms(noise, context.clips, k, padded, "tokens", self.device), patch=config.patch,
            temperature=config.temperature, top_k=config.top_k, top_p=config.top_p,
        )  # fmt: skip
        return decoded_by_length(self.tokenizer, ids, context, k, config.patch)

    def start(self, clips: Sequence[str], k: int, noise: Noise) -> PatchStream:
        """Reactions while the speaker speaks, a patch at a time."""
        return PatchStream(self, clips, k, noise)

    def _speaker(self, context: Context, padded: int) -> Speaker:
        """The whole clip with one empty patch before it: (B, patch + padded, ...)."""
        patch, rate, more = self.config.patch, self.net.per_frame, padded - context.frames
        face, sound = face_and_sound(context, self.audio, self.device)
        if sound is not None:
            sound = F.pad(sound, (0, 0, patch * rate, more * rate))
        null = torch.arange(patch + padded, device=self.device)[None] < patch
        return Speaker(F.pad(face, (0, 0, patch, more)), sound, null)

    def _stream(self, history: Tensor, start: int = 0) -> Tensor:
        """The listener's stream from position `start` on: an empty patch, then `history` (R, i)."""
        return F.pad(history + SPECIALS, (self.config.patch, 0))[:, start:]

    def _window(self, speaker: Speaker) -> Step:
        """The paper's loop: each patch recomputes the last window. All samples of a clip share the speaker's part."""
        config, rate = self.config, self.net.per_frame

        def step(first: int, history: Tensor, *, deaf: bool = False) -> Tensor:
            stop = first + config.patch
            start = max(0, stop - config.context)
            sound = None if speaker.sound is None else speaker.sound[:, start * rate : stop * rate]
            null = None if speaker.null is None else speaker.null[:, start:stop]
            if deaf:
                null = torch.ones_like(speaker.face[:, start:stop, 0], dtype=torch.bool)
            fused = self.net.speaker(Speaker(speaker.face[:, start:stop], sound, null))
            return self.net.listener(self._stream(history, start), self.net.memory(fused), last=config.patch)

        return step if config.guidance == 1 else guided_step(step, partial(step, deaf=True), config.guidance)

    def _uncached(self, speaker: Speaker) -> Step:
        """Block-causal without a cache: each patch recomputes the listener from the clip's start."""
        fused = self.net.speaker(speaker)

        def step(first: int, history: Tensor) -> Tensor:
            stop = first + self.config.patch
            return self.net.listener(self._stream(history), self.net.memory(fused[:, :stop]))[:, -self.config.patch :]

        return step

    def _cached(self, speaker: Speaker) -> Step:
        """Block-causal with a cache: only the newest patch is computed. Equal to `_uncached` up to rounding."""
        memory, caches = self.net.memory(self.net.speaker(speaker)), self.net.caches()

        def step(first: int, history: Tensor) -> Tensor:
            stop = first + self.config.patch
            window = slice(max(0, stop - self.config.context), stop)
            recent = [(k[:, :, window], v[:, :, window]) for k, v in memory]
            return self.net.listener_step(self._stream(history, first), recent, caches, first)

        return step


def _below(limit: Tensor, batch: WindowBatch) -> Tensor:
    """A random integer from 0 to limit - 1 per row, drawn on the CPU, so that all devices draw the same."""
    chance: Tensor = batch.draw_rows(torch.rand)
    return (chance * limit.cpu()).long().to(limit.device)
