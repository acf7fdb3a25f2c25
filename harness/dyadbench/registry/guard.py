"""Keeps plugins from changing the process for those that run after them.

`unchanged_process` notes the state of this process, runs the plugin's code, and puts back what differs afterwards: the
working directory, signal handlers, torch's default number type and gradient mode, numpy's reaction to floating-point
errors. What was put back is returned, so that the plugin can be named. A plugin that forks and lets both processes return
is stopped here: the child would otherwise go on as the same cell and write into the same files.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

SIGNALS = ("SIGINT", "SIGTERM", "SIGALRM", "SIGUSR1", "SIGUSR2", "SIGHUP")
FORKED = 70  # exit code of a child that came back from a plugin (EX_SOFTWARE)


class Borrowed:
    """A stream that a plugin may write to, and whose `close` closes nothing: what is said after it still has a stream."""

    def __init__(self, stream: Any):
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def close(self) -> None:
        self._stream.flush()


@contextmanager
def unchanged_process() -> Iterator[list[str]]:
    """Yields a list; after the block it holds descriptions of what had to be put back. Raises nothing of its own."""
    before = _state()
    changes: list[str] = []
    try:
        yield changes
    finally:
        if os.getpid() != before["process"]:
            # Only the parent continues. No cleanup: open files belong to the parent as well.
            os._exit(FORKED)
        changes += _put_back(before)


def _state() -> dict[str, Any]:
    state: dict[str, Any] = {"process": os.getpid(), "folder": _working_directory()}
    if threading.current_thread() is threading.main_thread():  # only the main thread may set handlers
        state["signals"] = {name: signal.getsignal(n) for name in SIGNALS if (n := getattr(signal, name, None))}
    if (np := sys.modules.get("numpy")) is not None:
        state["numpy"] = np.geterr()
    if (torch := sys.modules.get("torch")) is not None and hasattr(torch, "is_grad_enabled"):
        state["dtype"], state["grad"] = torch.get_default_dtype(), torch.is_grad_enabled()
        state["threads"] = torch.get_num_threads()
    return state


def _working_directory() -> str | None:
    try:
        return os.getcwd()  # noqa: PTH109  # a path object would resolve links
    except OSError:
        return None  # it was deleted


def _put_back(before: dict[str, Any]) -> list[str]:
    changes = []
    if before["folder"] is not None and _working_directory() != before["folder"]:
        with suppress(OSError):
            os.chdir(before["folder"])
            changes.append("the working directory")
    for name, handler in before.get("signals", {}).items():
        number = getattr(signal, name)
        if signal.getsignal(number) is not handler and handler is not None:
            signal.signal(number, handler)
            changes.append(f"the handler of {name}")
    np, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    if np is not None and "numpy" in before and np.geterr() != before["numpy"]:
        np.seterr(**before["numpy"])
        changes.append("numpy's floating-point error mode")
    if torch is not None and "dtype" in before:
        if torch.get_default_dtype() != before["dtype"]:
            torch.set_default_dtype(before["dtype"])
            changes.append("torch's default dtype")
        if torch.is_grad_enabled() != before["grad"]:
            torch.set_grad_enabled(before["grad"])
            changes.append("torch's gradient mode")
        if torch.get_num_threads() != before["threads"]:
            torch.set_num_threads(before["threads"])
            changes.append("torch's number of threads")
    return changes
