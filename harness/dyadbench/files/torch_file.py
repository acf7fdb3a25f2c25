"""Opens torch's pickles of plain arrays, tensors, text and numbers: no code is run, and numpy's unpickling is not trusted.

`weights_only` keeps code out, but numpy restores types and arrays from whatever state a file gives them, and a damaged
one ends the process. Stand-ins take their place here and check what they are given.
"""

from __future__ import annotations

import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

NUMBERS = ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "b1")


class Kind:
    """In place of numpy.dtype: a plain type of numbers. Raises ValueError for any other."""

    def __init__(self, name: str, align: bool = False, copy: bool = False):
        if name not in NUMBERS:
            raise ValueError(f"{name} is not a plain number type")
        self.dtype = np.dtype(name)

    def __setstate__(self, state: Any) -> None:
        order = state[1]  # state[0] is a version, the rest of a plain type is empty
        if order not in ("<", ">", "|", "="):
            raise ValueError(f"{order} is not a byte order")
        self.dtype = self.dtype.newbyteorder(order)

    def read(self, data: Any) -> np.ndarray:
        if type(data) is not bytes:
            raise ValueError("an array's numbers are bytes")
        return np.frombuffer(data, self.dtype)


class Stored:
    """In place of numpy.ndarray: becomes one by numpy.asarray; empty until it is given its state."""

    values: np.ndarray = np.empty(0)

    def __setstate__(self, state: Any) -> None:
        _, shape, kind, fortran, data = state
        values = kind.read(data)
        if any(type(n) is not int or n < 0 for n in shape) or math.prod(shape) != len(values):
            raise ValueError(f"{len(values)} numbers do not make an array of shape {shape}")
        self.values = values.reshape(shape, order="F" if fortran else "C")

    @property
    def shape(self) -> tuple[int, ...]:
        return self.values.shape

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.values, dtype)


def _array(kind: Any, shape: Any, letter: Any) -> Stored:
    """In place of numpy's `_reconstruct`, which is always followed by the array's state."""
    return Stored()


def _scalar(kind: Kind, data: bytes) -> Any:
    """In place of numpy's `scalar`: a Python number."""
    return kind.read(data)[0].item()


STAND_INS: list[Any] = [
    (Kind, "numpy.dtype"),
    (Stored, "numpy.ndarray"),
    *[(_array, f"numpy.{core}.multiarray._reconstruct") for core in ("_core", "core")],  # numpy 2 and numpy 1
    *[(_scalar, f"numpy.{core}.multiarray.scalar") for core in ("_core", "core")],
]


def load_plain(path: Path) -> Any:
    """What torch.save wrote, with `Stored` for numpy's arrays; on the CPU.

    Raises whatever torch raises for damaged and for hostile files, and zipfile.BadZipFile for one that may unpack without
    end: torch stores tensors as they are, so what is compressed was packed by somebody else.
    """
    import torch

    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
        if any(member.compress_type != zipfile.ZIP_STORED for member in members):
            raise zipfile.BadZipFile("compressed members")
        if sum(member.file_size for member in members) > path.stat().st_size:
            raise zipfile.BadZipFile("members larger than the file")
    with torch.serialization.safe_globals(STAND_INS):
        return torch.load(path, map_location="cpu", weights_only=True)
