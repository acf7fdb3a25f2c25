"""Words as vectors, each at the frame where it ends: those of a BERT model, or vectors that tell only which word it is."""

from __future__ import annotations

import hashlib
import string
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dyadbench.api import DyadbenchError, Word
from dyadbench_difflistener.config import HASHED

AROUND = string.whitespace + string.punctuation


def word_encoder(text: str, device: torch.device) -> WordEncoder | HashedWords:
    """What the setting `text` names. Raises DyadbenchError where it cannot be loaded, or where "hashed" is a folder, too."""
    if text != HASHED:
        return WordEncoder(text, device)
    if Path(text).exists():  # in the keys its content would stand for the name
        raise DyadbenchError(
            f"text = {text!r} needs no model, but {Path(text).absolute()} exists; give that another name"
        )
    return HashedWords()


class HashedWords:
    """A fixed random vector per word, the same in every clip and on every machine. It says which word it is and no more:
    words of one meaning are as far apart as any two, and a word's neighbours do not change it.
    """

    dim = 64  # enough that no two words of a large vocabulary are alike; BERT's 768 would be most of a small model

    def __init__(self) -> None:
        self._cache: dict[str, np.ndarray] = {}

    def vectors(self, words: tuple[Word, ...]) -> np.ndarray:
        """(n, dim), standard normal. Upper case and the punctuation around a word make no difference."""
        return np.array([self._vector(word.text.strip(AROUND).lower()) for word in words], np.float32).reshape(
            -1, self.dim
        )

    def _vector(self, word: str) -> np.ndarray:
        if word not in self._cache:
            key = int.from_bytes(hashlib.sha256(word.encode(errors="surrogatepass")).digest()[:16], "big")
            self._cache[word] = np.random.Generator(np.random.Philox(key=key)).standard_normal(self.dim, np.float32)
        return self._cache[word]


class WordEncoder:
    """A frozen BERT from a local folder or the hub. A clip's words are encoded as one sentence, and cached.
    Needs transformers (the `text` extra).

    Raises DyadbenchError where transformers or the model is missing.
    """

    def __init__(self, name: str, device: torch.device):
        try:
            from transformers import AutoModel, AutoTokenizer
        except ImportError:
            raise DyadbenchError(
                f"text = {name!r} needs transformers; pip install 'dyadbench[text]', or take text = {HASHED!r}, which needs no model"
            ) from None
        local = Path(name).is_dir()
        try:
            with torch.random.fork_rng(devices=[]):
                self._split: Any = AutoTokenizer.from_pretrained(name, use_fast=True, local_files_only=local)
                model: Any = AutoModel.from_pretrained(name, use_safetensors=True, local_files_only=local)
        except (OSError, ValueError) as error:
            raise DyadbenchError(
                f"cannot load a BERT model from text = {name!r} (text = {HASHED!r} needs none): {error}"
            ) from None
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
