"""Grids, names of one's own for a configuration, and the matrix that the documentation shows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.fixtures.hosts import shared_host

from dyadbench.api import DyadbenchError
from dyadbench.matrix.cells import Matrix, MethodSpec, cells_of, demand_bases, make_cell, read_matrix

DOCS = Path(__file__).parents[2] / "docs" / "matrices.md"
ON = "simdyad-clear-react-online"


def _matrix(tmp_path: Path, text: str) -> Matrix:
    path = tmp_path / "m.toml"
    path.write_text(f'benchmarks = ["{ON}"]\n{text}')
    return read_matrix(path)


def test_the_documented_matrix_is_one_and_gives_the_rows_that_it_says(tmp_path: Path) -> None:
    [text] = re.findall(r"```toml\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    path = tmp_path / "documented.toml"
    path.write_text(text)
    cells = cells_of(shared_host(), read_matrix(path))
    rows = list(dict.fromkeys(cell.method for cell in cells))
    grid = [f"ridge+taps-{taps}+penalty-{penalty}" for taps in (4, 8) for penalty in (1.0, 10.0)]
    assert rows == ["dense-fsq", "ridge-short", *grid, "my-pair"]
    assert [sum(cell.method == row for cell in cells) for row in rows] == [3, 1, 1, 1, 1, 1, 3]  # ridge draws nothing
    by_row = {cell.method: cell for cell in cells}
    assert by_row[grid[1]].predictor.config["penalty"] == 10.0 and by_row[grid[1]].predictor.name == "ridge"
    assert by_row["ridge-short"].of == "ridge" and by_row["ridge-short"].predictor.config["seconds"] == 1.0


def test_a_row_of_ones_own_name_is_another_row_of_the_same_method() -> None:
    plain = make_cell(shared_host(), ON, MethodSpec(name="ridge"), 0)
    named = make_cell(shared_host(), ON, MethodSpec(name="mine", method="ridge"), 0)
    assert named.method == "mine" and named.identity() == plain.identity()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[[method]]\nname = "ridge"\nsettings = { taps = [4, 8] }', r"a list of values to try goes into \[method.grid\]"),
        ('[[method]]\nname = "ridge"\n[method.grid]\ntaps = 4', "taps = 4 must be a list of the values to try"),
        ('[[method]]\nname = "ridge"\n[method.grid]\ntabs = [4]', "ridge has no setting 'tabs'; did you mean taps"),
        ('[[method]]\nname = "mime"\nmethod = "ridge"', "'mime' is a method itself"),
        ('[[method]]\nname = "mime"\npredictor = {name = "ridge"}', "'mime' is a method itself, with another predictor"),
        ('[[method]]\nname = "x"\nmethod = "rigde"', "there is no method 'rigde'; did you mean ridge"),
        ('[[method]]\nname = "x"\nmethod = "ridge"\npredictor = { name = "ridge" }', "leave one of them out"),
        ('[[method]]\nname = "ridge"\n[method.grid]\ntaps = [2020-01-01]', "taps: a whole number is expected"),
        ('[[method]]\nname = "ridge"\nsettings = { taps = 3 }\n[method.grid]\ntaps = [4]', "gives taps twice, in settings and in its grid"),
        ('[[method]]\nname = "ridge"\nsettings = { taps = true }', "taps: a number is expected, not true or false"),
        ('[[method]]\nname = "ridge"\nseeds = [true]', "seeds: a number is expected, not true or false"),
        ('[[method]]\nname = "x"\npredictor = { name = "ridge", config = 3 }', "the predictor of 'x': config: a table is expected, not 3"),
        ('[[method]]\nname = "x"\npredictor = { name = "ridge", preset = 3 }', "the predictor of 'x': preset: text is expected, not 3"),
        ('[[method]]\nname = "x"\npredictor = { name = "ridge", taps = 3, config = { taps = 4 } }', "gives 'taps' twice"),
        ('[[method]]\nname = ""\nmethod = "ridge"', "the name of a row is empty; give it a name"),
        ('[[method]]\nname = "ridge "\nmethod = "ridge"', "the name of a row, 'ridge ', holds blanks .*; write 'ridge'"),
        ('[[method]]\nname = "ri\\u200bdge"\nmethod = "ridge"', "holds blanks or characters that nobody sees"),
        ('[[method]]\nname = "x"\nmethod = "ridge"\nof = "rigde"', "x is an ablation `of` 'rigde', which is no method; did you mean ridge"),
    ],
)  # fmt: skip
def test_a_wrong_grid_or_name_is_one_sentence(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DyadbenchError, match=message):
        matrix = _matrix(tmp_path, text)
        demand_bases(shared_host(), matrix)
        cells_of(shared_host(), matrix)


def test_a_matrix_that_windows_wrote_is_read(tmp_path: Path) -> None:
    """Its editors begin a file with a byte order mark, which is no TOML."""
    _matrix(tmp_path, '[[method]]\nname = "ridge"')
    path = tmp_path / "m.toml"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert [spec.name for spec in read_matrix(path).method] == ["ridge"]
