"""Runs one cell again and again in forked children and kills each with SIGKILL at its n-th event.

    python killed.py WHERE POINTS SEED WORDS...

An event is a file opened for writing, a rename, a removal, a new folder, the moment between fsync and rename, or a
progress report (one a training step, one a batch, one a scored clip). The first child runs to its end and is
counted; POINTS of its events are drawn, so many from each fifth of the run. Prints JSON: the kind of every event,
and of each killed run where it was killed and the record that its rerun wrote.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

PARTS = 5  # of the run, each gets its share of the points


class Countdown:
    """Kills this process at the `at`-th event; `kinds` are all events so far."""

    def __init__(self, at: int, home: Path) -> None:
        self.at, self.home, self.kinds = at, str(home), list[str]()

    def event(self, kind: str) -> None:
        self.kinds.append(kind)
        if len(self.kinds) == self.at:
            os.kill(os.getpid(), signal.SIGKILL)

    def audit(self, name: str, args: tuple[object, ...]) -> None:
        path = os.fspath(args[0]) if args and isinstance(args[0], str | Path) else ""  # type: ignore[arg-type]
        if not path.startswith(self.home):
            return
        if name == "open" and isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR):
            self.event(f"open {Path(path).name}")
        elif name in ("os.rename", "os.remove", "os.mkdir", "os.truncate"):
            self.event(f"{name[3:]} {Path(path).name}")


def _watch(countdown: Countdown) -> None:
    """Every place where a kill could hurt reports to `countdown` from now on."""
    from dyadbench import progress
    from dyadbench.training import loop as training

    training.FitOptions.__init__.__defaults__ = tuple(  # a checkpoint every 5 steps: smoke presets have 12
        5 if value == 200 else value for value in training.FitOptions.__init__.__defaults__ or ()
    )
    fsync, plain = os.fsync, progress._plain

    def slow(fd: int) -> None:
        countdown.event("fsync")
        fsync(fd)
        countdown.event("fsynced")

    def heard(title: str) -> Callable[[str, int, int], None]:
        report = plain(title)

        def tell(stage: str, done: int, total: int) -> None:
            report(stage, done, total)
            countdown.event(f"report {stage.partition(': ')[0].split(' loss')[0]}")

        return tell

    os.fsync, progress._plain = slow, heard
    sys.addaudithook(countdown.audit)


def _child(words: list[str], base: Path, at: int) -> tuple[bool, list[str]]:
    """(whether it was killed, its events) of `dyadbench WORDS` in a child with everything imported already."""
    base.mkdir(parents=True, exist_ok=True)
    events_file = base / "events.json"
    child = os.fork()
    if child == 0:
        sink = os.open(base / "output.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(sink, 1)
        os.dup2(sink, 2)
        countdown = Countdown(at, base)
        _watch(countdown)
        from dyadbench.cli import main

        sys.argv = ["dyadbench", *words, "--root", str(base), "--home", str(base / "home")]
        try:
            main()
        except SystemExit as error:
            if error.code:
                os._exit(3)
        events_file.with_suffix(".tmp").write_text(json.dumps(countdown.kinds))
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return True, []
    if status != 0:
        raise RuntimeError((base / "output.txt").read_text()[-2000:])
    return False, json.loads(events_file.with_suffix(".tmp").read_text())


def _record(base: Path) -> dict[str, object]:
    [path] = (base / "leaderboards" / "records").rglob("*.json")
    return json.loads(path.read_text())


def main(where: Path, points: int, seed: int, words: list[str]) -> None:
    import dyadbench.cell.run
    import dyadbench.training.loop  # noqa: F401  # imported once for all children

    _, kinds = _child(words, where / "whole", 0)
    rng, runs = random.Random(seed), []
    for n in range(points):
        part = n % PARTS
        at = rng.randrange(part * len(kinds) // PARTS, (part + 1) * len(kinds) // PARTS) + 1
        base = where / f"killed{n}"
        killed, _ = _child(words, base, at)
        while not killed and at > 1:  # a claim or a report fewer than in the whole run
            shutil.rmtree(base)
            at -= 5
            killed, _ = _child(words, base, at)
        again = rng.randrange(1, len(kinds))
        twice, _ = _child(words, base, again) if n % 3 == 0 else (False, [])  # now and then the rerun is killed, too
        _child(words, base, 0)
        runs.append({"at": at, "kind": kinds[at - 1], "killed": killed, "twice": twice, "record": _record(base)})
        print(f"{n}: event {at} of {len(kinds)}, {kinds[at - 1]}", file=sys.stderr, flush=True)
    print(json.dumps({"events": kinds, "whole": _record(where / "whole"), "runs": runs}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:])
