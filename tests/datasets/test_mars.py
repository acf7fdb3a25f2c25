"""MARS on folders that these tests write in its layout; no file of the release was at hand."""

from __future__ import annotations

import json
import shutil
import wave
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.fixtures.mars import write_mars, write_person
from typer.testing import CliRunner

from dyadbench.api import Dataset, DyadbenchError
from dyadbench.cell.split import Split
from dyadbench.cli import app
from dyadbench.conformance.others import check_dataset as conforms
from dyadbench.datasets.check.run import check_dataset
from dyadbench.datasets.config import MarsConfig
from dyadbench.datasets.mars import MarsDataset
from dyadbench.files.npy import BadFile
from dyadbench.records.record import load_record
from dyadbench.registry.host import Host


def _open(root: Path, **config: object) -> MarsDataset:
    return MarsDataset(MarsConfig.model_validate(config), root)


def test_pairs_keep_their_own_lengths_and_sessions_decide_who_is_appropriate(tmp_path: Path) -> None:
    data = _open(write_mars(tmp_path))
    assert isinstance(data, Dataset)
    clips = data.clips("test")
    assert len(clips) == 12  # 2 sessions of 3 pairs, both ways
    assert [(c.frames, c.listener_frames) for c in clips[:3]] == [(70, None), (74, 83), (78, None)]
    assert [(c.frames, c.listener_frames) for c in clips[6:9]] == [(70, None), (83, 74), (78, None)]
    dyad = data.dyad("test", 1, ("mfcc-78",))
    assert dyad.speaker.motion.shape == (74, 58) and dyad.listener.motion.shape == (83, 58)
    assert dyad.speaker.audio["mfcc-78"].shape == (74, 78)
    appropriate = data.appropriate("test")
    assert np.flatnonzero(appropriate[1]).tolist() == [0, 1, 2]
    assert np.flatnonzero(appropriate[7]).tolist() == [6, 7, 8]  # as a listener: the session's speakers
    assert len(_open(tmp_path, bidirectional=False).clips("test")) == 6
    assert _open(tmp_path, frames=60).dyad("test", 1).listener.motion.shape == (60, 58)


def test_the_adapter_keeps_the_contract(tmp_path: Path) -> None:
    report = conforms("mars", Host(), write_mars(tmp_path, eeg=True), settings={"eeg": True})
    assert report.ok, [item for item in report.items if not item.ok]


def test_what_is_learnt_are_frames_that_both_have(tmp_path: Path) -> None:
    split = Split(_open(write_mars(tmp_path)), "test")
    for clip, dyad in zip(split.training().clips("train"), split.training().dyads("train", ("mel-128",)), strict=True):
        assert len(dyad.speaker.motion) == len(dyad.listener.motion) == clip.frames == dyad.clip.frames
        assert len(dyad.speaker.audio["mel-128"]) == 4 * clip.frames
    data = split.evaluation(None, None, 1, "cpu")
    assert data.ragged is not None
    assert data.lengths[1] == 74 and data.ragged.speaker_lengths[7] == 83
    assert data.ragged.listeners[1].shape == (83, 25)


def test_eeg_is_read_second_by_second_with_a_mask(tmp_path: Path) -> None:
    data = _open(write_mars(tmp_path, eeg=True), eeg=True)
    eeg = data.dyad("test", 0, ("eeg",)).speaker.audio["eeg"]
    assert eeg.shape == (70, 28)
    assert np.allclose(eeg[0, :6], [0, 0.001, 0.002, 0.003, 4, 5])
    assert eeg[30, 5] == 0 and eeg[30, 14 + 5] == 0 and eeg[29, 14 + 5] == 1  # an empty cell in second 1
    assert np.array_equal(eeg[69], eeg[60])
    file = tmp_path / "test" / "eeg_processed" / "speaker" / "session5" / "Camera-2024-06-21-103120-103102.csv"
    file.write_text(file.read_text().replace("\n", "\n\n") + "\n")
    assert np.array_equal(data.dyad("test", 0, ("eeg",)).speaker.audio["eeg"], eeg), "an empty line is no second"
    file.write_text("a\n1\n")
    with pytest.raises(BadFile, match="no column TP9"):
        data.dyad("test", 0, ("eeg",))


def test_personality_is_the_listeners_where_it_is_there(tmp_path: Path) -> None:
    write_mars(tmp_path)
    assert "personality" not in _open(tmp_path).audio
    for split in ("train", "val", "test"):
        for role in ("speaker", "listener"):
            source = tmp_path / split / "facial-attributes" / role
            for path in source.glob("*/*.npy"):
                place = tmp_path / split / "personality" / role / path.relative_to(source)
                place.parent.mkdir(parents=True, exist_ok=True)
                np.save(place, np.full(5, 1.0 if role == "speaker" else 2.0))
    traits = _open(tmp_path).dyad("test", 0, ("personality",)).speaker.audio["personality"]
    assert traits.shape == (70, 5) and (traits == 2).all()


def test_features_of_another_rate_than_the_motions_are_refused(tmp_path: Path) -> None:
    root = write_mars(tmp_path)
    for path in root.glob("*/coefficients/*/**/*.npy"):
        rows = 2 * len(np.load(path, mmap_mode="r"))  # 50 a second, as the model gives them, would be too many, too
        place = Path(str(path).replace("/coefficients/", "/audio-features/"))
        place.parent.mkdir(parents=True, exist_ok=True)
        np.save(place, np.zeros((rows, 768), np.float32))
    data = MarsDataset(MarsConfig(), root)
    with pytest.raises(
        DyadbenchError, match=r"\.npy has \d+ rows and its motion \d+ frames: resample it to one row per frame"
    ):
        data.dyad("train", 0, ("wav2vec2",))


def test_data_check_tells_pairs_lengths_and_a_copy_of_val_in_test(tmp_path: Path) -> None:
    report = check_dataset("mars", write_mars(tmp_path))
    assert report.ok, report.findings
    text = " ".join(finding.what for finding in report.findings)
    assert "6 pairs of 2 sessions, 70 to 83 frames; 2 pairs differ in length" in text
    assert "fewer than 10 listeners" in text
    shutil.rmtree(tmp_path / "test")
    shutil.copytree(tmp_path / "val", tmp_path / "test")
    for folder in (tmp_path / "test").glob("*/*/session3"):
        folder.rename(folder.with_name("session8"))
    findings = check_dataset("mars", tmp_path).findings
    assert any("have the same motion as in val" in finding.what and finding.level == "error" for finding in findings)


def test_data_check_names_what_is_broken(tmp_path: Path) -> None:
    write_mars(tmp_path)
    first = "session5/Camera-2024-06-21-103120-103102"
    (tmp_path / "test" / "coefficients" / "speaker" / f"{first}.npy").unlink()
    (tmp_path / "val" / "facial-attributes" / "listener" / "session3" / "Camera-2024-06-21-103121-103102.npy").unlink()
    report = check_dataset("mars", tmp_path)
    text = " ".join(finding.what for finding in report.findings if finding.level == "error")
    assert first in text and "have no listener of the same session and name" in text
    with pytest.raises(BadFile, match="for one of speaker and listener only"):
        _open(tmp_path).clips("val")
    with pytest.raises(DyadbenchError, match="not a MARS folder"):
        _open(tmp_path / "val")


def test_a_run_gives_official_style_and_corrected_numbers_side_by_side(tmp_path: Path) -> None:
    root = write_mars(tmp_path / "data", pairs=4)
    words = [
        "run",
        "-b",
        "react2026-test",
        *(word for m in ("oracle", "mime", "mismatched-listener", "random-2025") for word in ("-m", m)),
    ]
    outcome = CliRunner().invoke(app, [*words, "--root", str(tmp_path), "--data", str(root), "--threads", "1"])
    assert outcome.exit_code == 0, outcome.output
    folder = tmp_path / "leaderboards" / "records" / "react2026-test"
    records = {path.parent.name: load_record(path) for path in folder.rglob("seed0.json")}
    official = {name: record.suites["react2026"] for name, record in records.items()}
    corrected = {name: record.suites["react2024"] for name, record in records.items()}
    assert official["oracle"].scores["FRDist"].value < official["mime"].scores["FRDist"].value
    assert corrected["oracle"].scores["FRCorr"].value > corrected["mime"].scores["FRCorr"].value
    draws = {record.scores["FRCorr"].detail["reference_draw"] for record in official.values()}
    assert len(draws) == 1, "every method is scored against the same references"
    detail = official["oracle"].scores["FRDist"].detail
    checked = CliRunner().invoke(app, ["leaderboard", "--root", str(tmp_path)])
    assert checked.exit_code == 0, "a listener who is longer or shorter than the speaker is no fault of the oracle"
    again = CliRunner().invoke(app, ["report", "--root", str(tmp_path), "--data", f"mars={root}"])
    assert again.exit_code == 0, again.output
    assert detail["reference_seed"] == 1234 and detail["references"] == 10 and detail["official_aligner"] == 0


class _Halves(torch.nn.Module):
    def forward(self, x: torch.Tensor, frames_in: int, frames_out: int) -> torch.Tensor:
        return torch.zeros(1, frames_out, 25) + x[:, :1, :]


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
def test_the_official_aligner_comes_from_a_file(tmp_path: Path) -> None:
    torch.jit.script(_Halves()).save(str(tmp_path / "aligner.pt"))
    data = _open(write_mars(tmp_path / "data"), aligner=str(tmp_path / "aligner.pt"))
    emotion = np.zeros((70, 25), np.float32)
    emotion[0, 0], emotion[0, 15] = -1, 0.25
    out = data.align(emotion, 2100)
    assert out.shape == (2100, 25)
    assert out[0, 0] == 0 and out[0, 1] == 1 and out[0, 15] == 0.25 and np.allclose(out[:, 17:].sum(1), 1)
    assert data.align(emotion, 70) is emotion
    (tmp_path / "weights.pth").write_text(json.dumps({}))
    with pytest.raises(DyadbenchError, match="not a TorchScript module"):
        _open(tmp_path / "data", aligner=str(tmp_path / "weights.pth"))


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
def test_a_benchmark_scores_on_the_official_scale(tmp_path: Path) -> None:
    """The command of docs/mars.md; no benchmark had the suite that the page named."""
    root, file = write_mars(tmp_path / "data", pairs=4), tmp_path / "aligner.pt"
    torch.jit.script(_Halves()).save(str(file))
    words = ["run", "-b", "react2025-test-official-aligner", "-m", "oracle", "-m", "mime", "--threads", "1"]
    where = ["--root", str(tmp_path), "--data", str(root)]
    outcome = CliRunner().invoke(app, [*words, *where])
    assert outcome.exit_code != 0 and "give the dataset aligner=FILE" in outcome.output
    outcome = CliRunner().invoke(app, [*words, *where, "--data-set", f"aligner={file}"])
    assert outcome.exit_code == 0, outcome.output
    for name in ("oracle", "mime"):
        path = tmp_path / "leaderboards" / "records" / "react2025-test-official-aligner" / name / "seed0.json"
        scores = load_record(path).suites
        assert scores["react2025-official-aligner"].scores["FRDist"].detail["official_aligner"] == 1
        assert "react2024" in scores, "which ranks"


def test_clips_of_eleven_minutes_are_read_and_scored(tmp_path: Path) -> None:
    from dyadbench.metrics.react.frdist import frdist

    write_mars(tmp_path, pairs=1)
    rng = np.random.default_rng(1)
    for role, frames in (("speaker", 20_000), ("listener", 19_000)):
        write_person(tmp_path, "test", role, "session5/Camera-long", frames, rng, eeg=False)
    data = _open(tmp_path, bidirectional=False)
    place = [clip.frames for clip in data.clips("test")].index(20_000)
    dyad = data.dyad("test", place, ("mfcc-78",))
    assert dyad.speaker.audio["mfcc-78"].shape == (20_000, 78)
    assert dyad.listener.emotion is not None
    assert frdist(dyad.listener.emotion[None, :19_000], [dyad.listener.emotion])[0] == 0


def test_streams_of_another_clock_are_refused(tmp_path: Path) -> None:
    """Motion that was longer than emotion was cut, however much."""
    root = write_mars(tmp_path)
    first = "session5/Camera-2024-06-21-103120-103102"
    motion = root / "test" / "coefficients" / "speaker" / f"{first}.npy"
    np.save(motion, np.repeat(np.load(motion), 2, 0))
    with pytest.raises(BadFile, match=r"at 30 rows per second the motion has 60: resample one of them"):
        _open(root).dyad("test", 0)
    np.save(motion, np.load(motion)[::2])
    assert len(_open(root).dyad("test", 0).speaker.motion) == 70
    with wave.open(str(root / "test" / "audio" / "speaker" / f"{first}.wav"), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(2 * round(8000 * 70 / 25)))
    with pytest.raises(BadFile, match=r"suggest 25 frames per second"):
        _open(root).dyad("test", 0)
    assert len(_open(root, audio=False).dyad("test", 0).speaker.motion) == 70


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
def test_numbers_of_two_aligners_are_of_other_data(tmp_path: Path) -> None:
    """They are of other scales, and no record keeps where the file lies."""
    root, file = write_mars(tmp_path / "data"), tmp_path / "aligner.pt"
    digests = {_open(root).digest}
    for module in (_Halves(), torch.nn.Identity()):
        torch.jit.script(module).save(str(file))
        digests.add(_open(root, aligner=str(file)).digest)
    assert len(digests) == 3
