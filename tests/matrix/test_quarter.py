"""Rows that were trained for a quarter of the steps."""

import pytest

from dyadbench.api import DyadbenchError
from dyadbench.matrix.cells import Matrix, MethodSpec, cells_of
from dyadbench.matrix.quarter import quarter_of
from dyadbench.registry.host import Host

COUNTED = ("steps", "emotion_steps", "vae_steps")
ONLINE = "simdyad-clear-react-online"


def test_a_quarter_of_the_steps_is_all_that_differs() -> None:
    matrix = Matrix(
        benchmarks=(ONLINE,),
        method=(
            MethodSpec(name="dense-fsq", preset="small"),
            MethodSpec(name="dense-vq", of="dense-fsq", preset="small"),
            MethodSpec(
                name="wide",
                tokenizer={"name": "frame-fsq", "preset": "small", "steps": 40},
                predictor={"name": "reconstruction"},
            ),
            MethodSpec(name="belfusion-online", preset="small"),
            MethodSpec(name="ridge"),
        ),
    )
    host = Host()
    whole = {cell.method: cell for cell in cells_of(host, matrix)}
    short = {cell.method: cell for cell in cells_of(host, quarter_of(host, matrix))}
    assert set(short) == {"dense-fsq-quarter", "dense-vq-quarter", "wide-quarter", "belfusion-online-quarter"}
    assert {name: cell.of for name, cell in short.items()} == {
        "dense-fsq-quarter": "dense-fsq",
        "dense-vq-quarter": "dense-fsq",
        "wide-quarter": "wide",
        "belfusion-online-quarter": "belfusion-online",
    }
    for name, cell in short.items():
        first = whole[name.removesuffix("-quarter")]
        for mine, other in ((cell.predictor, first.predictor), (cell.tokenizer, first.tokenizer)):
            if mine is None or other is None:
                assert mine is other
                continue
            steps = {field: other.config[field] // 4 for field in COUNTED if field in other.config}
            assert mine.config == {**other.config, **steps}
            stages = {field for field in other.config if field.endswith("steps")} - {"noise_steps"}
            assert stages == steps.keys(), "every stage that is trained"
    assert whole["wide"].tokenizer is not None and whole["wide"].tokenizer.config["steps"] == 40


def test_where_nothing_is_trained_there_is_no_quarter() -> None:
    with pytest.raises(DyadbenchError, match="leave out --quarter"):
        quarter_of(Host(), Matrix(benchmarks=(ONLINE,), method=(MethodSpec(name="ridge"),)))


@pytest.mark.parametrize("steps", [{"steps": 40}, {"predictor.steps": 40}, {"predictor": {"steps": 40}}])
def test_steps_that_were_set_are_quartered(steps: dict[str, object]) -> None:
    spec = MethodSpec(name="tcn", preset="small", settings={**steps, "dropout": 0.25})
    [cell] = cells_of(Host(), quarter_of(Host(), Matrix(benchmarks=(ONLINE,), method=(spec,))))
    assert cell.predictor.config["steps"] == 10 and cell.predictor.config["dropout"] == 0.25
