"""DualTalk on folders that these tests write in its layout."""

from __future__ import annotations

import wave
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from dyadbench.api import Dataset, DyadbenchError
from dyadbench.cli import app
from dyadbench.datasets.check.dualtalk import check
from dyadbench.datasets.config import DualTalkConfig
from dyadbench.datasets.dualtalk import DualTalkDataset, youtube_id
from dyadbench.datasets.features import FEATURES
from dyadbench.files.npy import BadFile, npz_shapes
from dyadbench.records.record import load_record

NAMES = {
    "train": ("-aFg_yx_sub_video_28_001", "bbb_sub_video_1", "ccc_sub_video_1", "ccc_sub_video_2"),
    "test": ("xkH_sub_video_109_000",),
    "ood": ("Ubj_sub_video_72",),
}


def write_dualtalk(root: Path, frames: int = 52, seconds: float = 2.0, sound: bool = True) -> Path:
    """Two people a recording; motion may be a frame or two longer than sound, as in the release."""
    rng = np.random.default_rng(0)
    for half, names in NAMES.items():
        folder = root / "data" / half
        folder.mkdir(parents=True)
        for name in names:
            for person in ("speaker1", "speaker2"):
                arrays: dict[str, Any] = {
                    "exp": np.cumsum(rng.normal(0, 0.1, (frames, 50)), 0).astype(np.float32),
                    "pose": rng.normal(0, 0.05, (frames, 6)).astype(np.float32),
                    "shape": np.zeros((frames, 100), np.float32),
                    "light": np.zeros((frames, 9, 3), np.float32),
                }
                np.savez(folder / f"{name}_{person}.npz", **arrays)
                if sound:
                    with wave.open(str(folder / f"{name}_{person}.wav"), "wb") as file:
                        file.setparams((1, 2, 16000, 0, "NONE", ""))
                        file.writeframes(rng.integers(-999, 999, round(16000 * seconds)).astype("<i2").tobytes())
    return root


def test_both_people_are_generated_and_videos_stay_on_one_side(tmp_path: Path) -> None:
    data = DualTalkDataset(DualTalkConfig(), write_dualtalk(tmp_path))
    assert isinstance(data, Dataset)
    assert [len(data.clips(split)) for split in ("train", "val", "test", "ood")] == [6, 2, 2, 2]
    assert [clip.id for clip in data.clips("test")] == [f"xkH_sub_video_109_000_speaker{n}" for n in (1, 2)]
    assert not {clip.session for clip in data.clips("train")} & {clip.session for clip in data.clips("val")}
    assert youtube_id("-aFg_yx_sub_video_28_001") == "-aFg_yx"
    one, other = data.dyad("test", 0), data.dyad("test", 1)
    assert np.array_equal(one.listener.motion, other.speaker.motion)
    with np.load(tmp_path / "data/test/xkH_sub_video_109_000_speaker1.npz") as stored:
        assert one.clip.frames == 50, "52 frames of motion, 50 of sound"
        assert np.array_equal(one.listener.motion[:, :50], stored["exp"][:50])
        assert np.array_equal(one.listener.motion[:, data.space.slice("rotation")], stored["pose"][:50, :3])
        assert np.array_equal(one.listener.motion[:, data.space.slice("jaw")], stored["pose"][:50, 3:])


def test_the_partners_voice_is_heard_and_ones_own_only_if_asked_for(tmp_path: Path) -> None:
    root = write_dualtalk(tmp_path)
    assert set(DualTalkDataset(DualTalkConfig(), root).audio) == set(FEATURES)
    data = DualTalkDataset(DualTalkConfig(own_voice=True), root)
    sound = [data.dyad("test", n, ("mfcc-78", "own-mfcc-78")).speaker.audio for n in (0, 1)]
    assert sound[0]["mfcc-78"].shape == (50, 78)
    assert np.array_equal(sound[0]["mfcc-78"], sound[1]["own-mfcc-78"])
    assert not np.array_equal(sound[0]["mfcc-78"], sound[0]["own-mfcc-78"])


def test_a_folder_without_sound_says_how_to_go_on(tmp_path: Path) -> None:
    root = write_dualtalk(tmp_path, sound=False)
    with pytest.raises(BadFile, match="audio=false"):
        DualTalkDataset(DualTalkConfig(), root).clips("test")
    assert DualTalkDataset(DualTalkConfig(audio=False), root).clips("test")[0].frames == 52
    assert [f.what for f in check(root, False) if f.level == "warn"] == ["no wav files"]


def test_the_check_is_clean_or_names_the_file(tmp_path: Path) -> None:
    root = write_dualtalk(tmp_path, frames=51)
    assert [(f.level, f.what) for f in check(root, False)] == [("ok", "train 6, val 2, test 2, ood 2 clips")]
    train = root / "data" / "train"
    np.savez(train / "bbb_sub_video_1_speaker1.npz", exp=np.zeros((51, 50)), pose=np.zeros((51, 3)))
    (train / "ccc_sub_video_1_speaker2.npz").unlink()
    np.savez(train / "ccc_sub_video_2_speaker1.npz", exp=np.full((90, 50), np.nan), pose=np.zeros((90, 6)))
    (root / "data/test/xkH_sub_video_109_000_speaker1.npz").rename(root / "data/test/ccc_sub_video_9_speaker1.npz")
    faults = {f.where.rsplit("/", 1)[-1]: f.what for f in check(root, False) if f.level in ("error", "warn")}
    assert "array 'pose' has shape (51, 3)" in faults["bbb_sub_video_1_speaker1.npz"]
    assert "is missing" in faults["ccc_sub_video_1_speaker2.npz"]
    assert "NaN or infinity" in faults["ccc_sub_video_2_speaker1.npz"]
    assert "1 videos are in train and in test, the first is ccc" in faults["test"]
    with pytest.raises(DyadbenchError, match="not a DualTalk folder"):
        DualTalkDataset(DualTalkConfig(), tmp_path / "data")


def test_its_benchmarks_run_from_folder_to_record(tmp_path: Path) -> None:
    root = write_dualtalk(tmp_path / "dataset", frames=120, seconds=4.8)
    (tmp_path / "leaderboards").mkdir()
    words = ["run", "-b", "dualtalk-test", "-b", "dualtalk-ood", "-m", "mime", "-m", "ridge-matched", "-m", "oracle"]
    outcome = CliRunner().invoke(app, [*words, "--root", str(tmp_path), "--data", str(root), "--threads", "1"])
    assert outcome.exit_code == 0, outcome.output
    for benchmark in ("dualtalk-test", "dualtalk-ood"):
        folder = tmp_path / "leaderboards" / "records" / benchmark
        truth, copy = (load_record(folder / name / "seed0.json").suites["dualtalk"] for name in ("oracle", "mime"))
        assert truth.scores["MSE.jaw"].value == 0 and truth.scores["FD.expression"].value == pytest.approx(0, abs=1e-6)
        assert (copy.scores["MSE.jaw"].value or 0) > 0 and len(copy.per_clip["MSE.jaw"]) == 2
        assert truth.scores["diversity.jaw"].value == truth.scores["diversity.jaw_target"].value is not None


def test_hostile_archives_are_refused_before_anything_is_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez_compressed(path, exp=np.zeros((200, 50)), pose=np.zeros((200, 6)))
    assert npz_shapes(path) == {"exp": (200, 50), "pose": (200, 6)}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("exp.npy", b"\0" * (1 << 21))
    with pytest.raises(BadFile, match=r"not a readable \.npz file"):
        npz_shapes(path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dyadbench.files.npy.MAX_NPZ", 1 << 20)
        with pytest.raises(BadFile, match="unpacks to 2 MiB, 1 are allowed"):
            npz_shapes(path)
    np.savez(path, exp=np.array([{"a": 1}], dtype=object))
    with pytest.raises(BadFile, match="numbers are expected"):
        npz_shapes(path)
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(BadFile, match=r"not a readable \.npz file"):
        npz_shapes(path)


def test_motion_of_another_rate_is_refused_with_the_rate_that_it_suggests(tmp_path: Path) -> None:
    """It was cut to the sound's 25 frames per second, so that face and voice drifted apart."""
    root = write_dualtalk(tmp_path, frames=301, seconds=10.0)
    with pytest.raises(BadFile, match=r"301 frames and 10\.0 s of sound suggest 30 frames per second"):
        DualTalkDataset(DualTalkConfig(), root).clips("test")
    faults = [finding for finding in check(root, False) if finding.level == "error"]
    assert len(faults) == 12 + 3 and "suggest 30 frames per second" in faults[0].what
    assert len(DualTalkDataset(DualTalkConfig(audio=False), root).clips("test")) == 2, "without sound nobody can know"


@pytest.mark.parametrize("name", ["new_sub_video_1", "xkH_sub_video_109_000"])
def test_a_copy_of_a_test_recording_among_the_training_ones_is_told(tmp_path: Path, name: str) -> None:
    root = write_dualtalk(tmp_path, frames=51)
    for person in ("speaker1", "speaker2"):
        for suffix in (".npz", ".wav"):
            source = root / f"data/test/xkH_sub_video_109_000_{person}{suffix}"
            (root / f"data/train/{name}_{person}{suffix}").write_bytes(source.read_bytes())
    [fault] = [finding.what for finding in check(root, False) if finding.level == "error"]
    assert fault == "2 of 2 recordings in test have the same motion as in train"


def test_a_folder_of_npy_files_named_after_the_generated_person_is_scored(tmp_path: Path) -> None:
    root = write_dualtalk(tmp_path / "data")
    data = DualTalkDataset(DualTalkConfig(), root)
    folder = tmp_path / "predictions"
    folder.mkdir()
    for row, clip in enumerate(data.clips("test")):
        np.save(folder / f"{clip.id}.npy", data.dyad("test", row).listener.motion)
    words = [
        "score",
        str(folder),
        "--benchmark",
        "dualtalk-test",
        "--data",
        f"dualtalk={root}",
        "--root",
        str(tmp_path),
    ]
    outcome = CliRunner().invoke(app, [*words, "--as", "truth", "--threads", "1"])
    assert outcome.exit_code == 0, outcome.output
    assert "expression 0-49, rotation 50-52, jaw 53-55" in outcome.output
    scores = load_record(next((tmp_path / "leaderboards").rglob("seed0.json"))).suites["dualtalk"].scores
    assert scores["MSE.expression"].value == scores["MSE.rotation"].value == 0.0
