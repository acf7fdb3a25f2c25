"""Motion as pictures, by the renderer of a plugin: what FRRea compares."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from dyadbench.api import Dataset, DyadbenchError, MotionSpace, Renderer
from dyadbench.cell.split import Split
from dyadbench.files.predictions import Predictions, Reordered, faults, refuse
from dyadbench.registry.host import Host


def rendered(
    host: Host, name: str, renderer: Renderer, motions: Iterable[np.ndarray], space: MotionSpace, every: int
) -> Iterator[np.ndarray]:
    """(H, W, 3) bytes of every n-th frame of each (T, D), one after another. Raises PluginError for anything else."""
    for motion in motions:
        frames = np.ascontiguousarray(motion[::every])
        with host.blame("renderer", name, "render"):
            pictures = _checked(renderer.render(frames, space), len(frames))
        yield from pictures


def _checked(pictures: Any, count: int) -> np.ndarray:
    array = np.asarray(pictures)
    if array.ndim != 4 or array.shape[0] != count or array.shape[3] != 3 or array.dtype != np.uint8:
        raise ValueError(
            f"it gave {array.dtype} {array.shape} for {count} frames; bytes of shape ({count}, height, width, 3) are expected"
        )
    return array


def predicted_motions(dataset: Dataset, split: str, samples: int, predictions: Predictions) -> Iterator[np.ndarray]:
    """(T, D) of every sample of every clip of a file, in the split's order and cut to the clips' lengths.

    Raises DyadbenchError with the first ten faults of the file, or where it holds no motion.
    """
    clips = [clip.id for clip in dataset.clips(split)]
    lengths = np.array([clip.frames for clip in dataset.clips(split)])
    if "motion" not in predictions.arrays:
        raise DyadbenchError(f"{predictions.path} holds no motion, and only motion can be rendered")
    refuse(
        predictions.path, faults(predictions, clips, lengths, samples, "motion", dataset.space.dim, dataset.space.fps)
    )
    row = {clip: i for i, clip in enumerate(predictions.clips)}
    ordered = Reordered(predictions.arrays["motion"], [row[clip] for clip in clips])
    for n, length in enumerate(lengths.tolist()):
        yield from np.asarray(ordered[n])[:, :length]


def listener_motions(dataset: Dataset, split: str) -> Iterator[np.ndarray]:
    """(T, D) of every true listener."""
    yield from Split(dataset, split).listeners()[0]
