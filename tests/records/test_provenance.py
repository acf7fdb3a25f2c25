"""Which record is the newest: records hold no time, the history of their files does."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from dyadbench.records.provenance import newest_commit


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
