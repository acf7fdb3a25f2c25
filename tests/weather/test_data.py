"""Every fault a data folder can have, through the real adapters and `dyadbench data check`: one sentence, the file named."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from dyadbench.api import Dataset, DyadbenchError
from dyadbench.cell.split import Split
from dyadbench.datasets.check.run import check_dataset
from dyadbench.datasets.config import L2LDatasetConfig, LMConfig, ReactConfig
from dyadbench.datasets.features import read_wav
from dyadbench.datasets.l2l import L2LDataset, part_file
from dyadbench.datasets.lm_listener import LMListenerDataset, segment_file
from dyadbench.datasets.react import ReactDataset

FRAMES = 48
CLIP = "NoXI/070/Expert_video/1"
Break = Callable[[Path], object]


def _everything(data: Dataset, split: str, audio: tuple[str, ...] = ()) -> None:
    """All that a run reads of a split."""
    opened = Split(data, split)
    opened.appropriate  # noqa: B018  # read once and kept
    opened._tracks  # noqa: B018
    for index in range(len(opened.clips)):
        data.dyad(split, index, audio)
    _ = data.digest


# --- REACT ----------------------------------------------------------------------------------------------


def _motion(root: Path) -> Path:
    return root / "val/3D_FV_files" / f"{CLIP}.npy"


def _emotion(root: Path) -> Path:
    return root / "val/Emotion/NoXI/070/P1/1.csv"


def _wav(root: Path) -> Path:
    return root / "val/Audio_files" / f"{CLIP}.wav"


def _csv(root: Path) -> Path:
    return root / "data/val.csv"


def _cut(path: Path, share: float = 0.5) -> None:
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])


def _save(path: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    np.save(path, change(np.load(path)), allow_pickle=True)


def _edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def _poke(values: np.ndarray, value: float) -> np.ndarray:
    values[7, 0, 3] = value
    return values


def _rate(path: Path, rate: int) -> None:
    data = bytearray(path.read_bytes())
    data[24:28] = struct.pack("<I", rate)
    path.write_bytes(data)


def _neighbours(root: Path, matrix: np.ndarray) -> None:
    np.save(root / "neighbour_emotion_val.npy", matrix)


REACT: dict[str, tuple[Break, str]] = {
    "truncated npy": (lambda r: _cut(_motion(r)), r"Expert_video/1\.npy declares 11368 bytes of data and holds"),
    "empty npy": (lambda r: _motion(r).write_bytes(b""), r"1\.npy is not a readable \.npy file"),
    "truncated wav": (lambda r: _cut(_wav(r)), r"1\.wav declares \d+ bytes of sound and holds \d+; it is truncated"),
    "empty wav": (lambda r: _wav(r).write_bytes(b""), r"1\.wav is not a readable wav file"),
    "wav without sound": (lambda r: _wav(r).write_bytes(_wav(r).read_bytes()[:40] + bytes(4)), r"1\.wav holds no samples"),
    "wav of rate 0": (lambda r: _rate(_wav(r), 0), r"1\.wav"),
    "wav of a mad rate": (lambda r: _rate(_wav(r), 2**31 - 1), r"1\.wav has 2147483647 samples per second"),
    "wav at another rate": (lambda r: _rate(_wav(r), 64000), r"1\.npy .*0\.5 s of sound and 49 frames of picture"),
    "truncated csv": (lambda r: _cut(_emotion(r)), r"P1/1\.csv"),
    "wrong dtype": (lambda r: _save(_motion(r), lambda v: v.astype("U8")), r"1\.npy holds <U8, numbers are expected"),
    "complex numbers": (lambda r: _save(_motion(r), lambda v: v.astype(complex)), r"1\.npy holds complex128"),
    "object array": (lambda r: _save(_motion(r), lambda v: v.astype(object)), r"1\.npy holds Python objects"),
    "NaN": (lambda r: _save(_motion(r), lambda v: _poke(v, np.nan)), r"1\.npy holds NaN or infinity at frame 7, channel 3"),
    "infinity": (lambda r: _save(_motion(r), lambda v: _poke(v, -np.inf)), r"1\.npy holds NaN or infinity"),
    "zero-length clip": (lambda r: _save(_motion(r), lambda v: v[:0]), r"1\.npy has shape \(0, 58\); \(48 or more, 1, 58\)"),
    "1-frame clip": (lambda r: _save(_motion(r), lambda v: v[:1]), r"1\.npy has shape \(1, 58\)"),
    "another frame rate": (
        lambda r: _save(_motion(r), lambda v: np.tile(v, (2, 1, 1))),
        r"1\.npy and .* not of one clock: 98 frames of motion and 48 rows of emotion; .*the motion has 50",
    ),
    "too few channels": (lambda r: _save(_motion(r), lambda v: v[..., :57]), r"1\.npy has shape \(49, 57\)"),
    "duplicated row": (
        lambda r: _csv(r).write_text(_csv(r).read_text() + _csv(r).read_text().splitlines()[1] + "\n"),
        r"val\.csv lists NoXI/070/Expert_video/1>Novice_video twice",
    ),
    "csv without header": (lambda r: _edit(_csv(r), ",speaker_path,listener_path\n", ""), r"val\.csv has no header"),
    "emotion without header": (
        lambda r: _emotion(r).write_text(_emotion(r).read_text().split("\n", 1)[1]), r"P1/1\.csv has no header"
    ),
    "NaN in emotion": (lambda r: _edit(_emotion(r), "\n1.000000,", "\nnan,"), r"P1/1\.csv, line \d+ holds NaN or infinity"),
    "csv in UTF-16": (lambda r: _csv(r).write_text(_csv(r).read_text(), "utf-16"), r"val\.csv is not readable text"),
    "a path that leaves the folder": (
        lambda r: _edit(_csv(r), "NoXI/070/Expert_video/1", "NoXI/../../070/Expert_video/1"),
        r"val\.csv, line 2 names 'NoXI/\.\./\.\./070/Expert_video/1', which is no path inside the folder",
    ),
    "a name too long for any disk": (
        lambda r: _edit(_csv(r), "NoXI/070/Expert_video/1", f"NoXI/{'x' * 5000}/Expert_video/1"),
        r"val\.csv, line 2 names .*no path inside",
    ),
    "a NUL in a name": (lambda r: _edit(_csv(r), "NoXI/070", "NoXI/0\x0070"), r"val\.csv, line 2 names"),
    "a csv that is a folder": (lambda r: (_csv(r).unlink(), _csv(r).mkdir()), r"val\.csv is not readable text"),
    "a file linked to itself": (
        lambda r: (_motion(r).unlink(), _motion(r).symlink_to(_motion(r))), r"1\.npy is not a readable \.npy file"
    ),
    "neighbours of the wrong size": (
        lambda r: _neighbours(r, np.eye(3)), r"neighbour_emotion_val\.npy has shape \(3, 3\); \(4, 4\) is expected"
    ),
    "neighbours that are not binary": (
        lambda r: _neighbours(r, np.eye(4) * 0.5 + 0.5), r"neighbour_emotion_val\.npy holds 12 entries that are neither 0 nor 1"
    ),
    "neighbours with an empty row": (
        lambda r: _neighbours(r, np.diag([1.0, 1, 0, 1])), r"row 2 of .*val.* has no appropriate reaction"
    ),
    "neighbours with NaN": (lambda r: _neighbours(r, np.eye(4) * np.nan), r"neighbour_emotion_val\.npy holds NaN"),
    "a mean face of one number": (
        lambda r: np.save(r / "mean_face.npy", np.zeros(1)), r"mean_face\.npy holds 1 values; 58 are expected"
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", REACT)
def test_react_faults(own_react: Path, fault: str) -> None:
    damage, message = REACT[fault]
    damage(own_react)
    with pytest.raises(DyadbenchError, match=message) as caught:
        _everything(ReactDataset(ReactConfig(frames=FRAMES), own_react), "val", ("mfcc-78",))
    assert "\n" not in str(caught.value)
    report = check_dataset("react2024", own_react)
    named = "neighbour" if "neighbours" in fault else "mean_face" if "mean" in fault else "val"
    assert any(named in f.where + f.what and f.level in ("error", "warn") for f in report.findings), report.findings


def test_a_std_face_of_zeros_is_refused(own_react: Path) -> None:
    np.save(own_react / "std_face.npy", np.zeros((1, 1, 58)))
    with pytest.raises(DyadbenchError, match=r"std_face\.npy .*positive"):
        ReactDataset(ReactConfig(frames=FRAMES, normalise="standardise"), own_react).dyad("val", 0)


GOOD: dict[str, Break] = {
    "Fortran order": lambda r: _save(_motion(r), np.asfortranarray),
    "double precision": lambda r: _save(_motion(r), lambda v: v.astype(np.float64)),
    "big-endian": lambda r: _save(_motion(r), lambda v: v.astype(">f4")),
    "csv with BOM": lambda r: [p.write_text(p.read_text(), "utf-8-sig") for p in (_csv(r), _emotion(r))],
    "csv with CRLF": lambda r: [p.write_bytes(p.read_bytes().replace(b"\n", b"\r\n")) for p in (_csv(r), _emotion(r))],
    "no newline at the end": lambda r: [p.write_text(p.read_text().rstrip()) for p in (_csv(r), _emotion(r))],
    "a folder linked to its parent": lambda r: (r / "val/loop").symlink_to(r / "val"),
    "links in a circle": lambda r: ((r / "a").symlink_to(r / "b"), (r / "b").symlink_to(r / "a")),
}


@pytest.mark.parametrize("oddity", GOOD)
def test_react_oddities_change_no_number(react: Path, own_react: Path, oddity: str) -> None:
    GOOD[oddity](own_react)
    strange, usual = (ReactDataset(ReactConfig(frames=FRAMES), root) for root in (own_react, react))
    _everything(strange, "val", ("mfcc-78",))
    for index in range(4):
        a, b = (data.dyad("val", index, ("mfcc-78",)) for data in (strange, usual))
        assert np.array_equal(a.speaker.motion, b.speaker.motion)
        assert a.speaker.emotion is not None and b.speaker.emotion is not None
        assert np.array_equal(a.speaker.emotion, b.speaker.emotion)
        assert np.array_equal(a.speaker.audio["mfcc-78"], b.speaker.audio["mfcc-78"])
    check_dataset("react2024", own_react)


@pytest.mark.parametrize("name", ["Zoë 日本語 \N{FACE WITH TEARS OF JOY}", "x" * 200, "a;b'c\"d$(e)", "-rf"])
def test_react_takes_any_name_the_disk_takes(own_react: Path, name: str) -> None:
    for kind in ("3D_FV_files", "Emotion", "Audio_files"):
        (own_react / "val" / kind / "NoXI/070").rename(own_react / "val" / kind / "NoXI" / name)
    _csv(own_react).write_text(_csv(own_react).read_text().replace("NoXI/070", f"NoXI/{name}"), encoding="utf-8")
    data = ReactDataset(ReactConfig(frames=FRAMES), own_react)
    _everything(data, "val", ("mfcc-78",))
    assert data.clips("val")[0].session == f"NoXI/{name}"


def test_a_folder_without_permission_is_a_sentence(own_react: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = Path.open

    def forbidden(self: Path, *args: object, **more: object) -> object:
        if self.suffix in (".npy", ".csv"):
            raise PermissionError(13, "Permission denied", str(self))
        return opened(self, *args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(Path, "open", forbidden)
    with pytest.raises(DyadbenchError, match=r"val\.csv is not readable text: .*Permission denied"):
        ReactDataset(ReactConfig(frames=FRAMES), own_react).clips("val")


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"garbage"])
def test_a_damaged_feature_cache_is_computed_again(own_react: Path, content: bytes) -> None:
    data = ReactDataset(ReactConfig(frames=FRAMES), own_react)
    before = data.dyad("val", 0, ("mfcc-78",)).speaker.audio["mfcc-78"]
    [cache_file] = (own_react / ".dyadbench-features").rglob("*.npy")
    for bad in (
        lambda: cache_file.write_bytes(content),
        lambda: np.save(cache_file, before[:3]),
        lambda: np.save(cache_file, before * np.nan),
    ):
        bad()
        assert np.array_equal(data.dyad("val", 0, ("mfcc-78",)).speaker.audio["mfcc-78"], before)


@pytest.mark.parametrize("frames", [0, -1])
def test_no_frames_is_no_configuration(frames: int) -> None:
    with pytest.raises(ValueError, match="greater than"):
        ReactConfig(frames=frames)


def test_a_streamed_wav_says_no_length(tmp_path: Path) -> None:
    """ffmpeg writes 0xFFFFFFFF into both sizes when it cannot seek; the sound is whole."""
    import soundfile

    soundfile.write(str(tmp_path / "s.wav"), np.linspace(-0.5, 0.5, 800), 8000)
    data = bytearray((tmp_path / "s.wav").read_bytes())
    data[4:8] = data[40:44] = b"\xff" * 4
    (tmp_path / "s.wav").write_bytes(data)
    assert len(read_wav(tmp_path / "s.wav")[0]) == 800


# --- Learning2Listen ------------------------------------------------------------------------------------


def _l2l(root: Path, windows: int = 4) -> Path:
    rng = np.random.default_rng(0)
    for half in ("train", "test"):
        for part in ("list_faces", "speak_faces", "speak_audio", "speak_files"):
            path = part_file(root, "trevor", half, part)
            path.parent.mkdir(parents=True, exist_ok=True)
            shape = {"speak_audio": (windows, 256, 128), "speak_files": (windows, 64, 3)}.get(part, (windows, 64, 184))
            values = rng.standard_normal(shape).astype(np.float32)
            if part == "speak_files":
                values = np.array([[(i, 0, 64 * i + t) for t in range(64)] for i in range(windows)], np.float32)
            np.save(path, values)
    return root


def _part(root: Path, part: str) -> Path:
    return part_file(root, "trevor", "test", part)


def _at(values: np.ndarray, place: tuple[int, ...], value: float) -> np.ndarray:
    values[place] = value
    return values


L2L: dict[str, tuple[Break, str]] = {
    "truncated": (lambda r: _cut(_part(r, "list_faces")), r"list_faces_clean_deca\.npy declares"),
    "NaN": (lambda r: _save(_part(r, "list_faces"), lambda v: _at(v, (1, 2, 3), np.nan)), r"list_faces.* NaN or infinity at \(1, 2, 3\)"),
    "no frame numbers": (lambda r: _save(_part(r, "speak_files"), lambda v: v * np.nan), r"speak_files.* holds nan and nan in window 0"),
    "no windows": (lambda r: [_save(_part(r, p), lambda v: v[:0]) for p in ("list_faces", "speak_faces", "speak_audio", "speak_files")], "holds no clips"),
    "window of another length": (lambda r: _save(_part(r, "list_faces"), lambda v: v[:, :63]), r"list_faces.* has shape \(4, 63, 184\)"),
    "a window twice": (lambda r: _save(_part(r, "speak_files"), lambda v: v[[0, 1, 0, 3]]), r"trevor/0/0 twice"),
    "object array": (lambda r: _save(_part(r, "speak_files"), lambda v: v.astype(object)), r"speak_files.* holds Python objects"),
    "too few channels": (lambda r: _save(_part(r, "list_faces"), lambda v: v[..., :55]), r"list_faces.* has 55 channels"),
}  # fmt: skip


@pytest.mark.parametrize("fault", L2L)
def test_l2l_faults(tmp_path: Path, fault: str) -> None:
    damage, message = L2L[fault]
    damage(_l2l(tmp_path))
    with pytest.raises(DyadbenchError, match=message):
        _everything(L2LDataset(L2LDatasetConfig(unit="window"), tmp_path), "test", ("mel-128",))
    assert not check_dataset("l2l", tmp_path).ok


# --- LM-Listener ----------------------------------------------------------------------------------------


def _segment(**change: object) -> dict[str, object]:
    rng = np.random.default_rng(0)
    parts = {f"{p}_{n}": rng.standard_normal((60, s)).astype(np.float32) for p in ("p0", "p1") for n, s in (("exp", 50), ("pose", 6))}  # fmt: skip
    return {"fname": "v", "split_start_frame": 30, **parts, **change}


def _lm(root: Path, *segments: dict[str, object]) -> LMListenerDataset:
    path = segment_file(root, "trevor", "test")
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(list(segments), path)
    return LMListenerDataset(LMConfig(), root)


LM: dict[str, tuple[dict[str, object], str]] = {
    "zero-length": ({"p1_exp": torch.zeros(0, 50), "p1_pose": torch.zeros(0, 6)}, "segment 0 has no frames"),
    "NaN": ({"p0_exp": np.full((60, 50), np.nan, np.float32)}, "segment 0: p0_exp holds NaN"),
    "wrong size": ({"p0_exp": np.zeros((60, 49), np.float32)}, r"segment 0: p0_exp has shape \(60, 49\)"),
    "text for numbers": ({"p0_exp": "abc"}, "segment 0: p0_exp holds no numbers"),
    "ragged list": ({"p0_exp": [[1.0], [1.0, 2.0]]}, "segment 0: p0_exp holds no numbers"),
    "text for a frame": ({"split_start_frame": "soon"}, "segment 0: split_start_frame is 'soon'"),
    "a frame that is NaN": ({"split_start_frame": float("nan")}, "segment 0: split_start_frame is nan"),
    "words without end": ({"during_words": [{"text": "a"}]}, "segment 0: during_words"),
    "words that are a number": ({"during_words": 3}, "segment 0: during_words"),
    "more numbers than bytes": ({"p0_exp": torch.zeros(1).expand(10**9, 50)}, "segment 0: p0_exp declares more numbers than the file holds"),
}  # fmt: skip


@pytest.mark.parametrize("fault", LM)
def test_lm_faults(tmp_path: Path, fault: str) -> None:
    change, message = LM[fault]
    data = _lm(tmp_path, _segment(**change))
    with pytest.raises(DyadbenchError, match=rf"segments_test\.pth.*{message}"):
        _everything(data, "test")
    assert not check_dataset("lm-listener", tmp_path).ok


def test_lm_segments_that_appear_twice(tmp_path: Path) -> None:
    with pytest.raises(DyadbenchError, match="v/30 twice"):
        _everything(_lm(tmp_path, _segment(), _segment()), "test")


def test_lm_statistics_of_zeros(tmp_path: Path) -> None:
    _lm(tmp_path, _segment())
    for name in ("mean", "std"):
        np.save(tmp_path / "dataset/trevor" / f"{name}.npy", np.zeros(56))
    with pytest.raises(DyadbenchError, match=r"std\.npy .*positive"):
        _everything(LMListenerDataset(LMConfig(standardise=True), tmp_path), "test")


def test_clips_of_one_frame_are_scored_or_undefined_never_nan(tmp_path: Path) -> None:
    """One frame has no velocity and no variance: what cannot be computed is counted as undefined."""
    from dyadbench.registry.host import Host

    short = {k: v[:1] if isinstance(v, np.ndarray) else v for k, v in _segment().items()}
    others = [_segment(fname=f"v{i}") for i in range(3)]
    split = Split(_lm(tmp_path, short, *others), "test")
    tracks = split._tracks
    listener = tracks["listener_motion"]
    assert listener is not None
    suite = Host().build("suite", "l2l", {})
    results = suite.evaluate(split.evaluation(listener[:, None] + 0.1, None, 1, "cpu"))
    for name, result in results.items():
        assert result.value is None or np.isfinite(result.value), name
        assert len(result.per_clip) == 4


# --- anything that calls itself a dataset ---------------------------------------------------------------


@pytest.mark.parametrize("unreadable", ["missing", "file"])
def test_folders_that_are_none(tmp_path: Path, unreadable: str) -> None:
    path = tmp_path / "x"
    if unreadable == "file":
        path.write_text("")
    with pytest.raises(DyadbenchError, match="not a REACT folder"):
        ReactDataset(ReactConfig(), path)
    with pytest.raises(DyadbenchError, match="has no person"):
        L2LDataset(L2LDatasetConfig(), path)
    [finding] = check_dataset("react2024", path).findings
    assert finding.level == "error" and finding.remedy


def test_a_fifo_among_the_data_is_not_waited_for(own_react: Path) -> None:
    _motion(own_react).unlink()
    os.mkfifo(_motion(own_react))
    with pytest.raises(DyadbenchError, match=r"1\.npy is not a readable \.npy file: it is not a regular file"):
        ReactDataset(ReactConfig(frames=FRAMES), own_react).dyad("val", 0)
    assert not check_dataset("react2024", own_react).ok
