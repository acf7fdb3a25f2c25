"""Which listeners are appropriate for which speakers in REACT (tool/matrix_split.py's result, METRICS: rows are clips).

A split with n csv rows is evaluated in 2n clips: all (speaker -> listener), then all (listener -> speaker). The
global matrix over M recorded clips of both roles is (2M, 2M); the split's is assembled from its four blocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dyadbench.files.npy import BadFile, cells_of, read_npy, read_text

GLOBAL_NAME = "Approprirate_facial_reaction.npy"  # as it is spelt in the release
INDEX_NAME = "data_indices.csv"
INDEX_HEADER = "site,chat_index,clip_index"


def clip_key(path: str) -> str:
    """A clip's row of data_indices.csv, site in capitals: SITE/chat/clip, and SITE/chat_task/clip for UDIVA."""
    parts = path.strip().split("/")
    if parts[0].upper() == "UDIVA" and len(parts) == 5:  # UDIVA/talk/005013/FC1/1
        return f"{parts[0].upper()}/{parts[2]}_{parts[1]}/{parts[4]}"
    return f"{parts[0].upper()}/{parts[1]}/{parts[-1]}"


def read_indices(path: Path) -> list[str]:
    """The M clips of the global matrix, in order, from data_indices.csv: a header, then `NoXI,<chat>,<clip>` rows.

    Sites are written NoXI, Recola and UDIVA there, and NoXI, RECOLA and UDIVA in the csv of a split.
    """
    lines = read_text(path, "; without it the neighbour matrices cannot be rebuilt").splitlines()
    if not lines or lines[0].strip() != INDEX_HEADER:
        raise BadFile(f"{path} has no header '{INDEX_HEADER}'; its first clip would be lost")
    keys = []
    for number, line in enumerate(lines[1:], 2):
        cells = cells_of(line)
        if len(cells) == 3:
            keys.append("/".join([cells[0].upper(), *cells[1:]]))
        elif line.strip():
            raise BadFile(f"{path}, line {number} is not '{INDEX_HEADER}'; all later clips would shift")
    return keys


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
    whole = locate(root, GLOBAL_NAME)
    if whole.exists():
        return build(read_npy(whole, (None, None), mmap=True), read_indices(locate(root, INDEX_NAME)), rows)
    return None


def own_speaker(appropriate: np.ndarray) -> list[int]:
    """The rows of (2n, 2n) whose own speaker is marked as an appropriate reaction, which makes a copy of it perfect.

    Clip n + i has the roles of clip i reversed, so its listener is the speaker of i.
    """
    count = len(appropriate) // 2
    at = np.arange(2 * count)
    return np.flatnonzero(appropriate[at, (at + count) % (2 * count)] == 1).tolist() if count else []


def find_matrix(root: Path, split: str) -> Path | None:
    """neighbour_emotion_<split>.npy, where releases put it."""
    path = locate(root, f"neighbour_emotion_{split}.npy")
    return path if path.exists() else None


def locate(root: Path, name: str) -> Path:
    """Where a file about neighbours is, of the places releases put them; where it should be if it is in none."""
    places = ("tool", "", "data") if name == INDEX_NAME else ("", "data")
    paths = [root / place / name for place in places]
    return next((path for path in paths if path.exists()), paths[0])
