"""The one door through which a record comes in: where it lies, how often, and whether it says the same twice."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.fixtures.hosts import shared_host
from tests.fixtures.records import record, write_records

from dyadbench.api import DyadbenchError
from dyadbench.leaderboard.fairness import training
from dyadbench.matrix.cells import Cell, MethodSpec, make_cell
from dyadbench.records.comparable import by_benchmark, records_below
from dyadbench.records.record import load_record, mean_fault, record_path, save_record
from dyadbench.records.replace import demand_replaceable, put_record

COMMITTED = Path(__file__).parents[2] / "leaderboards"


@pytest.fixture
def leaderboards(tmp_path: Path) -> Path:
    write_records(tmp_path, [record("a", 0.1), record("b", 0.2)])
    return tmp_path / "leaderboards"


def test_every_committed_record_comes_in_and_is_written_again_to_the_byte(tmp_path: Path) -> None:
    count = 0
    for _, records in by_benchmark(COMMITTED):
        for each in records:
            save_record(each, tmp_path / "again.json")
            assert (tmp_path / "again.json").read_bytes() == record_path(COMMITTED, each).read_bytes(), each.method
            count += 1
    assert count == len(list((COMMITTED / "records").rglob("*.json")))


@pytest.mark.parametrize("place", ["toy/a/seed0 (1).json", "toy/a/seed7.json", "toy/c/seed0.json", "other/a/seed0.json", "seed0.json"])  # fmt: skip
def test_a_record_that_does_not_lie_where_its_content_belongs_is_refused(leaderboards: Path, place: str) -> None:
    path = leaderboards / "records" / place
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(leaderboards / "records" / "toy" / "a" / "seed0.json", path)
    with pytest.raises(DyadbenchError, match=re.escape(f"{path} holds the record of toy, a, seed 0, which belongs to")):
        records_below(leaderboards)


def test_hidden_files_are_nobodys_records_and_links_are_followed(leaderboards: Path, tmp_path: Path) -> None:
    folder = leaderboards / "records" / "toy"
    (folder / "a" / "._seed0.json").write_bytes(b"\x00\x05\x16\x07")  # a Mac's file beside the file
    (folder / ".backup").mkdir()
    shutil.copy(folder / "a" / "seed0.json", folder / ".backup" / "seed0.json")
    shutil.move(folder / "b", tmp_path / "elsewhere")
    (folder / "b").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "loop").symlink_to(folder)
    assert [each.method for each in records_below(leaderboards)] == ["a", "b"]


def test_a_pipe_is_refused_and_not_waited_for(leaderboards: Path) -> None:
    os.mkfifo(leaderboards / "records" / "toy" / "a" / "seed1.json")
    with pytest.raises(DyadbenchError, match=r"seed1\.json is not a record: it is not a file"):
        records_below(leaderboards)


def _forged(value: float) -> Callable[[dict[str, Any]], None]:
    def change(data: dict[str, Any]) -> None:
        data["suites"]["react2024"]["scores"]["FRCorr"]["value"] = value

    return change


EDITS: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "a better value": (_forged(1.9), r"FRCorr: its value is 1\.9, and its per-clip values average to 0\.9"),
    "no value": (_forged(None), "FRCorr: its value and its per-clip values are not defined together"),  # type: ignore[arg-type]
    "no configuration of the data": (lambda d: d["dataset"].pop("config"), "dataset.config is missing"),
    "no digest": (lambda d: d["dataset"].update(digest=""), "dataset.digest"),
    "no configuration of the method": (lambda d: d["method_config"]["predictor"].pop("config"), "whole config of each part"),
    "a configuration that is none": (lambda d: d["method_config"]["predictor"].update(config=3), "whole config of each part"),
    "curves that are none": (lambda d: d["measured"].update(curves={"flow": 3}), r"measured\.curves\.flow: a table is expected, not 3"),
    "a curve of text": (lambda d: d["measured"].update(curves={"flow": {"steps": [1], "loss": ["x"]}}), r"curves\.flow\.loss\.0"),
    "packages that are none": (lambda d: d["provenance"].update(packages=3), r"provenance\.packages: a table is expected, not 3"),
    "threads of text": (lambda d: d["provenance"].update(threads="x"), r"provenance\.threads"),
    "a grid without codes": (lambda d: d["measured"].update(tokens={}), r"measured\.tokens\.codes is missing"),
    "a latency without its unit": (lambda d: d["measured"].update(latency={}), "latency does not give budget_ms"),
    "a version below all": (lambda d: d["dataset"].update(version=-1), r"dataset\.version"),
    "fewer than no clips undefined": (lambda d: d["suites"]["react2024"]["scores"]["FRCorr"].update(undefined=-4), "undefined"),
    "no samples": (lambda d: d["benchmark_config"].update(samples=0), r"benchmark_config\.samples"),
    "fewer than no folds": (lambda d: d["benchmark_config"].update(folds=-1), r"benchmark_config\.folds"),
    "fewer than no parameters": (lambda d: d["measured"].update(parameters=-1), r"measured\.parameters"),
    "no predictor": (lambda d: d["method_config"].clear(), "method_config has no predictor"),
}  # fmt: skip


@pytest.mark.parametrize("edit", EDITS)
def test_an_edited_record_is_refused(leaderboards: Path, edit: str) -> None:
    change, message = EDITS[edit]
    path = leaderboards / "records" / "toy" / "a" / "seed0.json"
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))
    with pytest.raises(DyadbenchError, match=message):
        load_record(path)


@pytest.mark.parametrize(
    ("value", "per_clip", "right"),
    [
        (0.5, [0.25, 0.75], True),
        (0.5, [0.25, float("nan"), 0.75], True),
        (11145.254855459338, [11145.25] * 5, True),  # rounded to seven digits
        (1e-9, [5.0, -5.0], True),  # within what is lost of the summands
        (-1.579537e-11, [-1.579181e-11], True),  # a pooled distance between equals
        (2e-9, [1e-9], False),
        (0.5001, [0.25, 0.75], False),
        (None, [float("nan")], True),
        (None, [1.0], False),
        (1.0, [float("nan")], False),
    ],
)
def test_a_value_is_the_mean_of_its_defined_clips_within_rounding(
    value: float | None, per_clip: list[float], right: bool
) -> None:
    assert (mean_fault(value, per_clip) is None) == right


def _cell(**change: object) -> Cell:
    cell = make_cell(shared_host(), "simdyad-clear-react-online", MethodSpec(name="ridge"), 0, {"size": "tiny"})
    return cell.model_copy(update=change)


def _recorded(cell: Cell, digest: str = "d" * 64) -> Any:
    data = {"name": "simdyad", "digest": digest, "simulated": True, "split": "test", "config": cell.dataset.config}
    setting = cell.setting.model_dump(mode="json")
    return record(
        "ridge", 0.1, benchmark=cell.benchmark, benchmark_config=setting, method_config=cell.identity(), dataset=data
    )


def test_a_record_of_other_data_or_another_configuration_is_not_replaced(tmp_path: Path) -> None:
    cell = _cell()
    demand_replaceable(tmp_path, cell, "d" * 64, shared_host())  # nothing there
    path = record_path(tmp_path, cell)
    save_record(_recorded(cell), path)
    demand_replaceable(tmp_path, cell, "d" * 64, shared_host())  # the same cell
    newer = cell.predictor.model_copy(update={"version": 2})
    demand_replaceable(tmp_path, _cell(predictor=newer), "d" * 64, shared_host())  # its author says that numbers change
    with pytest.raises(DyadbenchError, match=r"seed0\.json holds .* other data .*digest eeeeeeeeeeee.*--replace"):
        demand_replaceable(tmp_path, cell, "e" * 64, shared_host())
    small = make_cell(shared_host(), "simdyad-clear-react-online", MethodSpec(name="ridge"), 0)
    with pytest.raises(DyadbenchError, match=r"dataset\.size 'tiny' -> 'small'"):
        demand_replaceable(tmp_path, small, "e" * 64, shared_host())
    other = make_cell(
        shared_host(), "simdyad-clear-react-online", MethodSpec(name="ridge", settings={"taps": 3}), 0, {"size": "tiny"}
    )
    with pytest.raises(DyadbenchError, match=r"predictor\.taps 8 -> 3"):
        demand_replaceable(tmp_path, other, "d" * 64, shared_host())
    offline = _cell(setting=cell.setting.model_copy(update={"track": "offline"}))
    with pytest.raises(DyadbenchError, match=r"benchmark\.track 'online' -> 'offline'"):
        demand_replaceable(tmp_path, offline, "d" * 64, shared_host())
    ablation = _cell(of="mime")
    demand_replaceable(tmp_path, ablation, "d" * 64, shared_host())
    save_record(_recorded(cell).model_copy(update={"of": "mime"}), path)
    with pytest.raises(DyadbenchError, match=r"row\.of 'mime' -> ''"):  # it would be ranked
        demand_replaceable(tmp_path, cell, "d" * 64, shared_host())
    demand_replaceable(tmp_path, ablation, "d" * 64, shared_host())
    path.write_text("cut short")
    demand_replaceable(tmp_path, other, "d" * 64, shared_host())


def test_a_record_of_a_newer_version_is_not_replaced(tmp_path: Path) -> None:
    path = record_path(tmp_path, cell := _cell())
    save_record(_recorded(cell), path)
    path.write_text(path.read_text().replace("dyadbench-record/1", "dyadbench-record/9"))
    with pytest.raises(DyadbenchError, match=r"seed0\.json .*dyadbench-record/9.* newer dyadbench .*--replace"):
        put_record(_recorded(cell), tmp_path, cell, shared_host(), replace=False)
    assert "dyadbench-record/9" in path.read_text()
    put_record(_recorded(cell), tmp_path, cell, shared_host(), replace=True)
    assert load_record(path).method == "ridge"


def test_a_stage_without_a_curve_or_a_gain_has_pages_all_the_same() -> None:
    """A stage that was cut short before its first log has an empty curve, and a loss that is not finite is null."""
    measured = {"curves": {"flow": {}}, "validation": {"flow": {"speaker_gain": None}}}
    one = record("a", 0.1, measured=measured)
    assert training(one) == "" and one.measured.speaker_gain == {}
