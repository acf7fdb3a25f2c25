"""The non-autoregressive listener of DiffListener (2502.06822): VQ-Diffusion over the tokens of a whole window.

A window's tokens start as [MASK] and are denoised together, with attention to the fused speaker. Clips longer than a window
are generated in blocks: the last tokens of a block are the fixed prefix of the next one, and a share of the training rows
continues a prefix, too. The speaker, and its keys and values in the denoiser, are computed once per block.

B clips, K samples, R = B * K rows, W tokens per window, n frames, m positions of the fused speaker, V codes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
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
    Tokenizer,
    Tokens,
    TrainData,
    WindowBatch,
    Windows,
    Word,
)  # fmt: skip
from dyadbench.nn.component import NetComponent, ids_of, to_tensor
from dyadbench.nn.decoding import Rows, by_length
from dyadbench.nn.diffusion import Denoise, DiscreteDiffusion
from dyadbench.nn.guidance import guided
from dyadbench.nn.inputs import CLIPS, audio_of, moments
from dyadbench.nn.sampling import uniforms
from dyadbench_difflistener.blocks import Block, cut, plan, training_layout, visible_frames
from dyadbench_difflistener.config import PredictorConfig
from dyadbench_difflistener.denoiser import Denoiser
from dyadbench_difflistener.fusion import Fusion
from dyadbench_difflistener.tokenizer import ramp
from dyadbench_difflistener.words import place, word_encoder

Words = tuple[Tensor, Tensor]  # vectors (B, n, E) at the frames where words end, and which frames these are (B, n)


class DiffListenerNet(nn.Module):
    """The networks, and the diffusion process that trains them."""

    def __init__(self, fusion: Fusion, denoiser: Denoiser, process: DiscreteDiffusion):
        super().__init__()
        self.fusion, self.denoiser, self.process = fusion, denoiser, process


class TokenDiffusion(NetComponent[DiffListenerNet]):
    """api.Predictor and api.Trainable on a trained tokenizer with one codebook, which it never changes."""

    def __init__(self, config: PredictorConfig, setup: Setup, tokenizer: Tokenizer):
        spec = tokenizer.tokens
        assert spec.frames_per_token is not None, "the configuration's `accepts` asks for evenly spaced tokens"
        self.config, self.setup, self.tokenizer, self.patch = config, setup, tokenizer, spec.frames_per_token
        stride = (config.window - config.overlap) * self.patch
        if config.ahead is not None and config.ahead > stride:
            raise DyadbenchError(
                f"token-diffusion: ahead = {config.ahead} is more than the {stride} new frames of a block"
            )
        self.audio = audio_of(
            config.audio if "audio" in config.speaker else "none",
            setup,
            prefer=("mfcc-78", "mel-128"),
            who="token-diffusion",
        )
        self.words = word_encoder(config.text, torch.device(setup.device)) if config.text else None
        sound = setup.audio[self.audio] if self.audio else None
        self.build_net(
            lambda: DiffListenerNet(
                Fusion(
                    config, channels=setup.space.dim, features=sound.dim if sound else 0,
                    rows=sound.per_frame if sound else 1, words=self.words.dim if self.words else 0, patch=self.patch,
                ),
                Denoiser(config, spec.codes, self.patch),
                DiscreteDiffusion(spec.codes, config.noise_steps, config.schedule),
            ),
            setup,
        )  # fmt: skip
        if not self.net.fusion.names:
            raise DyadbenchError(
                "token-diffusion: the configuration uses only the speaker's audio, but this dataset has none; add face to `speaker`"
            )
        self._words_of_clips: dict[str, tuple[tuple[Word, ...], np.ndarray]] = {}  # and their vectors, while training
        self.needs = Needs(
            audio=(self.audio,) if self.audio else (), face=bool({"face", "differential"} & set(config.speaker)),
            words=bool(config.text), lookahead=self._lookahead(),
        )  # fmt: skip

    def _lookahead(self) -> int | None:
        """Frames of look-ahead; None where a block sees the speaker's whole block, which may be the whole clip."""
        decoding = getattr(self.tokenizer, "decode_ahead", None)
        if self.config.ahead is None or decoding is None:
            return None
        return max(0, self.config.ahead - 1) + int(decoding)

    # --- training ---------------------------------------------------------------------------------------

    def _loss(self, batch: WindowBatch) -> Loss:
        config, process, patch = self.config, self.net.process, self.patch
        rows, training = len(batch.listener_motion), batch.step >= 0
        ids = ids_of(self.tokenizer, batch.listener_motion)
        layout = training_layout(config, rows, patch, training=training)
        history, prefix, visible = (x.to(self.device) for x in (layout.exists, layout.prefix, layout.visible))
        null = torch.rand(rows, 1) < (config.null if training else 0.0)
        visible = visible & batch.valid & ~null.to(self.device)
        t, chance = process.draw_steps(rows) if training else process.even_steps(rows)
        xt = process.noised(ids, t, torch.rand(*ids.shape, 2).to(self.device))
        xt = torch.where(prefix, self._held(batch.listener_motion, ids), xt)
        exists = batch.valid.unflatten(1, (-1, patch))
        sound = batch.audio[self.audio] if self.audio else None
        fused, speaker = self.net.fusion(batch.speaker_motion, sound, self._batch_words(batch), visible)
        masks = ((history & exists.any(2))[:, None, None], speaker[:, None, None])
        log_x0 = self.net.denoiser(xt, t, self.net.denoiser.memory(fused), masks)
        scored = exists.all(2) & history & ~prefix
        return Loss({"all": process.loss(log_x0, ids, xt, t, chance, scored, config.aux)})

    def _held(self, listener: Tensor, ids: Tensor) -> Tensor:
        """Tokens (B, N) of a window (B, T, D), `ids` but for the first `overlap`, which the denoiser is given clean.

        When sampling these are of the block before and know nothing of what follows. A tokenizer's encoder looks ahead, so
        that they do know of it where the window is encoded as a whole; "apart" encodes their frames by themselves.
        """
        held = self.config.overlap
        if self.config.history == "window" or not held:
            return ids
        return torch.cat([ids_of(self.tokenizer, listener[:, : held * self.patch]), ids[:, held:]], 1)

    def _batch_words(self, batch: WindowBatch) -> Words | None:
        if self.words is None:
            return None
        frames = batch.speaker_motion.shape[1]
        windows = []
        for clip, start in batch.voices:
            words, vectors = self._words_of_clips[clip]
            placed = place(words, vectors, self.setup.space.fps, start + frames)
            windows.append(tuple(track[start:] for track in placed))
        return self._stacked(windows, frames)

    def _stacked(self, words: Sequence[tuple[np.ndarray, ...]], frames: int) -> Words:
        """Vectors and ends of each row, (n <= frames, E) and (n,), filled up to `frames`."""
        vectors, ends = (torch.zeros(len(words), frames, *x.shape[1:]) for x in map(torch.from_numpy, words[0]))
        for i, (vector, end) in enumerate(words):
            vectors[i, : len(vector)], ends[i, : len(end)] = torch.from_numpy(vector), torch.from_numpy(end)
        return vectors.to(self.device), ends.to(self.device).bool()

    def _read(self, data: TrainData) -> None:
        """Computes the vectors of every clip's words, each read beside all others of its clip."""
        if self.words is None:
            return
        for split in ("train", "val"):
            for dyad in data.dyads(split):
                words = dyad.speaker.words or ()
                self._words_of_clips[dyad.clip.id] = words, self.words.vectors(words)
        if not any(words for words, _ in self._words_of_clips.values()):
            raise DyadbenchError(
                f"token-diffusion: text = {self.config.text!r}, but this dataset has no words; leave text out"
            )

    def _place(self, words: tuple[Any, ...], frames: int) -> tuple[np.ndarray, np.ndarray]:
        assert self.words is not None
        return place(words, self.words.vectors(words), self.setup.space.fps, frames)

    def _measure(self, data: TrainData) -> None:
        """Mean and standard deviation of the speaker's coefficients, their differences and the sound."""
        face, differences, sound = [], [], []
        for _, dyad in zip(range(CLIPS), data.dyads("train", self.needs.audio), strict=False):
            motion = torch.from_numpy(dyad.speaker.motion)
            face.append(motion)
            differences.append(motion[1:] - motion[:-1])
            if self.audio:
                sound.append(torch.from_numpy(dyad.speaker.audio[self.audio]))
        fusion = self.net.fusion
        for name, parts in (("face", face), ("audio", sound)):
            if parts:
                mean, spread = moments(parts)
                getattr(fusion, f"{name}_mean").copy_(mean)
                getattr(fusion, f"{name}_scale").copy_(spread)
        fusion.differential_scale.copy_(torch.cat(differences).std(0) / fusion.face_scale.cpu() + 1e-3)

    def stages(self, data: TrainData) -> Iterator[Stage]:
        config = self.config
        self._measure(data)
        self._read(data)
        adam = Optimiser(
            "all", list(self.net.parameters()), config.lr, (0.9, 0.96), config.weight_decay,
            ramp(config.warmup, config.steps, config.drop_at),
        )  # fmt: skip
        yield Stage(
            "predictor", self.net, Windows(config.window * self.patch, config.batch, self.needs.audio), self._loss, (adam,),
            config.steps, ema=config.ema, clip_norm=config.clip_norm, validate_every=config.validate_every,
            select="loss" if config.validate_every else None,
        )  # fmt: skip
        self._words_of_clips.clear()
        self.net.eval()

    # --- sampling ---------------------------------------------------------------------------------------

    @torch.no_grad()
    def sample(self, context: Context, k: int, noise: Noise) -> Reaction:
        """K reactions of exactly the context's frames; generated in whole tokens, then cut."""
        self.net.eval()
        config, frames, rows = self.config, context.frames, len(context.clips) * k
        blocks = plan(config, -(-frames // self.patch))
        ids = torch.full((rows, blocks[-1].stop), -1, device=self.device)
        lengths = torch.from_numpy(np.asarray(context.lengths)).to(self.device)
        speaker = self._speaker(context)
        for number, block in enumerate(blocks):
            n = block.stop - block.start
            uniform = uniforms(
                noise, context.clips, k, config.sample_steps * config.window * 3, f"block{number}", self.device
            ).unflatten(1, (config.sample_steps, config.window, 3))[:, :, :n]
            known = cut(ids + 1, block.start, block.stop) - 1
            known = torch.where(torch.arange(block.start, block.stop, device=self.device) < 0, 0, known)
            tokens = self.net.process.sample(
                self.denoise(block, speaker, lengths, k), uniform, truncation=config.truncation, known=known
            )
            ids[:, block.first : block.stop] = tokens[:, block.first - block.start :]
        every = ids.cpu().numpy()

        def decode(rows: Rows, length: int) -> tuple[Array, Array | None]:
            return self.tokenizer.decode(Tokens(every[rows, : -(-length // self.patch)], frames=length), length)

        return Reaction(*by_length(context.lengths, k, context.frames, decode))

    def _speaker(self, context: Context) -> tuple[Tensor, Tensor | None, Words | None]:
        """The speakers' inputs as tensors: face (B, T, D), sound (B, T * rows, F), words."""

        def tensor(values: Array) -> Tensor:
            return to_tensor(values, self.device)

        sound = tensor(context.audio[self.audio]) if self.audio else None
        words = None
        if self.words is not None:
            per_clip = context.words or ((),) * len(context.clips)
            words = self._stacked([self._place(each, context.frames) for each in per_clip], context.frames)
        return tensor(context.speaker_motion), sound, words

    def denoise(
        self, block: Block, speaker: tuple[Tensor, Tensor | None, Words | None], lengths: Tensor, k: int
    ) -> Denoise:
        """The denoiser of one block. The speaker is encoded here, once for all samples and steps."""
        face, sound, words = speaker
        start, stop = block.start * self.patch, block.stop * self.patch
        visible = visible_frames(self.config, block, self.patch, lengths)
        rate = self.setup.audio[self.audio].per_frame if self.audio else 1
        inputs = (
            cut(face, start, stop),
            None if sound is None else cut(sound, start * rate, stop * rate),
            None if words is None else (cut(words[0], start, stop), cut(words[1], start, stop)),
        )
        token = torch.arange(block.start, block.stop, device=self.device)
        exists = (token >= 0).expand(len(lengths), -1)
        if self.config.ahead is None:  # otherwise using the clip's end would be look-ahead
            exists = exists & (token * self.patch < lengths[:, None])
        own = exists.repeat_interleave(k, 0)[:, None, None]
        conditional = self._pass(*inputs, visible, own)
        if self.config.guidance == 1:
            return conditional
        unconditional = self._pass(*inputs, torch.zeros_like(visible), own)
        return lambda ids, t: guided(conditional(ids, t), unconditional(ids, t), self.config.guidance)

    def _pass(
        self, face: Tensor, sound: Tensor | None, words: Words | None, visible: Tensor, own: Tensor
    ) -> Callable[[Tensor, int], Tensor]:
        fused, exists = self.net.fusion(face, sound, words, visible)
        memory, masks = self.net.denoiser.memory(fused), (own, exists[:, None, None])
        return lambda ids, t: self.net.denoiser(ids, torch.tensor([t], device=ids.device), memory, masks)
