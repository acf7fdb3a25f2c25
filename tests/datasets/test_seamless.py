"""Seamless Interaction on folders that these tests write in its layout; no file of it was at hand."""

from __future__ import annotations

import json
import shutil
import wave
from pathlib import Path

import numpy as np
import pytest
from tests.fixtures.seamless import write_person, write_seamless
from typer.testing import CliRunner

from dyadbench.api import Dataset, DyadbenchError
from dyadbench.cli import app
from dyadbench.conformance.others import check_dataset as conforms
from dyadbench.datasets.check.run import check_dataset
from dyadbench.datasets.config import SeamlessConfig
from dyadbench.datasets.seamless import SeamlessDataset, pairs_of, runs_of, windows_of
from dyadbench.files.npy import BadFile
from dyadbench.records.record import load_record
from dyadbench.registry.host import Host


def _open(root: Path, **config: object) -> SeamlessDataset:
    return SeamlessDataset(SeamlessConfig.model_validate(config), root)


def test_runs_of_frames_that_both_have_become_clips_of_who_listens(tmp_path: Path) -> None:
    data = _open(write_seamless(tmp_path))
    assert isinstance(data, Dataset)
    clips = data.clips("test")
    # 960 frames with a hole from 480 to 540: the first run is listened to by the second person, the other by the first.
    assert [clip.id for clip in clips[:2]] == ["V00_S0004_I00000001_P0009A:0", "V00_S0004_I00000001_P0008:540"]
    assert [clip.frames for clip in clips] == [480, 420] * 2
    assert {clip.session for clip in clips} == {"V00_S0004", "V00_S0005"}
    dyad = data.dyad("test", 1, ("mfcc-78", "own-mfcc-78"))
    assert dyad.listener.motion.shape == (420, 24) and np.abs(dyad.listener.motion).max() > 0
    heard, own = (dyad.speaker.audio[name] for name in ("mfcc-78", "own-mfcc-78"))
    assert heard.shape == own.shape == (420, 78) and not np.array_equal(heard, own)
    voice = data.voice("test", 1)
    assert voice is not None and len(voice[0]) == 420 * 1600
    everybody = _open(tmp_path, listening=0.0)
    assert len(everybody.clips("test")) == 8


def test_the_adapter_keeps_the_contract(tmp_path: Path) -> None:
    report = conforms("seamless", Host(), write_seamless(tmp_path))
    assert report.ok, [item for item in report.items if not item.ok]


def test_the_past_ends_where_tracking_broke(tmp_path: Path) -> None:
    data = _open(write_seamless(tmp_path), window=8.0, least=5.0)
    starts = [int(clip.id.rpartition(":")[2]) for clip in data.clips("test")]
    first, second = starts.index(0), starts.index(240)
    assert data.past("test", first, 100).shape == (0, 24)
    assert data.past("test", second, 100).shape == (100, 24)
    after = next(i for i, clip in enumerate(data.clips("test")) if clip.id == "V00_S0004_I00000001_P0008:540")
    assert data.past("test", after, 100).shape == (100, 24)  # this person was tracked through the partner's hole
    everybody = _open(tmp_path, window=8.0, least=5.0, listening=0.0)
    held = next(i for i, clip in enumerate(everybody.clips("test")) if clip.id == "V00_S0004_I00000001_P0009A:540")
    assert everybody.past("test", held, 100).shape == (0, 24)


def test_runs_and_windows() -> None:
    valid = np.array([1, 1, 0, 1, 1, 1, 0, 1], bool)
    assert runs_of(valid, 2) == [(0, 2), (3, 6)]
    assert list(windows_of(10, 110, 60, 20)) == [(10, 60), (60, 110)]
    assert list(windows_of(0, 70, 60, 50)) == [(0, 60)]  # halves would be too short: one whole window


def test_what_was_dropped_is_told(tmp_path: Path) -> None:
    pairs, dropped = pairs_of(write_seamless(tmp_path), "val")
    assert [pair.name for pair in pairs] == ["V00_S0003_I00000001"]
    assert dropped == {"unreadable name": 0, "no movement": 2, "no partner": 1, "more than two people": 0}
    report = check_dataset("seamless", tmp_path)
    text = " ".join(finding.what for finding in report.findings)
    assert report.ok, report.findings
    assert "val: 1 pairs; files left out: 2 with no movement, 1 with no partner" in text
    assert "test: 1800 of 1920 frames are kept (93.8 %); 6.2 % are not valid on both sides" in text


def test_data_check_names_what_is_broken(tmp_path: Path) -> None:
    write_seamless(tmp_path)
    rng = np.random.default_rng(0)
    folder = tmp_path / "improvised" / "test" / "0000" / "0000"
    write_person(folder, "V00_S0070_I00000001_P0000", rng, frames=400, hole=None, speech=[])
    write_person(folder, "V00_S0070_I00000001_P0171", rng, frames=460, hole=None, speech=[(0, 5)])
    (folder / "V00_S0070_I00000001_P0171.json").write_text(json.dumps({"id": "x"}))
    (folder / "V00_S0070_I00000001_P0171.wav").unlink()
    findings = check_dataset("seamless", tmp_path).findings
    text = " ".join(finding.what for finding in findings)
    for what in (
        "400 and 460 frames",
        "no metadata:vad",
        "no sound that can be read",
        "nobody speaks",
        "participants are in train and in test",
    ):
        assert what in text, what
    with pytest.raises(BadFile, match="metadata:vad"):
        _open(tmp_path).clips("test")
    for odd in (float("nan"), float("inf")):
        spans = {"metadata:vad": [{"start": 0.0, "end": odd}]}
        (folder / "V00_S0070_I00000001_P0171.json").write_text(json.dumps(spans))
        with pytest.raises(BadFile, match="metadata:vad"):
            _open(tmp_path).clips("test")
    with pytest.raises(DyadbenchError, match="not a Seamless folder"):
        _open(tmp_path / "improvised")


def test_a_run_ranks_the_true_listener_first(tmp_path: Path) -> None:
    root = write_seamless(tmp_path / "data")
    words = [
        "run",
        "-b",
        "seamless-test",
        "-m",
        "oracle",
        "-m",
        "ridge-matched",
        "--root",
        str(tmp_path),
        "--data",
        str(root),
    ]
    outcome = CliRunner().invoke(app, [*words, "--threads", "1"])
    assert outcome.exit_code == 0, outcome.output
    folder = tmp_path / "leaderboards" / "records" / "seamless-test"
    truth, ridge = (
        load_record(folder / name / "seed0.json").suites["dyad-seamless"] for name in ("oracle", "ridge-matched")
    )
    ranked = next(name for name in truth.scores if name.startswith("concordance") or "CCC" in name)
    assert (truth.scores[ranked].value or 0) > (ridge.scores[ranked].value or 0)


def test_motion_of_another_rate_and_copies_are_told(tmp_path: Path) -> None:
    write_seamless(tmp_path)
    folder = tmp_path / "improvised" / "test" / "0000" / "0000"
    [wav, _] = sorted(folder.glob("*.wav"))
    with wave.open(str(wav), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(2 * round(8000 * 960 / 25)))
    with pytest.raises(BadFile, match="suggest 25 frames per second"):
        data = _open(tmp_path)
        for n in range(len(data.clips("test"))):
            data.dyad("test", n, ("mfcc-78",))
    train = tmp_path / "improvised" / "train" / "0000" / "0000"
    for source, target in zip(sorted(folder.glob("*.npz")), sorted(train.glob("*.npz")), strict=True):
        shutil.copy(source, target)
    faults = [finding.what for finding in check_dataset("seamless", tmp_path).findings if finding.level == "error"]
    assert any("suggest 25 frames per second" in what for what in faults)
    assert "2 of 4 recordings in test have the same motion as in train" in faults


def test_what_other_programs_leave_is_nobodys_recording(tmp_path: Path) -> None:
    write_seamless(tmp_path)
    before = pairs_of(tmp_path, "test")
    place = tmp_path / "improvised" / "test" / "0000"
    shutil.copytree(place / "0000", place / ".ipynb_checkpoints")
    [first, _] = sorted((place / "0000").glob("*.npz"))
    shutil.copy(first, first.with_name(f"._{first.name}"))
    assert pairs_of(tmp_path, "test") == before
