"""The autoregressive listener of Learning2Listen (2204.08451, section 3.3; code: github.com/evonneng/learning2listen).

The next token follows from the speaker's last 40 frames, of which `ahead` lie in the token itself, and from the listener's
last four tokens. Where this departs from the release:
- A conversation starts without any history, while the release is given the speaker's first 32 frames. Training therefore
  hides the speaker's past, too, in the rows where it hides the listener's.
- Every row of a batch draws its own history length; the release draws one for the batch.
- "sliding" decoding emits a token's frames as soon as the token is sampled, so only `ahead` adds look-ahead. "window"
  decoding waits for a whole block of tokens, as the release does.

B clips, K samples, R = B * K rows, N tokens, D motion channels; windows have `block` listener and `reach` speaker frames.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

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
    Tokenizer,
    Tokens,
    TrainData,
    WindowBatch,
    Windows,
)  # fmt: skip
from dyadbench.nn.component import NetComponent, face_and_sound, ids_of
from dyadbench.nn.decoding import Rows, by_length
from dyadbench.nn.guidance import guided_step, without_speaker
from dyadbench.nn.inputs import audio_of, input_moments
from dyadbench.nn.sampling import autoregress, uniforms
from dyadbench_l2l.config import PredictorConfig
from dyadbench_l2l.network import PatchPredictor
from dyadbench_l2l.stream import TokenStream
from dyadbench_l2l.tokenizer import noam

CHUNK = 512  # speaker windows per pass through the network, to limit memory


class PatchAR(NetComponent[PatchPredictor]):
    """api.Predictor and api.Trainable on a trained tokenizer of windows, which it never changes."""

    def __init__(self, config: PredictorConfig, setup: Setup, *, tokenizer: Tokenizer):
        spec = tokenizer.tokens
        patch = spec.frames_per_token
        assert patch is not None, "the configuration's `accepts` asks for evenly spaced tokens"
        if config.ahead > patch:
            raise DyadbenchError(f"patch-ar: ahead = {config.ahead} is more than the {patch} frames of a token")
        self.config, self.setup, self.tokenizer, self.patch = config, setup, tokenizer, patch
        self.block, self.reach = config.past * patch, (config.past + 1) * patch  # frames: listener's, speaker's window
        self.audio = audio_of(config.audio, setup, prefer=("mel-128", "mfcc-78"), who="patch-ar")
        self.per_frame = setup.audio[self.audio].per_frame if self.audio else 1
        self.build_net(
            lambda: PatchPredictor(
                config, channels=setup.space.dim, features=setup.audio[self.audio].dim if self.audio else 0,
                codes=spec.codes, patch=patch,
            ),
            setup,
        )  # fmt: skip
        waits = self.block - patch if config.decode == "window" else 0  # frames until a block is complete
        self.needs = Needs(audio=(self.audio,) if self.audio else (), lookahead=max(0, waits + config.ahead - 1))

    # --- training ---------------------------------------------------------------------------------------

    def _history_length(self, batch: WindowBatch) -> Tensor:
        """Patches of history per row, (B, 1): all of them, or in a share `cold` of the rows a random number."""
        past = self.config.past
        whole = torch.full((len(batch.clips), 1), past + 1)
        if batch.step >= 0:  # drawn on the CPU, so that devices agree
            fewer = batch.draw_rows(partial(torch.randint, past + 1), 1)
            chance = batch.draw_rows(torch.rand, 1)
            whole = torch.where(chance < self.config.cold, fewer, whole)
        return whole.to(self.device)

    def _entropy(self, batch: WindowBatch) -> tuple[Tensor, Tensor]:
        """Cross entropy of the next tokens (B, horizon), and which of them exist (B, horizon)."""
        config, patch = self.config, self.patch
        now = self.reach - config.ahead  # the frame that the first predicted token starts at
        past = ids_of(self.tokenizer, batch.listener_motion[:, now - self.block : now])
        target = ids_of(self.tokenizer, batch.listener_motion[:, now:])[:, : config.horizon]
        history = self._history_length(batch)
        # The extra id `net.codes` stands for a hidden token, here and before the start of a clip.
        past = torch.where(torch.arange(config.past, 0, -1, device=past.device) > history, self.net.codes, past)
        frame = torch.arange(self.reach, device=past.device)
        sound = batch.audio[self.audio][:, : self.reach * self.per_frame] if self.audio else None
        null = frame < now - history * patch
        if (unheard := without_speaker(batch, config.null)) is not None:
            null = null | unheard[:, None]
        speaker = self.net.speaker(batch.speaker_motion[:, : self.reach], sound, null)
        entropy = F.cross_entropy(self.net(past, speaker).transpose(1, 2), target, reduction="none")
        return entropy, batch.valid[:, now:].unflatten(1, (-1, patch)).all(2)[:, : config.horizon]

    def _loss(self, batch: WindowBatch) -> Loss:
        entropy, valid = self._entropy(batch)
        first = (entropy[:, 0] * valid[:, 0]).sum() / valid[:, 0].sum().clamp_min(1)
        return Loss({"all": (entropy * valid).sum() / valid.sum().clamp_min(1)}, {"next": first.detach()})

    def stages(self, data: TrainData) -> Iterator[Stage]:
        config = self.config
        for name, (mean, spread) in input_moments(data, self.audio).items():
            getattr(self.net, f"{name}_mean").copy_(mean)
            getattr(self.net, f"{name}_scale").copy_(spread)
        listeners = [dyad.listener.motion for dyad in data.dyads("train")] if config.reencode else []
        if listeners:
            self.net.rest.copy_(torch.from_numpy(np.concatenate(listeners).mean(0, dtype=np.float64)))
        adam = Optimiser(
            "all", list(self.net.parameters()), config.lr, (0.9, 0.98), config.weight_decay, noam(config.warmup)
        )
        frames = self.reach - config.ahead + self.block
        yield Stage(
            "predictor", self.net, Windows(frames, config.batch, self.needs.audio), self._loss, (adam,), config.steps,
            validate_every=config.validate_every, select="loss" if config.validate_every else None,
        )  # fmt: skip
        self.net.eval()

    # --- sampling ---------------------------------------------------------------------------------------

    @torch.no_grad()
    def sample(self, context: Context, k: int, noise: Noise) -> Reaction:
        """K reactions of exactly the context's frames; generated in whole tokens, then cut."""
        self.net.eval()
        config, frames = self.config, context.frames
        tokens = -(-frames // self.patch)
        speaker = self._speaker(context, tokens).repeat_interleave(k, 0)  # (R, N, past + 1, dim)

        def hearing(first: int, history: Tensor) -> Tensor:
            return self.net(self._past(history), speaker[:, first])[:, :1]

        def deaf(first: int, history: Tensor) -> Tensor:
            return self.net(self._past(history), nobody)[:, :1]

        nobody = self._nobody().expand(len(speaker), -1, -1)
        step = hearing if config.guidance == 1 else guided_step(hearing, deaf, config.guidance)
        uniform = uniforms(noise, context.clips, k, tokens, "tokens", self.device)
        ids = autoregress(step, uniform, patch=1, temperature=config.temperature, top_p=config.top_p)
        every = ids.cpu().numpy()

        def decode(rows: Rows, length: int) -> tuple[Array, None]:
            return self._decode(every[rows, : -(-length // self.patch)], length), None

        return Reaction(*by_length(context.lengths, k, frames, decode))

    def start(self, clips: Sequence[str], k: int, noise: Noise) -> TokenStream:
        """Reactions while the speaker speaks, a token at a time."""
        return TokenStream(self, clips, k, noise)

    def _speaker(self, context: Context, tokens: int) -> Tensor:
        """The encoded speaker of each token: (B, N, past + 1, dim), computed once for all samples of a clip."""
        face, sound = face_and_sound(context, self.audio, self.device)
        lengths = torch.from_numpy(np.asarray(context.lengths)).to(self.device)[:, None, None]
        parts = torch.arange(tokens, device=self.device).split(max(1, CHUNK // len(face)))
        return torch.cat([self._windows(face, sound, part, lengths) for part in parts], 1)

    def _windows(self, face: Tensor, sound: Tensor | None, tokens: Tensor, lengths: Tensor, base: int = 0) -> Tensor:
        """The encoded speaker of the tokens (n,), of a face that begins with frame `base`: (B, n, past + 1, dim)."""
        rate = self.per_frame
        start = tokens * self.patch - (self.reach - self.config.ahead)  # (n,) the first frame of each window
        frame = start[:, None] + torch.arange(self.reach, device=self.device)  # (n, reach)
        null = (frame < 0) | (frame >= lengths)  # (B, n, reach)
        voice = None
        if sound is not None:
            top = start if self.config.audio_slice == "released" else start * rate
            row = torch.where(start < 0, start * rate, top)[:, None] + torch.arange(
                self.reach * rate, device=self.device
            )
            voice = sound[:, (row - base * rate).clamp(0, sound.shape[1] - 1)].flatten(0, 1)
        window = face[:, (frame - base).clamp(0, face.shape[1] - 1)].flatten(0, 1)
        return self.net.speaker(window, voice, null.flatten(0, 1)).unflatten(0, (len(face), -1))

    def _nobody(self) -> Tensor:
        """What a token sees where there is no speaker: (1, past + 1, dim)."""
        face = self.net.face_mean.expand(1, self.reach, -1)
        sound = self.net.sound_mean.expand(1, self.reach * self.per_frame, -1) if self.audio else None
        return self.net.speaker(face, sound, torch.ones(1, self.reach, dtype=torch.bool, device=self.device))

    def _past(self, history: Tensor) -> Tensor:
        """The last tokens of a history (R, i), padded with the id of a hidden token: (R, past)."""
        past, length = self.config.past, min(self.config.past, history.shape[1])
        if self.config.reencode and length:  # before the conversation the release has the mean face
            start = ids_of(self.tokenizer, self.net.rest.expand(1, self.block, -1)).to(history)
            last = torch.cat([start.expand(len(history), -1), history], 1)[:, -past:]
            motion, _ = self.tokenizer.decode(Tokens(last.cpu().numpy(), frames=self.block), self.block)
            history = ids_of(self.tokenizer, torch.from_numpy(motion)).to(history)
        return F.pad(history[:, history.shape[1] - length :], (past - length, 0), value=self.net.codes)

    def _decode(self, ids: np.ndarray, frames: int) -> Array:
        """ids (R, N) -> motion (R, frames, D)."""
        if self.config.decode == "window":
            return self.tokenizer.decode(Tokens(ids, frames=frames), frames)[0]
        # Each token is decoded with the tokens before it, and only the newest frames of that window are used.
        past, (rows, tokens) = self.config.past, ids.shape
        padded = np.concatenate([np.repeat(ids[:, :1], past - 1, 1), ids], 1)
        windows = np.array(np.lib.stride_tricks.sliding_window_view(padded, past, 1)).reshape(rows * tokens, past)
        motion, _ = self.tokenizer.decode(Tokens(windows, frames=self.block), self.block)
        return motion[:, -self.patch :].reshape(rows, tokens * self.patch, -1)[:, :frames]
