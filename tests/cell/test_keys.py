"""What decides the key of a fit: contents, wherever they lie."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.fixtures.hosts import shared_host

from dyadbench.cell.keys import FitKeys, fit_keys, machine_paths
from dyadbench.cell.recorded import recorded_config
from dyadbench.matrix.cells import Cell, MethodSpec, make_cell
from dyadbench.registry.host import ComponentKind

PATHS: dict[str, tuple[str, str]] = {  # method -> its part that names a file or folder, and the field
    "vqtalker": ("predictor", "speech"),
    "difflistener": ("predictor", "text"),
    "ridge": ("dataset", "wav2vec2"),
}


def _cell(method: str, value: str | None) -> Cell:
    cell = make_cell(shared_host(), "react2024-val", MethodSpec(name=method), 0)
    part, field = PATHS[method]
    if value is None:
        return cell
    changed = getattr(cell, part)
    changed = changed.model_copy(update={"config": {**changed.config, field: value}})
    return cell.model_copy(update={part: changed})


def _keys(method: str, value: Path | str | None) -> FitKeys:
    return fit_keys(_cell(method, None if value is None else str(value)), shared_host(), "00")


def _write(folder: Path, content: bytes) -> Path:
    (folder / "deep").mkdir(parents=True, exist_ok=True)
    (folder / "deep" / "weights.bin").write_bytes(content)
    return folder


@pytest.mark.parametrize("method", PATHS)
def test_what_lies_at_a_path_decides_and_not_the_path(method: str, tmp_path: Path) -> None:
    """Another codebook or model at the same path was served the fit of the old one."""
    first = _keys(method, _write(tmp_path / "here", b"one"))
    assert _keys(method, _write(tmp_path / "there", b"one")) == first, "the same files elsewhere"
    other = _keys(method, _write(tmp_path / "here", b"two"))
    assert other.predictor != first.predictor
    assert other.tokenizer == first.tokenizer, "what a predictor names is the predictor's"
    file = tmp_path / "codebook.npy"
    file.write_bytes(b"one")
    assert _keys(method, file).predictor not in (first.predictor, other.predictor)
    assert str(tmp_path) not in str(first.made_of), "so that weights that are handed on fit on another machine"


def test_a_model_that_a_dataset_names_decides_the_tokenizer_s_key_too(tmp_path: Path) -> None:
    cell, keys = _cell("vqtalker", None), []
    for content in (b"one", b"two"):
        config = {**cell.dataset.config, "wav2vec2": str(_write(tmp_path / "model", content))}
        changed = cell.model_copy(update={"dataset": cell.dataset.model_copy(update={"config": config})})
        keys.append(fit_keys(changed, shared_host(), "00"))
    assert keys[0].tokenizer != keys[1].tokenizer and keys[0].predictor != keys[1].predictor


@pytest.mark.parametrize("method", PATHS)
def test_a_name_that_is_no_path_stays_as_it_is_in_the_key(method: str) -> None:
    part, field = PATHS[method]
    made_of = _keys(method, "some/model").made_of["predictor"]
    where: Any = made_of["dataset"] if part == "dataset" else made_of["method"][part]
    assert where["config"][field] == "some/model"
    plain = _cell(method, None)
    made_of = _keys(method, None).made_of["predictor"]
    sampled = shared_host().get("predictor", plain.predictor.name).config.sampling
    assert made_of["method"]["predictor"]["config"] == {
        k: v for k, v in plain.predictor.config.items() if k not in sampled
    }
    assert made_of["dataset"] == plain.dataset.model_dump(mode="json")


def test_a_record_keeps_the_name_of_a_model_and_no_path_of_this_machine(tmp_path: Path) -> None:
    """Records of predictions left the name out, too, and the field where it is empty."""
    values = (str(tmp_path), "some/model")
    local, hub = (recorded_config(shared_host(), _cell("ridge", value).dataset) for value in values)
    plain = recorded_config(shared_host(), _cell("ridge", None).dataset)
    assert "wav2vec2" not in local and hub["wav2vec2"] == "some/model" and plain["wav2vec2"] is None
    assert plain == _cell("ridge", None).dataset.config


def test_every_field_that_a_component_speaks_of_is_one_of_its_own() -> None:
    host, kinds = shared_host(), ("dataset", "tokenizer", "predictor")
    for kind in kinds:
        for entry in host.entries(kind):
            config = entry.config
            named = config.machine_paths | config.sampling | config.adjustable | config.added
            assert named <= set(config.model_fields), f"{kind} {entry.name}"
    unknown: ComponentKind = "dataset"
    assert machine_paths(host, unknown, "not registered") == frozenset()
