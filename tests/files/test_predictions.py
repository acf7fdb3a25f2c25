"""Files of predictions: what is wrong is named, and nothing hostile is opened."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from tests.fixtures.hostile import Trap

from dyadbench.api import DyadbenchError
from dyadbench.files.predictions import FAULTS_SHOWN, Reordered, faults, read_predictions, refuse, write_template

CLIPS = [f"s/{i}" for i in range(4)]
SHAPE = (4, 2, 6, 25)
LENGTHS = np.full(4, 6)


def _write(path: Path, values: np.ndarray, clips: list[str] | None = None, fps: float | None = 25.0) -> Path:
    ids = CLIPS if clips is None else clips
    if path.suffix == ".npz":
        np.savez(path, emotion=values, clips=np.array(ids), **({} if fps is None else {"fps": np.array(fps)}))
    else:
        save_file(
            {"emotion": values}, str(path), {"clips": json.dumps(ids), **({} if fps is None else {"fps": str(fps)})}
        )
    return path


def _faults(path: Path) -> list[str]:
    return faults(read_predictions(path), CLIPS, LENGTHS, 2, "emotion", 25, 25.0)


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_a_template_has_no_fault_and_any_order_of_clips_is_read_right(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"p{suffix}"
    write_template(path, CLIPS, SHAPE, "emotion", 25.0)
    assert _faults(path) == []
    values = np.random.default_rng(0).random(SHAPE, np.float32)
    _write(path, values[::-1].copy(), CLIPS[::-1])
    assert _faults(path) == []
    predictions = read_predictions(path)
    ordered = Reordered(predictions.arrays["emotion"], [predictions.clips.index(clip) for clip in CLIPS])
    assert all(np.array_equal(ordered[i], values[i]) for i in range(4))


def test_a_template_has_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    for suffix in (".npz", ".safetensors"):
        write_template(tmp_path / f"p{suffix}", CLIPS, SHAPE, "emotion", 25.0)
        assert (tmp_path / f"p{suffix}").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_ids_as_bytes_and_a_rate_of_shape_one_are_read(tmp_path: Path) -> None:
    values = np.zeros(SHAPE, np.float32)
    np.savez(tmp_path / "p.npz", emotion=values, clips=np.array(CLIPS).astype("S8"), fps=np.array([25.0]))
    assert _faults(tmp_path / "p.npz") == []
    np.savez(tmp_path / "p.npz", emotion=values, clips=np.array(CLIPS), fps=np.full(24, 25.0))
    with pytest.raises(DyadbenchError, match=r"p\.npz: fps holds float64 of shape \(24,\); one number is expected"):
        read_predictions(tmp_path / "p.npz")


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_tensors_of_other_precisions_are_read_as_float32(tmp_path: Path, kind: torch.dtype) -> None:
    from safetensors.torch import save_file as save_torch

    values = torch.rand(SHAPE).to(kind)
    save_torch({"emotion": values}, str(tmp_path / "p.safetensors"), {"clips": json.dumps(CLIPS)})
    assert _faults(tmp_path / "p.safetensors") == []
    array = read_predictions(tmp_path / "p.safetensors").arrays["emotion"]
    assert np.array_equal(array[2], values[2].double().numpy()) and np.array_equal(array.whole()[2], array[2])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: {"values": v[:, :1]}, "emotion has 1 samples, 2 are expected"),
        (lambda v: {"values": v[:, :, :5]}, "emotion has 5 frames, 6 are expected"),
        (lambda v: {"values": v[..., :24]}, "emotion has 24 channels, 25 are expected"),
        (lambda v: {"values": v[:3], "clips": CLIPS[:3]}, "clip 's/3' is missing"),
        (lambda v: {"values": v, "clips": [*CLIPS[:3], "other"]}, "clip 'other' is none of the 4 that are expected"),
        (lambda v: {"values": v, "clips": [*CLIPS[:3], CLIPS[0]]}, "clip 's/0' appears twice"),
        (lambda v: {"values": np.where(v == v.max(), np.nan, v)}, "NaN or infinite at sample"),
        (lambda v: {"values": v * 50}, "lie outside"),
        (lambda v: {"values": v, "fps": 30.0}, "fps is 30, the benchmark has 25"),
        (lambda v: {"values": (v * 9).astype(np.int32)}, "floating point is expected"),
        (lambda v: {"values": v, "clips": []}, "names no clips"),
        (lambda v: {"values": v[0]}, "(clips, samples, frames, channels) is expected"),
    ],
)
def test_each_fault_is_named(tmp_path: Path, change, message: str) -> None:
    values = np.random.default_rng(0).random(SHAPE, np.float32)
    for suffix in (".npz", ".safetensors"):
        what = change(values)
        path = _write(tmp_path / f"p{suffix}", what.pop("values"), **what)
        assert any(message in fault for fault in _faults(path)), _faults(path)


def test_ten_faults_are_shown_and_the_rest_counted() -> None:
    with pytest.raises(DyadbenchError) as caught:
        refuse(Path("p.npz"), [f"fault {i}" for i in range(13)])
    assert str(caught.value).count("fault") == FAULTS_SHOWN
    assert "and 3 more" in str(caught.value)


def _npz_of(path: Path, name: str, data: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, data)
    return path


def _npy(header: dict[str, object], body: bytes = b"") -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, header)
    return buffer.getvalue() + body


def test_hostile_files_are_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dyadbench.files.predictions.MAX_BYTES", 32 << 20)
    objects = io.BytesIO()
    np.save(objects, np.array([Trap()], dtype=object), allow_pickle=True)
    huge = _npy({"descr": "<f4", "fortran_order": False, "shape": (10**6, 10, 750, 25)})
    bad = {
        "objects": _npz_of(tmp_path / "objects.npz", "emotion.npy", objects.getvalue()),
        "huge": _npz_of(tmp_path / "huge.npz", "emotion.npy", huge),
        "bomb": _npz_of(
            tmp_path / "bomb.npz",
            "emotion.npy",
            _npy({"descr": "|i1", "fortran_order": False, "shape": (64 << 20,)}, b"\0" * (64 << 20)),
        ),
        "pickle": tmp_path / "pickle.npz",
        "text": tmp_path / "text.safetensors",
        "header": tmp_path / "header.safetensors",
    }
    bad["pickle"].write_bytes(pickle.dumps(Trap()))
    bad["text"].write_text("not tensors")
    bad["header"].write_bytes((1 << 60).to_bytes(8, "little") + b"{}")
    for path in bad.values():
        with pytest.raises(DyadbenchError, match=path.name):
            read_predictions(path)


def test_missing_files_and_unknown_formats_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DyadbenchError, match="--template"):
        read_predictions(tmp_path / "none.npz")
    (tmp_path / "p.pkl").write_bytes(b"")
    with pytest.raises(DyadbenchError, match=r"safetensors or \.npz"):
        read_predictions(tmp_path / "p.pkl")
