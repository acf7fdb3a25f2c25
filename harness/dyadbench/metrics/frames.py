"""FRRea, realism of rendered faces: the Frechet inception distance of the REACT challenges, with your own weights.

The challenge renders predictions, takes every 30th frame and compares them with the real listeners' by FID (Heusel et al.
2017; REACT 2023, Song et al., arXiv 2306.06583, section 4). dyadbench ships neither renderer nor weights: it reads frames
that you rendered, or asks the renderer of a plugin (`cell/render`), and a feature extractor that you have. torchmetrics
computes the distance. Version 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dyadbench.api import DyadbenchError
from dyadbench.files.walk import files_below, natural

if TYPE_CHECKING:
    import torch

EVERY = 30  # frames between two that are compared
PICTURES = (".png", ".jpg", ".jpeg", ".bmp")


def frrea(
    frames: Path, reference: Path, weights: Path, *, every: int = EVERY, batch: int = 32
) -> tuple[float, int, int]:
    """FID of two folders of frames, min, and how many frames of each were compared.

    A folder holds pictures, or one folder or one `.npy` array (T, H, W, 3) of bytes per clip. `weights` is a TorchScript file
    that takes bytes (B, 3, H, W) and returns features (B, F), or the state of torch-fidelity's Inception where that is
    installed. Raises DyadbenchError for what cannot be read and for fewer than two frames.
    """
    sides = (frames_of(frames, every), frames_of(reference, every))
    return frrea_of(*sides, weights, batch=batch, names=(str(frames), str(reference)))


def frrea_of(
    frames: Iterable[np.ndarray], reference: Iterable[np.ndarray], weights: Path, *, batch: int = 32,
    names: tuple[str, str] = ("the predictions", "the reference"),
) -> tuple[float, int, int]:  # fmt: skip
    """As `frrea`, of pictures (H, W, 3) of bytes that are given one by one: every one of them is compared."""
    import torch

    metric = _metric(weights)
    counts = []
    for pictures, name, real in ((reference, names[1], True), (frames, names[0], False)):
        count = 0
        for some in _batches(pictures, batch):
            with torch.no_grad():
                metric.update(some, real=real)
            count += len(some)
        if count < 2:
            raise DyadbenchError(f"{name} has {count} frames to compare; a distribution needs two at least (every {EVERY}th counts unless --every says otherwise)")  # fmt: skip
        counts.append(count)
    return float(metric.compute()), counts[1], counts[0]


def _metric(weights: Path) -> Any:
    """torchmetrics' FID over the extractor in `weights`."""
    import torch
    from torchmetrics.image.fid import FrechetInceptionDistance

    if not weights.is_file():
        raise DyadbenchError(f"there is no file of weights {weights}")
    try:
        network = torch.jit.load(str(weights), map_location="cpu").eval()
    except RuntimeError:
        try:
            return FrechetInceptionDistance(feature=2048, feature_extractor_weights_path=str(weights))
        except ModuleNotFoundError:
            raise DyadbenchError(
                f"{weights} is no TorchScript file; the state of an Inception network can be read where torch-fidelity is installed"
            ) from None
    # torchmetrics would else ask a picture of one fixed size how many features there are, each time
    network.num_features = int(network(torch.zeros(1, 3, 299, 299, dtype=torch.uint8)).shape[-1])
    return FrechetInceptionDistance(feature=network)


def _batches(pictures: Iterable[np.ndarray], batch: int) -> Iterator[torch.Tensor]:
    """Bytes (B, 3, H, W); a batch holds pictures of one size."""
    import torch

    waiting: list[np.ndarray] = []
    for picture in pictures:
        if waiting and (len(waiting) == batch or waiting[0].shape != picture.shape):
            yield torch.from_numpy(np.stack(waiting)).permute(0, 3, 1, 2).contiguous()
            waiting = []
        waiting.append(picture)
    if waiting:
        yield torch.from_numpy(np.stack(waiting)).permute(0, 3, 1, 2).contiguous()


def frames_of(folder: Path, every: int) -> Iterator[np.ndarray]:
    """(H, W, 3) bytes of every n-th frame, clip by clip. Raises DyadbenchError where there is no such folder."""
    if not folder.is_dir():
        raise DyadbenchError(f"there is no folder of frames {folder}")
    return _frames(folder, every)


def _frames(folder: Path, every: int) -> Iterator[np.ndarray]:
    clips: dict[Path, list[Path]] = {}
    for path in files_below(folder):
        clips.setdefault(path.parent, []).append(path)
    for clip in sorted(clips, key=lambda p: [natural(part) for part in p.parts]):
        files = sorted(clips[clip], key=lambda path: natural(path.name))
        for path in (p for p in files if p.suffix == ".npy"):
            yield from _array(path)[::every]
        yield from (_picture(path) for path in [p for p in files if p.suffix.lower() in PICTURES][::every])


def _array(path: Path) -> np.ndarray:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise DyadbenchError(f"{path} cannot be read: {error}") from None
    if array.ndim != 4 or array.shape[-1] != 3 or array.dtype != np.uint8:
        raise DyadbenchError(
            f"{path} holds {array.dtype} {array.shape}; bytes of shape (frames, height, width, 3) are needed"
        )
    return np.asarray(array)


def _picture(path: Path) -> np.ndarray:
    try:
        from PIL import Image
    except ModuleNotFoundError:
        raise DyadbenchError(
            "pictures are read by Pillow: pip install 'dyadbench[frames]', or give .npy arrays"
        ) from None
    try:
        with Image.open(path) as picture:
            return np.asarray(picture.convert("RGB"))
    except OSError as error:
        raise DyadbenchError(f"{path} is no picture that can be read: {error}") from None
