"""A user's folder is walked behind links, never in circles, and without what other programs left there."""

from __future__ import annotations

from pathlib import Path

import pytest

from dyadbench.api import DyadbenchError
from dyadbench.datasets.digest import folder_digest
from dyadbench.files.walk import expanded, files_below, files_in, folders_in, other_case


def _write(root: Path, *names: str, text: str = "x") -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def _names(root: Path) -> list[str]:
    return [path.relative_to(root).as_posix() for path in files_below(root)]


def test_linked_folders_and_files_are_walked_as_if_they_lay_there(tmp_path: Path) -> None:
    disk = _write(tmp_path / "disk", "train/a.npy", "train/deep/b.npy", "c.npy")
    root = tmp_path / "root"
    root.mkdir()
    (root / "train").symlink_to(disk / "train")
    (root / "c.npy").symlink_to(disk / "c.npy")
    (root / "broken").symlink_to(disk / "none")
    (root / "itself").symlink_to(root / "itself")
    assert _names(root) == ["c.npy", "train/a.npy", "train/deep/b.npy"]


def test_circles_end_and_two_links_to_one_folder_both_count(tmp_path: Path) -> None:
    root = _write(tmp_path / "root", "a/x.npy", "b/y.npy")
    (root / "a" / "up").symlink_to(root)
    (root / "a" / "b").symlink_to(root / "b")
    (root / "b" / "a").symlink_to(root / "a")
    assert _names(root) == ["a/b/y.npy", "a/x.npy", "b/a/x.npy", "b/y.npy"]


def test_what_other_programs_leave_is_nobodys_data(tmp_path: Path) -> None:
    strange = (".ipynb_checkpoints/x.npy", "__MACOSX/x.npy", "people/._trevor", ".DS_Store", "Thumbs.db")
    root = _write(tmp_path / "root", "people/trevor/x.npy", *strange)
    assert _names(root) == ["people/trevor/x.npy"]
    assert folders_in(root) == ["people"] and folders_in(root / "none") == []


def test_data_whose_change_would_go_unseen_have_no_digest(tmp_path: Path) -> None:
    root = _write(tmp_path / "root", "train/x.h5")
    with pytest.raises(DyadbenchError, match=r"holds x\.h5, but no file that ends in \.csv, .* let the dataset hash"):
        folder_digest(root)
    _write(root, "list.csv")
    assert folder_digest(root)


def test_the_digest_changes_when_a_link_is_moved_to_other_data(tmp_path: Path) -> None:
    for name in ("one", "two"):
        _write(tmp_path / name, "train/x.npy", text=name)
    root = _write(tmp_path / "root", "list.csv")
    (root / "train").symlink_to(tmp_path / "one" / "train")
    first = folder_digest(root)
    assert first == folder_digest(root)
    (root / "train").unlink()
    (root / "train").symlink_to(tmp_path / "two" / "train")
    assert folder_digest(root) != first


def test_names_that_differ_in_capitals_are_found(tmp_path: Path) -> None:
    root = _write(tmp_path / "root", "train/3d_fv_files/NoXI/1.NPY")
    assert other_case(root / "train/3D_FV_files") == root / "train/3d_fv_files"
    assert other_case(root / "train/3D_FV_files/NoXI/1.npy") == root / "train/3d_fv_files/NoXI/1.NPY"
    assert other_case(root / "train") is None and other_case(root / "val") is None


def test_files_of_one_suffix_are_those_of_this_program(tmp_path: Path) -> None:
    for name in ("b.toml", "a.toml", "._a.toml", "c.txt"):
        (tmp_path / name).touch()
    (tmp_path / "folder.toml").mkdir()
    assert [path.name for path in files_in(tmp_path, ".toml")] == ["a.toml", "b.toml"]
    assert files_in(tmp_path / "none", ".toml") == []


def test_records_in_the_folder_of_the_data_change_no_digest(tmp_path: Path) -> None:
    """A run that is started there writes them there, and every later run took the data for others."""
    root = _write(tmp_path, "a.npy")
    before = folder_digest(root)
    _write(root, "leaderboards/records/b/m/seed0.json", "leaderboards/b.csv")
    assert folder_digest(root) == before


def test_the_home_of_nobody_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert expanded("~/data") == Path("/home/me/data")
    assert expanded("~no-such-user/data") == Path("~no-such-user/data")
