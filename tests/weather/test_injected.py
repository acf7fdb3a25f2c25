"""Errors and kills at single calls below the program: every ending has a sentence, and the next run mends all."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

HERE = Path(__file__).parent
VERBS = ("run", "fit", "features", "built-in", "leaderboard", "report", "simulate", "simulate l2l", "check --fix",
         "score --template", "score")  # fmt: skip


def _injected() -> ModuleType:
    spec = spec_from_file_location("injected", HERE / "injected.py")
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    sys.modules["injected"] = module  # its dataclasses look themselves up there
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled disk that fails on order."""
    if sys.platform != "linux":
        pytest.skip("LD_PRELOAD and /proc/self/fd are Linux's")
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler")
    library = tmp_path_factory.mktemp("shim") / "inject.so"
    process = subprocess.run(
        [compiler, "-shared", "-fPIC", "-O1", "-o", library, HERE / "inject.c", "-ldl"], capture_output=True, text=True
    )
    if process.returncode:
        pytest.skip(f"this C library's headers differ: {process.stderr[:300]}")
    return library


def _cases(shim: Path, where: Path, data: Path, number: int, seed: int, *names: str) -> list[dict[str, str]]:
    where.mkdir(parents=True, exist_ok=True)
    process = subprocess.run(
        [sys.executable, HERE / "injected.py", where, data, str(number), str(seed), *names],
        env={**os.environ, "LD_PRELOAD": str(shim), "OMP_NUM_THREADS": "1"}, capture_output=True, text=True,
    )  # fmt: skip
    assert process.returncode == 0, process.stderr[-3000:]
    return [json.loads(line) for line in process.stdout.splitlines()]


def _demand_equal(cases: list[dict[str, str]]) -> None:
    wrong = [f"{c['verb']}, {c['fault']} at call {c['call']}: {c['why']}" for c in cases if c["verdict"] != "equal"]
    assert not wrong, "\n".join(wrong)


# --- the injector itself --------------------------------------------------------------------------------


def _python(shim: Path, code: str, below: Path, **order: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "LD_PRELOAD": str(shim), "INJECT_BELOW": f"{below}/", **order}
    return subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, cwd=below.parent)


def test_only_calls_below_the_folder_are_counted_and_the_nth_fails(tmp_path: Path, shim: Path) -> None:
    inside, log = tmp_path / "in", tmp_path / "log"
    inside.mkdir()
    code = "for name in ('in/a', 'b', 'in/c'):\n  with open(name, 'w') as file: file.write('x')"
    assert _python(shim, code, inside, INJECT_LOG=str(log)).returncode == 0
    assert [line.split()[:2] for line in log.read_text().splitlines()] == [["c", "open"], ["w", "write"], ["x", "close"]] * 2  # fmt: skip
    process = _python(shim, code, inside, INJECT_AT="5", INJECT_FAULT="28")
    assert "No space left on device" in process.stderr
    assert (inside / "a").read_text() == "x"


def test_a_full_disk_stays_full_and_a_write_can_be_short(tmp_path: Path, shim: Path) -> None:
    inside = tmp_path / "in"
    inside.mkdir()
    code = """
import os
for name in 'abc':
    try: os.close(os.open('in/' + name, os.O_CREAT | os.O_WRONLY))
    except OSError as error: print(name, error.errno)
os.close(os.open('in', os.O_RDONLY))"""
    assert _python(shim, code, inside, INJECT_AT="3", INJECT_FAULT="28", INJECT_EVER="c").stdout == "b 28\nc 28\n"
    code = "import os; print(os.write(os.open('in/d', os.O_CREAT | os.O_WRONLY), b'1234'))"
    assert _python(shim, code, inside, INJECT_AT="2", INJECT_FAULT="short").stdout == "2\n"


@pytest.mark.parametrize(("when", "there"), [("kill-before", False), ("kill-after", True)])
def test_a_kill_comes_before_or_after_the_call(tmp_path: Path, shim: Path, when: str, there: bool) -> None:
    inside = tmp_path / "in"
    inside.mkdir()
    process = _python(shim, "import os; os.mkdir('in/a'); os.mkdir('in/b')", inside, INJECT_AT="2", INJECT_FAULT=when)
    assert process.returncode == -signal.SIGKILL
    assert (inside / "a").is_dir() and (inside / "b").is_dir() == there


def test_children_are_met_on_request_alone(tmp_path: Path, shim: Path) -> None:
    inside, shared = tmp_path / "in", tmp_path / "count"
    inside.mkdir()
    code = """
import os, subprocess, sys
os.mkdir('in/' + sys.argv[1]) if len(sys.argv) > 1 else None
subprocess.run([sys.executable, '-c', "import os; os.mkdir('in/child')"])
os.mkdir('in/parent')"""
    order = {"INJECT_AT": "1", "INJECT_FAULT": "28"}
    assert "No space" in _python(shim, code, inside, **order).stderr
    assert [path.name for path in inside.iterdir()] == ["child"]
    (inside / "child").rmdir()
    shared.write_bytes(bytes(8))
    assert "No space" in _python(shim, code, inside, INJECT_SHARED=str(shared), **order).stderr
    assert [path.name for path in inside.iterdir()] == ["parent"], "processes count together"


# --- the verbs ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verbs", [("run", "leaderboard"), ("report", "score --template", "simulate l2l")])
def test_a_short_draw_of_faults_leaves_nothing_but_sentences(
    tmp_path: Path, shim: Path, react: Path, verbs: tuple[str, ...]
) -> None:
    cases = _cases(shim, tmp_path, react, 3, 1, *verbs)
    assert len(cases) == 3 * len(verbs)
    _demand_equal(cases)


@pytest.mark.long
def test_five_hundred_faults_over_all_verbs(tmp_path: Path, shim: Path, react: Path) -> None:
    cases = _cases(shim, tmp_path, react, 46, 7, *VERBS)
    injected = _injected()
    print(injected.table([injected.Case(**case) for case in cases]))
    assert len(cases) >= 500 and {case["verb"] for case in cases} == set(VERBS)
    _demand_equal(cases)


# --- file systems ---------------------------------------------------------------------------------------


@pytest.fixture(params=["tmpfs", "ext4", "ext2"])
def mounted(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A file system of its own. ext2 lists the files of a folder in the order of their making, ext4 of their hashes."""
    kind, place, image = request.param, tmp_path / "mounted", tmp_path / "image"
    place.mkdir()
    if os.geteuid() != 0:
        pytest.skip("only root can mount a file system")
    words = ["mount", "-t", "tmpfs", "tmpfs", place]
    if kind != "tmpfs":
        if shutil.which(f"mkfs.{kind}") is None:
            pytest.skip(f"there is no mkfs.{kind}")
        with image.open("wb") as file:
            file.truncate(64 << 20)
        subprocess.run([f"mkfs.{kind}", "-q", "-F", image], check=True, capture_output=True)
        words = ["mount", "-o", "loop", image, place]
    if (process := subprocess.run(words, capture_output=True, text=True)).returncode:
        pytest.skip(f"{kind} cannot be mounted here: {process.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)


@pytest.mark.slow
def test_a_kill_changes_no_record_on_any_file_system(mounted: Path, shim: Path, react: Path) -> None:
    cases = _cases(shim, mounted, react, 2, 5, "run:kill")
    assert len(cases) == 2 and all(case["fault"].startswith("kill") for case in cases)
    _demand_equal(cases)
