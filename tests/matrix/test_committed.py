"""Every committed record can be made again: a matrix in leaderboards/matrices names its row, its seed and its settings."""

from __future__ import annotations

import contextlib
from functools import cache
from pathlib import Path

import pytest
from tests.fixtures.hosts import shared_host

from dyadbench.api import DyadbenchError
from dyadbench.matrix.cells import Cell, cells_of, read_matrix
from dyadbench.matrix.quarter import quarter_of
from dyadbench.records.record import load_record, record_path
from dyadbench.records.replace import demand_replaceable

LEADERBOARDS = Path(__file__).parents[2] / "leaderboards"
RECORDS = sorted((LEADERBOARDS / "records").rglob("*.json"))


@cache
def _cells() -> dict[Path, list[Cell]]:
    """Where a record would lie -> the cells of all matrices, and of their quarters, that would write it."""
    host = shared_host()
    cells: dict[Path, list[Cell]] = {}
    for path in sorted((LEADERBOARDS / "matrices").glob("*.toml")):
        matrix = read_matrix(path)
        matrices = [matrix]
        with contextlib.suppress(DyadbenchError):  # nothing in it is trained by steps
            matrices.append(quarter_of(host, matrix))
        for each in matrices:
            for cell in cells_of(host, each):
                cells.setdefault(record_path(LEADERBOARDS, cell), []).append(cell)
    return cells


def test_every_record_is_named_by_a_matrix() -> None:
    cells = _cells()
    nameless = [str(path.relative_to(LEADERBOARDS / "records")) for path in RECORDS if path not in cells]
    assert len(RECORDS) > 700 and not nameless


@pytest.mark.parametrize("folder", sorted({path.parent for path in RECORDS}), ids=lambda p: f"{p.parent.name}-{p.name}")
def test_a_matrix_has_the_settings_of_the_records(folder: Path) -> None:
    """One record of each row: tables set seeds of other settings apart by themselves."""
    path = sorted(folder.glob("*.json"))[0]
    record = load_record(path)
    for cell in _cells().get(path, []):
        assert (cell.of, cell.preset) == (record.of, record.preset)
        demand_replaceable(LEADERBOARDS, cell, record.dataset.digest, shared_host())
