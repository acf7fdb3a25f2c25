"""Predictions as a folder of one npy file per clip."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dyadbench.api import DyadbenchError
from dyadbench.files.folder import fitted_to, open_predictions, read_folder
from dyadbench.files.predictions import Reordered, faults

CLIPS = ["s/a/x", "s/a/y", "s/b/x"]
LENGTHS = np.array([6, 4, 5])


def _write(folder: Path, *, samples: int = 2, channels: int = 3) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    values = {}
    for clip, frames in zip(CLIPS, LENGTHS, strict=True):
        path = folder / f"{clip}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        values[clip] = rng.normal(size=(samples, frames, channels)).astype(np.float32)
        np.save(path, values[clip])
    return values


def _faults(folder: Path, samples: int = 2) -> list[str]:
    predictions = fitted_to(open_predictions(folder), samples)
    return faults(predictions, CLIPS, LENGTHS, samples, next(iter(predictions.arrays)), 3, 25.0)


def test_files_named_after_their_clips_are_read_whatever_their_lengths(tmp_path: Path) -> None:
    values = _write(tmp_path)
    assert _faults(tmp_path) == []
    predictions = open_predictions(tmp_path)
    array = predictions.arrays["motion"]
    assert array.shape == (3, 2, 6, 3)
    for row, clip in enumerate(predictions.clips):
        assert np.array_equal(array[row][:, : values[clip].shape[1]], values[clip])
        assert not array[row][:, values[clip].shape[1] :].any()
    assert Reordered(array, [2, 0]).frames == (5, 6)


def test_one_sample_needs_no_axis_and_25_channels_are_emotion(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((4, 25)))
    predictions = read_folder(tmp_path)
    assert predictions.arrays["emotion"].shape == (1, 1, 4, 25)
    repeated = fitted_to(predictions, 5).arrays["emotion"]
    assert repeated.shape == repeated[0][None].shape == (1, 5, 4, 25), (
        "all samples of a method that is not random are equal"
    )


def test_what_does_not_fit_is_said_clip_by_clip(tmp_path: Path) -> None:
    _write(tmp_path)
    assert any("has 2 samples, 4 are expected" in fault for fault in _faults(tmp_path, 4))
    np.save(tmp_path / "s/a/y.npy", np.zeros((2, 3, 3), np.float32))
    assert _faults(tmp_path) == ["clip 's/a/y' has 3 frames, 4 are expected"]
    (tmp_path / "s/a/y.npy").unlink()
    assert "clip 's/a/y' is missing" in _faults(tmp_path)
    np.save(tmp_path / "s/a/y.npy", np.full((2, 4, 3), np.nan, np.float32))
    with pytest.raises(DyadbenchError, match=r"y.npy holds NaN or infinity"):
        _faults(tmp_path)
    np.save(tmp_path / "s/a/y.npy", np.zeros((1, 4, 3), np.float32))
    with pytest.raises(DyadbenchError, match="write all clips alike"):
        _faults(tmp_path)
    np.save(tmp_path / "s/a/y.npy", np.zeros((4, 3), np.float32))
    with pytest.raises(DyadbenchError, match="write all clips alike"):
        _faults(tmp_path)
    np.save(tmp_path / "s/a/y.npy", np.zeros(4, np.float32))
    with pytest.raises(DyadbenchError, match=r"has shape \(4,\)"):
        _faults(tmp_path)


def test_an_empty_folder_says_what_to_write(tmp_path: Path) -> None:
    with pytest.raises(DyadbenchError, match=r"holds no .npy file; write one per clip"):
        open_predictions(tmp_path)


def test_names_that_are_written_otherwise_come_before_the_clips_that_are_then_missing(tmp_path: Path) -> None:
    _write(tmp_path)
    (tmp_path / "s/a").rename(tmp_path / "s/A")
    first = (
        "no clip is named as 's/A/x' (nor as 1 other here), and clip 's/a/x' is missing: are the names written alike?"
    )
    assert _faults(tmp_path)[:2] == [first, "clip 's/a/x' is missing"]
    with pytest.raises(
        DyadbenchError, match=r"x\.npy: .*a folder of one \.npy file per clip, named after it, is read as it is"
    ):
        open_predictions(tmp_path / "s/A/x.npy")
