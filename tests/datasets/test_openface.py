"""OpenFace dyads on folders that these tests write: eight dyads, each with a fault of real files."""

from __future__ import annotations

import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.fixtures.openface import truth, write_csv
from typer.testing import CliRunner

from dyadbench.api import Dataset, DyadbenchError
from dyadbench.cli import app
from dyadbench.datasets.check.openface import check
from dyadbench.datasets.config import OpenFaceConfig
from dyadbench.datasets.folds import FoldedDataset, PooledDataset
from dyadbench.datasets.openface import OpenFaceDataset, read_list
from dyadbench.datasets.openface_csv import read_person, resample
from dyadbench.files.npy import BadFile

KINDS = ["clean", "slow", "fast", "ntsc", "failed", "gap", "faces", "repeated"]
SMALL = OpenFaceConfig(window=2.0)


def write_dirty(root: Path) -> Path:
    """Eight dyads; `b` is always clean."""
    faults: list[dict[str, Any]] = [
        {}, {"fps": 25.0, "blank": False}, {"fps": 60.0}, {"fps": 29.97}, {"failed": range(100, 108)},
        {"missing": range(100, 145)}, {"faces": 2}, {"repeated": (3, 50), "nan": (70,)},
    ]  # fmt: skip
    lines = ["session,clip,a,b"]
    for phase, (name, fault) in enumerate(zip(KINDS, faults, strict=True)):
        write_csv(root / name / "left.csv", phase=phase, **fault)
        write_csv(root / name / "right.csv", phase=phase + 0.5)
        lines.append(f"{name},1,{name}/left.csv,{name}/right.csv")
    (root / "dyads.csv").write_text("\n".join(lines) + "\n")
    return root


@pytest.fixture(scope="module")
def dirty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dirty(tmp_path_factory.mktemp("dirty"))


def test_eight_dirty_dyads_are_read_at_one_rate_and_to_the_cameras_values(dirty: Path) -> None:
    data = OpenFaceDataset(SMALL, dirty)
    assert isinstance(data, Dataset)
    clips = {split: data.clips(split) for split in ("train", "val", "test")}
    sessions = {split: {clip.session for clip in group} for split, group in clips.items()}
    assert [len(sessions[split]) for split in clips] == [5, 1, 2]
    assert not sessions["train"] & (sessions["val"] | sessions["test"])
    for split, group in clips.items():
        for index, clip in enumerate(group):
            dyad = data.dyad(split, index)
            assert dyad.speaker.motion.shape == dyad.listener.motion.shape == (60, 25)
            phase = KINDS.index(clip.session)
            speaker, start = clip.id.split("/")[2][0], int(clip.id.split("/")[3])
            expected = truth((start + np.arange(60)) / 30, phase if speaker == "a" else phase + 0.5)
            expected[:, 20:23] *= 0.1  # centimetres
            error = np.abs(dyad.speaker.motion - expected)
            error[:, 20:23] = np.abs(np.diff(dyad.speaker.motion - expected, axis=0))[:, 20:23].max()  # centred
            limit = 0.08 if clip.session == "failed" else 0.02  # a straight line over eight frames
            assert error.max() < limit, (clip.id, error.max(0))


def test_windows_follow_one_another_and_start_anew_after_a_long_gap(dirty: Path) -> None:
    data = OpenFaceDataset(SMALL, dirty)
    ids = [clip.id for split in ("train", "val", "test") for clip in data.clips(split)]
    of = lambda name: [int(i.split("/")[3]) for i in ids if i.startswith(f"{name}/1/a>b")]  # noqa: E731  # a name for one expression
    assert of("clean") == of("failed") == of("faces") == [0, 60, 120, 180]
    assert of("gap") == [0, 145], "one before the 1.5 s without frames, then from frame 145 on"
    assert of("slow") == [0, 60, 120], "the last picture at 25 a second is 7.96 s, which window four misses"
    strict = OpenFaceDataset(SMALL.model_copy(update={"gap": 0.2}), dirty)
    assert len(strict.clips("train")) + len(strict.clips("val")) + len(strict.clips("test")) < len(ids)


def test_a_short_gap_is_a_straight_line_and_a_stale_row_is_never_read(tmp_path: Path) -> None:
    person = read_person(write_csv(tmp_path / "x.csv", failed=range(100, 108)), ["au"])
    values, counts, measured = resample(person, ["au"], 30.0, start=0.0, frames=240, gap=0.5)
    assert counts.all() and measured.sum() == 232
    line = np.linspace(values[99], values[108], 10)
    assert np.allclose(values[99:109], line, atol=1e-5)
    assert not resample(person, ["au"], 30.0, start=0.0, frames=240, gap=0.2)[1][102:106].any()


def test_angles_cross_half_a_turn_by_the_short_way(tmp_path: Path) -> None:
    person = read_person(write_csv(tmp_path / "x.csv", fps=10.0), ["rotation"])
    person.values[:, 0] = (np.pi - 0.2 + 0.05 * np.arange(len(person.values)) + np.pi) % (2 * np.pi) - np.pi
    values, _, _ = resample(person, ["rotation"], 20.0, start=0.0, frames=40, gap=0.5)
    assert np.allclose(np.diff(values[:, 0]), 0.025, atol=1e-5)


def test_the_face_seen_most_often_is_taken_or_the_one_that_is_named(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "x.csv", faces=2)
    assert read_person(path, ["au"]).good.all()
    other = read_person(path, ["au"], face=1)
    assert other.faces == (0, 1) and other.good.mean() == 0.5
    with pytest.raises(BadFile, match="has no face 7; it has 0, 1"):
        read_person(path, ["au"], face=7)


def test_pictures_without_a_clock_need_their_rate(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "x.csv", step=0.001)
    with pytest.raises(BadFile, match=r"1000 pictures per second.*rate=30"):
        read_person(path, ["au"])
    assert read_person(path, ["au"], rate=30.0).times[-1] == pytest.approx(239 / 30)
    head, first, second, *rows = path.read_text().splitlines()
    path.write_text("\n".join([head, second, first, *rows]))
    with pytest.raises(BadFile, match=r"frame 1 comes after frame 2; sort the rows by frame"):
        read_person(path, ["au"], rate=30.0)


def test_gaze_angles_come_from_the_eyes_where_they_are_missing(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "x.csv")
    head, *rows = path.read_text().splitlines()
    names = [name.strip() for name in head.split(",")]
    at = names.index("gaze_angle_x")
    eyes = "gaze_0_x,gaze_0_y,gaze_0_z,gaze_1_x,gaze_1_y,gaze_1_z"
    new_rows = [",".join([*row.split(",")[:at], "0.3,0.1,-0.9,0.1,0.3,-0.9"]) for row in rows]
    path.write_text("\n".join([",".join([*names[:at], eyes]), *new_rows]))
    assert np.allclose(read_person(path, ["gaze"]).values[0], np.arctan2(0.2, 0.9))
    path.write_text("\n".join([",".join(names[:at]), *(",".join(row.split(",")[:at]) for row in rows)]))
    with pytest.raises(BadFile, match=r"no column 'gaze_0_x', which the group 'gaze' needs.*leave the group out"):
        read_person(path, ["au", "gaze"])
    assert read_person(path, ["au"]).values.shape[1] == 16


def test_malformed_files_are_named(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "x.csv")
    text = path.read_text()
    for broken, reason in (
        (text.replace("0.98", "much", 1), "is malformed: could not convert string 'much'"),
        ("\n".join(text.splitlines()[:1]) + "\n", "no rows"),
        (text.replace("confidence", "trust"), "no column 'confidence'"),
        (text.replace("0.98,1", "0.98,0"), "no frame with success 1"),
        (text.replace(",0.033,", ",0.900,"), "timestamp of frame 3 is not later"),
        (text.replace("AU02_r", "AU01_r", 1), "has two columns 'AU01_r'"),
    ):
        path.write_text(broken)
        with pytest.raises(BadFile, match=reason):
            read_person(path, ["au"])


def test_quoted_cells_are_read(tmp_path: Path) -> None:
    plain = read_person(write_csv(tmp_path / "x.csv", blank=False), ["au"])
    lines = (tmp_path / "x.csv").read_text().splitlines()
    quoted = [",".join(f'"{cell}"' for cell in line.split(",")) for line in lines]
    (tmp_path / "x.csv").write_text("\n".join(quoted) + "\n")
    np.testing.assert_array_equal(read_person(tmp_path / "x.csv", ["au"]).values, plain.values)


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (["session,clip,a", "s,1,x.csv"], "has no column 'b'"),
        (["session,clip,a,b,mood", "s,1,x.csv,y.csv,z"], "column 'mood' that means nothing"),
        (["session,clip,a,b", "s,1,x.csv"], "line 2 has 3 cells"),
        (["session,clip,a,b", "s,1,x.csv,y.csv", "s,1,x.csv,y.csv"], "line 3: s/1 is already in line 2"),
        (["session,clip,a,b", "s,1,/x.csv,y.csv"], "must be relative"),
        (["session,clip,a,b,split", "s,1,x.csv,y.csv,train", "s,2,x.csv,y.csv,test"], "a session belongs to one"),
        (["session,clip,a,b,split", "s,1,x.csv,y.csv,train", "t,2,z.csv,y.csv,"], "some sessions only"),
        (["session,clip,a,b,speaker", "s,1,x.csv,y.csv,c"], "it is a, b or both"),
        (["session,clip,a,b,audio_a,audio_b", "s,1,x.csv,y.csv,v.wav,"], "only audio_a is given"),
        (["session,clip,a,b", "s,1,x.txt,y.csv"], "a is 'x.txt'; a .csv file is expected"),
        (["session,clip,a,b,audio_a,audio_b", "s,1,x.csv,y.csv,v.flac,w.flac"], "audio_a is 'v.flac'; a .wav file"),
        (["session,clip,a,b,start_a", "s,1,x.csv,y.csv,soon"], "start_a must be a number"),
        (["session,clip,a,b", "s,1,.raw/x.csv,y.csv"], "a is '.raw/x.csv', in a hidden folder"),
        (["session,clip,a,b", "s,1,leaderboards/x.csv,y.csv"], "or one of another program; move it"),
        (["session,clip,a,b", "s,1,x.csv,x.csv"], "line 2: a and b are the same person, x.csv"),
        (["session,clip,a,b", "s,1,x.csv,y.csv", "t,1,x.csv,y.csv"], "line 3: the same recording .* in line 2"),
        (
            ["session,clip,a,b,speaker", "s,1,x.csv,y.csv,a", "t,1,y.csv,x.csv,both"],
            "line 3: the same recording .* in line 2",
        ),
    ],
)
def test_a_list_that_is_wrong_is_refused_by_its_line(lines: list[str], reason: str, tmp_path: Path) -> None:
    (tmp_path / "dyads.csv").write_text("\n".join(lines))
    with pytest.raises(BadFile, match=reason):
        read_list(tmp_path)


def test_the_list_decides_roles_splits_starts_and_contexts(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", seconds=9.0)
    for name in "bcdef":
        write_csv(tmp_path / f"{name}.csv")
    (tmp_path / "dyads.csv").write_text(
        "session, clip, a, b, speaker, split, context, start_a\n"
        "s, 1, a.csv, b.csv, a, train, , 1\n\n"
        "t, 1, a.csv, b.csv, b, val, , 0\n"
        "u, 1, c.csv, d.csv, both, test, film, 0\n"
        "v, 1, e.csv, f.csv, both, test, film, 0\n"
    )
    data = OpenFaceDataset(SMALL, tmp_path)
    assert [clip.id for clip in data.clips("train")] == [f"s/1/a>b/{n}" for n in (0, 60, 120, 180)]
    assert np.allclose(data.dyad("train", 0).speaker.motion[:, 0], truth(1 + np.arange(60) / 30)[:, 0], atol=1e-3)
    assert {clip.id[4:7] for clip in data.clips("val")} == {"b>a"}
    matrix = data.appropriate("test")
    assert matrix.shape == (16, 16) and matrix.sum() == 32, "the same role and window of the other recording"
    assert matrix[0, 8] and not matrix[0, 12]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_context_holds_across_the_folds_whatever_their_seed(seed: int, tmp_path: Path) -> None:
    lines = ["session,clip,a,b,context"]
    for n in range(6):
        for side in "ab":
            write_csv(tmp_path / f"{side}{n}.csv")
        lines.append(f"s{n},1,a{n}.csv,b{n}.csv,film")
    (tmp_path / "dyads.csv").write_text("\n".join(lines))
    data = OpenFaceDataset(SMALL.model_copy(update={"seed": seed}), tmp_path)
    matrix = PooledDataset(data).appropriate("test")
    assert (matrix.sum(1) == 6).all(), "every session's listener in the same role and window"
    assert (FoldedDataset(data, 0, 3).appropriate("test").sum(1) == 2).all(), "a fold tests two of the sessions"


def test_a_face_id_that_is_no_number_is_refused(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "x.csv", blank=False)
    lines = path.read_text().splitlines()
    at = [cell.strip() for cell in lines[0].split(",")].index("face_id")
    cells = lines[3].split(",")
    cells[at] = "nan"
    lines[3] = ",".join(cells)
    path.write_text("\n".join(lines))
    with pytest.raises(BadFile, match="a face_id is NaN"):
        read_person(path, ["au"])


def test_voices_are_features_of_their_windows(tmp_path: Path) -> None:
    for side in "ab":
        for s in "stu":
            write_csv(tmp_path / f"{s}{side}.csv")
        with wave.open(str(tmp_path / f"{side}.wav"), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(8000)
            noise = np.random.default_rng(0).integers(-9999, 9999, 64000)
            file.writeframes((noise * (np.arange(64000) >= 32000)).astype("<i2").tobytes())  # silent for four seconds
    rows = [f"{s},1,{s}a.csv,{s}b.csv,a.wav,b.wav" for s in "stu"]
    (tmp_path / "dyads.csv").write_text("\n".join(["session,clip,a,b,audio_a,audio_b", *rows]))
    data = OpenFaceDataset(SMALL, tmp_path)
    assert data.audio["mfcc-78"].dim == 78
    sound = [data.dyad("train", n, ("mel-128",)).speaker.audio["mel-128"] for n in range(4)]
    assert sound[0].shape == (240, 128)
    assert sound[1].max() < sound[2].min() + 30 and sound[1].mean() < sound[2].mean() - 5
    voice = data.voice("train", 1)
    assert voice is not None and len(voice[0]) == 48000
    early = [
        f"{s},1,{s}a.csv,{s}b.csv,a.wav,b.wav,-0.01" for s in "stu"
    ]  # within half a frame: not the end of the file
    (tmp_path / "dyads.csv").write_text("\n".join(["session,clip,a,b,audio_a,audio_b,start_a", *early]))
    data = OpenFaceDataset(SMALL, tmp_path)
    from_the_start = data.voice("train", 0)
    assert from_the_start is not None and len(from_the_start[0]) == 64000
    np.testing.assert_allclose(data.dyad("train", 0, ("mel-128",)).speaker.audio["mel-128"], sound[0], atol=1e-4)
    for side in "ab":
        with wave.open(str(tmp_path / f"{side}.wav"), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(8000)
            file.writeframes(bytes(2 * 40000))  # three seconds too short: they would be silence
    data = OpenFaceDataset(SMALL, tmp_path)
    with pytest.raises(
        DyadbenchError, match=r"a\.wav ends \d\.\d+ s before the window of .* does; give the whole sound"
    ):
        [data.dyad("train", n, ("mel-128",)) for n in range(len(data.clips("train")))]


def test_the_check_tells_every_fault_of_the_eight(dirty: Path) -> None:
    findings = list(check(dirty, False))
    texts = {f"{f.where}: {f.what}" for f in findings}
    assert any("faces/left.csv: 2 faces (0, 1)" in line for line in texts)
    assert any("repeated/left.csv: 2 rows repeat a frame" in line for line in texts)
    assert any("slow/left.csv: resampled from 25 to 30" in line for line in texts)
    assert any("fast/left.csv: resampled from 60 to 30" in line for line in texts)
    assert any("failed/left.csv: 30 frames per second, 97 % of the frames are good" in line for line in texts)
    assert sum("no window of 30 s" in line for line in texts) == 8, "they last 8 s, and 30 s is the default"


def test_the_check_says_how_much_of_what_was_filmed_stands_in_clips(tmp_path: Path) -> None:
    """25 s give three windows of 8 s; a gap of more than half a second costs the second one of them."""
    lines = ["session,clip,a,b"]
    for n in range(3):
        write_csv(tmp_path / f"a{n}.csv", seconds=25.0, failed=range(300, 340) if n == 0 else ())
        write_csv(tmp_path / f"b{n}.csv", seconds=25.0, phase=0.5)
        lines.append(f"s{n},talk,a{n}.csv,b{n}.csv")
    (tmp_path / "dyads.csv").write_text("\n".join(lines))
    for window, text, level in ((8.0, "85 % of 1.2 minutes", "note"), (14.0, "37 % of 1.2 minutes", "warn")):
        findings = list(check(tmp_path, False, config=OpenFaceConfig(window=window)))
        [share] = [f for f in findings if "stand in clips" in f.what]
        assert (share.what, share.level) == (f"{text} of conversation stand in clips", level)


def test_three_sessions_are_the_least(tmp_path: Path) -> None:
    for name in "abcd":
        write_csv(tmp_path / f"{name}.csv")
    (tmp_path / "dyads.csv").write_text("session,clip,a,b\ns,1,a.csv,b.csv\nt,1,c.csv,d.csv\n")
    with pytest.raises(DyadbenchError, match="three at least"):
        OpenFaceDataset(SMALL, tmp_path).clips("train")
    assert [f.level for f in check(tmp_path / "nowhere", False)] == ["error"]


def test_eight_dirty_dyads_become_a_table_and_pages(dirty: Path, tmp_path: Path) -> None:
    (tmp_path / "leaderboards").mkdir()
    root, data = ["--root", str(tmp_path)], ["--data", f"openface={dirty}"]
    methods = [word for name in ("oracle", "mime", "mismatched-listener", "ridge-matched") for word in ("-m", name)]
    for words in (
        ["run", "-b", "openface", *methods, "--data-set", "window=2.0", "--threads", "1", *root, *data],
        ["leaderboard", *root],
        ["report", *root, *data],
    ):
        outcome = CliRunner().invoke(app, words)
        assert outcome.exit_code == 0, outcome.output
    [table] = (tmp_path / "leaderboards").glob("openface*.md")
    text = table.read_text()
    assert "5-fold cross-validation by session" in text and "of 8 sessions" in text
    assert "*oracle (truth)* | 1.00 |" in text and "ridge-matched" in text
    pages = [page.read_text() for page in (tmp_path / "leaderboards" / "site").rglob("*.html")]
    assert any("the intensities of the action units that were measured" in page for page in pages)


def test_files_without_some_groups_are_scored_in_the_others(dirty: Path, tmp_path: Path) -> None:
    (tmp_path / "leaderboards").mkdir()
    root, methods = ["--root", str(tmp_path)], ["-m", "oracle", "-m", "mime", "-m", "mismatched-listener"]
    settings = ["--data-set", "window=2.0", "--data-set", 'groups=["au", "blink"]', "--data", f"openface={dirty}"]
    for words in (
        ["run", "-b", "openface", *methods, "--seeds", "0,1", "--threads", "1", *settings, *root],
        ["leaderboard", *root],
    ):
        outcome = CliRunner().invoke(app, words)
        assert outcome.exit_code == 0, outcome.output
    [table] = (tmp_path / "leaderboards").glob("openface*.md")
    text = table.read_text()
    assert "| *oracle (truth)* | 1.00 | 1.0000 | 1.0000 |" in text, "skill, CCC.au, CCC.blink"
    assert "- CCC.gaze is left out of the headline: mismatched-listener has no value in it\n" in text
    [unjudged] = [line for line in text.splitlines() if "was not measured" in line and "CCC.au" in line]
    assert "CCC.blink" in unjudged and "gaze" not in unjudged


def test_how_a_list_is_written_is_said_by_the_help_and_by_the_fault(tmp_path: Path) -> None:
    way = """'FIELD=["a","b"]', with both kinds of quotes"""
    for verb in (["run"], ["score"], ["data", "check"], ["data", "couplings"], ["bench", "latency"]):
        text = " ".join(CliRunner().invoke(app, [*verb, "--help"], terminal_width=200).output.split())
        assert way in text, verb
    words = ["run", "-b", "openface", "-m", "mime", "--dry-run", "--root", str(tmp_path)]
    outcome = CliRunner().invoke(app, [*words, "--data-set", "groups=[au,blink]"])
    assert isinstance(outcome.exception, DyadbenchError)
    assert f"groups: a list is expected, not '[au,blink]'; write {way}" in str(outcome.exception)


def test_a_person_under_another_name_in_another_split_is_told(tmp_path: Path) -> None:
    rows = ["session,clip,a,b,split"]
    for n, split in enumerate(("train", "val", "test")):
        for side in "ab":
            write_csv(
                tmp_path / f"{n}{side}.csv", phase=0.0 if side == "a" and split != "val" else 1.0 + n + (side == "a")
            )
        rows.append(f"s{n},1,{n}a.csv,{n}b.csv,{split}")
    (tmp_path / "dyads.csv").write_text("\n".join(rows))
    faults = [finding.what for finding in check(tmp_path, False) if finding.level == "error"]
    assert "1 of 2 recordings in test have the same motion as in train" in faults
