"""Which listeners are appropriate for which speakers in REACT (tool/matrix_split.py's result, METRICS: rows are clips).

A split with n csv rows is evaluated in 2n clips: all (speaker -> listener), then all (listener -> speaker). The
global matrix over M recorded clips of both roles is (2M, 2M); the split's is assembled from its four blocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dyadbench.datasets.npy import BadFile, read_npy

GLOBAL_NAME = "Approprirate_facial_reaction.npy"  # as it is spelt in the release


def clip_key(path: str) -> str:
    """The name data_indices.csv gives a clip: SITE/chat/clip, and site/chat_task/clip for UDIVA."""
    parts = path.strip().split("/")
    if parts[0].upper() == "UDIVA" and len(parts) == 5:  # UDIVA/talk/005013/FC1/1
        return f"{parts[0].upper()}/{parts[2]}_{parts[1]}/{parts[4]}"
    return f"{parts[0].upper()}/{parts[1]}/{parts[-1]}"


def read_indices(path: Path) -> list[str]:
    """The M clips of the global matrix, in order, from tool/data_indices.csv (last column of each row)."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError):
        state = "damaged" if path.exists() else "missing"
        raise BadFile(f"{path} is {state}; without it the neighbour matrices cannot be rebuilt") from None
    return [_index_key(line) for line in lines[1:] if line.strip()]


def _index_key(line: str) -> str:
    site, *rest = line.split(",")[-1].strip().split("/")
    return "/".join([site.upper(), *rest])


def build(whole: np.ndarray, indices: Sequence[str], rows: Sequence[str]) -> np.ndarray:
    """(2n, 2n) of a split from the (2M, 2M) global matrix; raises BadFile naming rows that match no index."""
    place = {name: i for i, name in enumerate(indices)}
    missing = [row for row in rows if clip_key(row) not in place]
    if missing:
        raise BadFile(
            f"{len(missing)} csv rows have no entry in data_indices.csv, the first is {missing[0]}; they would be dropped and shift all others"
        )
    if whole.shape != (2 * len(indices), 2 * len(indices)):
        raise BadFile(f"{GLOBAL_NAME} has shape {whole.shape}; {(2 * len(indices),) * 2} fits data_indices.csv")
    at = np.array([place[clip_key(row)] for row in rows])
    both = np.concatenate([at, at + len(indices)])
    return np.asarray(whole[np.ix_(both, both)], dtype=np.float64)


def split_matrix(root: Path, split: str, rows: Sequence[str]) -> np.ndarray | None:
    """(2n, 2n) matrix of a split: the file if there is one, else built; None where there is nothing to build from."""
    path = find_matrix(root, split)
    if path is not None:
        return read_npy(path, (2 * len(rows), 2 * len(rows)))
    whole = root / GLOBAL_NAME
    if whole.exists():
        return build(read_npy(whole, (None, None), mmap=True), read_indices(root / "tool" / "data_indices.csv"), rows)
    return None


def find_matrix(root: Path, split: str) -> Path | None:
    """neighbour_emotion_<split>.npy, where releases put it."""
    name = f"neighbour_emotion_{split}.npy"
    return next((path for path in (root / name, root / "data" / name) if path.exists()), None)
