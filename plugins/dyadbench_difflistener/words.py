"""Words as vectors, each on the frame where it ends. Needs transformers (the `text` extra) and a BERT."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from dyadbench.api import DyadbenchError, Word


class WordEncoder:
    """A frozen BERT from a local folder or the hub; a clip's words are read as one sentence and kept once read.

    Raises DyadbenchError where transformers or the model is missing.
    """

    def __init__(self, name: str, device: torch.device):
        try:
            from transformers import AutoModel, AutoTokenizer
        except ImportError:
            raise DyadbenchError(
                f"text = {name!r} needs transformers; pip install 'dyadbench[text]', or leave text out"
            ) from None
        local = os.path.isdir(name)  # noqa: PTH112  # a hub name is no path
        try:
            with torch.random.fork_rng(devices=[]):
                self._split: Any = AutoTokenizer.from_pretrained(name, use_fast=True, local_files_only=local)
                model: Any = AutoModel.from_pretrained(name, use_safetensors=True, local_files_only=local)
        except (OSError, ValueError) as error:
            raise DyadbenchError(f"text = {name!r} is no BERT that can be read: {error}") from None
        self._model, self.device = model.to(device).eval().requires_grad_(False), device
        self.dim: int = model.config.hidden_size
        self._kept: dict[tuple[Word, ...], np.ndarray] = {}

    @torch.no_grad()
    def vectors(self, words: tuple[Word, ...]) -> np.ndarray:
        """(n, dim): each word's mean over its pieces; pieces beyond the model's length are left out."""
        if not words:
            return np.zeros((0, self.dim), np.float32)
        if words not in self._kept:
            found = self._split(
                [word.text for word in words], is_split_into_words=True, return_tensors="pt", truncation=True,
                max_length=self._model.config.max_position_embeddings,
            )  # fmt: skip
            hidden = self._model(**found.to(self.device)).last_hidden_state[0].float().cpu().numpy()
            owners, out = found.word_ids(0), np.zeros((len(words), self.dim), np.float32)
            for i in range(len(words)):
                pieces = [j for j, owner in enumerate(owners) if owner == i]
                out[i] = hidden[pieces].mean(0) if pieces else 0
            self._kept[words] = out
        return self._kept[words]


def place(words: Sequence[Word], vectors: np.ndarray, fps: float, frames: int) -> tuple[np.ndarray, np.ndarray]:
    """(n, E) vectors -> (frames, E), each on the frame in which its word ends, and (frames,) where that is.

    Words that end in one frame are averaged; those that end outside the clip are left out.
    """
    total, count = np.zeros((frames, vectors.shape[1]), np.float32), np.zeros(frames, np.int64)
    for word, vector in zip(words, vectors, strict=True):
        frame = int(np.ceil(word.end * fps)) - 1
        if 0 <= frame < frames:
            total[frame] += vector
            count[frame] += 1
    return total / np.maximum(count, 1)[:, None], count > 0
