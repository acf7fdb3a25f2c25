"""REACT's adapter on small folders in the exact released layout."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from tests.fixtures.hosts import shared_host

from dyadbench.api import EMOTION_CHANNELS, AudioSpec, Context, Dataset, DyadbenchError, Setup
from dyadbench.cell.noise import CellNoise
from dyadbench.datasets.check.run import check_dataset
from dyadbench.datasets.clock import disagreement
from dyadbench.datasets.config import ReactConfig
from dyadbench.datasets.digest import MARK
from dyadbench.datasets.neighbours import build, clip_key, read_indices
from dyadbench.datasets.react import ReactDataset
from dyadbench.datasets.react_files import read_pairs
from dyadbench.files.npy import BadFile


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
    assert clips[3].session == "UDIVA/005013", "a pair is one session, whatever its task"
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
