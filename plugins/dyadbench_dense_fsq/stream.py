"""Dense-FSQ while the speaker speaks: a patch as soon as its first frame is heard, which needs only the frames before it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from dyadbench.api import Context, DyadbenchError, Noise, Reaction, Tokenizer
from dyadbench.nn.component import decoded_reaction, face_and_sound
from dyadbench.nn.guidance import guided
from dyadbench.nn.sampling import UniformStreams, draw
from dyadbench_dense_fsq.config import PredictorConfig
from dyadbench_dense_fsq.network import CrossModalNet, Memory, Speaker


class Model(Protocol):
    """What the stream needs of its predictor, crossmodal-ar."""

    config: PredictorConfig
    net: CrossModalNet
    device: torch.device
    audio: str | None
    tokenizer: Tokenizer

    def _stream(self, history: Tensor, start: int = 0) -> Tensor: ...


class PatchStream:
    """Conversations under way (api.Stream): B clips of K samples, R = B * K rows.

    Position p of the network's streams is the frame one patch earlier; the first patch is "nothing yet".
    """

    def __init__(self, model: Model, clips: Sequence[str], k: int, noise: Noise):
        config, block = model.config, (model.tokenizer.tokens.lookahead or 0) + 1
        if config.mode == "released":
            raise DyadbenchError('crossmodal-ar in mode "released" reads the speaker ahead and does not stream')
        if config.patch % block:
            raise DyadbenchError(
                f"crossmodal-ar streams where a tokenizer's block of {block} frames divides a patch of {config.patch}"
            )
        self.model, self.clips, self.k = model, len(clips), k
        self.uniform = UniformStreams(noise, clips, k, "tokens", model.device)
        self.ids = torch.zeros(self.clips * k, 0, dtype=torch.long, device=model.device)
        self.face: Tensor | None = None  # (B, up to context, D): no patch needs earlier frames
        self.sound: Tensor | None = None
        self.heard = self.first = 0  # speaker frames; frames that were generated
        self.caches, self.speaker_caches = model.net.caches(), model.net.speaker_caches()

    @torch.no_grad()
    def step(self, heard: Context) -> Reaction | None:
        self.model.net.eval()
        self._hear(heard)
        patches = []
        while self.first < self.heard:
            patches.append(self._patch())
        self._forget()
        if not patches:
            return None
        ids = torch.cat(patches, 1)
        return decoded_reaction(self.model.tokenizer, ids, self.clips, self.k, ids.shape[1])

    def finish(self) -> None:
        """A patch is given when its first frame arrives, so there is nothing to return."""

    def _hear(self, heard: Context) -> None:
        face, sound = face_and_sound(heard, self.model.audio, self.model.device)
        self.face = face if self.face is None else torch.cat([self.face, face], 1)
        if sound is not None:
            self.sound = sound if self.sound is None else torch.cat([self.sound, sound], 1)
        self.heard += heard.frames

    def _forget(self) -> None:
        reach = self.model.config.context
        self.face = None if self.face is None else self.face[:, -reach:]
        self.sound = None if self.sound is None else self.sound[:, -reach * self.model.net.per_frame :]

    def _windowed(self, speaker: Speaker, past: Tensor) -> Tensor:
        net = self.model.net
        return net.listener(past, net.memory(net.speaker(speaker)), last=self.model.config.patch)

    def _frames(self, first: int, stop: int) -> Speaker:
        """The speaker at positions first to stop: the frames a patch earlier, empty before the conversation."""
        patch, rate = self.model.config.patch, self.model.net.per_frame
        assert self.face is not None
        base = self.heard - self.face.shape[1]  # the frame that the buffer begins with
        empty = max(0, patch - first)
        a, b = max(0, first - patch) - base, stop - patch - base
        face = F.pad(self.face[:, a : max(a, b)], (0, 0, empty, 0))
        sound = self.sound
        if sound is not None:
            sound = F.pad(sound[:, a * rate : max(a, b) * rate], (0, 0, empty * rate, 0))
        null = torch.arange(first, stop, device=face.device)[None] < patch
        return Speaker(face, sound, null)

    def _patch(self) -> Tensor:
        """The next patch of tokens, (R, patch)."""
        model, config, first = self.model, self.model.config, self.first
        stop = first + config.patch
        start = max(0, stop - config.context)
        if model.net.causal:
            memory: Memory = model.net.speaker_step(self._frames(first, stop), self.speaker_caches, first)
            logits = model.net.listener_step(model._stream(self.ids, first), memory, self.caches, first)
        else:
            speaker, past = self._frames(start, stop), model._stream(self.ids, start)
            logits = self._windowed(speaker, past)
            if config.guidance != 1:
                nobody = dataclasses.replace(speaker, null=torch.ones_like(speaker.face[..., 0], dtype=torch.bool))
                logits = guided(logits, self._windowed(nobody, past), config.guidance)
        ids = draw(
            logits,
            self.uniform.next(config.patch),
            temperature=config.temperature,
            top_k=config.top_k,
            top_p=config.top_p,
        )
        self.ids, self.first = torch.cat([self.ids, ids], 1), stop
        return ids
