"""A call into a plugin leaves the process as it was, and the plugin that changed it is named."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from dyadbench.errors import Interrupted, PluginError
from dyadbench.registry.guard import FORKED, unchanged_process
from dyadbench.registry.host import Host

CHANGES: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {  # words -> (change, what must be as before)
    "the working directory": (lambda: os.chdir("/"), os.getcwd),
    "the handler of SIGINT": (lambda: signal.signal(signal.SIGINT, lambda *_: None), lambda: signal.getsignal(signal.SIGINT)),
    "numpy's floating-point error mode": (lambda: np.seterr(all="raise"), np.geterr),
    "torch's default dtype": (lambda: torch.set_default_dtype(torch.float64), torch.get_default_dtype),
    "torch's gradient mode": (lambda: torch.set_grad_enabled(False), torch.is_grad_enabled),
}  # fmt: skip


@pytest.mark.parametrize("words", CHANGES)
def test_what_a_plugin_leaves_changed_is_put_back_and_said(words: str) -> None:
    change, state = CHANGES[words]
    before = state()
    with unchanged_process() as changes:
        change()
        assert state() != before
    assert state() == before
    assert changes == [words]


def test_it_is_put_back_after_an_exception_too_and_the_plugin_is_named_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    host = Host()
    for _ in range(2):
        with pytest.raises(PluginError, match=r"'ridge' of dyadbench .* failed during sample: KeyError"):  # noqa: SIM117
            with host.blame("predictor", "ridge", "sample"):
                os.chdir("/")
                raise KeyError("x")
        assert Path.cwd() == tmp_path
    errors = capsys.readouterr().err
    assert errors.count("changed the working directory; it was put back") == 1


@pytest.mark.parametrize("error", [KeyboardInterrupt, GeneratorExit, type("Own", (BaseException,), {})])
def test_whatever_a_plugin_raises_is_the_plugins(error: type[BaseException]) -> None:
    with pytest.raises(PluginError, match=f"failed during fit: {error.__name__}"), Host().blame("predictor", "ridge", "fit"):  # fmt: skip
        raise error


def test_ctrl_c_is_the_users() -> None:
    with pytest.raises(Interrupted), Host().blame("predictor", "ridge", "fit"):
        raise Interrupted


def test_an_exception_of_many_lines_is_one_sentence_without_escapes() -> None:
    with pytest.raises(PluginError) as caught, Host().blame("predictor", "ridge", "fit"):
        raise ValueError("first\x1b[31m\nsecond\r\u202ethird")
    text = str(caught.value)
    assert "ValueError: first [31m second third" in text
    assert text.isprintable()


def test_a_forked_child_that_comes_back_ends_at_once() -> None:
    """It would go on as the same cell, and one of the two would cut the other's array short."""
    code = (
        "import os\nfrom dyadbench.registry.guard import unchanged_process\n"
        "with unchanged_process():\n    child = os.fork()\n"
        "print('here', flush=True)\nprint(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert process.stdout.split() == ["here", str(FORKED)]


def test_a_plugin_that_closes_stdout_closes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """It is lent stderr, and every later message of the run failed."""
    with Host().blame("predictor", "ridge", "fit"):
        print("fitted", flush=True)
        sys.stdout.close()
    print("after it", file=sys.stderr)
    assert capsys.readouterr().err == "fitted\nafter it\n"
