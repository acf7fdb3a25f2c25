"""Cells, keys and what a matrix file may get wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fixtures.hosts import shared_host

from dyadbench.api import DyadbenchError
from dyadbench.matrix.cells import Matrix, MethodSpec, cells_of, make_cell, read_matrix
from dyadbench.matrix.keys import canonical, key_of
from dyadbench.matrix.settings import parse_settings

BENCHMARK = "simdyad-clear-react-online"
KEYS = Path(__file__).parents[1] / "goldens" / "keys.json"
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None)
@given(st.dictionaries(st.text(), values, max_size=5))
def test_canonical_text_ignores_order_and_reads_back(table: dict[str, object]) -> None:
    shuffled = dict(reversed(table.items()))
    assert canonical(table) == canonical(shuffled)
    assert json.loads(canonical(table)) == table


def test_nan_has_no_canonical_text() -> None:
    with pytest.raises(ValueError, match="JSON"):
        canonical({"x": float("nan")})


def test_every_part_of_a_key_matters() -> None:
    base = {"method": {"name": "a", "version": 1, "config": {"x": 1}}, "digest": "d", "seed": 0}
    changed = [
        key_of("fit", **base),
        key_of("generate", **base),
        key_of("fit", **{**base, "seed": 1}),
        key_of("fit", **{**base, "digest": "e"}),
        key_of("fit", **{**base, "method": {**base["method"], "version": 2}}),
        key_of("fit", **{**base, "method": {**base["method"], "config": {"x": 2}}}),
    ]
    assert len(set(changed)) == len(changed)


def test_keys_are_those_of_the_golden_file() -> None:
    """A failure means that every store and record in the world stops matching: raise KEY_SCHEMA on purpose or mend."""
    for case in json.loads(KEYS.read_text()):
        assert key_of(case["stage"], **case["parts"]) == case["key"], case


def test_overrides_reach_the_config_and_unknown_ones_are_named() -> None:
    cell = make_cell(
        shared_host(),
        BENCHMARK,
        MethodSpec(name="ridge", settings=parse_settings(["taps=4", "predictor.penalty=2.5"])),
        0,
    )
    assert cell.predictor.config["taps"] == 4
    assert cell.predictor.config["penalty"] == 2.5
    assert cell.predictor.config["seconds"] == 3.0
    with pytest.raises(DyadbenchError, match=r"ridge.*layers"):
        make_cell(shared_host(), BENCHMARK, MethodSpec(name="ridge", settings={"layers": 4}), 0)
    with pytest.raises(DyadbenchError, match="FIELD=VALUE"):
        parse_settings(["layers"])


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan"), "Infinity"])
def test_a_setting_that_is_not_finite_is_refused(value: float | str) -> None:
    """JSON has none: it became null, which is another setting."""
    with pytest.raises(
        DyadbenchError, match=r"'ridge': penalty: (a finite number is expected|input should be greater)"
    ):
        make_cell(shared_host(), BENCHMARK, MethodSpec(name="ridge", settings={"penalty": value}), 0)
    with pytest.raises(
        DyadbenchError, match=r"'openface': rate: (a finite number is expected|input should be greater)"
    ):
        make_cell(shared_host(), "openface", MethodSpec(name="mime"), 0, {"rate": value})


def test_a_cell_reads_back_from_its_json() -> None:
    cell = make_cell(shared_host(), BENCHMARK, MethodSpec(name="lagged-mime"), 3)
    assert type(cell).model_validate_json(cell.json_text()) == cell


def _matrix(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "m.toml"
    path.write_text(text)
    return path


def test_cells_are_benchmark_by_method_by_seed(tmp_path: Path) -> None:
    text = f'benchmarks = ["{BENCHMARK}"]\nseeds = [0, 1]\n[[method]]\nname = "random"\n[[method]]\nname = "ridge"\n[[method]]\nname = "mime"\nseeds = [1, 2]\n'
    cells = cells_of(shared_host(), read_matrix(_matrix(tmp_path, text)))
    # ridge draws nothing at random: the seeds of the matrix would give it the same twice, those of its own are meant.
    rows = [("random", 0), ("random", 1), ("ridge", 0), ("mime", 1), ("mime", 2)]
    assert [(cell.method, cell.seed) for cell in cells] == rows


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("benchmarks = [", "not valid TOML"),
        ('benchmarks = ["x"]\nseed = [0]\n[[method]]\nname = "mime"', "seed"),
        ('benchmarks = ["x"]\nmethod = []', "method"),
        ('benchmarks = ["nope"]\n[[method]]\nname = "mime"', "there is no benchmark 'nope'"),
        (f'benchmarks = ["{BENCHMARK}"]\n[[method]]\nname = "mimee"', "did you mean mime"),
        (f'benchmarks = ["{BENCHMARK}"]\n[[method]]\nname = "mime"\n[[method]]\nname = "mime"', "two .*mime"),
        (f'benchmarks = ["{BENCHMARK}"]\n[[method]]\nname = "x"\ntokenizer = {{name = "t"}}', "no predictor"),
        (
            f'benchmarks = ["{BENCHMARK}"]\n[[method]]\nname = "mime"\nof = "mime"',
            "'mime' is said to be an ablation of itself",
        ),
    ],
)
def test_mistakes_in_a_matrix_are_one_sentence(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DyadbenchError, match=message):
        cells_of(shared_host(), read_matrix(_matrix(tmp_path, text)))
    with pytest.raises(DyadbenchError) as caught:
        read_matrix(_matrix(tmp_path, 'benchmarks = ["x"]\n[[method]]\nnmae = "mime"'))
    assert "name is missing" in str(caught.value) and "at least 1" not in str(caught.value), "there is a method"
    with pytest.raises(DyadbenchError, match="no matrix file"):
        read_matrix(tmp_path / "none.toml")


def test_raw_action_units_make_a_benchmark_of_their_own() -> None:
    matrix = Matrix(benchmarks=("simdyad-clear-react-online",), method=(MethodSpec(name="mime"),), action_units="raw")
    [cell] = cells_of(shared_host(), matrix)
    assert cell.benchmark == "simdyad-clear-react-online+action_units-raw"
    assert cell.setting.action_units == "raw"
