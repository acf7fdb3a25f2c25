"""The speaker as one sequence: face, facial differential, audio and words, fused by cross-modal attention.

The paper names the parts but not how they interact. Here the face queries each other modality by attention, the results
are concatenated to the face, and a small transformer fuses them. B rows, n frames, C channels; `visible` marks frames
that exist and that the listener may see.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dyadbench.nn.attention import Attention, Block
from dyadbench_difflistener.config import PredictorConfig


class Fusion(nn.Module):
    """A modality that is left out has no weights. The first fused vector is learnt and stands for "nothing"."""

    face_mean: Tensor
    face_scale: Tensor
    differential_scale: Tensor
    audio_mean: Tensor
    audio_scale: Tensor

    def __init__(self, config: PredictorConfig, *, channels: int, features: int, rows: int, words: int, patch: int):
        """features and rows: of audio in a frame, 0 for none; words: width of word vectors, 0 for none."""
        super().__init__()
        dim = config.dim
        self.patch = patch if config.memory == "tokens" else 1
        self.names = [name for name in config.speaker if name != "audio" or features] + (["words"] if words else [])
        for name, size in (("face_mean", channels), ("audio_mean", max(features, 1))):
            self.register_buffer(name, torch.zeros(size))
        for name, size in (("face", channels), ("differential", channels), ("audio", max(features, 1))):
            self.register_buffer(f"{name}_scale", torch.ones(size))
        widths = {"face": channels, "differential": channels, "audio": features * rows, "words": words}
        self.inward = nn.ModuleDict({name: nn.Linear(widths[name] * self.patch, dim) for name in self.names})
        others = [name for name in self.names if name != "face"]
        self.ask = nn.ModuleDict({name: Attention(dim, config.heads, rotary=True) for name in others})
        self.norms = nn.ModuleDict({name: nn.LayerNorm(dim) for name in others})
        self.norm_query = nn.LayerNorm(dim)
        self.faceless = nn.Parameter(torch.randn(dim) * 0.02)  # the query where there is no face
        self.mix = nn.Linear(dim * (1 + len(others)), dim)
        self.blocks = nn.ModuleList(
            Block(dim, config.heads, dropout=config.dropout, rotary=True) for _ in range(config.fusion_layers)
        )
        self.norm = nn.LayerNorm(dim)
        self.nothing = nn.Parameter(torch.randn(dim) * 0.02)

    def _streams(self, face: Tensor, audio: Tensor | None, words: Tensor | None, visible: Tensor) -> dict[str, Tensor]:
        """Every modality per frame, standardised, and 0 where it is not visible: name -> (B, n, width)."""
        face = (face - self.face_mean) / self.face_scale * visible[..., None]
        both = visible[:, 1:] & visible[:, :-1]
        differences = F.pad((face[:, 1:] - face[:, :-1]) * both[..., None], (0, 0, 1, 0))  # the first frame's is 0
        streams = {"face": face, "differential": differences / self.differential_scale}
        if audio is not None:
            audio = (audio - self.audio_mean) / self.audio_scale
            streams["audio"] = audio.reshape(*visible.shape, -1) * visible[..., None]
        if words is not None:
            streams["words"] = words * visible[..., None]
        return streams

    def forward(
        self, face: Tensor, audio: Tensor | None, words: tuple[Tensor, Tensor] | None, visible: Tensor
    ) -> tuple[Tensor, Tensor]:
        """face (B, n, D), audio (B, n * rows, F), words ((B, n, E), (B, n) where one ends), visible (B, n).

        Returns the fused speaker (B, m + 1, C) and which positions exist (B, m + 1), with m = n, or m = n / patch where
        the memory has one position per token.
        """
        streams = self._streams(face, audio, None if words is None else words[0], visible)
        visible, word_ends = self._grid(visible), None if words is None else self._grid(words[1] & visible)
        x = {name: self.inward[name](streams[name].unflatten(1, (-1, self.patch)).flatten(2)) for name in self.names}
        parts = [x["face"] if "face" in x else self.faceless.expand(*visible.shape, -1)]
        queries = self.norm_query(parts[0])
        for name, ask in self.ask.items():
            keys = self.norms[name](x[name])
            if name == "words" and word_ends is not None:  # attend only where words end; a row without words gets 0
                answer = ask(queries, keys, word_ends[:, None, None])
                parts.append(answer * word_ends.any(1)[:, None, None])
            else:
                parts.append(x[name] + ask(queries, keys, visible[:, None, None]))
        fused = self.mix(torch.cat(parts, -1))
        for block in self.blocks:
            fused = block(fused, visible[:, None, None])
        nothing = self.nothing.expand(len(fused), 1, -1)
        return torch.cat([nothing, self.norm(fused)], 1), F.pad(visible, (1, 0), value=True)

    def _grid(self, frames: Tensor) -> Tensor:
        """A mask of frames (B, n) -> positions (B, m): true where any frame of the position is."""
        return frames.unflatten(1, (-1, self.patch)).any(2)
