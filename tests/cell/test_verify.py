"""`dyadbench verify` passes an honest record and finds forged ones."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file, save_file
from tests.fixtures.hosts import shared_host

import dyadbench
from dyadbench.api import DyadbenchError
from dyadbench.cell.runtime import Runtime
from dyadbench.cell.verify import Verifier, difference, independent, sample_of
from dyadbench.records.record import load_record

BENCHMARK = "simdyad-clear-react-online"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("root")
    dyadbench.run(BENCHMARK, "ridge", dataset={"size": "tiny"}, root=root)
    dyadbench.run(BENCHMARK, "dense-fsq", preset="smoke", dataset={"size": "tiny"}, root=root)
    return root


def _record(root: Path, method: str) -> Path:
    return root / "leaderboards" / "records" / BENCHMARK / method / "seed0.json"


def _verify(root: Path, record: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dyadbench", "verify", str(record), "--root", str(root), "--threads", "1", *words]
    return subprocess.run(command, capture_output=True, text=True)


def _forged(root: Path, method: str, change: Callable[[dict[str, Any]], Any]) -> Path:
    data = json.loads(_record(root, method).read_text())
    change(data)
    path = root / f"forged-{method}.json"
    path.write_text(json.dumps(data))
    return path


def test_an_honest_record_holds_on_all_clips_and_on_a_sample(root: Path) -> None:
    for method in ("ridge", "dense-fsq"):
        process = _verify(root, _record(root, method))
        assert process.returncode == 0 and "32 of 32 clips" in process.stdout, process.stdout + process.stderr
    process = _verify(root, _record(root, "dense-fsq"), "--clips", "8", "--json")
    report = json.loads(process.stdout)
    assert process.returncode == 0 and report["holds"] and 8 <= report["clips"] < 32 and report["columns"] > 10, (
        process.stdout
    )
    assert not list((root / ".dyadbench").glob("verify-*"))  # nothing is left


def _raise_a_clip(data: dict[str, Any]) -> None:
    """One clip's FRCorr, and the mean with it."""
    scores = data["suites"]["react2024"]
    values = scores["per_clip"]["FRCorr"]
    values[5] += 0.01
    scores["scores"]["FRCorr"]["value"] = float(np.mean(values))


def test_a_value_per_clip_that_was_changed_is_found_by_name(root: Path) -> None:
    path = _forged(root, "ridge", _raise_a_clip)
    process = _verify(root, path)
    assert process.returncode == 3
    [line] = [line for line in process.stdout.splitlines() if line.startswith("react2024 ")]
    assert "FRCorr" in line and "1 of 32" in line and json.loads(path.read_text())["clips"][5] in line


def test_a_value_alone_that_was_changed_is_no_record(root: Path) -> None:
    def change(data: dict[str, Any]) -> None:
        data["suites"]["react2024"]["scores"]["FRCorr"]["value"] = 0.9

    process = _verify(root, _forged(root, "ridge", change))
    assert process.returncode == 2 and "FRCorr: its value is 0.9" in process.stderr


def test_weights_of_another_fit_are_found_and_training_anew_clears_it(root: Path) -> None:
    state = next(
        path
        for path in (root / ".dyadbench" / "store" / "fit").glob("*/*/state.safetensors")
        if "matrix" not in path.name and _is_predictor(path)
    )
    data = state.read_bytes()
    try:
        save_file(
            {name: value + 0.05 if value.is_floating_point() else value for name, value in load_file(state).items()},
            state,
        )
        process = _verify(root, _record(root, "dense-fsq"), "--clips", "8")
        assert process.returncode == 3 and "does not hold" in process.stdout
        process = _verify(root, _record(root, "dense-fsq"), "--train")
        assert process.returncode == 0 and "trained anew" in process.stdout, process.stdout
    finally:
        state.write_bytes(data)


def _is_predictor(state: Path) -> bool:
    return bool(list(state.parent.glob("predictor*"))) or any("listener" in name for name in load_file(state))


def test_another_version_or_configuration_is_refused(root: Path) -> None:
    def version(data: dict[str, Any]) -> None:
        data["method_config"]["predictor"]["version"] = 99

    def config(data: dict[str, Any]) -> None:
        data["method_config"]["predictor"]["config"]["alpha"] = 123.0

    assert "made by version 99 of ridge" in _verify(root, _forged(root, "ridge", version)).stderr
    assert _verify(root, _forged(root, "ridge", config)).returncode == 2


def _newer(data: dict[str, Any]) -> None:
    data["benchmark_config"]["newer"] = 1


def _rescored(data: dict[str, Any]) -> None:
    data["suites"]["react2024"]["versions"]["FRCorr"] = 99


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (_newer, "the benchmark of the record of ridge is not one of this version: there is no field 'newer'"),
        (_rescored, "the record's FRCorr is of version 99 of that metric; version"),
        (lambda data: data["suites"].clear(), "no column that its benchmark scores, so there is nothing to compare"),
    ],
)
def test_what_cannot_be_compared_is_said(root: Path, tmp_path: Path, change: Any, says: str) -> None:
    """A field of a newer program was a traceback, another version of a metric a forgery, and no scores at all held."""
    record = load_record(_forged(root, "ridge", change))
    with pytest.raises(DyadbenchError, match=says):
        Verifier(record, shared_host(), Runtime(home=root / ".dyadbench"), tmp_path)(clips=8)


def test_a_count_of_undefined_values_is_verified(root: Path, tmp_path: Path) -> None:
    def change(data: dict[str, Any]) -> None:
        data["suites"]["react2024"]["scores"]["FRCorr"]["undefined"] = 17

    record = load_record(_forged(root, "ridge", change))
    verdict = Verifier(record, shared_host(), Runtime(home=root / ".dyadbench"), tmp_path)()
    assert [(d.column, d.recorded, d.measured) for d in verdict.differences if d.beyond] == [
        ("FRCorr, undefined", 17, 0)
    ]


@pytest.mark.parametrize(
    ("place", "value", "says"),
    [
        (("sessions", 3), "elsewhere", "the record's sessions is"),
        (("calibration",), True, "the record's calibration is True"),
        (("deterministic",), False, "the record's deterministic is False"),
        (("dataset", "simulated"), False, "the record's dataset.simulated is False"),
        (("benchmark_config", "track"), "offline", "the record's benchmark_config.track is offline"),
    ],
)
def test_what_tables_read_and_no_key_holds_is_verified(
    root: Path, tmp_path: Path, place: Any, value: object, says: str
) -> None:
    def change(data: dict[str, Any]) -> None:
        for name in place[:-1]:
            data = data[name]
        data[place[-1]] = value

    record = load_record(_forged(root, "ridge", change))
    with pytest.raises(DyadbenchError, match=says):
        Verifier(record, shared_host(), Runtime(home=root / ".dyadbench"), tmp_path)(clips=8)


@pytest.mark.parametrize(("name", "value"), [("lookahead", 7), ("sees_truth", True), ("reads_emotion", False)])
def test_what_a_method_reads_is_verified(root: Path, tmp_path: Path, name: str, value: object) -> None:
    record = load_record(_forged(root, "ridge", lambda data: data["measured"].update({name: value})))
    verdict = Verifier(record, shared_host(), Runtime(home=root / ".dyadbench"), tmp_path)(clips=8)
    assert [(d.column, d.recorded) for d in verdict.differences if d.beyond] == [(name, value)]


def test_a_record_of_a_model_that_no_record_keeps_is_not_called_forged(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fit on features of a local wav2vec model was said to have another key than its configuration gives."""
    record = load_record(_record(root, "ridge")).model_copy(update={"key": "0" * 64})
    verifier = Verifier(record, shared_host(), Runtime(home=root / ".dyadbench"), tmp_path)
    with pytest.raises(DyadbenchError, match="not that of its own configuration"):
        verifier()
    monkeypatch.setattr("dyadbench.cell.verify.machine_paths", lambda *_: frozenset({"wav2vec2"}))
    with pytest.raises(DyadbenchError, match="made with a file or folder as wav2vec2, which no record keeps"):
        Verifier(record, shared_host(), Runtime(home=root / ".dyadbench"), tmp_path)()


def test_a_sample_holds_all_listeners_of_its_clips() -> None:
    appropriate = np.kron(np.eye(6, dtype=bool), np.ones((4, 4), bool))
    groups = sample_of(appropriate, 7)
    assert [len(group) for group in groups] == [4, 4]
    assert len(sample_of(np.ones((5, 5), bool), 2)[0]) == 5
    # One group alone cannot tell which columns depend on the other clips: `verify --clips 4` called honest records forged.
    assert len(sample_of(appropriate, 4)) == len(sample_of(appropriate, 1)) == 2


def test_columns_that_hang_together_are_left_out_of_a_sample() -> None:
    values = {"alone": [1.0, 2.0, None], "together": [1.0, 2.0, 3.0]}
    assert list(independent(values, {"alone": [1.0, None], "together": [1.5, 3.0]}, [0, 2])) == ["alone"]


def test_the_tolerance_is_a_share_of_the_spread() -> None:
    recorded = [0.0, 1.0, 2.0, 3.0]
    assert difference("s", "c", recorded, [0.0005, 1.0, 2.0, 3.0], range(4), "abcd", 1e-3).beyond == 0
    result = difference("s", "c", recorded, [0.0, None, 2.01], [0, 1, 2], "abcd", 1e-3)
    assert (result.beyond, result.worst, result.recorded, result.measured) == (2, "b", 1.0, None)
