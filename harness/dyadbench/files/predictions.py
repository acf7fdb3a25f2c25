"""Predictions made elsewhere: one file of clip ids and (N, K, T, C) arrays, checked before anything is scored.

safetensors: tensors `emotion` and/or `motion`, metadata `clips` (a JSON list of ids) and `fps`.
npz: the same arrays, with `clips` (text) and `fps` as arrays. A self-contained file also carries the references
(`listener`, `speaker`, `appropriate`, or `target`, `speaker`, `lengths`) and needs no benchmark.
A folder of npy files, one per clip, is read by `files/folder.py`.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from dyadbench.api import DyadbenchError
from dyadbench.errors import number_of, one_line
from dyadbench.files.arrays import floats, one_number
from dyadbench.files.atomic import atomic_write, replacing
from dyadbench.files.npy import declared_bytes, npy_header

FAULTS_SHOWN = 10
FOLDER = "; a folder of one .npy file per clip, named after it, is read as it is: give the folder's name"
RECIPE = """; clips in the benchmark's order become such a file by
  dyadbench score --template t.npz --benchmark NAME
  python
  >>> import numpy as np  # of a .pt file: torch.load(FILE).float().numpy() in place of np.load(FILE)
  >>> t = dict(np.load("t.npz")); print(t["clips"], {name: t[name].shape for name in t})
  >>> np.savez("mine.npz", clips=t["clips"], fps=t["fps"], emotion=np.load(FILE))"""
WAYS_OUT = {  # of an axis that has another size
    "clips": "",
    "samples": ": repeat the one of a method that is not random (numpy.repeat(x, {want}, 1)), or draw more",
    "frames": ": cut them all alike (x[:, :, :{want}]), or resample to the benchmark's rate",
    "channels": ": is it the other kind, emotion (25) or motion? `dyadbench show BENCHMARK` lists the channels",
}
MAX_BYTES = 8 << 30  # an npz is unpacked into memory; larger ones come as safetensors, which is read clip by clip
FLOATING = ("F32", "F16", "BF16", "F64")  # as safetensors calls them
DTYPES = (*FLOATING, "BOOL", "I8", "U8", "I16", "U16", "I32", "U32", "I64", "U64")
RANGES = {"emotion": (-1.5, 1.5), "motion": (-100.0, 100.0)}  # beyond these a unit was mistaken


@dataclass(frozen=True)
class Predictions:
    """An opened file: arrays stay on disk where the format allows it (safetensors)."""

    path: Path
    clips: tuple[str, ...]
    fps: float | None
    arrays: Mapping[str, Any]


class LazyTensor:
    """A safetensors tensor read one leading index at a time."""

    def __init__(self, path: Path, name: str, kind: str = ""):
        from safetensors import safe_open

        # numpy has no bfloat16, torch has
        self._slice = safe_open(str(path), framework="pt" if kind == "BF16" else "numpy").get_slice(name)
        self.name = name
        self.shape: tuple[int, ...] = tuple(self._slice.get_shape())
        self.dtype = self._slice.get_dtype()

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: int) -> np.ndarray:
        return floats(self._slice[int(index) : int(index) + 1], self.name)[0]

    def whole(self) -> np.ndarray:
        return floats(self._slice[:], self.name)


def read_predictions(path: Path) -> Predictions:
    """Opens a predictions file. It never unpickles. Raises DyadbenchError for a file that does not hold what it declares."""
    if not path.is_file():
        raise DyadbenchError(
            f"there is no file {path}; `dyadbench score --template FILE --benchmark NAME` writes an example"
        )
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    if path.suffix == ".npz":
        return _read_npz(path)
    raise DyadbenchError(
        f"{path}: predictions are read from .safetensors or .npz, not {path.suffix or 'a nameless format'!r}"
        + (FOLDER if path.suffix == ".npy" else "")
        + (RECIPE if path.suffix in (".npy", ".pt", ".pth") else "")
    )


def _read_safetensors(path: Path) -> Predictions:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="numpy") as file:
            metadata = file.metadata() or {}
            kinds = {name: file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118  # it is no dict
        clips = json.loads(metadata.get("clips", "[]"))
        if not isinstance(clips, list) or not all(isinstance(clip, str) for clip in clips):
            raise ValueError("its metadata `clips` is not a JSON list of ids")
        fps = float(metadata["fps"]) if "fps" in metadata else None
        for name, kind in kinds.items():
            if kind not in DTYPES:
                raise ValueError(f"tensor {name!r} is {kind}; {', '.join(DTYPES[:4])} are read")
        arrays = {name: LazyTensor(path, name, kind) for name, kind in kinds.items()}
        return Predictions(path, tuple(clips), fps, arrays)
    except (SafetensorError, OSError, ValueError, TypeError, RecursionError) as error:
        raise DyadbenchError(f"{path} is not a readable safetensors file: {error}") from None


def _read_npz(path: Path) -> Predictions:
    try:
        with zipfile.ZipFile(path) as archive:
            _check_size(path, sum(member.file_size for member in archive.infolist()))
            for member in archive.infolist():
                _check_member(path, archive, member)
        with np.load(path, allow_pickle=False) as archive_arrays:
            arrays = {name: archive_arrays[name] for name in archive_arrays.files}
        ids = np.atleast_1d(arrays.pop("clips", np.array([], "U1")))
        clips = tuple(map(id_of, ids.tolist()))
    except DyadbenchError:
        raise
    except Exception as error:  # zip and its four ways to compress fail in many ways on damaged and hostile files
        reason = one_line(error, 200) or type(error).__name__  # zipfile quotes the file at any length
        raise DyadbenchError(f"{path} is not a readable npz file of plain arrays: {reason}") from None
    try:
        fps = one_number(arrays.pop("fps"), "fps") if "fps" in arrays else None
    except ValueError as error:
        raise DyadbenchError(f"{path}: {error}") from None
    return Predictions(path, clips, fps, arrays)


def id_of(value: Any) -> str:
    """A clip's id, which numpy may keep as bytes."""
    return value.decode() if isinstance(value, bytes) else str(value)


def _check_size(path: Path, unpacked: int) -> None:
    free = available_bytes()
    allowed = MAX_BYTES if free is None else min(MAX_BYTES, free // 2)
    if unpacked > allowed:
        raise DyadbenchError(
            f"{path} unpacks to {unpacked} bytes, {allowed} are allowed here; save it as safetensors, which is read clip by clip"
        )


def _check_member(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
    """Checks, before anything is allocated, that the name is plain and that the declared shape fits the number of bytes."""
    name = member.filename
    if not name.endswith(".npy") or not name.removesuffix(".npy").isidentifier():
        raise DyadbenchError(f"{path}: member {name[:80]!r} is not the name of an array; nothing of it was read")
    with archive.open(member) as file:
        shape, dtype = npy_header(file)
    if dtype.hasobject:
        raise DyadbenchError(f"{path}: member {name!r} holds Python objects, which are never loaded")
    declared = declared_bytes(shape, dtype)
    if declared > member.file_size or dtype.itemsize == 0:
        raise DyadbenchError(f"{path}: member {name!r} declares {declared} bytes and holds {member.file_size}")


def faults(
    predictions: Predictions, clips: Sequence[str], lengths: np.ndarray,
    samples: int, space: str, channels: int, fps: float,
) -> list[str]:  # fmt: skip
    """Everything wrong with a file, most basic first: ids, then shapes, then values."""
    if not predictions.clips:
        return ["the file names no clips: add the ids as metadata `clips` (safetensors) or array `clips` (npz)"]
    wrong = _id_faults(predictions.clips, clips)
    if predictions.fps is not None and predictions.fps != fps:
        wrong.append(
            f"fps is {predictions.fps:g}, the benchmark has {fps:g}: resample the predictions and write the new rate"
        )
    array = predictions.arrays.get(space)
    if array is None:
        other = {"emotion": "motion", "motion": "emotion"}.get(space, "")
        way = (
            f"; this benchmark scores {space}: choose one that scores {other}, or predict {space}"
            if other in predictions.arrays
            else ""
        )
        return [*wrong, f"there is no array {space!r}; found: {', '.join(predictions.arrays) or 'nothing'}{way}"]
    shape, frames = tuple(array.shape), int(lengths.max())
    if len(shape) != 4:
        return [*wrong, f"{space} has shape {shape}; (clips, samples, frames, channels) is expected"]
    due = (len(predictions.clips), samples, frames, channels)
    own = getattr(array, "frames", None)  # of files that hold one clip each
    if own is not None:
        lengths_of = dict(zip(clips, lengths.tolist(), strict=True))
        wrong += [
            f"clip {clip!r} has {have} frames, {lengths_of[clip]} are expected"
            for clip, have in zip(predictions.clips, own, strict=True)
            if have != lengths_of.get(clip, have)
        ]
    for axis, have, want in zip(("clips", "samples", "frames", "channels"), shape, due, strict=True):
        if have != want and not (axis == "frames" and own is not None):
            wrong.append(f"{space} has {have} {axis}, {want} are expected{WAYS_OUT[axis].format(want=want)}")
    return wrong or _value_faults(predictions, array, space, dict(zip(clips, lengths, strict=True)))


def _id_faults(ids: Sequence[str], clips: Sequence[str]) -> list[str]:
    earlier: set[str] = set()
    wrong = [f"clip {clip!r} appears twice" for clip in ids if clip in earlier or earlier.add(clip)]  # type: ignore[func-returns-value]
    wrong += [f"clip {clip!r} is missing" for clip in clips if clip not in earlier]
    expected = set(clips)
    strange = [clip for clip in ids if clip not in expected]
    if strange and expected - earlier:  # most likely written otherwise, which a list of missing clips would hide
        first = next(clip for clip in clips if clip not in earlier)
        more = f" (nor as {number_of(len(strange) - 1, 'other')} here)" if len(strange) > 1 else ""
        wrong.insert(
            0, f"no clip is named as {strange[0]!r}{more}, and clip {first!r} is missing: are the names written alike?"
        )
    return wrong + [f"clip {clip!r} is none of the {len(clips)} that are expected" for clip in strange]


def _value_faults(predictions: Predictions, array: Any, space: str, lengths: Mapping[str, int]) -> list[str]:
    wrong, (low, high) = [], RANGES[space]
    if (kind := str(array.dtype)) not in FLOATING and getattr(array.dtype, "kind", "") != "f":
        return [f"{space} holds {kind}, floating point is expected"]
    for row, clip in enumerate(predictions.clips):
        values = floats(array[row], space)[:, : lengths[clip]]
        if not np.isfinite(values).all():
            sample, frame, channel = np.argwhere(~np.isfinite(values))[0]
            wrong.append(f"clip {clip!r}: NaN or infinite at sample {sample}, frame {frame}, channel {channel}")
        elif values.size and not (low <= values.min() and values.max() <= high):
            wrong.append(
                f"clip {clip!r}: values from {values.min():.4g} to {values.max():.4g} lie outside [{low:g}, {high:g}]"
            )
        if len(wrong) > FAULTS_SHOWN:
            break
    return wrong


def refuse(path: Path, wrong: Sequence[str]) -> None:
    """Raises DyadbenchError with the first ten faults, if there are any."""
    if wrong:
        more = f"\n  ... and {len(wrong) - FAULTS_SHOWN} more" if len(wrong) > FAULTS_SHOWN else ""
        listed = "".join(f"\n  {i}. {fault}" for i, fault in enumerate(wrong[:FAULTS_SHOWN], 1))
        raise DyadbenchError(f"{path} was not scored; fix the following and run again:{listed}{more}")


class Reordered:
    """Predictions in the benchmark's clip order, still read one clip at a time."""

    def __init__(self, array: Any, order: Sequence[int]):
        self._array, self._order = array, order
        self.shape, self.dtype = (len(order), *tuple(array.shape)[1:]), array.dtype
        frames = getattr(array, "frames", None)  # of files that hold one clip each
        self.frames = None if frames is None else tuple(frames[row] for row in order)

    def __len__(self) -> int:
        return len(self._order)

    def __getitem__(self, index: int) -> np.ndarray:
        return floats(self._array[self._order[index]], "predictions")


def write_template(path: Path, clips: Sequence[str], shape: tuple[int, int, int, int], space: str, fps: float) -> None:
    """An example with the right ids and shapes, filled with zeros. Raises DyadbenchError for a suffix that is no format."""
    demand_template(path)
    values = np.zeros(shape, np.float32)
    if path.suffix == ".npz":
        arrays: dict[str, Any] = {space: values, "clips": np.array(list(clips)), "fps": np.array(fps)}
        with replacing(path) as scratch, scratch.open("wb") as file:
            np.savez(file, **arrays)
    else:
        from safetensors.numpy import save

        atomic_write(path, save({space: values}, {"clips": json.dumps(list(clips)), "fps": repr(fps)}))


def demand_template(path: Path) -> None:
    """Raises DyadbenchError where a name is not that of a file which `write_template` can write."""
    if path.suffix not in (".npz", ".safetensors"):
        raise DyadbenchError(f"a template is .safetensors or .npz, not {path.suffix or 'nameless'!r}")


def available_bytes() -> int:
    """Memory that the machine could still give, in bytes."""
    return int(psutil.virtual_memory().available)
