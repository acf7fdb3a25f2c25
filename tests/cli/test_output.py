"""What every verb prints can be piped anywhere, and no verb ends in a bare "Aborted!"."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

VERBS = {
    "list": ["list"],
    "list metrics": ["list", "metrics"],
    "leaderboard": ["leaderboard"],
    "doctor": ["doctor"],
    "help": ["score", "--help"],
}
ROOT = Path(__file__).parents[2]


def _run(*words: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "dyadbench", *words]
    return subprocess.run(command, capture_output=True, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1", **environment})  # fmt: skip


@pytest.mark.parametrize("encoding", ["cp1252", "cp932", "latin-1", "ascii"])
def test_every_verb_is_printed_in_any_encoding(encoding: str, tmp_path: Path) -> None:
    for name, words in VERBS.items():
        if name == "leaderboard":  # the committed records, into a folder of its own
            words = ["leaderboard", "--check"]
        process = _run(*words, PYTHONIOENCODING=encoding)
        assert b"UnicodeEncodeError" not in process.stderr, (name, process.stderr[-500:])
        assert process.returncode in (0, 3), (name, process.stderr[-500:])
        process.stdout.decode(encoding)


def test_an_end_of_file_inside_a_verb_has_a_sentence(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    from dyadbench.cli import listing, main

    def ends(*_: object, **__: object) -> None:
        raise EOFError("Ran out of input")

    monkeypatch.setattr(listing, "Host", ends)
    monkeypatch.setattr("sys.argv", ["dyadbench", "list"])
    with pytest.raises(SystemExit) as caught:
        main()
    errors = capsys.readouterr().err
    assert caught.value.code == 2 and "a file ended before its data did" in errors and "Ran out of input" in errors
    assert "Aborted" not in errors


LOUD = """
import atexit, os, subprocess, sys, threading
from dyadbench.hookspecs import hookimpl

os.write(1, b"from C code\\n")
subprocess.run([sys.executable, "-c", "print('from a child process')"])
threading.Thread(target=print, args=("from a thread",)).start()
atexit.register(print, "from the end")

@hookimpl
def dyadbench_predictors():
    return []
"""


def test_json_is_all_that_standard_output_holds(tmp_path: Path) -> None:
    """Only what Python printed through sys.stdout inside a plugin's call went to standard error."""
    info = tmp_path / "loud-1.0.dist-info"
    info.mkdir()
    (tmp_path / "loud.py").write_text(LOUD)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: loud\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[dyadbench]\nloud = loud\n")
    process = _run("list", "--json", PYTHONPATH=str(tmp_path))
    assert {"name": "ridge"}.items() <= {row["name"]: row for row in json.loads(process.stdout)}["ridge"].items()
    for source in (b"C code", b"a child process", b"a thread", b"the end"):
        assert b"from " + source in process.stderr
    full = subprocess.run(
        f"{sys.executable} -m dyadbench list --json > /dev/full", shell=True, capture_output=True, check=False, cwd=ROOT
    )
    assert full.returncode == 2 and b"the output could not be printed" in full.stderr
