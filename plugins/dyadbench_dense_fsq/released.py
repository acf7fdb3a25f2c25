"""Mode "released": the objective and the sampling loop of the published code, faults included.

Kept to show what they cost. No causal mask while 7/8 of the scored targets are visible in the input; each row's mask
is another sample's (`repeat` over heads, then `reshape`); the head has 2050 classes for 1000 codes, and ids beyond the
book alias by modulo; the speaker is read as tokens that know their whole block, one position further at sampling than
in training; top-k cuts each position at the smallest threshold of the batch; every sample recomputes the speaker; a
first patch, of which every key is masked, attends to all keys alike; sound comes as it is.
Two things are not kept: the last frames are generated (the release stops at a multiple of 32), and noise is one
stream a sample, so that a run can be repeated. The release's reactions still depend on the batch, through top-k.
"""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from dyadbench.api import Context, Noise, Reaction, WindowBatch
from dyadbench.nn.component import ids_of, to_tensor
from dyadbench.nn.decoding import decoded_by_length
from dyadbench.nn.sampling import autoregress, uniforms
from dyadbench_dense_fsq.network import SPECIALS, Speaker
from dyadbench_dense_fsq.predictor import CrossModalAR


def scrambled(valid: Tensor, heads: int) -> Tensor:
    """(B, n) valid keys -> (B, heads, n, n) as the release expands them: row b, head h gets sample (b heads + h) mod B."""
    rows, n = valid.shape
    return valid[:, None, :].expand(rows, n, n).repeat(heads, 1, 1).reshape(rows, heads, n, n)


def cut(logits: Tensor, k: int) -> Tensor:
    """Logits (R, n, V) without the codes below the batch's smallest k-th largest logit at the same position."""
    least = logits.topk(min(k, logits.shape[-1]), -1).values[..., -1:].amin(0, keepdim=True)  # (1, n, 1)
    return logits.masked_fill(logits < least, -torch.inf)


class ReleasedAR(CrossModalAR):
    """The published predictor."""

    def _lookahead(self) -> int:
        # The speaker's token at a patch's first frame knows its block; all frames of the patch's blocks follow from it.
        return max(super()._lookahead(), self.tokenizer.tokens.lookahead or 0)

    def _logits(
        self, past: Tensor, face: Tensor, sound: Tensor | None, listener_valid: Tensor, speaker_valid: Tensor
    ) -> Tensor:
        """past, face: ids (R, n); listener_valid, speaker_valid: keys that may be used (R, n)."""
        heads = self.config.heads
        fused = self.net.speaker(Speaker(face, sound), scrambled(speaker_valid, heads))
        both = scrambled(listener_valid & speaker_valid, heads)
        return self.net.listener(past, fused, scrambled(listener_valid, heads), both)

    def _entropy(self, batch: WindowBatch) -> tuple[Tensor, Tensor]:
        config = self.config
        context, patch = config.context, config.patch
        codes, speaker = (
            ids_of(self.tokenizer, batch.listener_motion),
            ids_of(self.tokenizer, batch.speaker_motion)[:, :context],
        )
        place = torch.arange(context, device=codes.device)
        reach = torch.full((len(codes), 1), context, device=codes.device)
        if batch.step >= 0 and float(torch.rand((), generator=batch.generator)) < config.mask:
            reach = batch.draw_rows(partial(torch.randint, context), 1).to(codes.device)
            reach = torch.where(reach == 0, context, reach)  # "[-0:]" keeps all
        valid = place >= context - reach
        sound = self._sound(batch)
        if sound is not None:
            sound = sound[:, : context * self.net.per_frame]
        logits = self._logits(codes[:, :context] + SPECIALS, speaker + SPECIALS, sound, valid, valid)
        target = codes[:, patch : patch + context] + SPECIALS
        entropy = F.cross_entropy(logits.transpose(1, 2), target, reduction="none")
        return entropy, batch.valid[:, patch : patch + context]

    @torch.no_grad()
    def sample(self, context: Context, k: int, noise: Noise) -> Reaction:
        self.net.eval()
        config, rate, frames = self.config, self.net.per_frame, context.frames
        patch, n, padded = config.patch, config.context, frames + -frames % config.patch
        motion = F.pad(to_tensor(context.speaker_motion, self.device), (0, 0, 0, padded - frames))
        face = F.pad(ids_of(self.tokenizer, motion) + SPECIALS, (n, 0)).repeat_interleave(k, 0)  # (R, n + padded)
        sound = None
        if self.audio:
            sound = to_tensor(context.audio[self.audio], self.device)
            sound = F.pad(sound, (0, 0, n * rate, (padded - frames) * rate)).repeat_interleave(k, 0)

        def step(first: int, history: Tensor) -> Tensor:
            start = first + 1  # one speaker frame more than in training
            past = F.pad(history, (n, 0))[:, first : first + n]
            face_part, there = face[:, start : start + n], None
            if sound is not None:
                there = sound[:, start * rate : (start + n) * rate]
            return cut(self._logits(past, face_part, there, past != 0, face_part != 0)[:, -patch:], config.top_k)

        uniform = uniforms(noise, context.clips, k, padded, "tokens", self.device)
        ids = autoregress(step, uniform, patch=patch, temperature=config.temperature)
        return decoded_by_length(self.tokenizer, (ids - SPECIALS) % self.tokenizer.tokens.codes, context, k, patch)
