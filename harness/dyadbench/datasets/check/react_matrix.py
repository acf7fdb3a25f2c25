"""The files that all clips of a REACT folder need: neighbour matrices, mean and deviation of faces."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from dyadbench.datasets import neighbours
from dyadbench.datasets.check.finding import AGAIN, PART, Finding, error, ok, warn
from dyadbench.files.atomic import atomic_write
from dyadbench.files.npy import BadFile, npy_bytes, read_npy

REBUILD = "delete it and use --fix"


def matrix(root: Path, split: str, speakers: list[str], fix: bool) -> Iterator[Finding]:
    """The split's neighbour matrix: there, square, binary, no empty row, no clip of its own speaker, and what the global
    matrix says."""
    name, size = f"neighbour_emotion_{split}.npy", 2 * len(speakers)
    path = neighbours.find_matrix(root, split)
    whole, index = (neighbours.locate(root, each) for each in (neighbours.GLOBAL_NAME, neighbours.INDEX_NAME))
    recomputed = None
    if whole.exists() or index.exists():
        try:
            recomputed = neighbours.build(read_npy(whole, (None, None)), neighbours.read_indices(index), speakers)
        except BadFile as problem:
            yield error(str(problem), neighbours.GLOBAL_NAME, f"the {split} matrix cannot be rebuilt or verified",
                        AGAIN, PART)  # fmt: skip
    if path is None:
        yield _missing(root, name, recomputed, fix)
        return
    try:
        stored = read_npy(path, (size, size))
    except BadFile as problem:
        yield error(str(problem), name, f"{size} clips are scored, so rows and clips would not match", REBUILD, PART)
        return
    yield from _entries(stored, recomputed, name)


def _missing(root: Path, name: str, recomputed: np.ndarray | None, fix: bool) -> Finding:
    if recomputed is None:
        return error(f"{name} is missing", name, "FRCorr and FRDist are not defined without it",
                     f"restore it, or {neighbours.GLOBAL_NAME} and tool/{neighbours.INDEX_NAME}", PART)  # fmt: skip
    if not fix:
        return warn(f"{name} is missing", name, "it is built again at every run", "--fix writes it", PART)
    atomic_write(root / name, npy_bytes(recomputed))
    return ok(f"built {name} from {neighbours.GLOBAL_NAME}")


def _entries(stored: np.ndarray, recomputed: np.ndarray | None, name: str) -> Iterator[Finding]:
    if odd := int((~np.isin(stored, (0, 1))).sum()):
        yield error(f"{odd} entries are neither 0 nor 1", name, "only exactly 1 counts as appropriate", REBUILD, PART)
    if empty := np.flatnonzero(~(stored == 1).any(1)).tolist():
        yield error(f"row {empty[0]} has no appropriate reaction ({len(empty)} such rows)", name,
                    "the official code stops there", REBUILD, PART)  # fmt: skip
    if mimes := neighbours.own_speaker(stored):
        yield warn(
            f"{len(mimes)} of {len(stored)} rows mark the speaker's own clip as an appropriate reaction, the first is {mimes[0]}",
            name, "a copy of the speaker scores as perfect there", "compare it with the release's", PART,
        )  # fmt: skip
    if recomputed is not None and not np.array_equal(stored, recomputed):
        yield error(f"it differs from {neighbours.GLOBAL_NAME}", name, "another rule made it, or rows are shifted",
                    REBUILD, PART)  # fmt: skip


def faces(root: Path) -> Iterator[Finding]:
    for name, meaning in (
        ("mean_face.npy", "3DMM cannot be centred"),
        ("std_face.npy", "3DMM cannot be standardised (rarely needed)"),
    ):
        try:
            values = read_npy(root / name).reshape(-1)
        except BadFile as problem:
            yield error(str(problem), name, meaning, AGAIN, PART)
            continue
        if values.size != 58 or (name.startswith("std") and (values <= 0).any()):
            yield error(f"{values.size} values; 58 are expected, all positive for std", name, meaning,
                        AGAIN, PART)  # fmt: skip
