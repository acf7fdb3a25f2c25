"""VQTalker in chunks while the speaker speaks: a chunk as soon as its first frame and `ahead` more are heard."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from dyadbench.api import Context, DyadbenchError, Noise, Reaction, Tokenizer
from dyadbench.nn.attention import KVCache
from dyadbench.nn.component import face_and_sound
from dyadbench.nn.sampling import UniformStreams
from dyadbench_vqtalker.config import PredictorConfig
from dyadbench_vqtalker.network import CoarseToFineNet, GridOfCodes
from dyadbench_vqtalker.smooth import smoothed


class Model(Protocol):
    """What the stream needs of its predictor, coarse-to-fine."""

    config: PredictorConfig
    net: CoarseToFineNet
    device: torch.device
    audio: str | None

    @property
    def tokenizer(self) -> Tokenizer: ...
    @property
    def grid(self) -> GridOfCodes: ...
    def latents(self, noise: Noise, clips: Sequence[str], k: int) -> Tensor | None: ...
    def choose(self, hidden: Tensor, free: Tensor | None, uniform: Tensor | None) -> Tensor: ...
    def decoded(self, ids: Tensor, clips: int, k: int) -> Reaction: ...


class ChunkStream:
    """Conversations under way (api.Stream): B clips of K samples, R = B * K rows."""

    def __init__(self, model: Model, clips: Sequence[str], k: int, noise: Noise):
        net, chunk, block = model.net, model.config.chunk, (model.tokenizer.tokens.lookahead or 0) + 1
        if not chunk:
            raise DyadbenchError("coarse-to-fine hears the whole clip and does not stream; take coarse-to-fine-chunked")
        if chunk % block:
            raise DyadbenchError(
                f"coarse-to-fine-chunked streams where a tokenizer's block of {block} frames divides a chunk of {chunk}"
            )
        self.model, self.clips, self.k = model, len(clips), k
        layers = range(net.residual)
        with torch.no_grad():
            self.latents = model.latents(noise, clips, k)
        self.uniform = [UniformStreams(noise, clips, k, f"layer{layer}", model.device) for layer in layers]
        self.last: list[np.ndarray | None] = [None for _ in layers]  # scores that smoothing ended with
        self.caches, self.free = ([[KVCache() for _ in net.blocks] for _ in layers] for _ in range(2))
        self.tails = net.tails(self.clips)
        # Embedded frames (B, n, dim) that no chunk has read. The first frames are delayed by nothing, as in `speaker`.
        self.queue = net.face.weight.new_zeros(self.clips, net.delay, net.face.out_features)
        self.heard = self.first = 0  # speaker frames; frames that were generated

    def step(self, heard: Context) -> Reaction | None:
        face, sound = face_and_sound(heard, self.model.audio, self.model.device)
        self.heard += heard.frames
        return self._chunks(face, sound)

    def finish(self) -> Reaction | None:
        """The last chunk, if not all `ahead` frames of it came: as if empty ones had."""
        if self.first >= self.heard:
            return None
        net, missing = self.model.net, self.model.config.chunk - self.queue.shape[1]
        device = self.model.device
        face = torch.zeros(self.clips, missing, net.face.in_features, device=device)
        rows = missing * net.per_frame
        sound = torch.zeros(self.clips, rows, len(net.sound_mean), device=device) if self.model.audio else None
        return self._chunks(face, sound)

    @torch.no_grad()
    def _chunks(self, face: Tensor, sound: Tensor | None) -> Reaction | None:
        """Every chunk that the new frames complete."""
        model, chunk = self.model, self.model.config.chunk
        model.net.eval()
        self.queue = torch.cat([self.queue, model.net.embedded(face, sound)], 1)
        chunks = []
        while self.queue.shape[1] >= chunk:
            chunks.append(self._chunk(self.queue[:, :chunk]))
            self.queue = self.queue[:, chunk:]
        if not chunks:
            return None
        return model.decoded(torch.cat(chunks, 1), self.clips, self.k)

    def _chunk(self, frames: Tensor) -> Tensor:
        """The codes of the next chunk, (R or B, chunk, G, layers)."""
        model, net, chunk = self.model, self.model.net, self.model.config.chunk
        speaker = net.heard_step(frames, self.tails)  # (B, chunk, dim)
        rows = self.clips if self.latents is None else self.clips * self.k
        ids = torch.zeros(rows, chunk, net.groups, 0, dtype=torch.long, device=model.device)
        for layer, caches in enumerate(self.caches):
            heard, coarser = speaker.repeat_interleave(len(ids) // self.clips, 0), model.grid.dequantise(ids)
            deaf = torch.zeros_like(heard)
            if self.latents is not None:
                heard, deaf = heard + self.latents, deaf + self.latents
            hidden, free = net.step(heard, coarser, layer, caches, self.first), None
            if model.config.guidance != 1:
                free = net.step(deaf, coarser, layer, self.free[layer], self.first)
            codes = model.choose(hidden, free, self._uniforms(layer) if layer < model.config.drawn else None)
            if len(codes) > len(ids):
                ids = ids.repeat_interleave(self.k, 0)
            ids = torch.cat([ids, codes[..., None]], 3)
        self.first += chunk
        return ids

    def _uniforms(self, layer: int) -> Tensor:
        """(R, chunk, G)"""
        chunk, groups = self.model.config.chunk, self.model.net.groups
        flat = self.uniform[layer].next(chunk * groups).unflatten(1, (chunk, groups))
        mixed, self.last[layer] = smoothed(flat, self.model.config.smooth, self.last[layer])
        return mixed
