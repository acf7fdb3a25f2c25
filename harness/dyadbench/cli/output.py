"""Keeps output from ending a run: on a full disk or a closed pipe the text is lost, and the cells go on.

With --json the reader's stream carries `print_json` alone. Child processes and C code write to descriptor 1 whatever
Python's sys.stdout is, so the descriptor itself leads to stderr then.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import Any, TextIO

results: TextIO | None = None  # where JSON is printed; None: to sys.stdout


class _Patient(io.FileIO):
    """A descriptor to print to. It keeps the first error and drops what cannot be written."""

    lost: OSError | None = None

    def write(self, data: object) -> int | None:  # type: ignore[override]
        try:
            return super().write(data)  # type: ignore[arg-type]
        except BlockingIOError:
            raise
        except OSError as error:
            self.lost = self.lost or error
            return len(memoryview(data))  # type: ignore[arg-type]


def _patient(stream: Any, descriptor: int | None = None) -> tuple[TextIO, _Patient]:
    raw = _Patient(stream.fileno() if descriptor is None else descriptor, "w", closefd=False)
    text = io.TextIOWrapper(
        io.BufferedWriter(raw), stream.encoding, stream.errors, line_buffering=stream.isatty() or stream is sys.stderr
    )
    return text, raw


class Output:
    """Both output streams of this process. Errors of writing are kept and not raised. `json`: whether JSON is asked for."""

    def __init__(self, json: bool = False) -> None:
        global results
        for descriptor in (0, 1, 2):  # a closed one would become the next file that is opened, and be printed into
            try:
                os.fstat(descriptor)
            except OSError:
                os.open(os.devnull, os.O_RDWR)
        self._raw: _Patient | None = None
        if sys.stdout is None:
            sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123
        elif sys.stdout is sys.__stdout__:
            if json:
                results, self._raw = _patient(sys.stdout, os.dup(1))
                os.dup2(2, 1)
                sys.stdout, _ = _patient(sys.stdout)
            else:
                sys.stdout, self._raw = _patient(sys.stdout)
        if sys.stderr is None:
            sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123
        elif sys.stderr is sys.__stderr__:
            sys.stderr, _ = _patient(sys.stderr)

    def lost(self) -> str:
        """Why output is missing; "" if none is, or if the reader has closed the pipe, as `| head` does."""
        (results or sys.stdout).flush()
        error = self._raw.lost if self._raw else None
        return "" if error is None or error.errno == errno.EPIPE else str(error.strerror)
