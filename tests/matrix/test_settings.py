"""What is asked for finds its part or is refused with the nearest name: nothing is dropped in silence."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pytest
from tests.fixtures.hosts import shared_host

from dyadbench.api import Config, DyadbenchError, PredictorEntry
from dyadbench.cli.common import data_folders
from dyadbench.matrix.cells import MethodSpec, cells_of, make_cell, method_parts, read_matrix, resolve_config
from dyadbench.matrix.settings import nest, parse_settings

BENCHMARK = "simdyad-clear-react-online"
DENSE = "dense-fsq has no setting "


def test_a_set_is_written_in_one_order_whatever_that_of_the_process() -> None:
    class Groups(Config):
        names: frozenset[str] = frozenset({"gamma", "eps", "alpha", "beta", "delta"})
        nested: tuple[frozenset[int], ...] = (frozenset({30, 4, 200}),)

    config = resolve_config("predictor", PredictorEntry(name="x", version=1, load="x:y", config=Groups), {})
    assert config == {"names": ["alpha", "beta", "delta", "eps", "gamma"], "nested": [[200, 30, 4]]}


@pytest.mark.parametrize(
    ("method", "settings", "message"),
    [
        ("dense-fsq", ["layers=3"], DENSE + r"'layers'; did you mean predictor\.layers or tokenizer\.layers\?"),
        ("dense-fsq", ["foo=3"], DENSE + "'foo'; there are: predictor"),
        ("dense-fsq", ["predictr.layers=3"], DENSE + r"'predictr\.layers'; did you mean predictor\.layers"),
        ("dense-fsq", ["tokeniser.layers=3"], DENSE + r"'tokeniser\.layers'; did you mean tokenizer\.layers"),
        ("dense-fsq", ["predictor=1"], DENSE + "'predictor'"),
        ("dense-fsq", ["predictor.layerz=4"], DENSE + r"'predictor\.layerz'; did you mean predictor\.layers"),
        ("ridge", ["alfa=3"], "ridge has no setting 'alfa'; there are: "),
        ("ridge", ["penalti=3"], r"ridge has no setting 'penalti'; did you mean penalty\?"),
        ("ridge", ["tokenizer.layers=3"], r"ridge has no setting 'tokenizer\.layers'; it has no tokenizer"),
        ("ridge", ["taps=3", "predictor.taps=4"], r"predictor\.taps twice"),
        ("oracle", ["gain=3"], "oracle has no setting 'gain'; nothing about it can be set"),
    ],
)
def test_a_setting_that_no_part_has_is_refused_with_the_nearest(method: str, settings: list[str], message: str) -> None:
    with pytest.raises(DyadbenchError, match=message):
        method_parts(shared_host(), MethodSpec(name=method, settings=parse_settings(settings)))


@pytest.mark.parametrize(
    ("method", "preset", "message"),
    [
        ("dense-fsq", "paperr", r"dense-fsq has no preset 'paperr'; did you mean paper\?"),
        ("ridge", "gigantic", "ridge has no preset 'gigantic'; it has no presets"),
    ],
)
def test_a_preset_that_no_part_has_is_refused(method: str, preset: str, message: str) -> None:
    with pytest.raises(DyadbenchError, match=message):
        method_parts(shared_host(), MethodSpec(name=method, preset=preset))


def test_a_method_of_two_tables_takes_its_preset_for_the_parts_that_name_none() -> None:
    tables = {
        "tokenizer": {"name": "frame-fsq"},
        "predictor": {"name": "crossmodal-ar", "preset": "small", "layers": 2},
    }
    predictor, tokenizer = method_parts(shared_host(), MethodSpec(name="mine", preset="smoke", **tables))
    presets = shared_host().get("tokenizer", "frame-fsq").presets
    assert tokenizer is not None
    assert (
        tokenizer.config["dim"] == presets["smoke"]["dim"] != shared_host().get("tokenizer", "frame-fsq").config().dim
    )
    small = shared_host().get("predictor", "crossmodal-ar").presets["small"]
    assert predictor.config["layers"] == 2
    assert all(predictor.config[name] == value for name, value in small.items() if name != "layers")
    with pytest.raises(DyadbenchError, match="mine has no preset 'huge'"):
        method_parts(shared_host(), MethodSpec(name="mine", preset="huge", **tables))


def test_toml_may_spell_a_setting_as_a_table(tmp_path: Path) -> None:
    path = tmp_path / "m.toml"
    head = f'benchmarks = ["{BENCHMARK}"]\n[[method]]\nname = "dense-fsq"\n[method.settings]\n'
    path.write_text(head + "predictor.layers = 3\n")
    [cell] = cells_of(shared_host(), read_matrix(path))
    assert cell.predictor.config["layers"] == 3
    for line, message in (("stepz = 1", "'stepz'; .*steps"), ('predictor.layers = 3\n"predictor.layers" = 4', "twice")):
        path.write_text(head + line)
        with pytest.raises(DyadbenchError, match=message):
            cells_of(shared_host(), read_matrix(path))


@pytest.mark.parametrize(
    ("tail", "message"),
    [
        ("[datasets.simdyad-clear-react-onlin]\nsize = 'tiny'", r"datasets\.simdyad-clear-react-onlin\] is of no benchmark .*did you mean"),
        (f"[datasets.{BENCHMARK}]\nsizze = 'tiny'", "dataset 'simdyad': there is no field 'sizze'; did you mean size"),
        ("[[method]]\nname = 'ridge'\nseeds = [1, 1]", "two of the seeds are 1"),
        ("[[method]]\nname = 'ridge'\npresett = 'small'", "method.1.presett"),
    ],
)  # fmt: skip
def test_a_table_of_a_matrix_that_changes_nothing_is_refused(tmp_path: Path, tail: str, message: str) -> None:
    path = tmp_path / "m.toml"
    path.write_text(f'benchmarks = ["{BENCHMARK}"]\n[[method]]\nname = "mime"\n{tail}\n')
    with pytest.raises(DyadbenchError, match=message):
        cells_of(shared_host(), read_matrix(path))


def test_a_field_that_is_set_twice_is_refused() -> None:
    with pytest.raises(DyadbenchError, match="-s taps is given twice"):
        parse_settings(["taps=3", "taps=4"])
    with pytest.raises(DyadbenchError, match="replaces what another setting"):
        nest({"a.b": 1, "a": 2})


def test_a_misspelt_method_is_offered_methods_and_predictors() -> None:
    with pytest.raises(DyadbenchError, match=r"there is no method 'dense-fqs'; did you mean .*dense-fsq"):
        method_parts(shared_host(), MethodSpec(name="dense-fqs"))


@pytest.mark.parametrize(
    ("official", "overrides", "name"),
    [
        (BENCHMARK, {"size": "tiny"}, BENCHMARK),  # the digest tells such data apart
        (BENCHMARK, {"preset": "hard"}, BENCHMARK + "+preset-hard"),
        ("react2024-val", {}, "react2024-val"),
        ("react2024-val", {"frames": 750, "wav2vec2": "some/model"}, "react2024-val"),
        ("react2024-val", {"frames": 250}, "react2024-val+frames-250"),
        ("react2024-val", {"audio_features": "vggish"}, "react2024-val+audio_features-vggish"),
        ("react2024-val", {"normalise": "none", "mirrored_train": False}, "react2024-val+mirrored_train-false+normalise-none"),
        ("l2l-trevor", {"person": "devi2"}, "l2l-trevor+person-devi2"),
    ],
)  # fmt: skip
def test_data_read_otherwise_than_a_benchmark_says_make_another_benchmark(
    official: str, overrides: dict[str, object], name: str
) -> None:
    cell = make_cell(shared_host(), official, MethodSpec(name="mime"), 0, overrides)
    assert cell.benchmark == name
    changed = {key: cell.dataset.config[key] for key in overrides} if name != official else {}
    assert {**shared_host().get("benchmark", official).config.dataset_config, **changed} == cell.setting.dataset_config


def test_data_folders_are_those_of_the_datasets_that_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = tmp_path / "a=b"
    odd.mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    assert data_folders([str(odd)], ["react2024"]) == {"react2024": odd}
    assert data_folders(["react2024=~/a=b"], ["react2024", "l2l"]) == {"react2024": odd}
    assert data_folders(["~/a=b"], ["l2l"]) == {"l2l": odd}
    for pairs, message in (
        ([f"react-2024={odd}"], "no dataset 'react-2024' is read here; did you mean react2024"),
        ([f"react2024={odd}", f"react2024={odd}"], "--data react2024 is given twice"),
        ([str(odd)], "must be NAME=PATH"),
        (["react2024=/no/such"], "/no/such is not a folder"),
    ):
        with pytest.raises(DyadbenchError, match=message):
            data_folders(pairs, ["react2024", "l2l"])


def test_an_option_that_came_later_changes_no_key_until_it_is_used() -> None:
    class Later(Config):
        added: ClassVar[frozenset[str]] = frozenset({"guidance"})
        dim: int = 4
        guidance: float = 1.0

    assert Later().model_dump(mode="json") == {"dim": 4}
    assert Later(guidance=2.0).model_dump(mode="json") == {"dim": 4, "guidance": 2.0}
    assert Later.model_validate({"dim": 4}) == Later()
