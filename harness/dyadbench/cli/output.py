"""What is printed must not decide what is measured: a full disk or a closed pipe costs the words, not the cells."""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import Any, TextIO


class _Patient(io.FileIO):
    """A descriptor to print to. The first error is kept, and what cannot be written is dropped."""

    lost: OSError | None = None

    def write(self, data: object) -> int | None:  # type: ignore[override]
        try:
            return super().write(data)  # type: ignore[arg-type]
        except BlockingIOError:
            raise
        except OSError as error:
            self.lost = self.lost or error
            return len(memoryview(data))  # type: ignore[arg-type]


def _patient(stream: Any) -> tuple[TextIO, _Patient]:
    raw = _Patient(stream.fileno(), "w", closefd=False)
    text = io.TextIOWrapper(
        io.BufferedWriter(raw), stream.encoding, stream.errors, line_buffering=stream.isatty() or stream is sys.stderr
    )
    return text, raw


class Output:
    """Both streams of this process, from now on patient."""

    def __init__(self) -> None:
        for descriptor in (0, 1, 2):  # a closed one would become the next file that is opened, and be printed into
            try:
                os.fstat(descriptor)
            except OSError:
                os.open(os.devnull, os.O_RDWR)
        self._raw: _Patient | None = None
        if sys.stdout is None:
            sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123
        elif sys.stdout is sys.__stdout__:
            sys.stdout, self._raw = _patient(sys.stdout)
        if sys.stderr is None:
            sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123
        elif sys.stderr is sys.__stderr__:
            sys.stderr, _ = _patient(sys.stderr)

    def lost(self) -> str:
        """Why not everything was printed; "" where it was, or where its reader has gone, as after `| head`."""
        sys.stdout.flush()
        error = self._raw.lost if self._raw else None
        return "" if error is None or error.errno == errno.EPIPE else str(error.strerror)
