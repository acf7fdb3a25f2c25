"""LM-Listener's adapter on files as they were released."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.fixtures.hostile import Trap

from dyadbench.api import Dataset
from dyadbench.datasets.config import LMConfig
from dyadbench.datasets.lm_listener import LMListenerDataset, read_segments
from dyadbench.files.npy import BadFile

RNG = np.random.default_rng(0)


def _segment(frames: int = 100) -> dict[str, object]:
    make = lambda size: RNG.standard_normal((frames, size)).astype(np.float32)  # noqa: E731
    words = [
        {"text": "so", "end": 8.4},
        {"text": "yes", "end": 9.1},
        {"text": "late", "end": 18.5},
        {"text": "later", "end": 19.0},
    ]  # seconds of the recording; frame 240 is second 8
    return {
        "fname": "video1", "split_start_frame": 240, "split_end_frame": 240 + frames, "p0_exp": make(50), "p0_pose": make(6),
        "p1_exp": torch.from_numpy(make(50)), "p1_pose": make(6), "during_words": words,
    }  # fmt: skip


def _lm(root: Path, segments: object) -> Path:
    folder = root / "dataset" / "trevor"
    folder.mkdir(parents=True, exist_ok=True)
    for split in ("train", "val", "test"):
        torch.save(segments, folder / f"segments_{split}.pth")
    return root


def test_lm_listener_reads_sides_words_and_cuts(tmp_path: Path) -> None:
    segment = _segment(300)
    data = LMListenerDataset(LMConfig(), _lm(tmp_path, [segment]))
    assert isinstance(data, Dataset)
    dyad = data.dyad("test", 0)
    assert dyad.clip.frames == 240
    assert np.array_equal(dyad.listener.motion[:, :50], segment["p0_exp"][:240])  # type: ignore[index]
    assert np.array_equal(dyad.speaker.motion[:, 50:], segment["p1_pose"][:240])  # type: ignore[index]
    words = dyad.speaker.words or ()
    assert [word.text for word in words] == ["so", "yes", "late"], "nothing that is said after the cut"
    assert np.allclose([(word.start, word.end) for word in words], [(0.0, 0.4), (0.4, 1.1), (1.1, 8.0)])


def test_lm_listener_refuses_code_and_damage(tmp_path: Path) -> None:
    path = _lm(tmp_path, [{**_segment(), "extra": Trap()}]) / "dataset/trevor/segments_test.pth"
    with pytest.raises(BadFile, match="would run code"):
        LMListenerDataset(LMConfig(), tmp_path).clips("test")
    path.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(BadFile, match="was refused"):
        LMListenerDataset(LMConfig(), tmp_path).clips("test")
    torch.save([{k: v for k, v in _segment().items() if k != "p1_pose"}], path)
    with pytest.raises(BadFile, match="segment 0 has no p1_pose"):
        LMListenerDataset(LMConfig(), tmp_path).clips("test")
    torch.save([{k: v for k, v in _segment().items() if k != "split_start_frame"}], path)
    with pytest.raises(BadFile, match="segment 0 has no split_start_frame"):
        LMListenerDataset(LMConfig(), tmp_path).clips("test")


def test_lm_listener_reads_arrays_as_numpy_1_and_2_name_them(tmp_path: Path) -> None:
    segment = _segment()
    segment |= {
        "split_start_frame": np.int64(30),
        "p0_exp": np.asfortranarray(np.asarray(segment["p0_exp"], np.float64)),
        "p1_exp": np.asarray(segment["p1_exp"]).astype(">f4"),
    }
    path = _lm(tmp_path, [segment]) / "dataset/trevor/segments_test.pth"
    torch.save([segment], path, _use_new_zipfile_serialization=False)
    new = path.read_bytes()
    assert b"numpy._core" in new
    for content in (new, new.replace(b"numpy._core", b"numpy.core")):
        path.write_bytes(content)
        (segments,) = read_segments(path)
        assert segments["split_start_frame"] == 30
        for name in ("p0_exp", "p0_pose", "p1_exp", "p1_pose"):
            np.testing.assert_array_equal(np.asarray(segments[name], np.float32), np.asarray(segment[name], np.float32))


def test_conan_of_lm_listener_has_a_benchmark() -> None:
    from dyadbench.registry.host import Host

    setting = Host().get("benchmark", "lm-listener-conan").config
    assert (setting.dataset, setting.dataset_config["person"]) == ("lm-listener", "conan")


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16, torch.float64])
def test_lm_listener_reads_tensors_of_any_precision(tmp_path: Path, kind: torch.dtype) -> None:
    segment = _segment()
    exact = torch.as_tensor(np.asarray(segment["p0_exp"])).to(kind)
    root = _lm(tmp_path, [segment | {"p0_exp": exact}])
    torch.save([segment | {"p0_exp": exact}], root / "dataset/trevor/segments_test.pth")
    motion = LMListenerDataset(LMConfig(), root).dyad("test", 0).listener.motion
    assert motion.dtype == np.float32
    np.testing.assert_array_equal(motion[:, :50], exact.float().numpy()[: len(motion)])
