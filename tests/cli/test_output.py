"""What every verb prints can be piped anywhere, and no verb ends in a bare "Aborted!"."""

from __future__ import annotations

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
