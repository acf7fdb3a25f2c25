"""What was broken by a kill, a full disk or a change underneath, one test each: the right value is the test."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dyadbench.api import DyadbenchError
from dyadbench.datasets.digest import simulated_digest
from dyadbench.datasets.features import MAX_BYTES, MAX_CHUNKS, check_wav_length
from dyadbench.datasets.simdyad import SimConfig, layouts
from dyadbench.files.atomic import STALE_SECONDS, atomic_write, clear_stale
from dyadbench.files.npy import BadFile, read_npy
from dyadbench.store.folders import DONE, MAKER, Store

KEY = "cd" * 32
Command = Callable[..., tuple[int, str, str]]
Words = Callable[..., list[str]]


def _scores(base: Path) -> object:
    [path] = (base / "leaderboards").rglob("seed0.json")
    return json.loads(path.read_text())["suites"]


# --- stages ---------------------------------------------------------------------------------------------


def test_a_stage_that_is_extended_is_not_done_until_all_of_it_is_there(
    tmp_path: Path, dyadbench: Command, cell: Words
) -> None:
    """An array that is there and a DONE of before say nothing: progress.json is asked."""
    assert dyadbench(*cell("mime", tmp_path))[0] == 0
    whole = _scores(tmp_path)
    [array] = (tmp_path / "home/store/generate").rglob("emotion.npy")
    stage = array.parent
    values = np.load(array)
    np.save(array, np.zeros_like(values))
    progress = json.loads((stage / "progress.json").read_text())
    (stage / "progress.json").write_text(json.dumps({**progress, "done": 0}))
    for path in (tmp_path / "home/store/score").rglob(DONE):
        path.unlink()
    assert dyadbench(*cell("mime", tmp_path))[0] == 0
    assert _scores(tmp_path) == whole and np.array_equal(np.load(array), values)


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"x" * 500])
def test_an_array_cut_short_before_its_header_is_made_anew(
    tmp_path: Path, dyadbench: Command, cell: Words, content: bytes
) -> None:
    assert dyadbench(*cell("mime", tmp_path))[0] == 0
    whole = _scores(tmp_path)
    [array] = (tmp_path / "home/store/generate").rglob("emotion.npy")
    array.write_bytes(content)
    for path in (array.parent / DONE, *(tmp_path / "home/store/score").rglob(DONE)):
        path.unlink()
    assert dyadbench(*cell("mime", tmp_path))[0] == 0
    assert _scores(tmp_path) == whole


@pytest.mark.parametrize("survivors", range(4))
def test_a_kill_while_another_versions_stage_is_cleared_leaves_nothing_to_go_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, survivors: int
) -> None:
    """Whatever the folder's order: the maker goes first, and nobody goes on with what says nothing of its maker."""
    store, removed = Store(tmp_path), [0]
    with store.hold("fit", KEY, plugin=("p", "1")) as stage:
        for name in ("a.json", "checkpoint.json", "progress.json"):
            stage.write_json(name, {"by": 1})
    unlink = Path.unlink

    def dies(self: Path, missing_ok: bool = False) -> None:
        if self.parent == stage.folder and self.suffix == ".json" and self.name != "claim.json":
            removed[0] += 1
            if removed[0] > survivors:
                raise KeyboardInterrupt
        unlink(self, missing_ok)

    with monkeypatch.context() as killed, pytest.raises(KeyboardInterrupt):
        killed.setattr(Path, "unlink", dies)
        with store.hold("fit", KEY, plugin=("p", "2")):
            pass
    with store.hold("fit", KEY, plugin=("p", "2")) as stage:
        assert sorted(path.name for path in stage.folder.glob("*.json")) == ["claim.json", MAKER]


def test_data_that_change_during_a_run_are_measured_under_neither_digest(
    tmp_path: Path, own_react: Path, monkeypatch: pytest.MonkeyPatch, dyadbench: Command, cell: Words
) -> None:
    from dyadbench_baselines.mirror import Mime

    words = cell("mime", tmp_path, own_react)
    changed = next((own_react / "val" / "Emotion").rglob("*.csv"))
    before, sample = changed.read_text(), Mime.sample

    def replaced(self: Mime, *args: object) -> object:
        changed.write_text(before.replace("0.1", "0.2"))
        return sample(self, *args)  # type: ignore[arg-type]

    with monkeypatch.context() as moving:
        moving.setattr(Mime, "sample", replaced)
        code, _, err = dyadbench(*words)
    assert code == 1 and "changed during the run" in err and str(own_react) in err
    assert not list((tmp_path / "home/store/generate").rglob(DONE))
    changed.write_text(before)
    assert dyadbench(*words)[0] == 0


@pytest.mark.parametrize("content", ["[]", "{}", "3", '"x"', "null", '{"spaces": 3}', '{"scores": []}'])
def test_json_of_the_wrong_kind_in_the_store_is_made_anew_or_named(
    tmp_path: Path, dyadbench: Command, cell: Words, content: str
) -> None:
    words = cell("ridge-sampled", tmp_path)
    assert dyadbench(*words)[0] == 0
    whole = _scores(tmp_path)
    for name in ("facts.json", "scores.json", "maker.json", "progress.json", "spent.json", "fit.json"):
        for path in (tmp_path / "home/store").rglob(name):
            text = path.read_text()
            path.write_text(content)
            code, _, err = dyadbench(*words)
            assert "Traceback" not in err
            assert (code == 0 and _scores(tmp_path) == whole) or name in err, (name, err)
            path.write_text(text)


def test_seconds_of_training_outlast_a_kill(tmp_path: Path) -> None:
    """They are written with every checkpoint, and go on from there."""
    from dyadbench.training.fit import Spent, _Clock
    from dyadbench.training.processes import SOLO

    with Store(tmp_path).hold("fit", KEY) as stage:
        stage.write("spent.json", Spent(seconds=1000.0, cpu_seconds=900.0))
        clock = _Clock(stage, SOLO)
        clock.keep()
        spent = Spent.model_validate_json((stage.folder / "spent.json").read_bytes())
        assert 1000 <= spent.seconds <= clock.spent.seconds
        assert 900 <= spent.cpu_seconds <= clock.spent.cpu_seconds


def test_a_record_says_what_chose_its_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    from dyadbench.records import provenance

    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "avx2")
    provenance.hardware.cache_clear()
    facts = provenance.snapshot("cpu", 3)
    provenance.hardware.cache_clear()
    assert facts["threads"] == 3 and facts["hardware"]["kernel_settings"]["ATEN_CPU_CAPABILITY"] == "avx2"
    if sys.platform == "linux":
        assert "instructions" in facts["hardware"]


# --- corpora and data -----------------------------------------------------------------------------------


def test_half_a_simulated_corpus_never_passes_for_real_data_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = SimConfig(layout="l2l", size="tiny", seconds=4, listeners=1)
    layouts.write(tmp_path / "whole", config)
    with monkeypatch.context() as killed, pytest.raises(KeyboardInterrupt):
        killed.setattr(layouts, "write_sums", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        layouts.write(tmp_path / "half", config)
    with pytest.raises(DyadbenchError, match="was cut short"):
        simulated_digest(tmp_path / "half")
    assert layouts.may_write(tmp_path / "half", config)
    assert not layouts.may_write(tmp_path / "half", SimConfig(layout="l2l", size="tiny", seconds=5, listeners=1))
    assert not layouts.may_write(tmp_path / "whole", config)
    layouts.write(tmp_path / "half", config)
    for path in (tmp_path / "whole").rglob("*"):
        if path.is_file():
            assert path.read_bytes() == (tmp_path / "half" / path.relative_to(tmp_path / "whole")).read_bytes()


def test_no_file_is_read_whole_before_its_length_is_known(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    path.write_bytes(b"\x93NUMPY\x02\x00" + (400 << 20).to_bytes(4, "little") + b" " * 1000)
    with pytest.raises(BadFile, match=r"a\.npy is not a readable .npy file: its header is 419430400 bytes long"):
        read_npy(path)
    chunks = tmp_path / "chunks.wav"
    chunks.write_bytes(b"RIFF\0\0\0\0WAVE" + b"junk\0\0\0\0" * (MAX_CHUNKS + 1))
    with pytest.raises(BadFile, match="none of them holds sound"):
        check_wav_length(chunks)
    with (tmp_path / "long.wav").open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(BadFile, match=r"long\.wav is 1024 MiB long"):
        check_wav_length(tmp_path / "long.wav")


# --- words and leftovers --------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["> /dev/full", ">&-", ">&- 2>&-", "2> /dev/full"])
def test_output_that_cannot_be_printed_costs_no_cell(tmp_path: Path, cell: Words, where: str) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full")
    words = " ".join(cell("mime", tmp_path))
    process = subprocess.run(
        ["sh", "-c", f"exec {sys.executable} -m dyadbench {words} {where}"], capture_output=True, text=True
    )
    assert "Traceback" not in process.stderr
    assert _scores(tmp_path)
    if where == "> /dev/full":
        assert process.returncode == 2 and "the output could not be printed (No space left on device)" in process.stderr
    else:
        assert process.returncode == 0


def test_a_file_system_without_locks_is_a_sentence_with_a_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dyadbench: Command, cell: Words
) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr("fcntl.flock", no_locks)
    code, _, err = dyadbench(*cell("mime", tmp_path))
    assert (
        code == 1 and "cannot lock" in err and "No locks available" in err and "--home" in err and str(tmp_path) in err
    )


def test_what_killed_writers_left_goes_by_age(tmp_path: Path) -> None:
    old, young = tmp_path / ".x.json.1.tmp", tmp_path / ".x.json.2.tmp"
    for path in (old, young):
        path.write_text("half")
    os.utime(old, (0, old.stat().st_mtime - STALE_SECONDS - 10))
    atomic_write(tmp_path / "x.json", "whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".x.json.2.tmp", "x.json"]
    clear_stale(tmp_path / "missing", "*")


def test_a_cell_syncs_what_others_vouch_for_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dyadbench: Command, cell: Words
) -> None:
    """21 times before: now the store's format, the weights, their facts, the reactions' facts and the record."""
    synced: list[str] = []
    fsync = os.fsync

    def counted(fd: int) -> None:
        synced.append(Path(f"/proc/self/fd/{fd}").readlink().name.split(".")[1] if sys.platform == "linux" else "")
        fsync(fd)

    monkeypatch.setattr(os, "fsync", counted)
    assert dyadbench(*cell("ridge-sampled", tmp_path))[0] == 0
    assert len(synced) == 5, synced
    assert not {"DONE", "maker", "progress", "spent", "scores"} & set(synced)
