"""The one way arrays and tables are read from data folders: no pickle, no surprise, the file named in every error."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dyadbench.api import DyadbenchError


class BadFile(DyadbenchError):
    """A data file is missing or not what its name says."""


def read_header(path: Path) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and dtype of a .npy file, checked against its size without reading it."""
    try:
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, dtype = reader(file)
            start = file.tell()
        size = path.stat().st_size
    except FileNotFoundError:
        raise BadFile(f"{path} is missing") from None
    except (OSError, ValueError, EOFError) as error:
        raise BadFile(f"{path} is not a readable .npy file: {error}") from None
    if dtype.hasobject:
        raise BadFile(f"{path} holds Python objects, which are never loaded; save it as plain numbers")
    declared = int(np.prod([int(n) for n in shape], dtype=object)) * dtype.itemsize
    if size - start != declared:
        raise BadFile(f"{path} declares {declared} bytes of data and holds {size - start}; it is truncated or damaged")
    return shape, dtype


def read_npy(path: Path, shape: Sequence[int | None] = (), *, finite: bool = True, mmap: bool = False) -> np.ndarray:
    """A numeric array as stored (`mmap`: left on disk). `shape` holds wanted sizes, None for any; () checks nothing."""
    found, dtype = read_header(path)
    if dtype.kind not in "fiub":
        raise BadFile(f"{path} holds {dtype}, numbers are wanted")
    if shape and (len(found) != len(shape) or any(w is not None and w != f for w, f in zip(shape, found, strict=True))):
        wanted = tuple("any" if n is None else n for n in shape)
        raise BadFile(f"{path} has shape {found}; {wanted} is wanted")
    array = np.load(path, allow_pickle=False, mmap_mode="r" if mmap else None)
    if finite and not mmap and dtype.kind == "f" and not np.isfinite(array).all():
        place = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise BadFile(f"{path} holds NaN or infinity at {place}")
    return array


def read_rows(path: Path, columns: int) -> np.ndarray:
    """(rows, columns) float32 of a csv file with a header line; BOM and CRLF are fine."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise BadFile(f"{path} is missing") from None
    except (OSError, UnicodeDecodeError) as error:
        raise BadFile(f"{path} is not readable text: {error}") from None
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        raise BadFile(f"{path} is empty")
    if _numbers(lines[0].split(",")) is not None:
        raise BadFile(f"{path} has no header line; its first row would be lost, add the column names")
    try:
        flat = np.array(",".join(lines[1:]).split(","), dtype=np.float32) if len(lines) > 1 else np.empty(0, np.float32)
    except ValueError:
        flat = None
    if flat is None or flat.size != columns * (len(lines) - 1) or not np.isfinite(flat).all():
        raise BadFile(f"{path}, {_first_bad_row(lines, columns)}")
    return flat.reshape(-1, columns)


def _numbers(cells: Sequence[str]) -> list[float] | None:
    try:
        return [float(cell) for cell in cells]
    except ValueError:
        return None


def _first_bad_row(lines: Sequence[str], columns: int) -> str:
    for number, line in enumerate(lines[1:], 2):
        cells = line.split(",")
        if len(cells) != columns:
            return f"line {number} has {len(cells)} columns; {columns} are wanted"
        values = _numbers(cells)
        if values is None:
            return f"line {number} holds something that is not a number"
        if not np.isfinite(values).all():
            return f"line {number} holds NaN or infinity"
    return "its rows are malformed"
