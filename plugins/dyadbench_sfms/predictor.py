"""The rolling listener of SFMS: 40 frames of past, 8 to come, as keyframes' codes and transitions (arXiv 2504.05748).

Design, and where it departs from the paper or fills what the paper leaves open:
- The past is labelled without the frames to come. The tokenizer picks the top k of a window of 48, so labels of the whole
  window tell how many keyframes are left for the last 8. `history="window"` leaks this in training; sampling never has it.
- Balanced cross entropy inflates the probability of keyframes. The inflation is removed before sampling.
- Keyframes are spread evenly according to their probabilities; codes are sampled at a temperature.
- Each patch is decoded from the keyframes of the last 48 frames, so its look-ahead is that of the speaker's window.
- A tokenizer with one token per frame has no transitions: class 0 then does not occur, and all else is the same.

B clips, K samples, R = B * K rows, P frames of past, n frames of a patch, D motion channels, F audio features.
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
from dyadbench.nn.component import NetComponent, to_tensor
from dyadbench.nn.decoding import Rows, by_length, decoded_by_length
from dyadbench.nn.guidance import guided, without_speaker
from dyadbench.nn.inputs import CLIPS, audio_of, moments
from dyadbench.nn.sampling import draw, uniforms
from dyadbench.nn.schedules import ramp
from dyadbench_sfms.config import PredictorConfig
from dyadbench_sfms.listener import KeyframeNet, Memory
from dyadbench_sfms.selection import evenly
from dyadbench_sfms.softdtw import divergence

NEAR = 2  # validation: a keyframe at most this many frames away counts as a hit


def classes_of(tokens: Tokens) -> np.ndarray:
    """Tokens of one book -> classes (B, T): 0 for a transition, else the code + 1."""
    if tokens.keyframes is None:
        return tokens.ids + 1
    nth = np.maximum(tokens.keyframes.cumsum(1) - 1, 0)  # (B, T) which keyframe of the row this frame is
    return np.where(tokens.keyframes, np.take_along_axis(tokens.ids, nth, 1) + 1, 0)


def tokens_of(classes: Tensor) -> Tokens:
    """Classes (B, T) of a sparse book -> tokens; rows with fewer keyframes are filled up with code 0."""
    keys = classes > 0
    # A stable sort moves keyframes to the front and keeps their order in time.
    order = keys.long().argsort(dim=1, descending=True, stable=True)[:, : int(keys.sum(1).max())]
    ids = (classes.gather(1, order) - 1).clamp_min(0)
    return Tokens(ids.cpu().numpy(), keys.cpu().numpy(), classes.shape[1])


def lookahead(patch: int, ahead: int, block: int) -> int:
    """How many later speaker frames a frame depends on, if `block` frames are decoded together.

    The block may end in a later patch, and that patch uses `ahead` speaker frames from its own first frame on.
    """
    return max(
        0, *((start + block - 1) // patch * patch + ahead - 1 - start for start in range(0, patch * block, block))
    )


class KeyframeAR(NetComponent[KeyframeNet]):
    """api.Predictor and api.Trainable on a trained tokenizer with one codebook: sparse, or one token per frame."""

    def __init__(self, config: PredictorConfig, setup: Setup, *, tokenizer: Tokenizer):
        spec = tokenizer.tokens
        self.config, self.setup, self.tokenizer = config, setup, tokenizer
        self.sparse = spec.frames_per_token is None
        self.audio = audio_of(config.audio, setup, prefer=("wav2vec2", "mel-128", "mfcc-78"), who="keyframe-ar")
        self.build_net(
            lambda: KeyframeNet(config, setup.space.dim, setup.audio[self.audio] if self.audio else None, spec.codes),
            setup,
        )
        # A shorter window of the tokenizer would need a keyframe of its own, which nothing forces.
        needed = config.past + config.patch
        if self.sparse and spec.lookahead and spec.lookahead + 1 < needed:
            raise DyadbenchError(
                f"keyframe-ar decodes windows of {needed} frames (past + patch), and its tokenizer codes windows of "
                f"{spec.lookahead + 1}; set tokenizer.window={needed}, or a smaller past"
            )
        rolling = self.sparse and config.decode == "rolling"
        reach = lookahead(config.patch, config.ahead, 1 if rolling else (spec.lookahead or 0) + 1)
        self.needs = Needs(audio=(self.audio,) if self.audio else (), lookahead=reach)

    # --- training ---------------------------------------------------------------------------------------

    def _classes(self, motion: Tensor) -> Tensor:
        """Motion (B, T, D) -> classes (B, T), without gradient."""
        return torch.from_numpy(classes_of(self.tokenizer.encode(motion.detach().cpu().numpy()))).to(motion.device)

    def _cold_start(self, batch: WindowBatch) -> Tensor:
        """Frames of each row's past that lie before its conversation begins, in whole patches: (B, 1).

        Sampling starts every clip from a neutral past, so a share `cold` of the training rows does, too.
        """
        config = self.config
        if batch.step < 0:
            return torch.zeros(len(batch.valid), 1, dtype=torch.long, device=self.device)
        patches = config.past // config.patch
        history = config.patch * batch.draw_rows(partial(torch.randint, patches + 1), 1)
        chance = batch.draw_rows(torch.rand, 1)
        return torch.where(chance < config.cold, config.past - history, 0).to(self.device)

    def _predict(self, batch: WindowBatch) -> tuple[Tensor, Tensor, Tensor]:
        """Logits (B, n, 1 + codes) of the frames to come, their classes (B, n), and which of them exist (B, n)."""
        config, net, device = self.config, self.net, self.device
        past, missing = config.past, self._cold_start(batch)
        # A cold start shifts the row later, so that its first `missing` frames come before frame 0 and are neutral.
        frame = torch.arange(past + config.patch, device=device) - missing  # (B, P + n)
        index, early = frame.clamp_min(0), (frame < 0)[..., None]
        listener = torch.where(
            early, net.neutral, batch.listener_motion.gather(1, index[..., None].expand_as(batch.listener_motion))
        )  # (B, P + n, D)
        classes = self._classes(listener)  # (B, P + n)
        # "apart" labels the past by itself: labels of the whole window would leak the number of keyframes to come.
        history = self._classes(listener[:, :past]) if config.history == "apart" else classes[:, :past]
        history = torch.where(early[:, :past, 0], net.opening, history)
        if batch.step >= 0 and config.hide:  # rows without the listener's past can only learn from the speaker
            chance = batch.draw_rows(torch.rand, 1)
            history = torch.where((chance < config.hide).to(device), net.opening, history)
        # The speaker's window is as long as the past and ends `ahead` frames into the patch (in eq. 11, at its end).
        window = slice(config.ahead, config.ahead + past)
        face = batch.speaker_motion.gather(1, index[..., None].expand_as(batch.speaker_motion))
        unheard = early if (rows := without_speaker(batch, config.null)) is None else early | rows[:, None, None]
        face = torch.where(unheard, net.face_mean, face)[:, window]
        memory = net.memory(net.speaker(face, self._sound(batch, index[:, window], unheard[:, window])))
        valid = batch.valid.gather(1, index)[:, past:]
        return net(history, memory), classes[:, past:], valid

    def _sound(self, batch: WindowBatch, index: Tensor, early: Tensor) -> Tensor | None:
        """The speaker's sound at the frames `index` (B, P), neutral where `early`: (B, P * rate, F)."""
        if self.audio is None:
            return None
        rate = self.net.per_frame
        rows = (index[..., None] * rate + torch.arange(rate, device=self.device)).flatten(1)
        sound = batch.audio[self.audio].gather(1, rows[..., None].expand(-1, -1, len(self.net.sound_mean)))
        return torch.where(early.repeat_interleave(rate, 1), self.net.sound_mean, sound)

    def _entropy(self, logits: Tensor, classes: Tensor, valid: Tensor) -> Tensor:
        """Mean cross entropy over the frames that exist; keyframes weigh more, because they are rare."""
        if not self.sparse:  # every frame has a token, so a transition (class 0) is impossible
            logits = logits.index_fill(-1, torch.zeros(1, dtype=torch.long, device=logits.device), -1e9)
        each = F.cross_entropy(logits.transpose(1, 2), classes, reduction="none")
        weight = torch.where(classes > 0, self.net.balance.exp(), 1.0) * valid
        return (each * weight).sum() / weight.sum().clamp_min(1e-6)

    def _loss(self, batch: WindowBatch) -> Loss:
        """Eq. 14: balanced cross entropy, plus the soft-DTW divergence of predicted from true keyframe positions."""
        logits, classes, valid = self._predict(batch)
        entropy = self._entropy(logits, classes, valid)
        if not self.sparse or not self.config.dtw:
            return Loss({"all": entropy})
        expected = 1 - self.net.calibrated(logits).softmax(-1)[..., 0]
        # Soft-DTW has no mask, so only rows whose frames all exist count.
        full = valid.all(1).to(expected.dtype)
        distance = divergence(expected, (classes > 0).to(expected.dtype), self.config.gamma)
        distance = (distance * full).sum() / full.sum().clamp_min(1)
        return Loss(
            {"all": entropy + self.config.dtw * distance}, {"entropy": entropy.detach(), "dtw": distance.detach()}
        )

    def _validate(self, batch: WindowBatch) -> Mapping[str, Any]:
        """The loss, and recall and precision of the next patch's keyframes: exact, and within `NEAR` frames."""
        logits, classes, valid = self._predict(batch)
        metrics = {"loss": self._entropy(logits, classes, valid)}
        if not self.sparse:
            return metrics
        keys, p = (classes > 0) & valid, (1 - self.net.calibrated(logits).softmax(-1)[..., 0]) * valid
        places, _ = evenly(p, torch.full_like(p[:, 0], 0.5))
        # Widen both sets by NEAR frames on each side.
        near = [F.max_pool1d(x[:, None].float(), 2 * NEAR + 1, 1, NEAR)[:, 0] > 0 for x in (places, keys)]
        correct = (logits[..., 1:].argmax(-1) + 1 == classes) & keys
        number, predicted = keys.sum().clamp_min(1), places.sum().clamp_min(1)
        return {
            **metrics, "recall": (places & keys).sum() / number, "recall-near": (near[0] & keys).sum() / number,
            "precision-near": (near[1] & places).sum() / predicted, "keyframes": predicted / number, "code-accuracy": correct.sum() / number,
        }  # fmt: skip

    def _measure(self, data: TrainData) -> None:
        """Measures what the network needs of the training split: the inputs' mean and spread, the listener's mean face,
        the classes of a neutral past, and the weight of keyframes in the loss."""
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
        if self.sparse:
            # This weight makes keyframes and transitions count alike in the cross entropy.
            rate = float(torch.cat(keys).mean())
            weight = config.key_weight or min(10.0, max(0.1, (1 - rate) / rate))  # every frame may be a keyframe
            net.balance.fill_(float(np.log(weight)))
            # A still face needs one keyframe, at the start; the tokenizer would spread k of them over it.
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
        # Decoded side by side, every window must be complete, or it might hold no keyframe.
        unit = self.config.patch
        unit += self.config.past if self.sparse and self.config.decode == "windows" else 0
        padded = frames + -frames % unit
        face, sound = self._speaker(context, padded)
        draws = [uniforms(noise, context.clips, k, padded, what, self.device) for what in ("codes", "keys")]
        phase = draws[1][:, 0]  # (R,) where `evenly` starts
        nobody = self._nobody(face, sound) if self.config.guidance != 1 else None
        classes = self.net.opening.expand(rows, -1)  # (R, P), grows by a patch per round
        for first in range(0, padded, self.config.patch):
            memory = self._memory(face, sound, first)
            logits = self.net.calibrated(self.net(classes[:, first:], memory))  # (R, n, 1 + codes)
            if nobody is not None:
                free = self.net.calibrated(self.net(classes[:, first:], nobody))
                logits = guided(logits, free, self.config.guidance)
            uniforms_here = [x[:, first : first + self.config.patch] for x in draws]
            new, phase = self._draw_patch(logits, classes[:, first + self.config.patch :], uniforms_here, phase)
            classes = torch.cat([classes, new], 1)
        return self._reaction(classes, context, k, unit)

    def _speaker(self, context: Context, padded: int) -> tuple[Tensor, Tensor | None]:
        """The speakers' face and sound, neutral before and after each clip: (B, P + padded + ahead, ...)."""
        before, after = self.config.past, padded + self.config.ahead - context.frames
        lengths = torch.from_numpy(np.asarray(context.lengths)).to(self.device)
        frame = torch.arange(-before, context.frames + after, device=self.device)
        exists = ((frame >= 0) & (frame < lengths[:, None]))[..., None]

        def around(values: np.ndarray, rate: int, neutral: Tensor) -> Tensor:
            inside = to_tensor(values, self.device)
            whole = F.pad(inside, (0, 0, before * rate, after * rate))
            return torch.where(exists.repeat_interleave(rate, 1), whole, neutral)

        face = around(context.speaker_motion, 1, self.net.face_mean)
        if self.audio is None:
            return face, None
        return face, around(context.audio[self.audio], self.net.per_frame, self.net.sound_mean)

    def _memory(self, face: Tensor, sound: Tensor | None, first: int) -> Memory:
        """The speaker as the patch that starts at `first` sees it, computed once for all samples of a clip."""
        start, stop, rate = first + self.config.ahead, first + self.config.ahead + self.config.past, self.net.per_frame
        voice = None if sound is None else sound[:, start * rate : stop * rate]
        return self.net.memory(self.net.speaker(face[:, start:stop], voice))

    def _nobody(self, face: Tensor, sound: Tensor | None) -> Memory:
        """What a patch sees where there is no speaker."""
        silence = None if sound is None else self.net.sound_mean.expand_as(sound)
        return self._memory(self.net.face_mean.expand_as(face), silence, 0)

    def _draw_patch(
        self, logits: Tensor, before: Tensor, uniform: list[Tensor], phase: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Samples the classes (R, n) of a patch from its logits (R, n, 1 + codes), and returns the new phase (R,).

        `before` (R, P - n) are the classes of the frames right before the patch.
        """
        config = self.config
        codes = draw(logits[..., 1:], uniform[0], temperature=config.temperature, top_k=config.top_k) + 1
        if not self.sparse:
            return codes, phase
        p = 1 - logits.double().softmax(-1)[..., 0]  # (R, n) probability of a keyframe
        if config.spacing == "even":
            keys, phase = evenly(p, phase)
        else:
            keys = uniform[1] < p
        # A window without any keyframe cannot be decoded, so the likeliest frame becomes one.
        empty = ~(keys.any(1) | (before > 0).any(1))
        keys = keys | (empty[:, None] & F.one_hot(p.argmax(1), p.shape[1]).bool())
        return codes * keys, phase

    def _reaction(self, classes: Tensor, context: Context, k: int, unit: int) -> Reaction:
        """Decodes classes (R, P + padded), of clips that were padded to whole multiples of `unit` frames.

        Sparse ones are decoded patch by patch, each from the window it ends.
        """
        past, patch = self.config.past, self.config.patch
        if not self.sparse:
            return decoded_by_length(self.tokenizer, classes[:, past:] - 1, context, k, unit)

        def decode(rows: Rows, length: int) -> tuple[Array, Array | None]:
            own = classes[torch.from_numpy(rows).to(classes.device), : past + length + -length % unit]
            if self.config.decode == "windows":  # whole ones, or the last might hold no keyframe
                parts = self.tokenizer.decode(tokens_of(own[:, past:]), own.shape[1] - past)
                return parts[0][:, :length], None if parts[1] is None else parts[1][:, :length]
            windows = own.unfold(1, past + patch, patch).flatten(0, 1)  # (R * patches, P + n)
            motion, emotion = self.tokenizer.decode(tokens_of(windows), past + patch)

            def newest(windows: Array) -> Array:
                return windows[:, past:].reshape(len(rows), -1, windows.shape[2])[:, :length]

            return newest(motion), None if emotion is None else newest(emotion)

        return Reaction(*by_length(context.lengths, k, context.frames, decode))
