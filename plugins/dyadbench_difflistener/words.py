"""Words as vectors, each at the frame where it ends. Needs transformers (the `text` extra) and a BERT model."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from dyadbench.api import DyadbenchError, Word


class WordEncoder:
    """A frozen BERT from a local folder or the hub. A clip's words are encoded as one sentence, and cached.

    Raises DyadbenchError where transformers or the model is missing.
    """

    def __init__(self, name: str, device: torch.device):
        try:
            from transformers import AutoModel, AutoTokenizer
        except ImportError:
            raise DyadbenchError(
                f"text = {name!r} needs transformers; pip install 'dyadbench[text]', or leave text out"
            ) from None
        local = os.path.isdir(name)  # noqa: PTH112  # a hub name is not a path
        try:
            with torch.random.fork_rng(devices=[]):
                self._split: Any = AutoTokenizer.from_pretrained(name, use_fast=True, local_files_only=local)
                model: Any = AutoModel.from_pretrained(name, use_safetensors=True, local_files_only=local)
        except (OSError, ValueError) as error:
            raise DyadbenchError(f"cannot load a BERT model from text = {name!r}: {error}") from None
        self._model, self.device = model.to(device).eval().requires_grad_(False), device
        self.dim: int = model.config.hidden_size
        self._cache: dict[tuple[Word, ...], np.ndarray] = {}

    @torch.no_grad()
    def vectors(self, words: tuple[Word, ...]) -> np.ndarray:
        """(n, dim): each word's mean over its word pieces. Pieces beyond the model's maximum length are left out."""
        if not words:
            return np.zeros((0, self.dim), np.float32)
        if words not in self._cache:
            encoding = self._split(
                [word.text for word in words], is_split_into_words=True, return_tensors="pt", truncation=True,
                max_length=self._model.config.max_position_embeddings,
            )  # fmt: skip
            hidden = self._model(**encoding.to(self.device)).last_hidden_state[0].float().cpu().numpy()
            owners, out = encoding.word_ids(0), np.zeros((len(words), self.dim), np.float32)
            for i in range(len(words)):
                pieces = [j for j, owner in enumerate(owners) if owner == i]
                out[i] = hidden[pieces].mean(0) if pieces else 0
            self._cache[words] = out
        return self._cache[words]


def place(words: Sequence[Word], vectors: np.ndarray, fps: float, frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Vectors (n, E) -> (frames, E), each at the frame where its word ends, and which frames have a word (frames,).

    Words that end in the same frame are averaged. Words that end outside the clip are left out.
    """
    total, count = np.zeros((frames, vectors.shape[1]), np.float32), np.zeros(frames, np.int64)
    for word, vector in zip(words, vectors, strict=True):
        frame = int(np.ceil(word.end * fps)) - 1
        if 0 <= frame < frames:
            total[frame] += vector
            count[frame] += 1
    return total / np.maximum(count, 1)[:, None], count > 0
