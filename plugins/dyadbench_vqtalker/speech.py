"""Speech as discrete tokens, as VQTalker hears it (arXiv 2412.09892): the nearest of V centroids, embedded.

The paper's tokens come from a speech model. Here a codebook for the dataset's sound feature takes their place: one from a
folder, such as the k-means of HuBERT's states (2106.07447), or one that k-means finds in the training split.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from scipy.cluster.vq import kmeans2
from torch import Tensor, nn

from dyadbench.api import AudioSpec, DyadbenchError, TrainData
from dyadbench.nn.inputs import CLIPS

KMEANS = "kmeans"
FILE = "codebook.npy"
ROWS = 20_000  # of the training split's sound, on which k-means runs


class SpeechTokens(nn.Module):
    """Sound (B, T * per_frame, F) to the embeddings of its tokens, averaged per frame: (B, T, dim)."""

    book: Tensor
    spread: Tensor

    def __init__(self, codes: int, sound: AudioSpec, dim: int):
        super().__init__()
        self.per_frame = sound.per_frame
        self.register_buffer("book", torch.zeros(codes, sound.dim))
        self.register_buffer("spread", torch.ones(sound.dim))  # of each channel, by which distances are measured
        self.embedding = nn.Embedding(codes, dim)

    def ids(self, sound: Tensor) -> Tensor:
        """(B, N, F) -> (B, N): the nearest centroid of each row."""
        book = (self.book / self.spread).expand(len(sound), -1, -1)
        return torch.cdist(sound / self.spread, book).argmin(-1)

    def forward(self, sound: Tensor) -> Tensor:
        out: Tensor = self.embedding(self.ids(sound)).unflatten(1, (-1, self.per_frame)).mean(2)
        return out


def read_codebook(where: str, feature: str, dim: int) -> np.ndarray:
    """The centroids (V, F) of `codebook.npy` in the folder `where`, or of that file.

    Raises DyadbenchError if there is no such file, or if its centroids do not have the F = `dim` channels of the feature.
    """
    path = Path(where) / FILE if Path(where).is_dir() else Path(where)
    try:
        book = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise DyadbenchError(
            f"speech = {where!r}: {path} is no codebook ({error}); give a folder with {FILE}, or {KMEANS!r}"
        ) from None
    if book.ndim != 2 or book.shape[1] != dim or not np.isfinite(book).all():
        raise DyadbenchError(
            f"speech = {where!r}: {path} has shape {book.shape}, but the feature {feature!r} needs finite centroids "
            f"of shape (V, {dim}); make the codebook from this feature"
        )
    return book.astype(np.float32)


def kmeans_codebook(data: TrainData, feature: str, codes: int) -> tuple[np.ndarray, np.ndarray]:
    """`codes` centroids (V, F) of k-means++ (10 rounds, seed 0) over rows of the training split's sound.

    And the spread (F,) of each channel: distances are measured in it, so that every channel counts alike.
    """
    sounds = [
        dyad.speaker.audio[feature] for _, dyad in zip(range(CLIPS), data.dyads("train", (feature,)), strict=False)
    ]
    rows = np.concatenate(sounds)
    # Rows at even distances, so that no generator is involved.
    rows = rows[:: max(1, len(rows) // ROWS)].astype(np.float64)
    if len(rows) < codes:
        raise DyadbenchError(
            f"k-means for {codes} speech tokens has {len(rows)} rows of {feature!r}; lower speech_codes to at most that"
        )
    spread = rows.std(0) + 1e-3
    centroids, _ = kmeans2(rows / spread, codes, iter=10, minit="++", seed=0)
    return np.asarray(centroids * spread, np.float32), np.asarray(spread, np.float32)
