"""Digests of files and folders, whose values stand in records, keys and names of kept features."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from dyadbench.api import DyadbenchError
from dyadbench.datasets.features import model_digest
from dyadbench.files.digest import digest_of


def _write(root: Path) -> Path:
    (root / "s" / "a").mkdir(parents=True)
    (root / "s" / "a" / "x.npy").write_bytes(b"numbers")
    (root / "config.json").write_bytes(b"{}")
    return root


def test_a_folders_digest_follows_names_and_bytes(tmp_path: Path) -> None:
    first = digest_of(_write(tmp_path), ".npy")
    whole = digest_of(tmp_path)
    (tmp_path / "config.json").write_text("of no matter")
    assert digest_of(tmp_path, ".npy") == first and digest_of(tmp_path) != whole
    (tmp_path / "s/a/x.npy").rename(tmp_path / "s/a/z.npy")
    assert digest_of(tmp_path, ".npy") != first


def test_digests_are_what_they_were_when_records_were_written(tmp_path: Path) -> None:
    lines = [
        f"{name} {hashlib.sha256(data).hexdigest()}\n"
        for name, data in (("config.json", b"{}"), ("s/a/x.npy", b"numbers"))
    ]
    whole = hashlib.sha256("".join(lines).encode()).hexdigest()
    assert digest_of(_write(tmp_path)) == whole and model_digest(str(tmp_path)) == whole[:16]
    assert digest_of(tmp_path, ".npy") == hashlib.sha256(lines[1].encode()).hexdigest()
    assert digest_of(tmp_path / "config.json") == hashlib.sha256(b"{}").hexdigest()
    assert model_digest("some/model") == hashlib.sha256(b"some/model").hexdigest()[:16]


def test_a_file_that_is_not_there_is_an_error_of_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(DyadbenchError, match=r"cannot read .*none: No such file"):
        digest_of(tmp_path / "none")
