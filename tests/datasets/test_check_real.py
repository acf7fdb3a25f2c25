"""What `dyadbench data check` says of folders as people have them: half complete, of another release, mixed, renamed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from dyadbench.api import EMOTION_CHANNELS
from dyadbench.cli import app
from dyadbench.datasets.check.finding import CheckReport, Finding, note
from dyadbench.datasets.check.releases import RELEASES
from dyadbench.datasets.check.run import check_dataset
from dyadbench.datasets.check.show import lines

from ..fixtures.mars import write_mars
from ..fixtures.openface import write_csv
from ..fixtures.seamless import write_seamless
from ..fixtures.vc_dyads import write_vc_dyads
from .test_dualtalk import write_dualtalk

RATE = 8000
LISTS = {
    "train": ["NoXI/001", "NoXI/002"],
    "val": ["NoXI/003", "RECOLA/group-1"],
    "test": ["NoXI/004", "NoXI/005"],
}
PEOPLE = {"NoXI": ("Expert_video", "Novice_video"), "RECOLA": ("P25", "P26"), "UDIVA": ("FC1", "FC2")}


def write(root: Path, lists: dict[str, list[str]] = LISTS, frames: int = 751, rows: int = 750) -> Path:
    """A folder in the released layout: random people, a tone for a voice."""
    rng = np.random.default_rng(0)
    tone = 0.3 * np.sin(np.arange(round(30.04 * RATE)) / 8)
    (root / "data").mkdir(parents=True)
    for split, chats in lists.items():
        table = [",speaker_path,listener_path"]
        for chat in chats:
            paths = [f"{chat}/{person}/1" for person in PEOPLE[chat.split("/")[0]]]
            table.append(f"{len(table)},{','.join(paths)}")
            for path, released in zip(paths, ("P1", "P2"), strict=True):
                motion, felt, heard = (
                    root / split / "3D_FV_files" / f"{path}.npy",
                    root / split / "Emotion" / chat / released / "1.csv",
                    root / split / "Audio_files" / f"{path}.wav",
                )
                for file in (motion, felt, heard):
                    file.parent.mkdir(parents=True, exist_ok=True)
                np.save(motion, rng.standard_normal((frames, 1, 58)).astype(np.float32))
                parts = [rng.random((rows, 15)) > 0.5, rng.uniform(-1, 1, (rows, 2)), rng.dirichlet(np.ones(8), rows)]
                np.savetxt(felt, np.concatenate(parts, 1), "%.5f", ",", header=",".join(EMOTION_CHANNELS), comments="")
                soundfile.write(str(heard), tone, RATE)
        (root / "data" / f"{split}.csv").write_text("\n".join(table) + "\n")
        if split != "train":
            np.save(root / f"neighbour_emotion_{split}.npy", np.eye(2 * len(chats)))
    np.save(root / "mean_face.npy", np.zeros((1, 1, 58)))
    np.save(root / "std_face.npy", np.ones((1, 1, 58)))
    return root


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("real") / "react")


@pytest.fixture
def own(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "react"))


def _screen(report: CheckReport, rows: int = 24) -> list[str]:
    """The report's lines, which must fit one screen and 80 columns."""
    text = list(lines(report))
    assert len(text) <= rows and max(map(len, text)) <= 80, text
    return text


def _reports(report: CheckReport, what: str) -> bool:
    return any(what in finding.what for finding in report.findings)


def test_a_complete_folder_is_clean_and_says_so_first(whole: Path) -> None:
    report = check_dataset("react2024", whole)
    assert report.ok and " ".join(_screen(report)[:2]).strip().endswith(
        "clean: scores from this folder can be trusted."
    )


MOTION = "3D_FV_files/NoXI/004/Expert_video/1.npy"


@pytest.mark.parametrize(
    ("split", "count"), [("train", "2 of 4 train clips cannot be trained on"), ("val", "2 of 4 val clips cannot be scored"),
                         ("test", "2 of 4 test clips cannot be scored")],
)  # fmt: skip
def test_one_short_clip_is_counted_and_the_report_ends(own: Path, split: str, count: str) -> None:
    path = next((own / split / "3D_FV_files").rglob("*.npy"))
    np.save(path, np.load(path)[:700])
    report = check_dataset("react2024", own)
    assert count in report.summary() and _reports(report, "700 frames of motion and 750 rows of emotion; one is cut")
    assert sum("clips cannot be" in f.what for f in report.findings) == 1, "the other splits are whole"
    _screen(report)


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_a_list_with_a_header_only_is_a_finding(own: Path, split: str) -> None:
    (own / "data" / f"{split}.csv").write_text(",speaker_path,listener_path\n")
    assert f"the {split} split lists no pair" in check_dataset("react2024", own).summary()


@pytest.mark.parametrize(("frames", "rows"), [(901, 750), (700, 750), (751, 751), (1, 750), (901, 900), (20, 20)])
def test_folders_of_another_rate_end_in_a_report(tmp_path: Path, frames: int, rows: int) -> None:
    report = check_dataset("react2024", write(tmp_path / "r", frames=frames, rows=rows))
    assert not report.ok
    assert (frames, rows) == (751, 751) or "4 of 4 test clips cannot be scored" in report.summary()
    _screen(report, 30)


def test_a_step_that_breaks_is_named_and_the_others_go_on(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(*_: object) -> None:
        raise ZeroDivisionError("of all things")

    monkeypatch.setattr("dyadbench.datasets.check.react.clip", breaks)
    report = check_dataset("react2024", own)
    assert _reports(report, "the check broke (ZeroDivisionError: of all things)")
    assert any(f.what == "no video files" for f in report.findings)


# --- real lists -----------------------------------------------------------------------------------------


def test_the_list_of_2023_is_not_taken_for_that_of_2024(tmp_path: Path) -> None:
    lists = {**LISTS, "val": [f"UDIVA/talk/00501{i}" for i in range(6)] + ["NoXI/003"]}
    folder = write(tmp_path / "r", lists)
    report = check_dataset("react2024", folder)
    assert "6 of 7 val rows are UDIVA's, which REACT 2024 does not have" in report.summary()
    _screen(report)
    assert check_dataset("react2023", folder).ok


def test_four_arrays_per_clip_are_one_line_and_no_fault(own: Path) -> None:
    for path in list(own.rglob("3D_FV_files/**/*.npy")):
        for extra in ("full", "exp", "pose"):
            shutil.copyfile(path, path.with_name(f"{path.stem}_{extra}.npy"))
    report = check_dataset("react2024", own)
    assert report.ok
    assert sum("further .npy file beside" in line for line in _screen(report)) == 1
    everything = list(lines(report, everything=True))
    assert sum("further .npy file beside" in line for line in everything) == 3 * 12


def test_recola_without_emotion_is_counted_and_its_tenth_clips_are_known(own: Path) -> None:
    for person in ("P1", "P2"):
        (own / f"val/Emotion/RECOLA/group-1/{person}/1.csv").unlink()
    report = check_dataset("react2024", own)
    assert "2 of 4 val clips cannot be scored" in report.summary()
    missing = [f for f in report.findings if f.of_many == "a file is missing"]
    assert len(missing) == 2 and not any("tenth" in f.meaning for f in missing), "these are first clips"
    _screen(report)


# --- wrong places and names -------------------------------------------------------------------------------


def test_a_level_too_high_or_too_deep_says_where_the_release_is(own: Path, tmp_path: Path) -> None:
    for place in (own.parent, own / "train", own / "data"):
        report = check_dataset("react2024", place)
        assert "too" in report.summary() and str(own) in report.findings[0].remedy and len(report.findings) == 1


def test_nothing_there_and_other_releases_are_named(tmp_path: Path) -> None:
    assert "nothing of REACT is here" in check_dataset("react2024", tmp_path).summary()
    (tmp_path / "dataset/trevor").mkdir(parents=True)
    (tmp_path / "dataset/trevor/segments_test.pth").touch()
    assert check_dataset("react2024", tmp_path).findings[0].remedy == f"dyadbench data check lm-listener {tmp_path}"
    assert "looks like LM-Listener" in check_dataset("l2l", tmp_path).findings[0].what
    assert "no person below data/" in check_dataset("l2l", tmp_path / "dataset").findings[0].what


def _writers() -> dict[str, Callable[[Path], object]]:
    return {
        "react2024": lambda root: write(root, {split: chats[:1] for split, chats in LISTS.items()}),
        "dualtalk": write_dualtalk, "mars": write_mars, "seamless": write_seamless, "vc-dyads": write_vc_dyads,
        "openface": lambda root: [write_csv(root / "a.csv"), (root / "dyads.csv").write_text("session,clip,a,b\n")],
    }  # fmt: skip


def test_any_folder_is_told_from_any_other_release_and_one_level_beside(tmp_path: Path) -> None:
    for name, make in _writers().items():
        make(root := tmp_path / name / "in")
        for release in _writers():
            report = check_dataset(release, root)
            assert report.findings[0].what.startswith("this looks like") == (release != name), (release, name)
            if release != name:
                assert report.findings[0].remedy == f"dyadbench data check {name} {root}" and len(report.findings) == 1
        assert check_dataset(name, root.parent).findings[0].remedy == f"dyadbench data check {name} {root}"
        (deep := root / "deep").mkdir()
        assert "too deep" in check_dataset(name, deep).summary()


def test_two_releases_in_one_folder_are_said_first(tmp_path: Path) -> None:
    write_dualtalk(tmp_path)
    write_mars(tmp_path)
    for name, other in (("dualtalk", "MARS (REACT 2025 and 2026)"), ("mars", "DualTalk")):
        assert check_dataset(name, tmp_path).summary() == f"not clean: the folder also holds {other}."


def test_half_of_the_recordings_are_counted_and_told_together(tmp_path: Path) -> None:
    root = write_dualtalk(tmp_path / "d")
    for name in ("bbb_sub_video_1_speaker1", "ccc_sub_video_1_speaker2"):
        (root / f"data/train/{name}.npz").unlink()
    report = check_dataset("dualtalk", root)
    assert report.summary() == "not clean: 2 of 4 recordings in train cannot be read."
    assert sum(line.startswith("error  a file is missing (2 times)") for line in _screen(report)) == 1


LOST = {  # per release: its files, all of which are damaged, and the sentence about the first recording of a part
    "react2024": ("train/3D_FV_files/**/*.npy", "2 of 2 train clips cannot be trained on"),
    "dualtalk": ("data/train/*.npz", "1 of 1 recordings in train cannot be read"),
    "mars": ("train/coefficients/**/*.npy", "2 of 2 train clips cannot be read"),
    "seamless": ("improvised/train/**/V00*A.npz", "1 of 1 pairs in train cannot be read"),
    "vc-dyads": ("data/real_dyads/**/*.*", "1 of 1 recordings cannot be read"),
    "openface": ("a.csv", "1 of 1 recordings cannot be read"),
}


@pytest.mark.parametrize("name", LOST)
def test_with_a_limit_the_recordings_that_were_looked_at_are_counted(name: str, tmp_path: Path) -> None:
    """Four releases said "1 of 400" where one was looked at."""
    pattern, sentence = LOST[name]
    (write if name == "react2024" else _writers()[name])(root := tmp_path / "release")
    if name == "openface":
        (root / "dyads.csv").write_text("session,clip,a,b\n1,1,a.csv,b.csv\n2,1,a.csv,c.csv\n")
    for file in root.glob(pattern):
        if name == "seamless":  # whose headers are read before its pairs are counted
            with np.load(file) as arrays:
                np.savez(file, **{key: np.full_like(values, np.nan) for key, values in arrays.items()})  # type: ignore[arg-type]
        else:
            file.write_bytes(b"")
    summary = check_dataset(name, root, limit=1).summary()
    assert sentence in summary, summary
    assert sentence not in check_dataset(name, root).summary()


@pytest.mark.parametrize("name", ["react2024", "seamless", "lm-listener"])
def test_a_split_that_is_lost_as_a_whole_is_said_first(name: str, tmp_path: Path) -> None:
    """One damaged file took the split, and the summary said "1 error"."""
    pattern = {
        "react2024": "data/train.csv",
        "seamless": "improvised/train/**/V00*A.npz",
        "lm-listener": "dataset/*/*.pth",
    }[name]
    if name == "lm-listener":
        (tmp_path / "dataset/trevor").mkdir(parents=True)
        (tmp_path / "dataset/trevor/segments_train.pth").touch()
    else:
        _writers()[name](tmp_path)
    file = min(tmp_path.glob(pattern))
    file.write_bytes(b"\xff")
    assert file.relative_to(tmp_path).as_posix() in check_dataset(name, tmp_path).summary()


def test_the_help_names_every_release() -> None:
    text = " ".join(CliRunner().invoke(app, ["data", "check", "--help"]).output.split())
    assert f"{', '.join(RELEASES)}, or a plugin's" in text


def test_a_single_fault_names_its_file_and_many_stand_above_a_list(tmp_path: Path) -> None:
    """The list of recordings "a file has no column" was said without its name, in the summary and in the report's data."""
    (tmp_path / "dyads.csv").write_text("session,a,b\n1,a.csv,b.csv\n")
    report = check_dataset("openface", tmp_path)
    assert report.summary().startswith("not clean: dyads.csv has no column 'clip'")
    text = " ".join(" ".join(_screen(report)).split())
    assert text.count("dyads.csv has no column") == 2 and "a file" not in text  # of the summary and of the finding
    findings = [
        Finding(level="error", what=f"{file} is missing", where=file, meaning="x") for file in ("a/b.npy", "c.npy")
    ]
    several = CheckReport(name="x", root="y", findings=tuple(findings))
    assert list(lines(several))[2:4] == ["error  a file is missing (2 times)", "       a/b.npy, c.npy"]


def test_the_command_asks_the_rules_of_every_dataset_that_has_some(tmp_path: Path) -> None:
    """mars and seamless had rules that the command never asked."""
    write_mars(tmp_path)
    outcome = CliRunner().invoke(app, ["data", "check", "mars", str(tmp_path)])
    assert outcome.exit_code == 0 and "6 pairs of 2 sessions, 70 to 83 frames" in outcome.output
    outcome = CliRunner().invoke(app, ["data", "check", "seamless", str(tmp_path)])
    assert outcome.exit_code == 1 and "this looks like MARS" in outcome.output


RENAMED: dict[str, tuple[Callable[[Path], object], str]] = {
    "capitals": (lambda r: (r / "test/3D_FV_files").rename(r / "test/3d_fv_files"), "test/3d_fv_files is not called as in the release"),
    "a folder": (lambda r: shutil.rmtree(r / "test/3D_FV_files"), "test/3D_FV_files is missing"),
    "all clips": (lambda r: (r / "test/3D_FV_files/NoXI").rename(r / "test/3D_FV_files/noxi_v2"), "test/3D_FV_files has 4 .npy files, none under a name of data/test.csv"),
    "the lists": (lambda r: (r / "data").rename(r / "Data"), "Data/train.csv differs from the release's name in capitals"),
}  # fmt: skip


@pytest.mark.parametrize("case", RENAMED)
def test_renamed_folders_are_one_finding(own: Path, case: str) -> None:
    change, message = RENAMED[case]
    change(own)
    report = check_dataset("react2024", own)
    assert message in report.summary()
    assert sum(f.level == "error" for f in report.findings) == 1, "not one per clip"
    _screen(report)


def test_without_recordings_the_way_out_is_named(own: Path) -> None:
    for split in LISTS:
        shutil.rmtree(own / split / "Audio_files")
    report = check_dataset("react2024", own)
    lost = [f for f in report.findings if "Audio_files is missing" in f.what]
    assert len(lost) == 3 and all("--data-set audio=false" in f.remedy for f in lost)
    _screen(report)


# --- contents -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["motion", "emotion"])
def test_a_split_that_is_a_copy_of_another_under_its_own_names_is_said(own: Path, kind: str) -> None:
    folder, suffix = ("3D_FV_files", "npy") if kind == "motion" else ("Emotion", "csv")
    for source, copy in zip(sorted((own / "train" / folder).rglob(f"*.{suffix}")), sorted((own / "test" / folder).rglob(f"*.{suffix}")), strict=True):  # fmt: skip
        shutil.copyfile(source, copy)
    report = check_dataset("react2024", own)
    assert not report.ok
    assert f"4 of 4 recordings in test have the same {kind} as in train" in report.summary()


def test_the_speaker_among_its_own_appropriate_reactions_is_said(own: Path) -> None:
    matrix = np.eye(4)
    matrix[0, 2] = 1  # clip 2 is clip 0 with roles reversed
    np.save(own / "neighbour_emotion_test.npy", matrix)
    report = check_dataset("react2024", own)
    assert not report.ok and _reports(report, "1 of 4 rows mark the speaker's own clip as an appropriate reaction")


SOUND: dict[str, tuple[Callable[[np.ndarray], np.ndarray], str, str]] = {
    "silence": (lambda x: 0 * x, "PCM_16", "silence"),
    "opposite channels": (lambda x: np.stack([x, -x], 1), "PCM_16", "the channels cancel each other"),
    "not divided": (lambda x: 32768 * x, "FLOAT", "samples up to"),
}


@pytest.mark.parametrize("case", SOUND)
def test_sound_that_is_there_and_worth_nothing_is_said(own: Path, case: str) -> None:
    change, subtype, message = SOUND[case]
    path = own / "test/Audio_files/NoXI/004/Expert_video/1.wav"
    samples, _ = soundfile.read(path)
    soundfile.write(str(path), change(samples), RATE, subtype=subtype)
    report = check_dataset("react2024", own)
    assert not report.ok and _reports(report, message)


def test_two_sampling_rates_are_said_once(own: Path) -> None:
    for path in (own / "test/Audio_files").rglob("*.wav"):
        samples, _ = soundfile.read(path)
        soundfile.write(str(path), np.repeat(samples, 2), 2 * RATE)
    report = check_dataset("react2024", own)
    assert _reports(report, "sound of 2 sampling rates: 8000 (8 files), 16000 (4 files)")


def test_a_header_that_was_never_finished_is_told_from_no_sound(own: Path) -> None:
    path = own / "test/Audio_files/NoXI/004/Expert_video/1.wav"
    data = bytearray(path.read_bytes())
    data[40:44] = bytes(4)
    path.write_bytes(data)
    assert _reports(check_dataset("react2024", own), "declares no sound and 480640 bytes follow")


# --- the command --------------------------------------------------------------------------------------------


def test_the_command_prints_groups_and_with_all_every_finding(own: Path) -> None:
    for path in (own / "test/Audio_files").rglob("*.wav"):
        path.write_bytes(b"")
    short = CliRunner().invoke(app, ["data", "check", "react2024", str(own)])
    full = CliRunner().invoke(app, ["data", "check", "react2024", str(own), "--all"])
    assert short.exit_code == full.exit_code == 1
    text = " ".join(short.stdout.split())
    assert "(4 times)" in text and " and 1 more" in text and "--all" in text
    rates = [note(f"{share} % of the frames are good", where=f"{share}.csv") for share in (99, 12)]
    both = next(line for line in lines(CheckReport(name="x", root="y", findings=tuple(rates))) if "99 %" in line)
    assert both.endswith("(2 times; the numbers are of the first)"), "the second has 12 %"
    assert full.stdout.count("is not a readable wav file") == 4 and "times)" not in full.stdout
