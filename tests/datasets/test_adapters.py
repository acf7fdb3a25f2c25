"""The adapters on small folders in the exact released layouts."""

from __future__ import annotations

import dataclasses
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.fixtures.hosts import shared_host

from dyadbench.api import EMOTION_CHANNELS, AudioSpec, Context, Dataset, DyadbenchError, Setup
from dyadbench.cell.noise import CellNoise
from dyadbench.datasets.check.run import check_dataset
from dyadbench.datasets.clock import disagreement
from dyadbench.datasets.config import L2LDatasetConfig, LMConfig, ReactConfig
from dyadbench.datasets.digest import MARK
from dyadbench.datasets.features import mel_128, mfcc_78, mfcc_78_centred, wav2vec2, wav2vec2_conv
from dyadbench.datasets.l2l import L2LDataset, part_file
from dyadbench.datasets.lm_listener import LMListenerDataset, read_segments
from dyadbench.datasets.neighbours import build, clip_key, read_indices
from dyadbench.datasets.react import ReactDataset
from dyadbench.datasets.react_files import read_pairs
from dyadbench.files.npy import BadFile, read_npy, read_rows
from dyadbench.metrics.l2l.bilateral import bilateral
from dyadbench_dense_fsq.config import PREDICTOR_PRESETS, TOKENIZER_PRESETS, PredictorConfig, TokenizerConfig
from dyadbench_dense_fsq.predictor import CrossModalAR
from dyadbench_dense_fsq.tokenizer import FrameTokenizer

RNG = np.random.default_rng(0)


# --- REACT ----------------------------------------------------------------------------------------------


def _react(root: Path, rows: dict[str, list[tuple[str, str]]]) -> Path:
    """A folder with the given csv rows; values tell clip and person apart."""
    (root / "data").mkdir(parents=True)
    for split, pairs in rows.items():
        lines = [",speaker_path,listener_path", *(f"{i},{a},{b}" for i, (a, b) in enumerate(pairs))]
        (root / "data" / f"{split}.csv").write_text("\n".join(lines) + "\n")
        for path in [p for pair in pairs for p in pair]:
            *head, person, clip = path.split("/")
            motion = root / split / "3D_FV_files" / f"{path}.npy"
            motion.parent.mkdir(parents=True, exist_ok=True)
            np.save(motion, np.full((751, 1, 58), sum(map(ord, path)) % 97, np.float32))
            released = {"Expert_video": "P1", "P25": "P1", "FC1": "P1", "Novice_video": "P2", "P26": "P2", "FC2": "P2"}[
                person
            ]
            felt = root / split / "Emotion" / "/".join([*head, released]) / f"{clip}.csv"
            felt.parent.mkdir(parents=True, exist_ok=True)
            row = ",".join(["1"] * 15 + ["0.5", "-0.5"] + ["0.125"] * 8)
            felt.write_text(",".join(EMOTION_CHANNELS) + "\n" + (row + "\n") * 750)
    np.save(root / "mean_face.npy", np.full((1, 1, 58), 2.0, np.float32))
    np.save(root / "std_face.npy", np.full((1, 1, 58), 4.0, np.float32))
    return root


PAIRS = {
    "val": [
        ("NoXI/065/Expert_video/1", "NoXI/065/Novice_video/1"),
        ("NoXI/065/Expert_video/2", "NoXI/065/Novice_video/2"),
        ("RECOLA/group-1/P25/1", "RECOLA/group-1/P26/1"),
        ("UDIVA/talk/005013/FC1/1", "UDIVA/talk/005013/FC2/1"),
    ]
}


def _global(root: Path) -> np.ndarray:
    (root / "tool").mkdir()
    (root / "tool" / "data_indices.csv").write_text(
        "site,chat_index,clip_index\nRecola,group-1,1\nNoXI,065,2\nUDIVA,005013_talk,1\nNoXI,065,1\nNoXI,070,9\n"
    )
    whole = np.eye(10)  # the other role of clip i is i + 5; clip 4 is in no split
    whole[3, 0] = whole[3, 6] = whole[8, 2] = whole[8, 5] = whole[8, 4] = 1
    np.save(root / "Approprirate_facial_reaction.npy", whole)
    return whole


def test_react_reads_both_roles_and_every_site(tmp_path: Path) -> None:
    root = _react(tmp_path / "r", PAIRS)
    _global(root)
    data = ReactDataset(ReactConfig(), root)
    assert isinstance(data, Dataset)
    clips = data.clips("val")
    assert len(clips) == 8
    assert clips[0].session == clips[1].session == "NoXI/065"
    assert len({clip.id for clip in clips}) == 8
    first, mirrored = data.dyad("val", 0), data.dyad("val", 4)
    assert first.speaker.motion.shape == (750, 58)
    assert first.speaker.emotion is not None and first.speaker.emotion.shape == (750, 25)
    assert np.array_equal(first.speaker.motion, mirrored.listener.motion)
    raw = sum(map(ord, PAIRS["val"][0][0])) % 97
    assert first.speaker.motion[0, 0] == raw - 2.0
    scaled = ReactDataset(ReactConfig(normalise="standardise"), root).dyad("val", 0)
    assert scaled.speaker.motion[0, 0] == (raw - 2.0) / 4.0
    assert not data.simulated


def _computed(root: Path, folder: str, width: int = 12, rows: int = 751) -> None:
    """Features of every clip, whose values are the clip's number."""
    for number, path in enumerate(p for pair in PAIRS["val"] for p in pair):
        file = root / "val" / folder / f"{path}.npy"
        file.parent.mkdir(parents=True, exist_ok=True)
        np.save(file, np.full((rows, width), number, np.float64))


@pytest.mark.parametrize("option", ["video_features", "audio_features"])
def test_react_offers_features_that_a_user_has(option: str, tmp_path: Path) -> None:
    root, name = _react(tmp_path / "r", PAIRS), option.replace("_", "-")
    _computed(root, "swin")
    data = ReactDataset(ReactConfig(**{option: "swin"}), root)
    assert data.audio[name] == AudioSpec(12, causal=False)
    assert name not in ReactDataset(ReactConfig(), root).audio
    own, mirrored = (data.dyad("val", i, (name,)).speaker.audio[name] for i in (1, 5))
    assert own.shape == (750, 12)
    assert own.dtype == np.float32
    assert (own[0, 0], mirrored[0, 0]) == (2.0, 3.0), "the speaker's, in both roles"
    faults = [
        ((700, 12), r"700 frames; 750 are expected"),
        ((751, 7), r"\(751, 7\)"),
        ((1502, 12), "1502 rows and its motion 751 f"),
    ]
    for shape, message in faults:
        np.save(root / "val" / "swin" / f"{PAIRS['val'][0][0]}.npy", np.zeros(shape))
        with pytest.raises(BadFile, match=message):
            data.dyad("val", 0, (name,))
    with pytest.raises(BadFile, match="vgg"):
        ReactDataset(ReactConfig(**{option: "vgg"}), root)
    for elsewhere in ("../swin", "/swin", "swin/a", ".swin"):  # no part of the digest
        with pytest.raises(DyadbenchError, match=f"{option} is .* names a folder in train, val and test"):
            ReactDataset(ReactConfig(**{option: elsewhere}), root)


def test_predictors_hear_the_features_that_a_user_has_computed_without_any_recording(tmp_path: Path) -> None:
    root = _react(tmp_path / "r", PAIRS)
    _computed(root, "vggish", 5)
    assert list(ReactDataset(ReactConfig(audio=False, audio_features="vggish"), root).audio) == ["audio-features"]
    data = ReactDataset(ReactConfig(audio_features="vggish"), root)
    setup = Setup(data.space, data.audio, True, seed=0)
    entry = shared_host().get("predictor", "trans-vae")
    predictor = shared_host().build("predictor", "trans-vae", entry.presets["smoke"], setup)
    assert predictor.needs.audio == ("audio-features",)
    dyads = [data.dyad("val", i, predictor.needs.audio) for i in (1, 2)]
    motion, felt = (np.stack([getattr(each.speaker, part) for each in dyads]) for part in ("motion", "emotion"))
    audio = {"audio-features": np.stack([each.speaker.audio["audio-features"] for each in dyads])}
    context = Context(("a", "b"), np.full(2, 750), motion, felt, audio)
    silent = dataclasses.replace(context, audio={name: np.zeros_like(values) for name, values in audio.items()})
    heard, other = (predictor.sample(each, 1, CellNoise(0)).emotion for each in (context, silent))
    assert heard.shape == (2, 1, 750, 25)
    assert np.abs(heard - other).max() > 1e-4


def test_an_option_that_is_not_set_changes_no_key() -> None:
    assert "audio_features" not in ReactConfig().model_dump()
    assert ReactConfig(audio_features="vggish").model_dump()["audio_features"] == "vggish"


@pytest.mark.parametrize("options", [("video_features",), ("audio_features",), ("video_features", "audio_features")])
def test_features_that_a_user_adds_to_a_simulated_corpus_are_part_of_its_digest(
    options: tuple[str, ...], tmp_path: Path
) -> None:
    """The generator's digest stood for them, so that other features were served the fits of the first."""
    root = _react(tmp_path / "r", PAIRS)
    (root / MARK).write_text(json.dumps({"sha256": "0" * 64}))
    for option in options:
        _computed(root, option)
    config = ReactConfig(**{option: option for option in options})
    assert ReactDataset(ReactConfig(), root).digest == "0" * 64
    first = ReactDataset(config, root).digest
    assert first == ReactDataset(config, root).digest != "0" * 64
    np.save(root / "val" / options[-1] / f"{PAIRS['val'][0][0]}.npy", np.ones((751, 12)))
    assert ReactDataset(config, root).digest != first


def test_data_check_reads_features_that_a_user_has_as_a_run_does(tmp_path: Path) -> None:
    root = _react(tmp_path / "r", PAIRS)
    _computed(root, "vggish", 5)
    (bad, _), *_ = PAIRS["val"]
    np.save(root / "val" / "vggish" / f"{bad}.npy", np.full((751, 5), np.nan))
    (root / "val" / "vggish" / f"{PAIRS['val'][1][0]}.npy").unlink()

    def about(folder: str) -> dict[str, str]:
        report = check_dataset("react2024", root, settings={"audio_features": folder})
        return {f.where: f.what for f in report.findings if "vgg" in f.what + f.where}

    findings = about("vggish")
    assert findings.pop("") == "audio-features: 5 per frame from 6 files in vggish"
    assert set(findings) == {f"val/vggish/{path}.npy" for path in (bad, PAIRS["val"][1][0])}
    assert "NaN" in findings[f"val/vggish/{bad}.npy"]
    assert ["vgg/" in what for what in about("vgg").values()] == [True], "a folder that is not there is said once"
    with pytest.raises(
        DyadbenchError, match=r"does not look at frames; leave it out \(it looks at audio_features, video_f"
    ):
        check_dataset("react2024", root, settings={"frames": 100})
    with pytest.raises(DyadbenchError, match="data check of l2l has no settings"):
        check_dataset("l2l", root, settings={"audio_features": "vggish"})


def test_features_of_another_model_are_not_those_that_were_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """They were kept under the name of the feature alone."""
    from tests.datasets.test_check_real import write

    root, heard = write(tmp_path / "r"), dict[str, np.ndarray]()
    for number, name in enumerate(("a", "b", "copy of b"), 1):
        model = tmp_path / name
        model.mkdir()
        (model / "weights.bin").write_bytes(bytes([min(number, 2)]))
        monkeypatch.setattr(
            "dyadbench.datasets.react.wav2vec2",
            lambda of: lambda *_: np.full((750, 768), len(Path(of).name), np.float32),
        )
        data = ReactDataset(ReactConfig(wav2vec2=str(model)), root)
        heard[name] = data.dyad("test", 0, ("wav2vec2",)).speaker.audio["wav2vec2"]
    assert (heard["a"] == 1).all() and len(list((root / ".dyadbench-features").glob("wav2vec2-*"))) == 2
    np.testing.assert_array_equal(heard["b"], heard["copy of b"], "the same files are the same model")


def test_react_neighbours_follow_the_index_not_the_row(tmp_path: Path) -> None:
    root = _react(tmp_path / "r", PAIRS)
    _global(root)
    matrix = ReactDataset(ReactConfig(), root).appropriate("val")
    assert matrix.shape == (8, 8)
    assert matrix[0, 2], "NoXI 1 -> RECOLA 1"
    assert matrix[0, 5], "NoXI 1 -> NoXI 2 mirrored"
    assert matrix[4, 3], "NoXI 1 mirrored -> UDIVA 1"
    assert matrix[4, 6], "NoXI 1 mirrored -> RECOLA 1 mirrored"
    assert matrix.sum() == 8 + 4
    for name in ("tool/data_indices.csv", "Approprirate_facial_reaction.npy"):
        (root / name).rename(root / "data" / Path(name).name)
    assert np.array_equal(ReactDataset(ReactConfig(), root).appropriate("val"), matrix), "all of it may lie in data/"


@pytest.mark.parametrize(
    ("frames", "rows", "seconds", "message"),
    [
        (901, 750, None, "901 frames of motion and 750 rows of emotion; .*the motion has 30: resample"),
        (700, 750, None, "700 frames of motion and 750 rows of emotion; one is cut"),
        (901, 900, 30.04, "they suggest 30 frames per second: resample the picture to 25"),
        (1501, 1500, 30.0, "they suggest 50 frames per second"),
        (
            751,
            750,
            60.0,
            r"60\.0 s of sound and 751 frames of picture, which last 30\.0 s at 25 per second; one is cut",
        ),
        (752, 750, None, "752 frames"),
    ],
)
def test_streams_that_are_not_of_one_clock_are_refused_with_the_rate_they_suggest(
    tmp_path: Path, frames: int, rows: int, seconds: float | None, message: str
) -> None:
    root = _react(tmp_path / "r", {"val": PAIRS["val"][:1]})
    path = PAIRS["val"][0][0]
    np.save(root / "val/3D_FV_files" / f"{path}.npy", np.zeros((frames, 1, 58)))
    felt = root / "val/Emotion/NoXI/065/P1/1.csv"
    lines = felt.read_text().splitlines()
    felt.write_text("\n".join([lines[0], *lines[1:2] * rows]) + "\n")
    if seconds is not None:
        _wav(root / "val/Audio_files" / f"{path}.wav", seconds)
    with pytest.raises(BadFile, match=rf"Expert_video/1\.npy .* not of one clock: .*{message}"):
        ReactDataset(ReactConfig(frames=500), root).dyad("val", 0)


@pytest.mark.parametrize(("frames", "rows", "seconds"), [(751, 750, 30.04), (750, 750, 30.0), (751, 751, 30.0), (751, 750, 30.07)])  # fmt: skip
def test_streams_within_one_frame_are_of_one_clock(frames: int, rows: int, seconds: float) -> None:
    assert disagreement(25.0, frames, rows, seconds) == ""


def _wav(path: Path, seconds: float) -> None:
    import soundfile

    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(str(path), np.zeros(round(seconds * 8000)), 8000)


def test_a_matrix_that_marks_the_speaker_itself_is_said_loudly(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = _react(tmp_path / "r", {"val": PAIRS["val"][:2]})
    matrix = np.eye(4)
    matrix[1, 3] = matrix[3, 1] = 1
    np.save(root / "neighbour_emotion_val.npy", matrix)
    data = ReactDataset(ReactConfig(), root)
    for _ in range(2):
        assert data.appropriate("val").sum() == 6
    errors = capsys.readouterr().err
    assert errors.count("speaker's own clip as an appropriate reaction in 2 of 4 rows (the first is 1)") == 1
    np.save(root / "neighbour_emotion_val.npy", np.eye(4))
    ReactDataset(ReactConfig(), root).appropriate("val")
    assert capsys.readouterr().err == ""


def test_react_index_faults_are_named(tmp_path: Path) -> None:
    path = tmp_path / "data_indices.csv"
    path.write_text("site,chat_index,clip_index\r\nNoXI,065,1\r\nRecola,group-1,2\r\n")
    assert read_indices(path) == ["NOXI/065/1", "RECOLA/group-1/2"]
    path.write_text("NoXI,065,1\n")
    with pytest.raises(BadFile, match="no header 'site,chat_index,clip_index'"):
        read_indices(path)
    path.write_text("site,chat_index,clip_index\nNoXI,065,1\nNoXI/065/2\n")
    with pytest.raises(BadFile, match="line 3 is not"):
        read_indices(path)


def test_speaker_and_listener_of_a_list_are_read_by_name(tmp_path: Path) -> None:
    """They were read by place: a list with the columns exchanged gave every clip the other role."""
    a, b = "NoXI/1/Expert_video/1", "NoXI/1/Novice_video/1"
    (tmp_path / "data").mkdir()
    for text in (f",speaker_path,listener_path\n0,{a},{b}\n", f"listener_path,,speaker_path\n{b},0,{a}\n",
                 f'"","speaker_path","listener_path","note"\n"0","{a}","{b}","x"\n'):  # fmt: skip
        (tmp_path / "data/val.csv").write_text(text)
        assert read_pairs(tmp_path, "val") == [(a, b)]
    for text in (f",speaker_path\n0,{a}\n", f",speaker_path,speaker_path\n0,{a},{b}\n", f"0,{a},{b}\n"):
        (tmp_path / "data/val.csv").write_text(text)
        with pytest.raises(BadFile, match="has no header ',speaker_path,listener_path'"):
            read_pairs(tmp_path, "val")


def test_keys_of_all_sites() -> None:
    assert clip_key("NoXI/065_2016-04-14/Expert_video/3") == "NOXI/065_2016-04-14/3"
    assert clip_key("UDIVA/talk/005013/FC1/1") == "UDIVA/005013_talk/1"
    with pytest.raises(BadFile, match=r"1 csv rows have no entry.*NoXI/9"):
        build(np.eye(2), ["NOXI/1/1"], ["NoXI/9/Expert_video/1"])


def test_react_says_what_is_missing(tmp_path: Path) -> None:
    root = _react(tmp_path / "r", PAIRS)
    with pytest.raises(BadFile, match="nobody knows which reactions"):
        ReactDataset(ReactConfig(), root).appropriate("val")
    (root / "val/Emotion/RECOLA/group-1/P1/1.csv").unlink()
    with pytest.raises(BadFile, match=r"RECOLA/group-1/P1/1\.csv is missing"):
        ReactDataset(ReactConfig(), root).dyad("val", 2)
    with pytest.raises(DyadbenchError, match="not a REACT folder"):
        ReactDataset(ReactConfig(), tmp_path)
    with pytest.raises(DyadbenchError, match="train, val, test"):
        ReactDataset(ReactConfig(), root).clips("dev")


def test_the_digest_follows_the_content(tmp_path: Path) -> None:
    root = _react(tmp_path / "r", PAIRS)
    before = ReactDataset(ReactConfig(), root).digest
    assert ReactDataset(ReactConfig(), root).digest == before
    np.save(root / "mean_face.npy", np.zeros((1, 1, 58), np.float32))
    assert ReactDataset(ReactConfig(), root).digest != before


# --- Learning2Listen ------------------------------------------------------------------------------------


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


# --- LM-Listener ----------------------------------------------------------------------------------------


def _segment(frames: int = 100) -> dict[str, object]:
    make = lambda size: RNG.standard_normal((frames, size)).astype(np.float32)  # noqa: E731
    words = [{"text": "so", "end": 8.4}, {"text": "yes", "end": 9.1}]  # seconds of the recording; frame 240 is second 8
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
    assert [word.text for word in words] == ["so", "yes"]
    assert np.allclose([(word.start, word.end) for word in words], [(0.0, 0.4), (0.4, 1.1)])


class Trap:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("raise SystemExit('a pickle was opened')",)


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


# --- files and features ---------------------------------------------------------------------------------


def test_one_reader_for_arrays(tmp_path: Path) -> None:
    fortran = np.asfortranarray(RNG.standard_normal((4, 3)))
    np.save(tmp_path / "f.npy", fortran)
    assert np.array_equal(read_npy(tmp_path / "f.npy", (4, None)), fortran)
    np.save(tmp_path / "o.npy", np.array([Trap()], dtype=object), allow_pickle=True)
    np.save(tmp_path / "s.npy", np.array(["a"]))
    np.save(tmp_path / "n.npy", np.array([1.0, np.inf]))
    (tmp_path / "t.npy").write_bytes((tmp_path / "f.npy").read_bytes()[:-5])
    (tmp_path / "p.npy").write_bytes(pickle.dumps(Trap()))
    for name, message in (
        ("o", "Python objects"),
        ("s", "numbers are expected"),
        ("n", "infinity at"),
        ("t", "truncated"),
        ("p", "not a readable"),
        ("x", "is missing"),
    ):
        with pytest.raises(BadFile, match=message):
            read_npy(tmp_path / f"{name}.npy")
    with pytest.raises(BadFile, match=r"shape \(4, 3\)"):
        read_npy(tmp_path / "f.npy", (4, 4))


def test_rows_name_the_line(tmp_path: Path) -> None:
    for text, message in (
        ("", "empty"),
        ("1,2\n3,4\n", "no header"),
        ("a,b\n1,2\n3\n", "line 3 has 1 columns"),
        ("a,b\n1,x\n", "line 2 holds something"),
        ("a,b\n1,nan\n", "line 2 holds NaN"),
        ("a,c\n1,2\n", "no column b; its header is 'a, c'"),
        ("a,b,a\n1,2,3\n", "more than one column a"),
        ("a;b\n1;2\n", "no column a; its header is 'a;b'"),
    ):
        (tmp_path / "r.csv").write_text(text)
        with pytest.raises(BadFile, match=message):
            read_rows(tmp_path / "r.csv", ("a", "b"))


def test_columns_are_read_by_name_wherever_they_stand(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    for text in (
        "AU1,AU12\n1,2\n3,4\n",
        "AU12,AU1\n2,1\n4,3\n",
        ' "au01" , "AU12" \r\n"1","2"\r\n"3","4"\r\n',
        ",AU12,AU1,who\n0,2,1,Ann\n1,4,3,Ben\n",
    ):
        path.write_text(text)
        assert read_rows(path, ("AU1", "AU12")).tolist() == [[1, 2], [3, 4]], text


def test_features_hear_what_was_said_when() -> None:
    rate, frames = 44100, 100
    time = np.arange(4 * rate) / rate
    wave = (np.sin(2 * np.pi * 440 * time) * ((time > 1) & (time < 2))).astype(np.float32)
    for feature in (mfcc_78, mfcc_78_centred):
        coefficients = feature(wave, rate, frames, 25.0)
        assert coefficients.shape == (frames, 78)
        loud = coefficients[:, 0] > coefficients[:, 0].mean()
        assert loud[27:48].all() and not loud[:23].any() and not loud[53:].any()
    onset = np.abs(coefficients[24:28, 26:]).max()  # of the centred one, whose differences reach across video frames
    assert np.abs(coefficients[30:45, 26:]).max() < onset
    mel = mel_128(wave, rate, frames, 25.0)
    assert mel.shape == (4 * frames, 128)
    quiet = mel[:90].max()
    assert mel[120:190].max(1).min() > quiet + 3


@pytest.mark.parametrize("rate", [8000, 16000, 44100, 48000])
def test_mfcc_78_is_kaldis_video_frame_by_video_frame(rate: int) -> None:
    kaldi = pytest.importorskip("kaldi_native_fbank")
    time = np.arange(2 * rate) / rate
    wave = (0.3 * np.sin(2 * np.pi * (200 + 300 * time) * time) + 0.05 * RNG.standard_normal(len(time))).astype(
        np.float32
    )
    wave[: rate // 4] *= 0.01  # quiet enough for the floor of the energy
    options = kaldi.MfccOptions()
    options.frame_opts.samp_freq, options.frame_opts.dither, options.energy_floor = rate, 0.0, 1.0
    features, block = mfcc_78(wave, rate, 50, 25.0).reshape(50, 3, 13, 2), rate // 25
    for frame in range(50):
        own = kaldi.OnlineMfcc(options)
        own.accept_waveform(rate, wave[frame * block : (frame + 1) * block].tolist())
        own.input_finished()
        assert own.num_frames_ready == 2
        a, b = (own.get_frame(n) for n in (0, 1))
        np.testing.assert_allclose(features[frame, 0], np.stack([a, b], 1), atol=2e-3)
        np.testing.assert_allclose(features[frame, 1], np.stack([0.3 * (b - a)] * 2, 1), atol=2e-3)
    assert not features[:, 2].any() and (features[:6, 0, 0] == 0).all()


KALDI = {  # MFCC of both analysis frames of a video frame, by kaldi-native-fbank 1.23 (dither 0, energy floor 1)
    3: [[2.889, 53.409, 60.024, 39.899, 5.99, -24.438, -42.253, -49.047, -50.348, -48.475, -41.991, -30.222, -16.324],
        [2.891, 54.443, 59.182, 36.887, 3.609, -23.658, -39.584, -48.195, -52.69, -51.148, -41.379, -26.259, -12.162]],
    24: [[2.886, 51.964, -10.207, -83.982, -80.745, -13.778, 50.814, 75.27, 52.907, 2.659, -32.36, -27.097, -1.416],
         [2.891, 50.845, -11.973, -86.964, -83.777, -14.923, 49.978, 71.606, 46.92, -3.218, -37.383, -30.781, -3.165]],
}  # fmt: skip


def test_mfcc_78_has_kaldis_numbers_coefficient_by_coefficient() -> None:
    """The same where kaldi-native-fbank is not installed."""
    time = np.arange(16000) / 16000
    wave = (0.3 * np.sin(2 * np.pi * (200 + 300 * time) * time)).astype(np.float32)
    features = mfcc_78(wave, 16000, 25, 25.0)
    for frame, both in KALDI.items():
        a, b = np.array(both)
        np.testing.assert_allclose(features[frame, :26], np.stack([a, b], 1).reshape(-1), atol=2e-3)
        np.testing.assert_allclose(features[frame, 26:52], np.repeat(0.3 * (b - a), 2), atol=2e-3)


@pytest.mark.parametrize("fps", [25.0, 30.0])
def test_mfcc_78_does_not_hear_the_future(fps: float) -> None:
    wave = RNG.standard_normal(32000).astype(np.float32) * 0.1
    changed = wave.copy()
    changed[16000:] = 0
    a, b = (mfcc_78(x, 16000, int(2 * fps), fps) for x in (wave, changed))
    assert np.array_equal(a[: int(fps)], b[: int(fps)]) and not np.array_equal(a[int(fps)], b[int(fps)])


def test_mel_rows_do_not_hear_the_future() -> None:
    rate = 16000
    wave = RNG.standard_normal(4 * rate).astype(np.float32) * 0.1
    changed = wave.copy()
    changed[2 * rate :] = 0
    a, b = mel_128(wave, rate, 100, 25.0), mel_128(changed, rate, 100, 25.0)
    assert np.array_equal(a[: 4 * 50], b[: 4 * 50])


def test_convolution_features_of_wav2vec2_are_the_models_two_rows_per_frame_after_a_row_of_zeros(
    tmp_path: Path,
) -> None:
    transformers = pytest.importorskip("transformers")
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    torch.manual_seed(0)
    model = transformers.Wav2Vec2Model(transformers.Wav2Vec2Config(**sizes)).eval()
    model.save_pretrained(tmp_path)
    wave = np.random.default_rng(0).standard_normal(16_000 * 2 + 100).astype(np.float32)  # the recording goes on
    rows = wav2vec2_conv(str(tmp_path))(wave, 16_000, 50, 25.0)
    heard = wave[:32_000]
    with torch.no_grad():
        own = model(torch.from_numpy((heard - heard.mean()) / heard.std())[None]).extract_features[0]
    assert rows.shape == (100, 512) and own.shape == (99, 512)
    assert not rows[0].any(), "as the release, everything is heard one row late"
    np.testing.assert_allclose(rows[1:], own, atol=1e-4)
    assert wav2vec2_conv(str(tmp_path))(wave, 16_000, 60, 30.0).shape == (120, 512), "two rows per frame at any rate"
    assert wav2vec2(str(tmp_path))(wave, 16_000, 50, 25.0).shape == (50, 16)


def test_a_dataset_with_a_wav2vec2_model_offers_both_kinds_of_features_and_dense_fsq_may_hear_either(
    tmp_path: Path,
) -> None:
    from tests.datasets.test_check_real import write

    data = ReactDataset(ReactConfig(wav2vec2="some/model"), write(tmp_path / "r"))
    assert (data.audio["wav2vec2"].dim, data.audio["wav2vec2"].per_frame) == (768, 1)
    assert (data.audio["wav2vec2-conv"].dim, data.audio["wav2vec2-conv"].per_frame) == (512, 2)
    config = PredictorConfig(**PREDICTOR_PRESETS["smoke"], audio="wav2vec2-conv")
    setup = Setup(data.space, data.audio, True, seed=0)
    tokenizer = FrameTokenizer(TokenizerConfig(**TOKENIZER_PRESETS["smoke"]), setup)
    assert CrossModalAR(config, setup, tokenizer).needs.audio == ("wav2vec2-conv",)
