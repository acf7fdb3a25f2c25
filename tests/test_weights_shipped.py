"""The weights in leaderboards/weights are those that `make demo` asks for, and small enough for a clone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dyadbench.cell.keys import fit_keys
from dyadbench.cell.weights import MOST, install, read_label
from dyadbench.matrix.cells import Cell, cells_of, read_matrix
from dyadbench.python.arrays import plugins
from dyadbench.store.folders import Store

LEADERBOARDS = Path(__file__).parents[1] / "leaderboards"
FILES = sorted((LEADERBOARDS / "weights").glob("*.safetensors"))
CELLS = cells_of(plugins(), read_matrix(LEADERBOARDS / "matrices" / "demo.toml"))
LIVE = "trained-here"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_file_goes_into_a_store_of_this_installation(path: Path, tmp_path: Path) -> None:
    assert path.stat().st_size <= MOST
    assert install(path, Store(tmp_path), plugins())


def _digest() -> str:
    """Of the corpus that the committed records were measured on."""
    record = next((LEADERBOARDS / "records" / "simdyad-clear-react-online" / "oracle").glob("*.json"))
    return str(json.loads(record.read_text())["dataset"]["digest"])


def test_the_weights_were_fitted_on_the_corpus_of_the_records() -> None:
    assert {read_label(path)[0].made_of["digest"] for path in FILES} == {_digest()}


def _keys(cell: Cell) -> dict[str, str]:
    keys = fit_keys(cell, plugins(), _digest())
    return {"predictor": keys.predictor, "tokenizer": keys.tokenizer}


def test_the_demo_trains_one_method_and_takes_every_other_fit_from_here() -> None:
    shipped = {read_label(path)[0].key for path in FILES}
    learnt = [cell for cell in CELLS if cell.method.startswith("ridge") or cell.tokenizer is not None]
    for cell in learnt:
        keys = _keys(cell)
        if cell.method != LIVE:
            assert keys["predictor"] in shipped, cell.name
        if cell.tokenizer is not None:
            assert keys["tokenizer"] in shipped, cell.name
    demo_keys = {key for cell in CELLS for key in _keys(cell).values()}
    assert shipped <= demo_keys  # nothing lies here that the demo does not use
    assert {"oracle", "mismatched-listener", "fresh-listener", LIVE} <= {cell.method for cell in CELLS}
