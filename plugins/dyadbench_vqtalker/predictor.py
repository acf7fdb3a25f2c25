"""The coarse-to-fine listener: one pass per residual layer, over all frames at once (VQTalker, arXiv 2412.09892).

Design, and where it departs from the paper, which drives a talking head by its own speech:
- The speaker's face and the dataset's sound features replace the paper's speech tokens, pose, gaze and blink; `speech`
  makes tokens of the sound.
- Layer r is conditioned on the dequantised sum of the layers before it, which the paper does not specify.
- The first `drawn` layers are sampled, and the likeliest code is taken in the others. The paper's arg max in all layers
  gives a single reaction, where this benchmark asks for many.
- Given the speaker, frames are sampled independently, which would make the face tremble. So the uniform numbers that
  sample neighbouring frames are correlated over `smooth` frames. Each of them stays uniform.
- `latent` numbers per sample, drawn once, say what kind of listener reacts (the paper has one talker and none), so that
  the codes of a sample agree. In training they come from the true listener, at the cost of their divergence from N(0, I).
- `chunk` limits attention to a chunk and those before it, so that the listener can react while the speaker speaks.

B clips, K samples, R = B * K rows, T frames, G groups, V codes per codebook. In shapes of ids, (B, T, G, r) has the first
r residual layers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from dyadbench.api import (
    Array,
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
    Tokenizer,
    Tokens,
    TokenSpec,
    TrainData,
    WindowBatch,
    Windows,
)  # fmt: skip
from dyadbench.nn.component import NetComponent, decoded_reaction, face_and_sound
from dyadbench.nn.decoding import Rows, by_length, with_equal_samples
from dyadbench.nn.guidance import guided, without_speaker
from dyadbench.nn.inputs import audio_of, input_moments
from dyadbench.nn.losses import change_weights
from dyadbench.nn.sampling import draw, uniforms
from dyadbench.nn.schedules import ramp
from dyadbench_vqtalker.config import PredictorConfig
from dyadbench_vqtalker.network import CoarseToFineNet, GridOfCodes, divergence
from dyadbench_vqtalker.smooth import smooth_uniforms
from dyadbench_vqtalker.speech import KMEANS, kmeans_codebook, read_codebook
from dyadbench_vqtalker.stream import ChunkStream


def reach(chunk: int, ahead: int, block: int) -> int:
    """How many later speaker frames a decoded frame depends on: its block may end in a later chunk."""
    starts = range(0, chunk * block, block)
    return max(ahead, *((start + block - 1) // chunk * chunk + ahead - start for start in starts))


@dataclass(frozen=True)
class Costs:
    """What one layer's codes cost in each row of a batch."""

    entropy: Tensor  # (B, T, G) cross entropy
    target: Tensor  # (B, T, G) the codes
    heard: Tensor  # (B, T, dim) the encoded speaker
    nats: Tensor | None  # (B,) the latent's divergence, where there is one


class CoarseToFine(NetComponent[CoarseToFineNet]):
    """api.Predictor and api.Trainable on a trained tokenizer of code grids, which it never changes."""

    def __init__(self, config: PredictorConfig, setup: Setup, tokenizer: Tokenizer):
        spec = tokenizer.tokens
        assert isinstance(tokenizer, GridOfCodes), "the configuration's `accepts` names its members"
        self.config, self.setup, self.tokenizer, self.grid = config, setup, tokenizer, tokenizer
        self.audio = audio_of(config.audio, setup, prefer=("wav2vec2", "mfcc-78"), who="coarse-to-fine")
        sound = setup.audio[self.audio] if self.audio else None
        codebook = self._codebook(sound)
        codes = 0 if not config.speech else config.speech_codes if codebook is None else len(codebook)
        self.build_net(lambda: CoarseToFineNet(config, setup.space.dim, sound, self._grid(spec), codes), setup)
        if codebook is not None and self.net.speech is not None:
            self.net.speech.book.copy_(torch.from_numpy(codebook))
        lookahead = reach(config.chunk, config.ahead, (spec.lookahead or 0) + 1) if config.chunk else None
        self.needs = Needs(audio=(self.audio,) if self.audio else (), lookahead=lookahead)

    def _codebook(self, sound: AudioSpec | None) -> np.ndarray | None:
        """The centroids of discrete speech that the configuration names; None where k-means or nobody makes them."""
        where = self.config.speech
        if where and (sound is None or self.audio is None):
            raise DyadbenchError(f"speech = {where!r} needs a sound feature, and this fit has none; leave speech out")
        if not where or where == KMEANS or sound is None or self.audio is None:
            return None
        return read_codebook(where, self.audio, sound.dim)

    def _grid(self, spec: TokenSpec) -> tuple[int, int, int, int]:
        nothing = torch.zeros(1, 1, spec.groups, 0, dtype=torch.long, device=self.device)
        return spec.groups, spec.residual, spec.codes, self.grid.dequantise(nothing).shape[-1]

    # --- training ---------------------------------------------------------------------------------------

    def _layers(self, batch: WindowBatch) -> Tensor:
        """The residual layer that each row trains, (B,): uniform, but the first in an extra share `coarse` of the rows."""
        if batch.step < 0:
            return (torch.arange(len(batch.clips)) % self.net.residual).to(self.device)
        layer = batch.draw_rows(partial(torch.randint, self.net.residual))
        chance = batch.draw_rows(torch.rand)
        return torch.where(chance < self.config.coarse, 0, layer).to(self.device)

    def entropy(self, batch: WindowBatch, layer: Tensor) -> Tensor:
        """Cross entropy of the codes of layer[b] in row b, given the true earlier layers: (B, T, G)."""
        return self._costs(batch, layer).entropy

    def _costs(self, batch: WindowBatch, layer: Tensor) -> Costs:
        ids = self.grid.ids_of(batch.listener_motion)  # (B, T, G, R)
        with torch.no_grad():
            coarser = self.grid.dequantise(ids, layer)
        valid = _where_needed(batch.valid)
        speaker = self.net.speaker(batch.speaker_motion, batch.audio[self.audio] if self.audio else None, valid)
        if (unheard := without_speaker(batch, self.config.null)) is not None:
            speaker = speaker.masked_fill(unheard[:, None, None], 0)
        heard, nats = speaker, None
        if self.net.latent is not None:
            mean, log_variance = self.net.latent.encode(self.grid.dequantise(ids), batch.valid)
            nats = divergence(mean, log_variance)
            z = mean if batch.step < 0 else mean + (log_variance / 2).exp() * self._normals(batch)
            speaker = speaker + self.net.latent.heard(z)[:, None]
        logits = self.net.logits(self.net(speaker, coarser, layer, valid))
        target = ids.gather(3, layer.view(-1, 1, 1, 1).expand(-1, *ids.shape[1:3], 1))[..., 0]
        entropy = F.cross_entropy(logits.flatten(0, 2), target.flatten(), reduction="none").view(target.shape)
        return Costs(entropy, target, heard, nats)

    def _normals(self, batch: WindowBatch) -> Tensor:
        return batch.draw_rows(torch.randn, self.config.latent).to(self.device)

    def _loss(self, batch: WindowBatch) -> Loss:
        layer = self._layers(batch)
        costs = self._costs(batch, layer)
        per_frame, nats = costs.entropy.mean(2) * batch.valid, costs.nats
        per_row = per_frame.sum(1) / batch.valid.sum(1).clamp_min(1)
        log = {f"layer{r}": per_row[layer == r].mean().detach() for r in layer.unique().tolist()}
        loss = per_frame.sum() / batch.valid.sum().clamp_min(1)
        if self.config.change and batch.step >= 0:
            weight = change_weights(costs.target, self.config.change) * batch.valid[..., None]
            loss = (costs.entropy * weight).sum() / weight.sum().clamp_min(1)
        if self.net.regression is not None and batch.step >= 0:
            error = self.net.regression(costs.heard, batch.listener_motion, batch.valid)
            loss = loss + self.config.regress * error
            log["regression"] = error.detach()
        if nats is not None:
            # The evidence bound of a window, divided by its codes, as the cross entropy is.
            codes = batch.valid.sum(1).clamp_min(1) * self.net.groups * self.net.residual
            loss = loss + self.config.kl * (nats / codes).mean()
            log["latent"] = nats.mean().detach()
        return Loss({"all": loss}, log)

    def stages(self, data: TrainData) -> Iterator[Stage]:
        config = self.config
        for name, (mean, spread) in input_moments(data, self.audio).items():
            getattr(self.net, f"{name}_mean").copy_(mean)
            getattr(self.net, f"{name}_scale").copy_(spread)
        if self.net.regression is not None:
            self.net.regression.measure(data)
        if config.speech == KMEANS and self.net.speech is not None and self.audio is not None:
            book, deviation = kmeans_codebook(data, self.audio, config.speech_codes)
            self.net.speech.book.copy_(torch.from_numpy(book))
            self.net.speech.spread.copy_(torch.from_numpy(deviation))
        adam = Optimiser(
            "all", list(self.net.parameters()), config.lr, (0.9, 0.95), config.weight_decay,
            ramp(config.warmup, steps=config.steps),
        )  # fmt: skip
        yield Stage(
            "predictor", self.net, Windows(config.frames, config.batch, self.needs.audio), self._loss, (adam,), config.steps,
            clip_norm=1.0, validate_every=config.validate_every, select="loss" if config.validate_every else None,
        )  # fmt: skip
        self.net.eval()

    # --- sampling ---------------------------------------------------------------------------------------

    @torch.no_grad()
    def sample(self, context: Context, k: int, noise: Noise) -> Reaction:
        """K reactions of exactly the context's frames, in one pass per residual layer for the whole batch."""
        self.net.eval()
        clips, end = len(context.clips), context.frames
        frames = end + -end % (self.config.chunk or 1)  # a chunk is reacted to before anybody knows that it is the last
        valid = self._valid(context)
        speaker = self._speaker(context, valid, frames - end)
        latents = self.latents(noise, context.clips, k)
        # Until something is drawn, all samples of a clip are equal, so one pass serves them.
        rows = clips if latents is None else clips * k
        ids = torch.zeros(rows, frames, self.net.groups, 0, dtype=torch.long, device=self.device)
        for layer in range(self.net.residual):
            copies = len(ids) // clips
            heard = speaker.repeat_interleave(copies, 0)
            deaf = torch.zeros_like(heard)
            if latents is not None:
                heard, deaf = heard + latents, deaf + latents
            common = (
                self.grid.dequantise(ids),
                torch.full((len(ids),), layer, device=self.device),
                None if valid is None or self.config.chunk else valid.repeat_interleave(copies, 0),
            )
            hidden = self.net(heard, *common)
            free = None if self.config.guidance == 1 else self.net(deaf, *common)
            random = layer < self.config.drawn
            uniform = self._uniforms(noise, context.clips, k, frames, layer) if random else None
            codes = self.choose(hidden, free, uniform)
            if len(codes) > len(ids):
                ids = ids.repeat_interleave(k, 0)
            ids = torch.cat([ids, codes[..., None]], 3)
        every, copies = ids.cpu().numpy(), len(ids) // clips

        def decode(rows: Rows, length: int) -> tuple[Array, Array | None]:
            padded = length + -length % (self.config.chunk or 1)
            motion, emotion = self.tokenizer.decode(Tokens(every[rows, :padded], frames=padded), padded)
            return motion[:, :length], None if emotion is None else emotion[:, :length]

        return with_equal_samples(*by_length(context.lengths, copies, end, decode), k)

    def latents(self, noise: Noise, clips: Sequence[str], k: int) -> Tensor | None:
        """What the trunk hears of each sample's latent, (R, 1, dim); None without one."""
        if self.net.latent is None:
            return None
        flat = uniforms(noise, clips, k, self.config.latent, "latent", self.device)  # (R, L)
        z = torch.special.ndtri(flat.clamp(1e-12, 1 - 1e-12)).float()
        out: Tensor = self.net.latent.heard(z)[:, None]
        return out

    def start(self, clips: Sequence[str], k: int, noise: Noise) -> ChunkStream:
        """Reactions while the speaker speaks, a chunk at a time."""
        return ChunkStream(self, clips, k, noise)

    def decoded(self, ids: Tensor, clips: int, k: int) -> Reaction:
        """ids (R or B, N, G, R) of whole chunks; where all samples are equal, B rows serve them."""
        part = decoded_reaction(self.tokenizer, ids, clips, len(ids) // clips, ids.shape[1])
        return with_equal_samples(part.motion, part.emotion, k)

    def _speaker(self, context: Context, valid: Tensor | None = None, more: int = 0) -> Tensor:
        """The speakers as the input of the trunk, with `more` empty frames after them: (B, T + more, dim)."""
        face, sound = face_and_sound(context, self.audio, self.device)
        if more:
            face = F.pad(face, (0, 0, 0, more))
            sound = None if sound is None else F.pad(sound, (0, 0, 0, more * self.net.per_frame))
        return self.net.speaker(face, sound, None if self.config.chunk else valid)

    def _valid(self, context: Context) -> Tensor | None:
        frames = torch.arange(context.frames)
        return _where_needed((frames < torch.from_numpy(context.lengths)[:, None]).to(self.device))

    def _uniforms(self, noise: Noise, clips: Sequence[str], k: int, frames: int, layer: int) -> Tensor:
        """Random numbers of one layer: (clips * k, T, G)."""
        flat = uniforms(noise, clips, k, frames * self.net.groups, f"layer{layer}", self.device)
        return smooth_uniforms(flat.view(len(flat), frames, self.net.groups), self.config.smooth)

    def choose(self, hidden: Tensor, free: Tensor | None, uniform: Tensor | None) -> Tensor:
        """hidden (B, T, dim), uniform (R, T, G) or None for the likeliest -> codes (R or B, T, G).

        `free` is what the trunk gives without the speaker, where guidance asks for it.

        Works row by row, because the logits of a whole batch (B, T, G, V) may not fit into memory.
        """
        codes = []
        for row, states in enumerate(hidden):
            logits = self.net.logits(states)
            if free is not None:
                logits = guided(logits, self.net.logits(free[row]), self.config.guidance)
            if uniform is None:
                codes.append(logits.argmax(-1))
                continue
            shared = len(uniform) // len(hidden)
            codes += [
                draw(logits, own, temperature=self.config.temperature, top_k=self.config.top_k)
                for own in uniform[row * shared : (row + 1) * shared]
            ]
        return torch.stack(codes)


def _where_needed(valid: Tensor) -> Tensor | None:
    """None where every frame exists: attention without a mask is faster."""
    return None if bool(valid.all()) else valid
