"""Marks the cell that this process is running, so that the next run can name a cell in which an earlier run died.

A plugin that calls `os._exit` or crashes in compiled code ends an inline run at once, and nothing can be said then. The
mark stays behind. The next run in the same home reads it, names the cell, and takes it away.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from uuid import uuid4

from dyadbench.store.lock import Holder, holder_of

FOLDER = "at-work"


@contextmanager
def at_work(home: Path, cell: str) -> Iterator[None]:
    """Marks `cell` as started by this process. Every ending that Python sees removes the mark."""
    # Machines and containers that share a home have the same process numbers, so the name is not one of them.
    path = home / FOLDER / f"{uuid4().hex}.json"
    with suppress(OSError):  # a mark is not worth a failure: the store says what is wrong with the disk
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"cell": cell, "holder": asdict(holder_of(os.getpid()))}))
    try:
        yield
    finally:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def ended_without_a_word(home: Path) -> list[str]:
    """The cells in which earlier runs died. Removes their marks; those of runs elsewhere stay, as they may go on."""
    cells = []
    for path in sorted((home / FOLDER).glob("*.json")):
        try:
            mark = json.loads(path.read_text())
            if not Holder(**mark["holder"]).gone():
                continue
            cells.append(str(mark["cell"]))
        except (OSError, ValueError, KeyError, TypeError):
            pass  # cut short by the very ending
        with suppress(OSError):
            path.unlink()
    return cells
