"""Learning2Listen while the speaker speaks: a token as soon as it began and its `ahead` frames are heard."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from dyadbench.api import Array, Context, DyadbenchError, Noise, Reaction
from dyadbench.nn.component import face_and_sound
from dyadbench.nn.guidance import guided
from dyadbench.nn.sampling import UniformStreams, draw
from dyadbench_l2l.config import PredictorConfig
from dyadbench_l2l.network import PatchPredictor


class Model(Protocol):
    """What the stream needs of its predictor, patch-ar."""

    config: PredictorConfig
    net: PatchPredictor
    device: torch.device
    audio: str | None
    patch: int  # frames per token
    reach: int  # frames of a speaker window
    per_frame: int  # rows of sound per frame

    def _windows(
        self, face: Tensor, sound: Tensor | None, tokens: Tensor, lengths: Tensor, base: int = 0
    ) -> Tensor: ...
    def _nobody(self) -> Tensor: ...
    def _past(self, history: Tensor) -> Tensor: ...
    def _decode(self, ids: np.ndarray, frames: int) -> Array: ...


class TokenStream:
    """Conversations under way (api.Stream): B clips of K samples, R = B * K rows."""

    def __init__(self, model: Model, clips: Sequence[str], k: int, noise: Noise):
        if model.config.decode == "window" or model.config.audio_slice == "released":
            raise DyadbenchError(
                'patch-ar streams with decode="sliding" and audio_slice="fixed"; the release waits for whole windows and reads '
                "sound of other frames"
            )
        self.model, self.clips, self.k = model, len(clips), k
        self.uniform = UniformStreams(noise, clips, k, "tokens", model.device)
        self.ids = torch.zeros(self.clips * k, 0, dtype=torch.long, device=model.device)
        self.face: Tensor | None = None  # (B, up to reach + patch, D), the newest last
        self.sound: Tensor | None = None
        self.heard = self.tokens = 0  # speaker frames; tokens that were generated

    def step(self, heard: Context) -> Reaction | None:
        model, rate = self.model, self.model.per_frame
        face, sound = face_and_sound(heard, model.audio, model.device)
        self.face = face if self.face is None else torch.cat([self.face, face], 1)
        if sound is not None:
            self.sound = sound if self.sound is None else torch.cat([self.sound, sound], 1)
        self.heard += heard.frames
        reaction = self._tokens(max(1, model.config.ahead))
        reach = model.reach + model.patch  # no later token needs more
        self.face = self.face[:, -reach:]
        self.sound = None if self.sound is None else self.sound[:, -reach * rate :]
        return reaction

    def finish(self) -> Reaction | None:
        """The last tokens, of which not all `ahead` frames came."""
        return self._tokens(1)

    @torch.no_grad()
    def _tokens(self, wait: int) -> Reaction | None:
        """Every token of which `wait` frames are heard."""
        self.model.net.eval()
        motion = []
        while self.tokens * self.model.patch + wait <= self.heard:
            motion.append(self._token())
        return Reaction(np.concatenate(motion, 2)) if motion else None

    def _token(self) -> Array:
        """The frames of the next token: (B, K, patch, D)."""
        model, config = self.model, self.model.config
        assert self.face is not None
        at = torch.tensor([self.tokens], device=model.device)
        lengths = torch.full((self.clips, 1, 1), self.heard, device=model.device)
        window = model._windows(self.face, self.sound, at, lengths, self.heard - self.face.shape[1])
        speaker = window[:, 0].repeat_interleave(self.k, 0)  # (R, past + 1, dim)
        past = model._past(self.ids)
        logits = model.net(past, speaker)[:, :1]
        if config.guidance != 1:
            logits = guided(logits, model.net(past, model._nobody().expand(len(past), -1, -1))[:, :1], config.guidance)
        ids = draw(logits, self.uniform.next(1), temperature=config.temperature, top_p=config.top_p)
        self.ids, self.tokens = torch.cat([self.ids, ids], 1)[:, -config.past :], self.tokens + 1
        missing = config.past - self.ids.shape[1]
        last = torch.cat([self.ids[:, :1].expand(-1, missing), self.ids], 1)  # as `sample` decodes the first tokens
        motion = model._decode(last.cpu().numpy(), last.shape[1] * model.patch)[:, -model.patch :]
        return motion.reshape(self.clips, self.k, model.patch, -1)
