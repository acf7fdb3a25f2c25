"""What a record says of the machine, and which record is the newest: it holds no time, the history of its file does."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from dyadbench.records.provenance import hardware, newest_commit


def _commit(root: Path, name: str, text: str, at: str) -> str:
    """Writes a file and commits it at a time of 2026-03-04; its commit."""
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text)
    when = f"2026-03-04T{at}:00+00:00"
    who = {f"GIT_{role}_{what}": text for role in ("AUTHOR", "COMMITTER") for what, text in (("NAME", "n"), ("EMAIL", "e"), ("DATE", when))}  # fmt: skip
    for words in (("add", "."), ("commit", "-q", "-m", name), ("rev-parse", "HEAD")):
        done = subprocess.run(
            ["git", "-C", str(root), *words], env=os.environ | who, capture_output=True, text=True, check=True
        )
    return done.stdout.strip()


def test_the_newest_of_several_commits_of_one_day_is_named(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    commits = [_commit(tmp_path, "records/a.json", str(n), f"0{n}:00") for n in range(6)]
    _commit(tmp_path, "elsewhere.txt", "later", "09:00")
    records = tmp_path / "records"
    assert newest_commit(records) == (commits[-1], "2026-03-04")
    (records / "b.json").write_text("not committed")
    assert newest_commit(records) == ("", "")


def test_without_the_whole_history_nothing_is_named(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path / "whole")], check=True)
    for n in range(2):
        _commit(tmp_path / "whole", f"records/{n}.json", "1", f"0{n}:00")
    source = (tmp_path / "whole").as_uri()
    subprocess.run(["git", "clone", "-q", "--depth", "1", source, str(tmp_path / "part")], check=True)
    assert newest_commit(tmp_path / "part" / "records") == ("", "")
    assert newest_commit(tmp_path / "nowhere") == ("", "")


@pytest.mark.parametrize(
    ("preload", "names"),
    [("/home/me/own/mkl.so", ["mkl.so"]), ("/a/mkl.so:/b/c/libjemalloc.so.2 plain.so", ["mkl.so", "libjemalloc.so.2", "plain.so"])],
)  # fmt: skip
def test_libraries_that_are_loaded_first_are_named_without_their_folders(
    monkeypatch: pytest.MonkeyPatch, preload: str, names: list[str]
) -> None:
    monkeypatch.setenv("LD_PRELOAD", preload)
    settings = hardware.__wrapped__()["kernel_settings"]
    assert settings["LD_PRELOAD"].split() == names


@pytest.mark.parametrize("preload", ["", " : "])
def test_nothing_is_named_where_nothing_is_loaded_first(monkeypatch: pytest.MonkeyPatch, preload: str) -> None:
    monkeypatch.setenv("LD_PRELOAD", preload)
    assert "LD_PRELOAD" not in hardware.__wrapped__().get("kernel_settings", {})
