"""vc-dyads on folders that these tests write in the repository's layout: reading, checking, fetching, couplings."""

from __future__ import annotations

import dataclasses
import subprocess
from pathlib import Path

import numpy as np
import pytest
from tests.fixtures.vc_dyads import write_vc_dyads

from dyadbench.api import Dataset, DyadbenchError
from dyadbench.datasets.check.vc_dyads import check
from dyadbench.datasets.config import VCDyadsConfig
from dyadbench.datasets.fetch import Source, fetch, sources
from dyadbench.datasets.vc_dyads import RESOLUTIONS, Recording, VCDyadsDataset, content_digest, read_pair
from dyadbench.files.npy import BadFile
from dyadbench.metrics.couplings import couplings


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_vc_dyads(tmp_path / "clone")


SMALL = VCDyadsConfig(frames=60, test=1, validation=1)


def test_every_window_gives_a_clip_in_either_role(folder: Path) -> None:
    data = VCDyadsDataset(SMALL, folder)
    assert isinstance(data, Dataset)
    assert data.splits == {"train": ("s1", "s9"), "val": ("s5",), "test": ("s11",)}, "by number, not by name"
    clips = data.clips("test")
    assert len(clips) == 3 * 2 * 2, "resolutions, roles, whole windows of 130 frames"
    assert clips[0].id == "s11/240p/A>B/0" and clips[3].id == "s11/240p/B>A/1"
    assert {clip.session for clip in clips} == {"s11"}
    one, other = data.dyad("test", 1), data.dyad("test", 3)
    assert np.array_equal(one.speaker.motion, other.listener.motion)
    assert np.array_equal(one.listener.motion, other.speaker.motion)
    assert data.listeners("test")[:4] == ["s11/B", "s11/B", "s11/A", "s11/A"]


def test_channels_are_the_files_values(folder: Path) -> None:
    motion = VCDyadsDataset(SMALL, folder).dyad("test", 1).speaker.motion
    files = {measure: folder / path for measure, path in Recording("s11", "240p").files().items()}
    rows = {measure: np.loadtxt(path, skiprows=1)[60:120, 0] for measure, path in files.items()}
    assert motion.shape == (60, 4) and motion.dtype == np.float32
    for channel, values in enumerate(
        (rows["au06_r"], rows["au12_r"], np.log1p(rows["body_motion"]), rows["gaze"] == 3)
    ):
        assert np.allclose(motion[:, channel], values)
    codes = VCDyadsDataset(SMALL.model_copy(update={"gaze": "code"}), folder).dyad("test", 1).speaker.motion
    assert np.array_equal(codes[:, 3], rows["gaze"])


def test_line_ends_are_no_other_data_and_numbers_are(folder: Path) -> None:
    before = content_digest(folder)
    path = folder / Recording("s5", "480p").files()["gaze"]
    path.write_bytes(path.read_bytes().replace(b"\r\n", b"\n"))
    assert content_digest(folder) == before
    path.write_bytes(path.read_bytes().replace(b"3 ", b"2 ", 1))
    assert content_digest(folder) != before


def test_faults_are_named_and_the_check_reports_all_of_them(folder: Path) -> None:
    files = [Recording("s5", resolution).files() for resolution in RESOLUTIONS]
    (folder / files[0]["gaze"]).unlink()
    (folder / files[1]["au12_r"]).write_text('"Participant_A" "Participant_B"\n1 2\n1 x\n')
    with (folder / files[2]["body_motion"]).open("a") as file:
        file.write("4 4\r\n")
    data = VCDyadsDataset(SMALL, folder)
    with pytest.raises(BadFile, match=r"s5_0ms_240p\.csv is missing"):
        data.clips("val")
    lonely = folder / "lonely.csv"
    lonely.write_text('"Participant_A" "Participant_B"\n1 2\n3\n4 5\n')
    with pytest.raises(BadFile, match="line 3 does not hold two numbers"):
        read_pair(lonely)  # one number is not that of both
    findings = list(check(folder, False))
    faults = {f.where: f.what for f in findings if f.level == "error" and f.where.startswith("s5")}
    assert "is missing" in faults["s5, 240p"]
    assert "line 3 does not hold two numbers" in faults["s5, 480p"]
    assert "different lengths" in faults["s5, 1080p"] and "body_motion 131" in faults["s5, 1080p"]
    assert any("no window of 900 frames fits" in f.meaning for f in findings), "130 frames are too few"


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DyadbenchError, match="dyadbench data fetch vc-dyads"):
        VCDyadsDataset(SMALL, tmp_path)
    assert [f.level for f in check(tmp_path, False)] == ["error"]
    with pytest.raises(DyadbenchError, match="leave none to train on"):
        VCDyadsDataset(VCDyadsConfig(), write_vc_dyads(tmp_path)).clips("train")


def _git(*arguments: str) -> str:
    who = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main"]
    process = subprocess.run(["git", *who, *arguments], check=True, capture_output=True, text=True)
    return process.stdout.strip()


@pytest.fixture
def bare(folder: Path, tmp_path: Path) -> Source:
    """A bare repository of two commits, of which the first is meant."""
    for arguments in (("init", "-q"), ("add", "-A"), ("commit", "-qm", "data")):
        _git("-C", str(folder), *arguments)
    commit, digest = _git("-C", str(folder), "rev-parse", "HEAD"), content_digest(folder)
    (folder / Recording("s1", "240p").files()["gaze"]).unlink()
    _git("-C", str(folder), "commit", "-qam", "a later mistake")
    _git("clone", "-q", "--bare", str(folder), str(tmp_path / "bare.git"))
    return Source(str(tmp_path / "bare.git"), commit, digest, content_digest, "MIT", "LICENSE")


def test_fetching_gives_the_commit_that_is_meant(bare: Source, tmp_path: Path) -> None:
    target = tmp_path / "data" / "vc"
    assert fetch(bare, target) == "MIT License\n"
    assert content_digest(target) == bare.digest
    assert len(VCDyadsDataset(SMALL, target).clips("train")) == 24
    with pytest.raises(DyadbenchError, match="nothing is overwritten"):
        fetch(bare, target)


def test_a_fetch_that_fails_says_why_and_leaves_nothing(bare: Source, tmp_path: Path) -> None:
    target = tmp_path / "data" / "vc"
    for change, reason in (
        ({"digest": "0" * 64}, "they were not kept"),
        ({"commit": "0" * 40}, "has no commit"),
        ({"url": str(tmp_path / "nowhere.git")}, "could not be cloned .*clone it by hand"),
    ):
        with pytest.raises(DyadbenchError, match=reason):
            fetch(dataclasses.replace(bare, **change), target)
        assert not list(target.parent.iterdir())


def test_the_published_source_is_pinned() -> None:
    source = sources()["vc-dyads"]
    assert len(source.commit) == 40 and len(source.digest) == 64 and source.licence == "MIT"


def test_couplings_are_the_plain_formula(folder: Path) -> None:
    data = VCDyadsDataset(SMALL, folder)
    pairs = [data.dyad(split, i) for split in data.splits for i in range(len(data.clips(split)))]
    names = [name for split in data.splits for name in data.listeners(split)]

    def ccc(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        a, b = a.astype(float), b.astype(float)
        covariance = ((a - a.mean(0)) * (b - b.mean(0))).mean(0)
        return np.asarray(2 * covariance / (a.var(0) + b.var(0) + (a.mean(0) - b.mean(0)) ** 2 + 1e-8))

    def late(x: np.ndarray, frames: int) -> np.ndarray:
        return np.concatenate([x[:1]] * frames + [x[: len(x) - frames]]) if frames else x

    rows = couplings(data)
    for row, frames in (("copy of the speaker", 0), ("copy 0.5 s late", 15), ("copy 1 s late", 30)):
        expected = np.mean([ccc(late(pair.speaker.motion, frames), pair.listener.motion) for pair in pairs], 0)
        assert np.allclose(rows[row], expected, atol=1e-9), row
    others, again = [], []
    for i, one in enumerate(pairs):
        for j, two in enumerate(pairs):
            if one.clip.session != two.clip.session:
                others.append(ccc(one.listener.motion, two.listener.motion))
            if i != j and names[i] == names[j]:
                again.append(ccc(one.listener.motion, two.listener.motion))
    assert np.allclose(rows["a listener of another session"], np.mean(others, 0), atol=1e-9)
    assert np.allclose(rows["the same person at another time"], np.mean(again, 0), atol=1e-9)

    def pearson(a: np.ndarray, b: np.ndarray) -> list[float]:
        return [np.corrcoef(x, y)[0, 1] if x.std() * y.std() else 0.0 for x, y in zip(a.T, b.T, strict=True)]

    own = [pearson(pair.speaker.motion, pair.listener.motion) for pair in pairs]
    pseudo = [
        pearson(a.speaker.motion, b.listener.motion) for a in pairs for b in pairs if a.clip.session != b.clip.session
    ]
    assert np.allclose(rows["correlation of the two people"], np.mean(own, 0), atol=1e-6)
    assert np.allclose(rows["correlation of people of two sessions"], np.mean(pseudo, 0), atol=1e-6)
    sample = couplings(data, sample_covariance=True)
    assert np.allclose(sample["copy 2 s late"], rows["copy 2 s late"] * 60 / 59)


def test_a_dyad_that_is_a_copy_of_another_is_told(folder: Path) -> None:
    for resolution in RESOLUTIONS:
        for measure, path in Recording("s7", resolution).files().items():
            (folder / path).write_bytes((folder / Recording("s1", resolution).files()[measure]).read_bytes())
    faults = [finding.what for finding in check(folder, False) if finding.level == "error"]
    assert "6 of 6 recordings in s7 have the same motion as in s1" in faults
