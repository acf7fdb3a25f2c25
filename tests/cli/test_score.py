"""`dyadbench score`: the file first, a way out of every refusal, and where the numbers would stand."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from dyadbench.api import Column, DyadbenchError
from dyadbench.cli import standing as board
from dyadbench.cli.score import score
from dyadbench.cli.standing import standing
from dyadbench.files.predictions import faults, read_predictions
from dyadbench.python.score import Estimate
from dyadbench.records.record import load_record

from ..datasets.test_check_real import write

COLUMNS = (Column("A", "max"), Column("B", "match", target="B_target"), Column("B_target", "match", ranked=False, target="B_target"))  # fmt: skip


def test_a_missing_file_is_said_before_any_data_is_made_or_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("dyadbench.python.score.open_dataset", lambda *_: pytest.fail("data was opened first"))
    with pytest.raises(DyadbenchError, match="there is no file"):
        score(tmp_path / "none.npz", benchmark="simdyad-clear-react-online")


@pytest.mark.parametrize("suffix", [".npy", ".pt"])
def test_bare_arrays_are_refused_with_a_recipe_that_works(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"x{suffix}").touch()
    with pytest.raises(DyadbenchError, match="--template") as caught:
        read_predictions(tmp_path / f"x{suffix}")
    assert 'print(t["clips"]' in str(caught.value), "clip ids in order"
    clips = ["a", "b"]
    np.savez(tmp_path / "t.npz", clips=np.array(clips), fps=np.array(25.0), emotion=np.zeros((2, 1, 4, 25), np.float32))
    np.save(tmp_path / "x.npy", np.full((2, 1, 4, 25), 0.5))
    recipe = str(caught.value).split("python\n")[1].replace("  >>> ", "").replace("FILE", repr(str(tmp_path / "x.npy")))
    code = recipe.replace("t.npz", str(tmp_path / "t.npz")).replace("mine.npz", str(tmp_path / "mine.npz"))
    exec(code, {})
    assert faults(read_predictions(tmp_path / "mine.npz"), clips, np.array([4, 4]), 1, "emotion", 25, 25.0) == []


def test_every_size_that_does_not_fit_has_a_way_out(tmp_path: Path) -> None:
    np.savez(tmp_path / "p.npz", clips=np.array(["a"]), emotion=np.zeros((1, 1, 751, 25)), fps=np.array(30.0))
    all_faults = faults(read_predictions(tmp_path / "p.npz"), ["a"], np.array([750]), 10, "emotion", 25, 25.0)
    for way in ("numpy.repeat(x, 10, 1)", "x[:, :, :750]", "resample the predictions and write the new rate"):
        assert any(way in fault for fault in all_faults), all_faults
    np.savez(tmp_path / "m.npz", clips=np.array(["a"]), motion=np.zeros((1, 1, 750, 58)))
    [all_faults] = faults(read_predictions(tmp_path / "m.npz"), ["a"], np.array([750]), 1, "emotion", 25, 25.0)
    assert "found: motion; this benchmark scores emotion: choose one that scores motion" in all_faults
    np.savez(tmp_path / "c.npz", clips=np.array(["a"]), emotion=np.zeros((1, 1, 750, 17)))
    [all_faults] = faults(read_predictions(tmp_path / "c.npz"), ["a"], np.array([750]), 1, "emotion", 25, 25.0)
    assert "17 channels, 25 are expected" in all_faults and "`dyadbench show BENCHMARK`" in all_faults


def test_an_untouched_template_is_said_and_scores_stand_among_references(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    data = write(tmp_path / "react")
    common = {"root": tmp_path, "home": tmp_path / "home", "data": [f"react2024={data}"], "threads": 1}
    score(tmp_path / "t.npz", benchmark="react2024-test", template=True, **common)  # type: ignore[arg-type]
    score(tmp_path / "t.npz", benchmark="react2024-test", **common)  # type: ignore[arg-type]
    out, err = capfd.readouterr()
    assert "is it the template as it was written?" in err
    assert "FRCorr  ↑" in out and "target" in out and "no method has a record" in out
    assert "`dyadbench show react2024-test` says what the channels are" in out


def test_who_has_the_emotion_files_alone_can_score_emotion(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    whole, part = write(tmp_path / "whole"), write(tmp_path / "part")
    for split in ("train", "val", "test"):
        shutil.rmtree(part / split / "3D_FV_files")
    for name in ("mean_face.npy", "std_face.npy"):
        (part / name).unlink()
    outputs, train = [], tmp_path / "train.npz"
    for data in (whole, part):
        common = {"root": tmp_path, "home": tmp_path / "home", "data": [f"react2024={data}"], "threads": 1}
        for file in (tmp_path / "t.npz", train):
            file.unlink(missing_ok=True)
        score(tmp_path / "t.npz", benchmark="react2024-test", train=train, template=True, **common)  # type: ignore[arg-type]
        clips = dict(np.load(train))
        emotion = np.random.default_rng(0).random(clips["emotion"].shape)
        np.savez(train, clips=clips["clips"], emotion=emotion)
        np.savez(tmp_path / "t.npz", clips=np.load(tmp_path / "t.npz")["clips"], emotion=emotion[:, :1].repeat(10, 1))
        score(tmp_path / "t.npz", benchmark="react2024-test", train=train, json=True, **common)  # type: ignore[arg-type]
        outputs.append(capfd.readouterr())
    assert outputs[0] == outputs[1] and "FRDist" in outputs[0].out
    assert "are turned to 0 and 1" in outputs[0].err
    few = tmp_path / "few.npz"
    score(few, benchmark="react2024-test", template=True, limit=1, **common)  # type: ignore[arg-type]
    score(few, benchmark="react2024-test", limit=1, json=True, **common)  # type: ignore[arg-type]
    assert "FRDist" in capfd.readouterr().out, "so can who tries a few clips first"


def test_groups_that_a_suite_needs_are_demanded_before_anything_is_made() -> None:
    from dyadbench.api import DECA_56, MotionSpace
    from dyadbench.cell.score import demand_groups
    from dyadbench.metrics.dyad import DyadSuite
    from dyadbench.metrics.l2l.suite import L2LSuite

    demand_groups({"l2l": L2LSuite()}, DECA_56)
    smiles = MotionSpace("smiles", 30.0, ("smile",), {"smile": (0, 1)})
    with pytest.raises(
        DyadbenchError, match="suite l2l scores the channels 'expression', which motion space 'smiles' does not"
    ):
        demand_groups({"l2l": L2LSuite()}, smiles)
    either = DyadSuite(("smile", "gaze"), all_groups=False)
    demand_groups({"dyad-openface": either}, smiles)
    with pytest.raises(DyadbenchError, match="suite dyad-openface scores the channels 'smile', which motion space"):
        demand_groups({"dyad-openface": either}, DECA_56)


def test_places_and_references_come_from_records_of_the_same_data(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    values = {
        "worse": 0.1,
        "better": 0.9,
        "oracle": 1.0,
        "better-without": 0.8,
        "better-quarter": 0.7,
        "mean": 0.6,
        "tokens": 0.9,
    }
    configs = {
        "tokens": {"predictor": {"name": "reconstruction"}, "tokenizer": {}}
    }  # sees the truth: no row to be near
    of = {"better-without": "better", "better-quarter": "better"}  # stand in no table
    record = lambda name: type("R", (), {"method": name, "calibration": name in ("oracle", "mean", "tokens"), "method_config": configs.get(name, {"predictor": {"name": name}}), "of": of.get(name, ""), "dataset": type("D", (), {"digest": "d"})})()  # noqa: E731  # fmt: skip
    monkeypatch.setattr(board, "records_below", lambda *_: [record(name) for name in values])
    monkeypatch.setattr(board, "usable_records", lambda records, *_: {r.method: [r] for r in records})
    monkeypatch.setattr(board, "method_values", lambda group, *_: np.array([[[values[group[0].method], 2.0, 3.0]]]))
    mine = {"A": Estimate(0.5, 0.4, 0.6), "B": Estimate(3.5), "B_target": Estimate(3.0)}
    header, rows, note = standing(tmp_path, "bench", "suite", COLUMNS, "d", mine)
    assert header == ["metric", "", "yours", "95 %", "target", "place", "oracle"]
    assert rows == [
        ["A", "↑", "0.5000", "[0.4000, 0.6000]", "", "2 of 3", "1.0000"],
        ["B", "→", "3.5000", "", "3.0000", "1 of 3", "2.0000"],
    ]
    assert "among 2 methods" in note
    assert standing(tmp_path, "bench", "suite", COLUMNS, "other data", mine)[1][0][-1] == ""
    seeds = np.array([[[1.0, 2.0, 3.0], [np.nan, 2.0, 3.0]], [[3.0, 2.0, 3.0], [4.0, 2.0, 3.0]]])  # (S, N, C)
    monkeypatch.setattr(board, "method_values", lambda *_: seeds)
    rows = standing(tmp_path, "bench", "suite", COLUMNS, "d", mine)[1]
    assert rows[0][-1] == "2.2500", "every seed counts as much, as on the board: the mean of 1 and 3.5"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"suite": "react2024", "template": True}, "--template would change nothing"),
        ({"suite": "react2024", "train": Path("t.npz")}, "--train would change nothing"),
        ({"suite": "react2024", "data": ["x"]}, "--data would change nothing"),
        ({"suite": "react2024", "limit": 2}, "--limit would change nothing"),
        ({"suite": "l2l", "benchmark": "react2024-test"}, "leave out --benchmark or --suite"),
        ({"benchmark": "react2024-test", "replace": True}, "--replace would change nothing"),
    ],
)
def test_an_option_that_would_change_nothing_is_refused(
    options: dict[str, object], message: str, tmp_path: Path
) -> None:
    """They were dropped; --suite with --template ended in a traceback."""
    with pytest.raises(DyadbenchError, match=message):
        score(tmp_path / "none.npz", **options)  # type: ignore[arg-type]


def test_a_template_is_told_in_json(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    common = {"root": tmp_path, "home": tmp_path / "home", "data": [f"react2024={write(tmp_path / 'react')}"]}
    files = {"file": tmp_path / "t.npz", "train": tmp_path / "train.npz"}
    score(**files, benchmark="react2024-test", template=True, json=True, threads=1, **common)  # type: ignore[arg-type]
    parts = json.loads(capfd.readouterr().out)
    assert [each["file"] for each in parts] == list(map(str, files.values()))
    assert [each["shape"][1] for each in parts] == [10, 2] and {each["space"] for each in parts} == {"emotion"}


def test_a_template_replaces_no_file(tmp_path: Path) -> None:
    """It wrote its zeros over the user's predictions."""
    mine, other = tmp_path / "mine.npz", tmp_path / "other.npz"
    mine.write_bytes(b"predictions")
    for file, train, message in (
        (mine, None, "mine.npz is there already, and a template would replace it; name a new file"),
        (other, mine, "mine.npz is there already"),
        (other, other, "name two files"),
        (other, tmp_path / "train.npy", "a template is .safetensors or .npz, not '.npy'"),
    ):
        with pytest.raises(DyadbenchError, match=message):
            score(file, train=train, template=True, benchmark="simdyad-clear-react-online")
    assert mine.read_bytes() == b"predictions" and not other.exists()


def _write_arrays(path: Path, **change: object) -> Path:
    rng = np.random.default_rng(0)
    listener, speaker = rng.random((2, 3, 60, 25), np.float32)
    arrays = {"pred": listener[:, None], "listener": listener, "speaker": speaker, "appropriate": np.eye(3), **change}
    np.savez(path, **{name: value for name, value in arrays.items() if value is not None})  # type: ignore[arg-type]
    return path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"lenghts": np.full(3, 9)},
            "holds an array 'lenghts', which no suite reads; leave it out or rename it .did you mean lengths",
        ),
        ({"target": np.zeros((3, 60, 25))}, "holds listener twice, once as 'target'; leave one of them out"),
        ({"fps": np.array(30.0)}, "fps is 30, and arrays of 25 channels are scored at 25: resample all of them"),
        ({"listener": np.zeros((2, 60, 25))}, "listener has 2 clips and pred 3"),
        ({"pred": np.zeros(())}, "pred has shape"),
    ],
)
def test_what_a_file_with_its_references_holds_is_scored_or_refused(
    change: dict[str, object], message: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Unknown arrays and the rate were ignored, and too few listeners ended in a traceback."""
    score(_write_arrays(tmp_path / "right.npz", fps=np.array(25.0)), suite="react2024")
    assert "FRCorr" in capfd.readouterr().out
    with pytest.raises(DyadbenchError, match=message):
        score(_write_arrays(tmp_path / "wrong.npz", **change), suite="react2024")


def test_a_bad_record_of_another_row_costs_no_finished_scoring(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The numbers were not printed and the record was not written."""
    data = write(tmp_path / "react")
    common = {"root": tmp_path, "home": tmp_path / "home", "data": [f"react2024={data}"], "threads": 1}
    bad = tmp_path / "leaderboards" / "records" / "react2024-test" / "other" / "seed0.json"
    bad.parent.mkdir(parents=True)
    bad.write_text("{")
    score(tmp_path / "t.npz", benchmark="react2024-test", template=True, **common)  # type: ignore[arg-type]
    (tmp_path / "t.npz").rename(file := tmp_path / "caf\udce9.npz")  # a name of another system
    score(file, benchmark="react2024-test", name="mine", **common)  # type: ignore[arg-type]
    out = capfd.readouterr().out
    assert "FRCorr  ↑" in out and f"delete it or run it again: {bad} is not a record" in out
    assert load_record(bad.parents[1] / "mine" / "seed0.json").scored_from == "caf .npz"
