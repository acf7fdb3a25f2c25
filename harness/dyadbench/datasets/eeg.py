"""EEG of REACT 2026: a csv with a header and one row per second, of which fourteen columns are used. It is read, not scored.

Source: dataset/react_2025.py of the 2026 baseline: four electrodes in microvolts / 1000 and five bands of two of them; frame f
reads row floor(f / 30), the last one after the end; an empty or infinite cell is 0 with mask 0.
"""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path

import numpy as np

from dyadbench.api import AudioSpec
from dyadbench.files.npy import BadFile, read_text

ELECTRODES = ("TP9", "AF7", "AF8", "TP10")
BANDS = tuple(
    f"{band}_{electrode}" for electrode in ("TP9", "TP10") for band in ("Delta", "Theta", "Alpha", "Beta", "Gamma")
)
COLUMNS = (*ELECTRODES, *BANDS)
EEG = AudioSpec(2 * len(COLUMNS), causal=False)  # values, then masks; a row holds its whole second


def read_eeg(path: Path, frames: int, fps: float) -> np.ndarray:
    """(frames, 28): fourteen values and fourteen masks. Raises BadFile where the file, a column or every row is missing.

    Columns are found by name in any case; `Delta_TP9` may also be written `RAW_...` or with another separator.
    """
    lines = csv.reader(io.StringIO(read_text(path, "; run with --data-set eeg=false")))
    rows = [row for row in lines if any(cell.strip() for cell in row)]  # an empty line is no second
    if len(rows) < 2:
        raise BadFile(f"{path} has no rows; run with --data-set eeg=false")
    places = [_place(path, rows[0], name) for name in COLUMNS]
    values = np.zeros((len(rows) - 1, len(COLUMNS)), np.float32)
    masks = np.zeros_like(values)
    for at, row in enumerate(rows[1:]):
        for c, place in enumerate(places):
            number = _number(row[place]) if place < len(row) else math.nan
            if math.isfinite(number):
                values[at, c], masks[at, c] = number / (1000 if c < len(ELECTRODES) else 1), 1
    seconds = np.minimum((np.arange(frames) / fps).astype(int), len(values) - 1)
    return np.concatenate([values, masks], 1)[seconds]


def _place(path: Path, header: list[str], name: str) -> int:
    """The column of that name: equal, or with the same letters and digits apart from a leading "raw"."""
    plain = _plain(name)
    for place, cell in enumerate(header):
        if _plain(cell).removeprefix("raw") == plain:
            return place
    raise BadFile(f"{path} has no column {name}; run with --data-set eeg=false")


def _plain(text: str) -> str:
    return "".join(c for c in text.lower() if c.isalnum())


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
