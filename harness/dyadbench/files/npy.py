"""Reads arrays and tables from data folders. It never unpickles, and every error names the file."""

from __future__ import annotations

import io
import math
import os
import re
import stat
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import numpy as np

from dyadbench.api import DyadbenchError
from dyadbench.errors import one_line
from dyadbench.files.arrays import native

MAX_TEXT = 256 << 20  # bytes of a csv file
MAX_NPZ = 1 << 30  # bytes that an .npz file of a dataset may unpack to
MAX_HEADER = 1 << 16  # bytes before the numbers of a .npy file


class BadFile(DyadbenchError):
    """A data file is missing or not what its name says."""


class BadShape(BadFile):
    """An array is readable and has another shape than the reader asks for."""


def npy_header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and dtype at the start of a .npy stream. Raises ValueError for anything else, OSError if it cannot be read."""
    try:
        version = np.lib.format.read_magic(file)
        field = file.read(2 if version == (1, 0) else 4)
        if (size := int.from_bytes(field, "little")) > MAX_HEADER:
            raise ValueError(f"its header is {size} bytes long, {MAX_HEADER} are allowed")
        file.seek(-len(field), os.SEEK_CUR)
        reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = reader(file)
    except (OSError, zipfile.BadZipFile):
        raise
    except (RecursionError, MemoryError):  # of the parser, not of the machine
        raise ValueError("its header is nested too deep") from None
    except Exception as error:  # numpy evaluates the header, and a hostile one fails in many ways
        raise ValueError(one_line(error, 200) or type(error).__name__) from None
    if any(isinstance(n, bool) or n < 0 for n in shape):
        raise ValueError(f"its shape is {shape}")
    return shape, dtype


def declared_bytes(shape: Sequence[int], dtype: np.dtype) -> int:
    """How many bytes an array of this shape takes; no overflow, however large."""
    return math.prod(int(n) for n in shape) * dtype.itemsize


def read_header(path: Path) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and dtype of a .npy file, checked against its size without reading it."""
    try:
        size = _regular(path)
        with path.open("rb") as file:
            shape, dtype = npy_header(file)
            start = file.tell()
    except FileNotFoundError:
        raise BadFile(f"{path} is missing") from None
    except (OSError, ValueError) as error:
        raise BadFile(f"{path} is not a readable .npy file: {error}") from None
    if dtype.hasobject:
        raise BadFile(f"{path} holds Python objects, which are never loaded; save it as plain numbers")
    declared = declared_bytes(shape, dtype)
    if size - start != declared:
        raise BadFile(f"{path} declares {declared} bytes of data and holds {size - start}; it is truncated or damaged")
    return shape, dtype


def _regular(path: Path) -> int:
    """The file's size. Raises OSError, also for pipes and devices, on which a read might wait forever."""
    facts = path.stat()
    if not stat.S_ISREG(facts.st_mode):
        raise OSError("it is not a regular file")
    return facts.st_size


def read_text(path: Path, missing: str = "", *, most: int = MAX_TEXT) -> str:
    """UTF-8 text of at most `most` bytes, with or without BOM; `missing` is added to the sentence that says so."""
    try:
        if (size := _regular(path)) > most:
            raise BadFile(f"{path} is {size >> 20} MiB of text, {most >> 20} are allowed; it is not what its name says")
        with path.open(encoding="utf-8-sig") as file:
            return file.read()
    except FileNotFoundError:
        raise BadFile(f"{path} is missing" + missing) from None
    except (OSError, ValueError) as error:
        raise BadFile(f"{path} is not readable text: {error}") from None


def read_npy(
    path: Path, shape: Sequence[int | None] = (), *, finite: bool = True, mmap: bool = False, text: bool = False
) -> np.ndarray:
    """A numeric array as stored (`mmap`: left on disk). `shape` holds the expected sizes, None for any; () checks nothing.

    `text`: text and bytes are read, too. Raises BadFile.
    """
    actual, dtype = read_header(path)
    if dtype.kind not in ("fiubUS" if text else "fiub"):
        raise BadFile(f"{path} holds {dtype}, numbers {'or text ' if text else ''}are expected")
    if shape and (
        len(actual) != len(shape) or any(w is not None and w != f for w, f in zip(shape, actual, strict=True))
    ):
        expected = tuple("any" if n is None else n for n in shape)
        raise BadShape(f"{path} has shape {actual}; {expected} is expected")
    try:
        array: np.ndarray = np.load(path, allow_pickle=False, mmap_mode="r" if mmap else None)
    except (OSError, ValueError) as error:  # an empty file cannot be mapped; another may have changed meanwhile
        raise BadFile(f"{path} is not a readable .npy file: {error}") from None
    except MemoryError:
        raise BadFile(f"{path} holds {declared_bytes(actual, dtype)} bytes, more than there is memory for") from None
    if finite and not mmap and dtype.kind == "f" and not np.isfinite(array).all():
        place = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise BadFile(f"{path} holds NaN or infinity at {place}")
    return native(array) if dtype.kind == "f" and not mmap else array


def npz_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Name -> shape of every array of an .npz file, from its headers alone. Raises BadFile if an array is not what its header declares."""
    try:
        _regular(path)
        with zipfile.ZipFile(path) as archive:
            if (unpacked := sum(member.file_size for member in archive.infolist())) > MAX_NPZ:
                raise ValueError(f"it unpacks to {unpacked >> 20} MiB, {MAX_NPZ >> 20} are allowed")
            shapes = {}
            for member in archive.infolist():
                with archive.open(member) as file:
                    shape, dtype = npy_header(file)
                if dtype.hasobject or dtype.itemsize == 0:
                    raise ValueError(f"{member.filename} holds {dtype}, numbers are expected")
                if declared_bytes(shape, dtype) > member.file_size:
                    raise ValueError(f"{member.filename} declares more numbers than it holds")
                shapes[member.filename.removesuffix(".npy")] = shape
            return shapes
    except FileNotFoundError:
        raise BadFile(f"{path} is missing") from None
    except Exception as error:  # zip and its ways to compress fail in many ways on damaged and hostile files
        reason = one_line(error, 200) or type(error).__name__  # zipfile quotes the file at any length
        raise BadFile(f"{path} is not a readable .npz file: {reason}") from None


def read_npz(path: Path, names: Sequence[str]) -> list[np.ndarray]:
    """The arrays `names` of an .npz file as stored, finite numbers; BadFile names what is missing or not a number."""
    there = npz_shapes(path)
    if missing := [name for name in names if name not in there]:
        raise BadFile(f"{path} has no array {missing[0]!r}; it has {', '.join(sorted(there)) or 'none'}")
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = [np.asarray(archive[name]) for name in names]
    except Exception as error:  # as above
        raise BadFile(f"{path} is not a readable .npz file: {type(error).__name__}") from None
    for name, array in zip(names, arrays, strict=True):
        if array.dtype.kind not in "fiub" or not np.isfinite(array).all():
            raise BadFile(f"{path}: array {name!r} holds {array.dtype}, NaN or infinity; finite numbers are expected")
    return [native(array) if array.dtype.kind == "f" else array for array in arrays]


def npy_bytes(array: np.ndarray) -> bytes:
    """What `np.save` would write."""
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def cells_of(line: str) -> list[str]:
    """The cells of a line of a csv file, without blanks and quotes around them."""
    return [cell.strip().strip('"').strip() for cell in line.split(",")]


def read_rows(path: Path, columns: Sequence[str]) -> np.ndarray:
    """(rows, len(columns)) float32 of the named columns of a csv file, in the order of `columns`.

    Names are compared without blanks, quotes, capitals and the zero of AU01; further columns are skipped; BOM, CRLF and
    quoted numbers are fine. Raises BadFile where there is no header, a column is missing or there twice, or a row is bad.
    """
    lines = [line for line in read_text(path).splitlines() if line.strip()]
    if not lines:
        raise BadFile(f"{path} is empty")
    header = cells_of(lines[0])
    if _numbers(header) is not None:
        raise BadFile(f"{path} has no header line; its first row would be lost, add the column names")
    places = _places(path, header, columns)
    if len(header) == len(columns):
        joined = ",".join(lines[1:])
        cells = (joined.replace('"', "") if '"' in joined else joined).split(",") if len(lines) > 1 else []
        whole = len(cells) == len(header) * (len(lines) - 1)
    else:  # the other columns may hold anything
        rows = [cells_of(line) for line in lines[1:]]
        whole = all(len(row) == len(header) for row in rows)
        cells = [row[place] for row in rows for place in places] if whole else []
        places = list(range(len(columns)))
    try:
        flat = np.array(cells, dtype=np.float32)
    except ValueError:
        whole = False
    if not whole or not np.isfinite(flat).all():
        raise BadFile(f"{path}, {_first_bad_row(lines, len(header))}")
    table = flat.reshape(-1, len(columns))
    return table if places == list(range(len(columns))) else np.ascontiguousarray(table[:, places])


def _places(path: Path, header: Sequence[str], columns: Sequence[str]) -> list[int]:
    """Where each of `columns` stands in `header`; BadFile for one that is missing or there twice."""
    plain = [re.sub(r"^(au)0+(?=\d)", r"\1", name.lower()) for name in header]
    places = []
    for name in columns:
        if plain.count(name.lower()) != 1:
            count = "no column" if name.lower() not in plain else "more than one column"
            heads = ", ".join(header[:4]) + (", ..." if len(header) > 4 else "")
            raise BadFile(f"{path} has {count} {name}; its header is {heads[:120]!r}, and columns are read by name")
        places.append(plain.index(name.lower()))
    return places


def _numbers(cells: Sequence[str]) -> list[float] | None:
    try:
        return [float(cell) for cell in cells]
    except ValueError:
        return None


def _first_bad_row(lines: Sequence[str], columns: int) -> str:
    for number, line in enumerate(lines[1:], 2):
        cells = cells_of(line)
        if len(cells) != columns:
            return f"line {number} has {len(cells)} columns; {columns} are expected"
        values = _numbers(cells)
        if values is None:
            return f"line {number} holds something that is not a number"
        if not np.isfinite(values).all():
            return f"line {number} holds NaN or infinity"
    return "its rows are malformed"
