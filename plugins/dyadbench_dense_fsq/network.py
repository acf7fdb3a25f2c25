"""The cross-modal network of Dense-FSQ: a speaker encoder over face and sound, a listener decoder over tokens.

Six stacks of blocks, as in the release: sound, face, face gated by sound (the fused speaker), speaker, listener,
listener gated by speaker. Position p of the listener's stream holds the token of a frame and predicts the frame one
patch later; both streams start with a patch of "nothing yet", so the first patch is generated like every other.

B clips, K samples, n positions, C channels. Ids in the stream are codes + 2: 0 is nothing yet, 1 is unused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dyadbench.api import AudioSpec
from dyadbench.nn.attention import Attention, Block, GatedBlock, KVCache, block_causal_mask, look_back
from dyadbench.nn.regression import SpeakerRegression
from dyadbench_dense_fsq.config import PredictorConfig

SPECIALS = 2


@dataclass(frozen=True)
class Speaker:
    """The speaker at n positions; `null` marks positions before the conversation."""

    face: Tensor  # (B, n, D), or ids (B, n) in mode "released"
    sound: Tensor | None  # (B, n * per_frame, F)
    null: Tensor | None = None  # (B or 1, n) bool


Memory = list[tuple[Tensor, Tensor]]  # keys and values of the speaker for each gated block of the listener


class CrossModalNet(nn.Module):
    face_scale: Tensor
    sound_mean: Tensor
    sound_scale: Tensor

    def __init__(self, config: PredictorConfig, channels: int, audio: AudioSpec | None, codes: int):
        super().__init__()
        self.config, self.per_frame = config, audio.per_frame if audio else 1
        self.released, self.causal = config.mode == "released", config.attention == "block-causal"
        dim, sound = config.dim, audio.dim if audio else 1
        # The release's vocabulary is 2050 for any codebook (its own has 1000 codes).
        vocabulary = max(2050, codes + SPECIALS) if self.released else codes + SPECIALS
        self.register_buffer("face_scale", torch.ones(channels))
        self.register_buffer("sound_mean", torch.zeros(sound))
        self.register_buffer("sound_scale", torch.ones(sound))
        nothing = 0 if self.released else None  # the release never learns what "nothing yet" is
        self.face_in: nn.Module = (
            nn.Embedding(vocabulary, dim, padding_idx=nothing) if self.released else nn.Linear(channels, dim)
        )
        self.sound_in = nn.Linear(sound, dim)
        self.token_in = nn.Embedding(vocabulary, dim, padding_idx=nothing)
        if not self.released:
            self.null_face, self.null_sound = (nn.Parameter(torch.randn(dim) * 0.02) for _ in range(2))
        if not self.causal:
            places = (config.context, config.context * self.per_frame, config.context)
            self.face_at, self.sound_at, self.token_at = (nn.Embedding(n, dim) for n in places)
        self.drop = nn.Dropout(config.dropout)
        rotary = self.causal or config.rotary
        self.sound_blocks, self.face_blocks, self.speaker_blocks, self.listener_blocks = (
            nn.ModuleList(Block(dim, config.heads, dropout=config.dropout, rotary=rotary) for _ in self._layers())
            for _ in range(4)
        )
        gated: dict[str, Any] = {
            "dropout": config.dropout, "rotary": rotary, "cross_rotary": rotary, "gain": config.gate_gain, "start": config.gate_start,
            "own_norm": not self.released,
        }  # fmt: skip
        self.fuse, self.answer = (
            nn.ModuleList(GatedBlock(dim, config.heads, **gated) for _ in self._layers()) for _ in range(2)
        )
        if rotary:  # heads start 0, 3, 9, 21, ... frames back
            lags = [min(3.0 * (2**head - 1), config.context / 2) for head in range(config.heads)]
            for part in self.modules():
                if isinstance(part, Attention):
                    look_back(part, lags)
        self.norm = nn.LayerNorm(dim)
        # In mode "fixed" the specials can be read but never said: they have no logit.
        self.head = nn.Linear(dim, vocabulary if self.released else codes, bias=not self.released)
        # Last, so that the same seed starts the other parts alike with and without it.
        self.regression = SpeakerRegression(dim, channels, config.regress_to) if config.regress else None
        if self.released:
            self._start_as_released()

    def _start_as_released(self) -> None:
        """Embeddings from N(0, 0.02), frozen rows included; masks that are added to the scores."""
        for part in self.modules():
            if isinstance(part, nn.Embedding):
                nn.init.normal_(part.weight, std=0.02)
            elif isinstance(part, Attention):
                part.additive = True

    def _layers(self) -> range:
        return range(self.config.layers)

    def alphas(self) -> Tensor:
        """The gates of all gated blocks, speaker first; all 0 means that nothing is heard."""
        return torch.stack([block.alpha for stack in (self.fuse, self.answer) for block in stack])  # type: ignore[misc]

    # --- inputs -----------------------------------------------------------------------------------------

    def _at(self, table: nn.Embedding, n: int) -> Tensor:
        """Positions of a window of n, counted from its end."""
        size = table.num_embeddings
        places = torch.arange(size - n, size, device=table.weight.device)
        return F.embedding(places, table.weight, padding_idx=0 if self.released else None)  # released: row 0 is frozen

    def _face(self, speaker: Speaker) -> Tensor:
        if self.released:
            x: Tensor = self.face_in(speaker.face)
        else:
            x = self.face_in(speaker.face / self.face_scale)
            if speaker.null is not None:
                x = torch.where(speaker.null[..., None], self.null_face, x)
        return self.drop(x if self.causal else x + self._at(self.face_at, x.shape[1]))

    def _sound(self, speaker: Speaker) -> Tensor:
        """The maximum of each frame's rows per channel, as in the release: (B, n, C)."""
        n = speaker.face.shape[1]
        if speaker.sound is None:
            x = self.sound_in.weight.new_zeros(len(speaker.face), n * self.per_frame, self.config.dim)
        else:
            x = self.sound_in((speaker.sound - self.sound_mean) / self.sound_scale)
        if not self.causal:
            x = x + self._at(self.sound_at, x.shape[1])
        x = self.drop(x).unflatten(1, (n, self.per_frame)).amax(2)
        if not self.released and speaker.null is not None:
            x = torch.where(speaker.null[..., None], self.null_sound, x)
        return x

    def _band(self, n: int) -> Tensor | None:
        """The block-causal mask of n positions, (1, 1, n, n); None for window attention."""
        if not self.causal:
            return None
        device = self.head.weight.device
        return block_causal_mask(n, n, self.config.patch, device, self.config.context)[None, None]

    # --- streams ----------------------------------------------------------------------------------------

    def speaker(self, speaker: Speaker, mask: Tensor | None = None) -> Tensor:
        """The fused speaker (B, n, C). `mask`, as Attention takes it, is for window attention only."""
        face, sound = self._face(speaker), self._sound(speaker)
        if self.causal:
            mask = self._band(face.shape[1])
        for block in self.sound_blocks:
            sound = block(sound, mask=mask)
        for block in self.face_blocks:
            face = block(face, mask=mask)
        for block in self.fuse:
            face = block(face, sound, mask=mask, cross_mask=mask)
            if self.released:  # both streams become the fused one after the first block
                sound = face
        for block in self.speaker_blocks:
            face = block(face, mask=mask)
        return face

    def memory(self, fused: Tensor) -> Memory:
        """The speaker's keys and values for the listener, once for all samples and, if causal, all patches."""
        return [block.memory(fused) for block in self.answer]  # type: ignore[operator]

    def listener(
        self,
        ids: Tensor,
        speaker: Tensor | Memory,
        mask: Tensor | None = None,
        cross_mask: Tensor | None = None,
        last: int | None = None,
    ) -> Tensor:
        """ids (B * K, n) in the stream, speaker of B or B * K rows -> logits (B * K, n, V), or of the `last` positions.

        `last` is for window attention; it skips the computation that only other positions need.
        """
        n = ids.shape[1]
        x = self.token_in(ids)
        x = self.drop(x if self.causal else x + self._at(self.token_at, n))
        if self.causal:
            mask = cross_mask = self._band(n)
        for block in self.listener_blocks:
            x = block(x, mask=mask)
        for i, block in enumerate(self.answer):
            final = last if i + 1 == len(self.answer) else None
            other = speaker if isinstance(speaker, Tensor) else speaker[i]
            x = block(x, other, mask=mask, cross_mask=cross_mask, last=final)
            if self.released:
                speaker = x
        out: Tensor = self.head(self.norm(x))
        return out

    def caches(self) -> list[KVCache]:
        """One cache per self-attention of the listener, as long as the context."""
        return [KVCache(self.config.context) for _ in range(2 * self.config.layers)]

    def listener_step(self, ids: Tensor, speaker: Memory, caches: list[KVCache], offset: int) -> Tensor:
        """The next patch of a block-causal stream: ids (B * K, patch) at `offset` -> logits (B * K, patch, V).

        `speaker` holds the last `context` positions up to the patch's end. Equal to the last patch of `listener` over the
        whole stream so far. Nothing needs a mask: the caches and the memory hold exactly what this patch may see.
        """
        x = self.token_in(ids)
        for block, cache in zip(self.listener_blocks, caches, strict=False):
            x = block(x, cache=cache, offset=offset)
        for block, memory, cache in zip(self.answer, speaker, caches[self.config.layers :], strict=True):
            x = block(x, memory, cache=cache, offset=offset)
        out: Tensor = self.head(self.norm(x))
        return out

    def speaker_caches(self) -> list[KVCache]:
        """One cache per attention over the speaker, those of the listener's answer last; as long as the context."""
        return [KVCache(self.config.context) for _ in range(6 * self.config.layers)]

    def speaker_step(self, speaker: Speaker, caches: Sequence[KVCache], offset: int) -> Memory:
        """The next patch of a block-causal speaker, at `offset` -> what `listener_step` attends to.

        Equal to the last `context` positions of `memory(speaker(...))` over the whole stream so far.
        """
        face, sound = self._face(speaker), self._sound(speaker)
        rest = iter(caches)
        for block in self.sound_blocks:
            sound = block(sound, cache=next(rest), offset=offset)
        for block in self.face_blocks:
            face = block(face, cache=next(rest), offset=offset)
        for block in self.fuse:
            heard = next(rest).append(*block.memory(sound, offset))  # type: ignore[operator]
            face = block(face, heard, cache=next(rest), offset=offset)
        for block in self.speaker_blocks:
            face = block(face, cache=next(rest), offset=offset)
        return [cache.append(*block.memory(face, offset)) for block, cache in zip(self.answer, rest, strict=True)]  # type: ignore[operator]


def key_mask(valid: Tensor | None) -> Tensor | None:
    """(B, n) valid keys -> (B, 1, 1, n): one mask per row, for every head and query."""
    return None if valid is None else valid[:, None, None, :]
