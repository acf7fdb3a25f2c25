"""Predictions as a folder: one npy file per clip, (T, C) or (K, T, C), named after the clip.

A clip `a/b/c` is the file `a/b/c.npy`. That is how DualTalk's and many other scripts write. 25 channels are emotion, any
other number is motion.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from copy import copy
from pathlib import Path

import numpy as np

from dyadbench.api import EMOTION_DIM, DyadbenchError
from dyadbench.files.arrays import floats
from dyadbench.files.npy import read_header, read_npy
from dyadbench.files.predictions import Predictions, read_predictions
from dyadbench.files.walk import files_below


class ClipFiles:
    """One npy file per clip as an array (N, K, T, C), read one clip at a time; shorter clips are padded with zeros.

    Files without an axis of samples hold the answer of a method that is not random: all samples are equal then.
    """

    def __init__(self, paths: Sequence[Path]):
        self.paths = tuple(paths)
        headers = [self._header(path) for path in self.paths]
        first, self.dtype = headers[0]
        for path, (shape, _) in zip(self.paths, headers, strict=True):
            if len(shape) != len(first) or (*shape[:-2], shape[-1]) != (*first[:-2], first[-1]):
                raise DyadbenchError(
                    f"{path} has shape {shape}, but {self.paths[0]} has {first}; write all clips alike, only their frames may differ"
                )
        self.frames = tuple(shape[-2] for shape, _ in headers)
        self.alone = len(first) == 2  # no axis of samples
        self.shape = (len(headers), 1 if self.alone else first[0], max(self.frames), first[-1])

    def with_samples(self, samples: int) -> ClipFiles:
        """With so many samples where the files name none; else as they are."""
        if not self.alone:
            return self
        repeated = copy(self)
        repeated.shape = (self.shape[0], samples, *self.shape[2:])
        return repeated

    @staticmethod
    def _header(path: Path) -> tuple[tuple[int, ...], np.dtype]:
        shape, dtype = read_header(path)
        if len(shape) not in (2, 3) or not all(shape):
            raise DyadbenchError(
                f"{path} has shape {shape}; (frames, channels) or (samples, frames, channels) is expected"
            )
        return shape, dtype

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> np.ndarray:
        path = self.paths[int(index)]
        values = floats(read_npy(path), str(path))
        values = values if values.ndim == 3 else np.repeat(values[None], self.shape[1], 0)  # (K, T, C)
        return np.pad(values, ((0, 0), (0, self.shape[2] - values.shape[1]), (0, 0)))


def open_predictions(path: Path) -> Predictions:
    """A predictions file, or a folder of one npy file per clip. Raises DyadbenchError where it is neither."""
    return read_folder(path) if path.is_dir() else read_predictions(path)


def read_folder(folder: Path) -> Predictions:
    """The npy files below a folder as predictions. Raises DyadbenchError where there is none or they are not alike."""
    paths = sorted(path for path in files_below(folder) if path.suffix == ".npy")
    if not paths:
        raise DyadbenchError(
            f"{folder} holds no .npy file; write one per clip, named after it, or one .npz or .safetensors file of all"
        )
    files = ClipFiles(paths)
    names = tuple(path.relative_to(folder).with_suffix("").as_posix() for path in paths)
    return Predictions(folder, names, None, {"emotion" if files.shape[3] == EMOTION_DIM else "motion": files})


def fitted_to(predictions: Predictions, samples: int) -> Predictions:
    """Predictions with so many samples where they are a folder whose files have no axis of samples."""
    arrays = {
        name: array.with_samples(samples) if isinstance(array, ClipFiles) else array
        for name, array in predictions.arrays.items()
    }
    return dataclasses.replace(predictions, arrays=arrays)
