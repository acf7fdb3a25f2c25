"""Full and read-only disks, missing permissions, clocks that go back, other versions of the program on one store."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import dyadbench.store.folders as store_module
from dyadbench.api import DyadbenchError
from dyadbench.datasets.digest import folder_digest
from dyadbench.files.atomic import atomic_write, reserve
from dyadbench.store.folders import FORMAT, MAKER, Store

KEY = "ab" * 32
Command = Callable[..., tuple[int, str, str]]
Words = Callable[..., list[str]]


# --- full disks -----------------------------------------------------------------------------------------


def _fails_with(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Every byte written through atomic_write meets this error, and so does every reserved array."""

    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse)
    monkeypatch.setattr(os, "posix_fallocate", refuse)


@pytest.mark.parametrize("number", sorted(store_module.WEATHER))
def test_a_failed_write_is_one_sentence_and_the_next_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dyadbench: Command, cell: Words, number: int
) -> None:
    with monkeypatch.context() as broken:
        _fails_with(broken, number)
        code, _, err = dyadbench(*cell("mime", tmp_path))
    assert code == 1
    assert os.strerror(number) in err and str(tmp_path) in err and "run again" in err
    assert "Traceback" not in err and "failed during" not in err, "the disk is not the plugin's fault"
    assert dyadbench(*cell("mime", tmp_path))[0] == 0


def test_a_plugin_that_meets_a_full_disk_is_not_blamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dyadbench: Command, cell: Words
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "/somewhere/else")

    monkeypatch.setattr("dyadbench_baselines.mirror.Mime.sample", full)
    code, _, err = dyadbench(*cell("mime", tmp_path))
    assert code == 1 and "cannot write /somewhere/else: No space left on device" in err and "broke" not in err


def _mounted(where: Path, *options: str) -> bool:
    where.mkdir(exist_ok=True)
    return os.geteuid() == 0 and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", str(where)], capture_output=True, check=False
    ).returncode == 0  # fmt: skip


def test_a_really_full_disk(tmp_path: Path, dyadbench: Command, cell: Words) -> None:
    """A tmpfs too small for the reactions: without `reserve` their first page would kill the program with SIGBUS."""
    small = tmp_path / "small"
    if not _mounted(small, "size=100k"):
        pytest.skip("only root can mount a small disk")
    try:
        code, _, err = dyadbench(*cell("mime", tmp_path, home=small))
        assert code == 1 and "emotion.npy: No space left on device" in err and "Traceback" not in err
        subprocess.run(["mount", "-o", "remount,size=4m", str(small)], check=True)
        assert dyadbench(*cell("mime", tmp_path, home=small))[0] == 0
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_reserving_is_harmless_where_there_is_room(tmp_path: Path) -> None:
    array = np.lib.format.open_memmap(tmp_path / "a.npy", mode="w+", dtype=np.float32, shape=(1000, 100))
    array[3] = 1
    reserve(tmp_path / "a.npy")
    assert np.load(tmp_path / "a.npy").sum() == 100
    assert (tmp_path / "a.npy").stat().st_blocks * 512 >= array.nbytes


def test_a_file_size_limit_is_a_sentence(tmp_path: Path) -> None:
    """RLIMIT_FSIZE, the real one, in a process of its own."""

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))

    code = (
        "from pathlib import Path; from dyadbench.files.atomic import atomic_write\n"
        f"atomic_write(Path({str(tmp_path / 'f.bin')!r}), b'x' * 5000)"
    )
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, preexec_fn=limit, check=False
    )
    assert "DyadbenchError: cannot write" in process.stderr and "File too large; free space" in process.stderr
    assert not list(tmp_path.iterdir())


# --- read-only and forbidden ----------------------------------------------------------------------------


def test_a_read_only_store(tmp_path: Path, dyadbench: Command, cell: Words) -> None:
    frozen = tmp_path / "frozen"
    if not _mounted(frozen, "ro"):
        pytest.skip("only root can mount a read-only disk")
    try:
        code, _, err = dyadbench(*cell("mime", tmp_path, home=frozen))
        assert code == 1 and f"cannot write {frozen}" in err and "Read-only file system" in err
        assert "Traceback" not in err
    finally:
        subprocess.run(["umount", str(frozen)], check=True)


@pytest.mark.parametrize("what", ["mkdir", "lock", "log"])
def test_missing_permission(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dyadbench: Command, cell: Words, what: str
) -> None:
    """As a user without rights meets it; root, who runs many containers, ignores modes."""
    mkdir, opened = Path.mkdir, os.open

    def forbidden_mkdir(self: Path, *args: object, **more: object) -> None:
        if "store" in self.parts and what == "mkdir":
            raise PermissionError(13, "Permission denied", str(self))
        if "logs" in self.parts:
            raise PermissionError(13, "Permission denied", str(self))
        mkdir(self, *args, **more)  # type: ignore[arg-type]

    def forbidden_open(path: str, *args: object, **more: object) -> int:
        if str(path).endswith("lock") and what == "lock":
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(Path, "mkdir", forbidden_mkdir)
    monkeypatch.setattr(os, "open", forbidden_open)
    if what == "log":
        monkeypatch.setattr("dyadbench_baselines.mirror.Mime.sample", lambda *_: 1 / 0)
    code, _, err = dyadbench(*cell("mime", tmp_path))
    assert code == 1 and "Traceback" not in err
    assert ("division by zero" if what == "log" else "Permission denied") in err
    assert what == "log" or "fix the permission" in err


def test_an_unwritable_record_is_a_sentence(tmp_path: Path, dyadbench: Command, cell: Words) -> None:
    (tmp_path / "leaderboards").write_text("a file where the folder should be")
    code, _, err = dyadbench(*cell("mime", tmp_path))
    assert code == 2 and "cannot write" in err and "Not a directory" in err and "Traceback" not in err


# --- clocks ---------------------------------------------------------------------------------------------


def test_a_clock_that_goes_back_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dyadbench: Command, cell: Words
) -> None:
    for name in ("usual", "back"):
        (tmp_path / name).mkdir()
    assert dyadbench(*cell("mime", tmp_path / "usual"))[0] == 0
    now = [4e9]

    def back() -> float:
        now[0] -= 1000.0
        return now[0]

    with monkeypatch.context() as odd:
        odd.setattr("time.time", back)
        assert dyadbench(*cell("mime", tmp_path / "back"))[0] == 0
    usual, odd_record = (
        json.loads(next((tmp_path / name).rglob("seed0.json")).read_text()) for name in ("usual", "back")
    )
    assert odd_record["suites"] == usual["suites"] and odd_record["key"] == usual["key"]
    assert odd_record["measured"]["generate_seconds"] >= 0, "no time is negative"


def test_a_file_replaced_under_an_old_date_is_seen(tmp_path: Path) -> None:
    """Same name, size and date of change, other content: what a clock set back, or `rsync --times`, can leave."""
    path = tmp_path / "a.csv"
    path.write_text("x\n1\n")
    os.utime(path, (1e9, 1e9))
    before = folder_digest(tmp_path)
    assert folder_digest(tmp_path) == before
    path.write_text("x\n2\n")
    os.utime(path, (1e9, 1e9))
    assert folder_digest(tmp_path) != before


def test_hashes_are_kept_only_of_files_older_than_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.csv").write_text("x\n1\n")
    cache = tmp_path / ".dyadbench-digest.json"
    folder_digest(tmp_path)
    assert not cache.exists(), "it might change again within the same tick"
    changed = (tmp_path / "a.csv").stat().st_ctime
    monkeypatch.setattr("time.time", lambda: changed - 1e6)
    folder_digest(tmp_path)
    assert not cache.exists(), "the clock went back: the file is of the future"
    monkeypatch.setattr("time.time", lambda: changed + 10)
    before = folder_digest(tmp_path)
    assert list(json.loads(cache.read_text())) == ["a.csv"]
    monkeypatch.setattr("dyadbench.datasets.digest.digest_of", lambda path: pytest.fail("it was hashed before"))
    assert folder_digest(tmp_path) == before


@pytest.mark.parametrize("content", ["[]", "{", "\x00", '{"a.csv": 3}', '{"a.csv": ["x", ["y"]]}', "[" * 100000])
def test_a_damaged_digest_cache_costs_only_time(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.csv").write_text("x\n1\n")
    before = folder_digest(tmp_path)
    (tmp_path / ".dyadbench-digest.json").write_text(content)
    assert folder_digest(tmp_path) == before


# --- other versions of the program ----------------------------------------------------------------------


def test_a_store_from_a_newer_format_is_refused_untouched(tmp_path: Path, dyadbench: Command, cell: Words) -> None:
    store = tmp_path / "home" / "store"
    store.mkdir(parents=True)
    (store / "FORMAT").write_text("dyadbench-store/2\n")
    code, _, err = dyadbench(*cell("mime", tmp_path))
    assert code == 1 and "'dyadbench-store/2'" in err and f"reads {FORMAT!r}; update dyadbench, or choose" in err
    assert [path.name for path in store.iterdir()] == ["FORMAT"]


def test_a_store_from_before_the_mark_is_taken_on(tmp_path: Path) -> None:
    with Store(tmp_path).hold("fit", KEY) as stage:
        stage.finish()
    (tmp_path / "FORMAT").unlink()
    with Store(tmp_path).hold("fit", KEY) as stage:
        assert stage.done
    assert (tmp_path / "FORMAT").read_text().strip() == FORMAT


@pytest.mark.parametrize("change", ["program", "plugin"])
def test_a_stage_that_another_version_began_is_begun_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    store, plugin = Store(tmp_path), ("p", "1")
    with store.hold("fit", KEY, plugin=plugin) as stage:
        stage.write_json("half.json", {"done": 1})
    with store.hold("fit", KEY, plugin=plugin) as stage:
        assert stage.read_json("half.json") == {"done": 1}, "the same version goes on"
    if change == "program":
        monkeypatch.setattr("importlib.metadata.version", lambda name: "9.9")
    else:
        plugin = ("p", "2")
    with store.hold("fit", KEY, plugin=plugin) as stage:
        assert stage.read_json("half.json") == {}
        stage.finish()
    monkeypatch.undo()
    with store.hold("fit", KEY, plugin=("p", "1")) as stage:
        assert stage.done, "what is done is done: its key promises the same numbers"
        assert stage.read_json(MAKER)["plugin"] == list(plugin)


def test_programs_with_other_keys_live_side_by_side(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dyadbench: Command, cell: Words
) -> None:
    keys = []
    for schema in (1, 2, 1):
        monkeypatch.setattr("dyadbench.matrix.keys.KEY_SCHEMA", schema)
        assert dyadbench(*cell("mime", tmp_path))[0] == 0
        keys.append(json.loads(next(tmp_path.rglob("seed0.json")).read_text())["key"])
    assert keys[0] == keys[2] != keys[1]
    assert len(list((tmp_path / "home/store/generate").glob("*/*/DONE"))) == 2


def test_reuse_across_versions_of_a_plugin_is_said_and_the_maker_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dyadbench: Command, cell: Words
) -> None:
    from dyadbench.registry.host import Host

    assert dyadbench(*cell("mime", tmp_path))[0] == 0
    record = next(tmp_path.rglob("seed0.json"))
    before = json.loads(record.read_text())["plugin"]
    monkeypatch.setattr(Host, "plugin_of", lambda self, entry: (before[0], "7.0"))
    code, _, err = dyadbench(*cell("mime", tmp_path))
    assert code == 0 and "are reused with" in err and "raise Entry.version" in err
    assert json.loads(record.read_text())["plugin"] == before


# --- bits that rot --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["state.safetensors", "fit.json", "emotion.npy", "scores.json", "facts.json"])
def test_damage_in_a_finished_stage_is_named_or_mended(
    tmp_path: Path, dyadbench: Command, cell: Words, name: str
) -> None:
    words = cell("ridge-sampled", tmp_path)
    assert dyadbench(*words)[0] == 0
    [record] = tmp_path.rglob("seed0.json")
    whole = json.loads(record.read_text())
    paths = list((tmp_path / "home").rglob(name))
    assert paths
    for path in paths:
        path.write_bytes(path.read_bytes()[:100])
    if name in ("state.safetensors", "fit.json"):  # only read where reactions are still to be made
        for mark in (tmp_path / "home/store/generate").rglob("DONE"):
            mark.unlink()
    code, _, err = dyadbench(*words)
    assert "Traceback" not in err
    if code:
        assert paths[0].name in err and "delete" in err
    else:
        again = json.loads(record.read_text())
        assert {**again, "measured": None} == {**whole, "measured": None}
        assert again["measured"].keys() == whole["measured"].keys()


def test_a_write_into_a_name_that_is_too_long(tmp_path: Path) -> None:
    with pytest.raises(DyadbenchError, match="File name too long"):
        atomic_write(tmp_path / ("x" * 300), "")
