"""The rolling listener of SFMS: 40 frames of past, 8 to come, as keyframes' codes and transitions (arXiv 2504.05748).

Design, and where it departs from the paper or fills what it leaves open:
- the past is labelled without the frames to come: the top k of a window of 48 says how many keyframes are left for the
  last 8, which `history="window"` gives away in training and which nobody knows in use;
- balanced cross entropy learns odds in favour of keyframes; they are taken back before anything is drawn;
- keyframes are spread evenly at their probabilities, codes are drawn at a temperature;
- each patch is painted from the last 48 frames' keyframes, so that the look-ahead is that of the speaker's window;
- on a tokenizer with a token for every frame class 0 does not exist, and all else is the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

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
    Tokenizer,
    Tokens,
    TrainData,
    WindowBatch,
    Windows,
)  # fmt: skip
from dyadbench.nn.component import NetComponent, to_tensor
from dyadbench.nn.inputs import CLIPS, audio_of, moments
from dyadbench.nn.sampling import draw, uniforms
from dyadbench.nn.schedules import ramp
from dyadbench_sfms.config import PredictorConfig
from dyadbench_sfms.listener import KeyframeNet, Memory
from dyadbench_sfms.selection import evenly
from dyadbench_sfms.softdtw import divergence

NEAR = 2  # frames within which a keyframe counts as found


def classes_of(tokens: Tokens) -> np.ndarray:
    """Tokens of one book -> classes (B, T): 0 for a transition, else the code + 1."""
    if tokens.keyframes is None:
        return tokens.ids + 1
    at = np.maximum(tokens.keyframes.cumsum(1) - 1, 0)
    return np.where(tokens.keyframes, np.take_along_axis(tokens.ids, at, 1) + 1, 0)


def tokens_of(classes: Tensor) -> Tokens:
    """Classes (B, T) of a sparse book -> tokens; rows with fewer keyframes are filled up with code 0."""
    keys = classes > 0
    order = keys.long().argsort(dim=1, descending=True, stable=True)[:, : int(keys.sum(1).max())]
    ids = (classes.gather(1, order) - 1).clamp_min(0)
    return Tokens(ids.cpu().numpy(), keys.cpu().numpy(), classes.shape[1])


def lookahead(patch: int, ahead: int, block: int) -> int:
    """Speaker frames after its own that a frame depends on, where `block` frames are decoded together: the block may
    end in a later patch, which hears `ahead` frames from its first on."""
    return max(
        0, *((start + block - 1) // patch * patch + ahead - 1 - start for start in range(0, patch * block, block))
    )


class KeyframeAR(NetComponent[KeyframeNet]):
    """api.Predictor and api.Trainable on a trained tokenizer of one book, sparse or one token a frame."""

    def __init__(self, config: PredictorConfig, setup: Setup, *, tokenizer: Tokenizer):
        spec = tokenizer.tokens
        if spec.frames_per_token not in (None, 1) or spec.groups * spec.residual != 1:
            raise DyadbenchError(
                "keyframe-ar generates keyframes, or one token a frame, from one book; take sparse-fsq, sparse-vq or frame-fsq"
            )
        self.config, self.setup, self.tokenizer = config, setup, tokenizer
        self.sparse = spec.frames_per_token is None
        self.audio = audio_of(config.audio, setup, prefer=("wav2vec2", "mel-128", "mfcc-78"), who="keyframe-ar")
        self.build_net(
            lambda: KeyframeNet(config, setup.space.dim, setup.audio[self.audio] if self.audio else None, spec.codes),
            setup,
        )
        rolling = self.sparse and config.decode == "rolling"
        reach = lookahead(config.patch, config.ahead, 1 if rolling else (spec.lookahead or 0) + 1)
        self.needs = Needs(audio=(self.audio,) if self.audio else (), lookahead=reach)

    # --- training ---------------------------------------------------------------------------------------

    def _classes(self, motion: Tensor) -> Tensor:
        """(B, T, D) -> (B, T); no gradient."""
        return torch.from_numpy(classes_of(self.tokenizer.encode(motion.detach().cpu().numpy()))).to(motion.device)

    def _late(self, batch: WindowBatch) -> Tensor:
        """Frames of neutral sequence before each row's conversation, whole patches of it: (B, 1)."""
        config = self.config
        if batch.step < 0:
            return torch.zeros(len(batch.valid), 1, dtype=torch.long, device=self.device)
        most = config.past // config.patch
        known = config.patch * batch.draw_rows(partial(torch.randint, most + 1), 1)
        chance = batch.draw_rows(torch.rand, 1)
        return torch.where(chance < config.cold, config.past - known, 0).to(self.device)

    def _scored(self, batch: WindowBatch) -> tuple[Tensor, Tensor, Tensor]:
        """Logits (B, n, V) of the frames to come, their classes (B, n), and which of them exist."""
        config, net, device = self.config, self.net, self.device
        past, late = config.past, self._late(batch)
        frame = torch.arange(past + config.patch, device=device) - late  # (B, past + n); before 0 all is neutral
        at, early = frame.clamp_min(0), (frame < 0)[..., None]
        listener = torch.where(
            early, net.neutral, batch.listener_motion.gather(1, at[..., None].expand_as(batch.listener_motion))
        )
        whole = self._classes(listener)
        known = self._classes(listener[:, :past]) if config.history == "apart" else whole[:, :past]
        known = torch.where(early[:, :past, 0], net.opening, known)
        if batch.step >= 0 and config.hide:
            chance = batch.draw_rows(torch.rand, 1)
            known = torch.where((chance < config.hide).to(device), net.opening, known)
        heard = slice(config.ahead, config.ahead + past)
        face = batch.speaker_motion.gather(1, at[..., None].expand_as(batch.speaker_motion))
        face = torch.where(early, net.face_mean, face)[:, heard]
        held = net.memory(net.speaker(face, self._sound(batch, at[:, heard], early[:, heard])))
        valid = batch.valid.gather(1, at)[:, past:]
        return net(known, held), whole[:, past:], valid

    def _sound(self, batch: WindowBatch, at: Tensor, early: Tensor) -> Tensor | None:
        """The speaker's sound at frames (B, P), neutral where `early`."""
        if self.audio is None:
            return None
        rate = self.net.per_frame
        rows = (at[..., None] * rate + torch.arange(rate, device=self.device)).flatten(1)
        sound = batch.audio[self.audio].gather(1, rows[..., None].expand(-1, -1, len(self.net.sound_mean)))
        return torch.where(early.repeat_interleave(rate, 1), self.net.sound_mean, sound)

    def _entropy(self, logits: Tensor, classes: Tensor, valid: Tensor) -> Tensor:
        """Cross entropy over frames that exist, keyframes weighing more; without class 0 where every frame is a token."""
        if not self.sparse:
            logits = logits.index_fill(-1, torch.zeros(1, dtype=torch.long, device=logits.device), -1e9)
        each = F.cross_entropy(logits.transpose(1, 2), classes, reduction="none")
        weight = torch.where(classes > 0, self.net.balance.exp(), 1.0) * valid
        return (each * weight).sum() / weight.sum().clamp_min(1e-6)

    def _loss(self, batch: WindowBatch) -> Loss:
        """Eq. 14: balanced cross entropy, and the divergence of where keyframes are expected from where they are."""
        logits, classes, valid = self._scored(batch)
        entropy = self._entropy(logits, classes, valid)
        if not self.sparse or not self.config.dtw:
            return Loss({"all": entropy})
        expected = 1 - self.net.calibrated(logits).softmax(-1)[..., 0]
        whole = valid.all(1).to(expected.dtype)
        apart = divergence(expected, (classes > 0).to(expected.dtype), self.config.gamma)
        apart = (apart * whole).sum() / whole.sum().clamp_min(1)
        return Loss({"all": entropy + self.config.dtw * apart}, {"entropy": entropy.detach(), "dtw": apart.detach()})

    def _validate(self, batch: WindowBatch) -> Mapping[str, Any]:
        """The loss, and how many keyframes the next patch's probabilities find: exactly, and within two frames."""
        logits, classes, valid = self._scored(batch)
        found = {"loss": self._entropy(logits, classes, valid)}
        if not self.sparse:
            return found
        keys, p = (classes > 0) & valid, (1 - self.net.calibrated(logits).softmax(-1)[..., 0]) * valid
        placed, _ = evenly(p, torch.full_like(p[:, 0], 0.5))
        near = [F.max_pool1d(x[:, None].float(), 2 * NEAR + 1, 1, NEAR)[:, 0] > 0 for x in (placed, keys)]
        right = (logits[..., 1:].argmax(-1) + 1 == classes) & keys
        number, made = keys.sum().clamp_min(1), placed.sum().clamp_min(1)
        return {
            **found, "recall": (placed & keys).sum() / number, "recall-near": (near[0] & keys).sum() / number,
            "precision-near": (near[1] & placed).sum() / made, "keyframes": made / number, "code-accuracy": right.sum() / number,
        }  # fmt: skip

    def _measure(self, data: TrainData) -> None:
        """Spread of the inputs, the mean face, the classes of a neutral past and the weight of keyframes."""
        net, config = self.net, self.config
        faces, sounds, listeners, keys = [], [], [], []
        for _, dyad in zip(range(CLIPS), data.dyads("train", self.needs.audio), strict=False):
            faces.append(torch.from_numpy(dyad.speaker.motion))
            listeners.append(torch.from_numpy(dyad.listener.motion))
            keys.append((self._classes(listeners[-1][None].to(self.device)) > 0).float().cpu().flatten())
            if self.audio:
                sounds.append(torch.from_numpy(dyad.speaker.audio[self.audio]))
        for name, parts in (("face", faces), ("sound", sounds)):
            if parts:
                mean, spread = moments(parts)
                getattr(net, f"{name}_mean").copy_(mean)
                getattr(net, f"{name}_scale").copy_(spread)
        net.neutral.copy_(torch.cat(listeners).mean(0))
        opening = self._classes(net.neutral.expand(1, config.past, -1))[0]
        if self.sparse:  # one keyframe at the start holds all of it
            rate = float(torch.cat(keys).mean())
            weight = config.key_weight or min(10.0, (1 - rate) / rate)
            net.balance.fill_(float(np.log(weight)))
            opening = torch.cat([opening[opening > 0][:1], torch.zeros_like(opening[1:])])
        net.opening.copy_(opening)

    def stages(self, data: TrainData) -> Iterator[Stage]:
        config = self.config
        self._measure(data)
        adam = Optimiser(
            "all", list(self.net.parameters()), config.lr, (0.9, 0.98), config.weight_decay,
            ramp(config.warmup, steps=config.steps),
        )  # fmt: skip
        yield Stage(
            "predictor", self.net, Windows(config.past + config.patch, config.batch, self.needs.audio), self._loss, (adam,),
            config.steps, self._validate, clip_norm=1.0, validate_every=config.validate_every,
            select="loss" if config.validate_every else None,
        )  # fmt: skip
        self.net.eval()

    # --- sampling ---------------------------------------------------------------------------------------

    @torch.no_grad()
    def sample(self, context: Context, k: int, noise: Noise) -> Reaction:
        """K reactions of exactly the context's frames; generated in whole patches, then cut."""
        self.net.eval()
        frames, rows = context.frames, len(context.clips) * k
        unit = self.config.patch  # side by side, each window must be whole to be sure of a keyframe
        unit += self.config.past if self.sparse and self.config.decode == "windows" else 0
        padded = frames + -frames % unit
        face, sound = self._heard(context, padded)
        draws = [uniforms(noise, context.clips, k, padded, what, self.device) for what in ("codes", "keys")]
        carried = draws[1][:, 0]
        classes = self.net.opening.expand(rows, -1)
        for first in range(0, padded, self.config.patch):
            logits = self.net.calibrated(self.net(classes[:, first:], self._memory(face, sound, first)))
            here = [x[:, first : first + self.config.patch] for x in draws]
            new, carried = self._drawn(logits, classes[:, first + self.config.patch :], here, carried)
            classes = torch.cat([classes, new], 1)
        return self._decoded(classes, len(context.clips), k, frames)

    def _heard(self, context: Context, padded: int) -> tuple[Tensor, Tensor | None]:
        """The speakers with a neutral past before them and neutral after their ends: (B, past + padded + ahead, ...)."""
        before, after = self.config.past, padded + self.config.ahead - context.frames
        lengths = torch.from_numpy(np.asarray(context.lengths)).to(self.device)
        frame = torch.arange(-before, context.frames + after, device=self.device)
        spoken = ((frame >= 0) & (frame < lengths[:, None]))[..., None]

        def around(values: np.ndarray, rate: int, neutral: Tensor) -> Tensor:
            inside = to_tensor(values, self.device)
            whole = F.pad(inside, (0, 0, before * rate, after * rate))
            return torch.where(spoken.repeat_interleave(rate, 1), whole, neutral)

        face = around(context.speaker_motion, 1, self.net.face_mean)
        if self.audio is None:
            return face, None
        return face, around(context.audio[self.audio], self.net.per_frame, self.net.sound_mean)

    def _memory(self, face: Tensor, sound: Tensor | None, first: int) -> Memory:
        """What is known of the speaker when the patch from `first` on is generated, once for all samples of a clip."""
        start, stop, rate = first + self.config.ahead, first + self.config.ahead + self.config.past, self.net.per_frame
        voice = None if sound is None else sound[:, start * rate : stop * rate]
        return self.net.memory(self.net.speaker(face[:, start:stop], voice))

    def _drawn(self, logits: Tensor, before: Tensor, draws: list[Tensor], carried: Tensor) -> tuple[Tensor, Tensor]:
        """Classes (R, n) of a patch: where its keyframes are, one at least with those of `before`, and their codes."""
        config = self.config
        codes = draw(logits[..., 1:], draws[0], temperature=config.temperature, top_k=config.top_k) + 1
        if not self.sparse:
            return codes, carried
        p = 1 - logits.double().softmax(-1)[..., 0]
        if config.spacing == "even":
            keys, carried = evenly(p, carried)
        else:
            keys = draws[1] < p
        empty = ~(keys.any(1) | (before > 0).any(1))
        keys = keys | (empty[:, None] & F.one_hot(p.argmax(1), p.shape[1]).bool())
        return codes * keys, carried

    def _decoded(self, classes: Tensor, clips: int, k: int, frames: int) -> Reaction:
        """classes (R, past + padded) -> reactions; sparse ones patch by patch from the window that ends with it."""

        def newest(windows: np.ndarray) -> np.ndarray:
            return windows[:, past:].reshape(len(classes), -1, windows.shape[2])[:, :frames]

        past, patch = self.config.past, self.config.patch
        if not self.sparse:
            own = classes[:, past:] - 1
            motion, emotion = self.tokenizer.decode(Tokens(own.cpu().numpy(), frames=frames), frames)
        elif self.config.decode == "windows":
            motion, emotion = self.tokenizer.decode(tokens_of(classes[:, past:]), frames)
        else:
            windows = classes.unfold(1, past + patch, patch).flatten(0, 1)  # (R * patches, past + n)
            motion, emotion = self.tokenizer.decode(tokens_of(windows), past + patch)
            motion = newest(motion)
            emotion = None if emotion is None else newest(emotion)

        def shaped(values: np.ndarray) -> np.ndarray:
            return values.reshape(clips, k, frames, -1)

        return Reaction(shaped(motion), None if emotion is None else shaped(emotion))
