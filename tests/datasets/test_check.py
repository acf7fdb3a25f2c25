"""A generated folder is clean, and every single fault in it is named."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dyadbench.api import DyadbenchError
from dyadbench.datasets.check.releases import RELEASES
from dyadbench.datasets.check.run import check_dataset
from dyadbench.datasets.simdyad import SimConfig, write
from dyadbench.datasets.simdyad import config as sizes
from dyadbench.files.walk import files_below


@pytest.fixture(scope="module", params=["react2024", "l2l"])
def corpus(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    folder = tmp_path_factory.mktemp("corpus") / request.param
    sizes_before = sizes.SIZES["tiny"]
    sizes.SIZES["tiny"] = (1, 1, 1)
    try:
        write(folder, SimConfig(layout=request.param, size="tiny", listeners=2, seconds=6.0))
    finally:
        sizes.SIZES["tiny"] = sizes_before
    return request.param, folder


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])


def _corrupt(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)


FAULTS: dict[str, Callable[[Path], object]] = {
    "delete": Path.unlink,
    "truncate": _truncate,
    "corrupt": _corrupt,
    "rename": lambda path: path.rename(path.with_name(f"renamed{path.suffix}")),
}


def test_a_generated_folder_is_clean(corpus: tuple[str, Path]) -> None:
    report = check_dataset(*corpus)
    assert report.ok, [f for f in report.findings if f.level not in ("ok", "note")]


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_in_every_file_is_named(corpus: tuple[str, Path], fault: str, tmp_path: Path) -> None:
    name, folder = corpus
    for path in files_below(folder):
        where = path.relative_to(folder)
        broken = tmp_path / "broken"
        shutil.copytree(folder, broken, copy_function=os.link)
        target = broken / where
        data = target.read_bytes()
        target.unlink()  # the link, not the original's bytes
        target.write_bytes(data)
        FAULTS[fault](target)
        report = check_dataset(name, broken)
        assert not report.ok, (fault, where)
        assert any(
            where.name in f.where or where.name in f.what for f in report.findings if f.level in ("error", "warn")
        ), (fault, where)
        shutil.rmtree(broken)


def _real(corpus: Path, folder: Path) -> Path:
    """The same folder as if it were a release: no mark, no sums, so that only structure can tell."""
    shutil.copytree(corpus, folder)
    for name in ("SHA256SUMS", "simdyad.json"):
        (folder / name).unlink()
    return folder


@pytest.fixture(scope="module")
def full_react(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("real") / "generated"
    sizes_before = sizes.SIZES["tiny"]
    sizes.SIZES["tiny"] = (1, 1, 1)
    try:
        write(folder, SimConfig(layout="react2024", size="tiny", listeners=2))
    finally:
        sizes.SIZES["tiny"] = sizes_before
    return folder


def _edit(path: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    np.save(path, change(np.load(path)))


def _set(values: np.ndarray, place: object, to: float) -> np.ndarray:
    values[place] = to  # type: ignore[index]
    return values


CLIP = "simulated/test0000"
STRUCTURE: dict[str, tuple[Callable[[Path], object], str]] = {
    "frames": (lambda r: _edit(r / f"test/3D_FV_files/{CLIP}/Expert_video/1.npy", lambda a: a[:500]), "500 frames"),
    "channels": (lambda r: _edit(r / f"test/3D_FV_files/{CLIP}/Expert_video/1.npy", lambda a: a[..., :50]), "(751, 1, 50)"),
    "nan": (lambda r: _edit(r / f"test/3D_FV_files/{CLIP}/Expert_video/1.npy", lambda a: _set(a, (3, 0, 2), np.nan)), "NaN"),
    "objects": (lambda r: np.save(r / f"test/3D_FV_files/{CLIP}/Expert_video/1.npy", np.array([{}]), allow_pickle=True), "Python objects"),
    "emotion rows": (lambda r: _lines(r / f"test/Emotion/{CLIP}/P1/1.csv", lambda rows: rows[:-3]), "747 rows"),
    "emotion header": (lambda r: _lines(r / f"test/Emotion/{CLIP}/P1/1.csv", lambda rows: rows[1:]), "no header line"),
    "emotion columns": (lambda r: _lines(r / f"test/Emotion/{CLIP}/P1/1.csv", lambda rows: [*rows[:5], "1,2", *rows[6:]]), "line 6 has 2 columns"),
    "emotion scale": (lambda r: _lines(r / f"test/Emotion/{CLIP}/P1/1.csv", lambda rows: [rows[0], *(x.replace("0,", "7,", 1) for x in rows[1:])]), "neither 0 nor 1"),
    "pair twice": (lambda r: _lines(r / "data/test.csv", lambda rows: [*rows, rows[1]]), "listed twice"),
    "csv header": (lambda r: _lines(r / "data/test.csv", lambda rows: rows[1:]), "no header"),
    "leak": (lambda r: _lines(r / "data/train.csv", lambda rows: [*rows, "9," + _first(r)]), "two splits"),
    "matrix size": (lambda r: _edit(r / "neighbour_emotion_test.npy", lambda a: a[:3, :3]), "(3, 3)"),
    "matrix entries": (lambda r: _edit(r / "neighbour_emotion_test.npy", lambda a: a * 0.5), "neither 0 nor 1"),
    "matrix empty row": (lambda r: _edit(r / "neighbour_emotion_test.npy", lambda a: _set(a, 1, 0)), "row 1 has no appropriate"),
    "matrix shifted": (lambda r: _edit(r / "neighbour_emotion_test.npy", lambda a: _set(a, (0, -1), 1)), "differs from Approprirate"),
    "unmatched": (lambda r: _lines(r / "tool/data_indices.csv", lambda rows: [x.replace("test0000", "other") for x in rows]), "no entry in data_indices"),
    "mean face": (lambda r: (r / "mean_face.npy").unlink(), "mean_face.npy is missing"),
}  # fmt: skip


def _first(root: Path) -> str:
    return (root / "data/test.csv").read_text().splitlines()[1].split(",", 1)[1]


def _lines(path: Path, change: Callable[[list[str]], list[str]]) -> None:
    path.write_text("\n".join(change(path.read_text().splitlines())) + "\n")


@pytest.mark.parametrize("case", STRUCTURE)
def test_structure_is_checked_without_checksums(full_react: Path, case: str, tmp_path: Path) -> None:
    folder = _real(full_react, tmp_path / "real")
    assert check_dataset("react2024", folder).ok
    fault, message = STRUCTURE[case]
    fault(folder)
    report = check_dataset("react2024", folder)
    assert not report.ok
    assert any(message in f.what for f in report.findings), [f.what for f in report.findings]


def test_bom_and_crlf_are_fine(full_react: Path, tmp_path: Path) -> None:
    folder = _real(full_react, tmp_path / "real")
    for path in (folder / "data/test.csv", folder / f"test/Emotion/{CLIP}/P1/1.csv"):
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert check_dataset("react2024", folder).ok


def test_fix_builds_the_matrices_that_were_there(full_react: Path, tmp_path: Path) -> None:
    folder = _real(full_react, tmp_path / "real")
    matrix = np.load(folder / "neighbour_emotion_test.npy")
    (folder / "neighbour_emotion_test.npy").unlink()
    assert not check_dataset("react2024", folder).ok
    assert check_dataset("react2024", folder, fix=True).ok
    assert np.array_equal(np.load(folder / "neighbour_emotion_test.npy"), matrix)
    assert check_dataset("react2024", folder).ok


def test_a_link_back_to_its_own_folder_is_named_and_not_followed(full_react: Path, tmp_path: Path) -> None:
    folder = _real(full_react, tmp_path / "real")
    (folder / "loop").symlink_to(folder)
    report = check_dataset("react2024", folder)
    assert [f.where for f in report.findings if "leads back" in f.what] == ["loop"]


def test_folders_behind_links_are_checked(full_react: Path, tmp_path: Path) -> None:
    elsewhere = _real(full_react, tmp_path / "elsewhere")
    folder = tmp_path / "real"
    folder.mkdir()
    for item in elsewhere.iterdir():
        (folder / item.name).symlink_to(item)
    assert check_dataset("react2024", folder).ok
    (elsewhere / f"test/3D_FV_files/{CLIP}/Expert_video/1.npy").unlink()
    assert not check_dataset("react2024", folder).ok


def test_a_recording_in_two_splits_is_named(tmp_path: Path) -> None:
    folder = _real_l2l(tmp_path)
    assert check_dataset("l2l", folder).ok
    path = folder / "data/simulated/test/p1_speak_files_clean_deca.npy"
    _edit(path, lambda files: _set(files, (slice(None), slice(None), 0), np.load(_train_files(folder))[0, 0, 0]))
    report = check_dataset("l2l", folder)
    assert not report.ok
    assert any("1 of 1 recordings of test also stand in" in f.what for f in report.findings), report.findings


def _train_files(folder: Path) -> Path:
    return folder / "data/simulated/train/p1_speak_files_clean_deca.npy"


def _real_l2l(tmp_path: Path) -> Path:
    sizes_before = sizes.SIZES["tiny"]
    sizes.SIZES["tiny"] = (2, 1, 1)
    try:
        write(tmp_path / "generated", SimConfig(layout="l2l", size="tiny", listeners=1, seconds=5.0))
    finally:
        sizes.SIZES["tiny"] = sizes_before
    return _real(tmp_path / "generated", tmp_path / "real")


def test_unknown_names_and_folders(tmp_path: Path) -> None:
    with pytest.raises(DyadbenchError, match="react2042"):
        check_dataset("react2042", tmp_path)
    with pytest.raises(DyadbenchError, match="did you mean lm-listener"):
        check_dataset("lm-listner", tmp_path)
    (tmp_path / "list.txt").write_text("x")
    for name in RELEASES:  # what is no folder is a report, too: the verb always ends in one
        assert check_dataset(name, tmp_path / "none").summary() == f"not clean: there is no folder {tmp_path / 'none'}."
        assert check_dataset(name, tmp_path / "list.txt").findings[0].remedy == "give the folder as it was downloaded"
        report = check_dataset(name, tmp_path)
        assert not report.ok and report.findings[0].meaning in ("there is nothing to read", "nothing can be read"), name


def test_an_option_that_a_dataset_has_no_use_for_is_refused(tmp_path: Path) -> None:
    """--fix and --limit were taken and dropped, and the report then said that only a part was read."""
    with pytest.raises(DyadbenchError, match="--fix rebuilds the neighbour matrices of REACT; dualtalk has none"):
        check_dataset("dualtalk", tmp_path, fix=True)
    with pytest.raises(DyadbenchError, match="l2l reads whole files; leave --limit out"):
        check_dataset("l2l", tmp_path, limit=2)
