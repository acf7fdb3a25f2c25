"""Learning2Listen's adapter on small folders in the exact released layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dyadbench.api import Dataset, DyadbenchError
from dyadbench.datasets.config import L2LDatasetConfig
from dyadbench.datasets.l2l import L2LDataset, part_file
from dyadbench.files.npy import BadFile
from dyadbench.metrics.l2l.bilateral import bilateral

RNG = np.random.default_rng(0)


def _l2l(root: Path, person: str, windows: int = 6) -> Path:
    """Windows 0-2 are video 7 from frame 0, then a gap, then 3-5 of video 8."""
    for half in ("train", "test"):
        for part in ("list_faces", "speak_faces", "speak_audio", "speak_files"):
            path = part_file(root, person, half, part)
            path.parent.mkdir(parents=True, exist_ok=True)
            if part == "speak_audio":
                np.save(path, RNG.standard_normal((windows, 256, 128)).astype(np.float32))
            elif part == "speak_files":
                starts = [0, 64, 128, 0, 64, 999, 2000, 3000, 4000]
                np.save(
                    path, np.array([[(7 if i < 3 else 8, 0, starts[i] + t) for t in range(64)] for i in range(windows)])
                )
            else:
                np.save(path, RNG.standard_normal((windows, 64, 184)).astype(np.float32))
    return root


RELEASED = ["done_trevor_videos1/001YouTube", "done_trevor_videos1/002YouTube", "done_trevor_videos1/003YouTube"]


def _places(videos: list[str], windows: int, kind: str) -> np.ndarray:
    return np.array(
        [[[v, "1", str(64 * w + t)] for t in range(64)] for v in videos for w in range(windows)]
    ).astype(kind)  # fmt: skip


@pytest.mark.parametrize("kind", ["U40", "S40"])
def test_l2l_reads_places_as_text_as_the_release_has_them(tmp_path: Path, kind: str) -> None:
    root = _l2l(tmp_path, "trevor", windows=9)
    np.save(part_file(root, "trevor", "train", "speak_files"), _places(RELEASED, 3, kind))
    for part in ("list_faces", "speak_faces", "speak_audio", "speak_files"):
        path = part_file(root, "trevor", "test", part)
        np.save(
            path, _places(["done_trevor_videos2/010YouTube"], 3, kind) if part == "speak_files" else np.load(path)[:3]
        )
    data = L2LDataset(L2LDatasetConfig(), root)
    clips = [clip for split in ("train", "val") for clip in data.clips(split)]
    assert len(clips) == 3 and {clip.frames for clip in clips} == {192} and len(data.clips("val")) == 1
    assert [clip.id for clip in data.clips("test")] == ["trevor/done_trevor_videos2/010YouTube/0"]
    assert data.dyad("test", 0, ("mel-128",)).speaker.audio["mel-128"].shape == (768, 128)


def test_l2l_says_how_to_make_what_own_recordings_lack(tmp_path: Path) -> None:
    root = _l2l(tmp_path, "trevor")
    faces, files = (part_file(root, "trevor", "test", part) for part in ("list_faces", "speak_files"))
    np.save(faces, np.zeros((1, 300, 56)))
    with pytest.raises(BadFile, match=r"has shape \(1, 300, 56\).*cut a recording x of \(1, T, 56\) into windows"):
        L2LDataset(L2LDatasetConfig(), root).dyad("test", 0)
    np.save(files, np.array([[["a", "1", "soon"]] * 64] * 6))
    with pytest.raises(BadFile, match=r"'soon' in window 0; a video and the whole number of a frame"):
        L2LDataset(L2LDatasetConfig(), root).clips("test")
    files.unlink()
    with pytest.raises(BadFile, match=r"speak_files_clean_deca\.npy is missing; speak_files is text of shape"):
        L2LDataset(L2LDatasetConfig(), root).clips("test")


@pytest.mark.parametrize(("person", "side"), [("trevor", "p0"), ("fallon", "p1")])
def test_l2l_knows_the_listeners_side(tmp_path: Path, person: str, side: str) -> None:
    root = _l2l(tmp_path, person)
    faces = np.load(root / "data" / person / "test" / f"{side}_list_faces_clean_deca.npy")
    dyad = L2LDataset(L2LDatasetConfig(person=person, unit="window"), root).dyad("test", 4, ("mel-128",))
    assert np.array_equal(dyad.listener.motion, faces[4, :, :56])
    assert dyad.speaker.audio["mel-128"].shape == (256, 128)


def test_l2l_stitches_consecutive_windows_only(tmp_path: Path) -> None:
    data = L2LDataset(L2LDatasetConfig(), _l2l(tmp_path, "trevor"))
    assert isinstance(data, Dataset)
    assert [clip.frames for clip in data.clips("test")] == [192, 128, 64]
    assert [clip.session for clip in data.clips("test")] == ["7", "8", "8"]
    train, val = data.clips("train"), data.clips("val")
    assert not {clip.session for clip in train} & {clip.session for clip in val}


def test_l2l_standardisations_differ_as_documented(tmp_path: Path) -> None:
    root = _l2l(tmp_path, "trevor")
    faces = np.load(part_file(root, "trevor", "train", "list_faces"))[..., :56].astype(np.float64)
    raw = L2LDataset(L2LDatasetConfig(unit="window"), root).dyad("test", 0).listener.motion
    for mode, scale in (("feature", faces.std((0, 1))), ("l2l_released", faces.std(1).std(0))):
        values = L2LDataset(L2LDatasetConfig(unit="window", standardise=mode), root).dyad("test", 0).listener.motion
        assert np.allclose(values, (raw - faces.mean((0, 1))) / (scale + 1e-10), rtol=1e-4)


def test_bilateral_smoothing_keeps_edges_and_constants() -> None:
    constant = np.full((20, 2), 3.0, np.float32)
    assert np.allclose(bilateral(constant), constant)
    step = np.where(np.arange(20)[:, None] < 10, 0.0, 500.0).astype(np.float32)
    assert np.allclose(bilateral(step), step), "a jump far beyond sigma is not smoothed"
    noise = RNG.standard_normal((200, 3)).astype(np.float32)
    assert bilateral(noise).std() < 0.6 * noise.std()


def test_bilateral_smoothing_is_opencvs() -> None:
    impulse = np.eye(8, dtype=np.float32)[:, [1, 4]]
    flat = bilateral(impulse, colour=1e6, space=1e6)  # by hand: columns of a disc of radius 2 hold 1, 3, 5, 3, 1 pixels
    assert np.allclose(flat[:, 1], np.array([0, 0, 1, 3, 5, 3, 1, 0]) / 13, atol=1e-6)
    assert np.allclose(flat[:, 0], np.array([6, 6, 3, 1, 0, 0, 0, 0]) / 13, atol=1e-6), "frame 1 is also frame -1"
    signal = np.array([[0, 10, -20, 50, 30, 0, 0, 5]], np.float32).T
    # cv2.bilateralFilter(signal, 5, 20, 20) of opencv-python-headless 4.14 and 5.0
    golden = [2.5002747, 4.8421803, -13.3659735, 43.654095, 29.4204521, 3.6306193, 1.9833853, 1.9605639]
    assert np.allclose(bilateral(signal)[:, 0], golden, rtol=1e-6)


def test_l2l_smooths_every_window_by_itself_and_first(tmp_path: Path) -> None:
    root = _l2l(tmp_path, "trevor")
    faces = np.load(part_file(root, "trevor", "test", "list_faces"))[:3, :, :56]
    smooth = np.concatenate([bilateral(window).astype(np.float32) for window in faces])
    values = L2LDataset(L2LDatasetConfig(smooth=True), root).dyad("test", 0).listener.motion
    assert np.array_equal(values, smooth)
    train = np.load(part_file(root, "trevor", "train", "list_faces"))[..., :56]
    stats = np.concatenate([bilateral(window).astype(np.float32) for window in train]).astype(np.float64)
    values = L2LDataset(L2LDatasetConfig(smooth=True, standardise="feature"), root).dyad("test", 0).listener.motion
    assert np.allclose(values, (smooth - stats.mean(0)) / stats.std(0), atol=1e-5)


def test_l2l_faults_are_named(tmp_path: Path) -> None:
    root = _l2l(tmp_path, "trevor")
    path = part_file(root, "trevor", "test", "speak_audio")
    np.save(path, np.load(path)[:3])
    with pytest.raises(BadFile, match="3 windows, its speak_files has 6"):
        L2LDataset(L2LDatasetConfig(), root).dyad("test", 0, ("mel-128",))
    with pytest.raises(DyadbenchError, match=r"no person 'conan'.*trevor"):
        L2LDataset(L2LDatasetConfig(person="conan"), root)
