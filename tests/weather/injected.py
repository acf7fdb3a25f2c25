"""Runs a verb of `dyadbench` on a disk that fails on order (inject.c), then again on a good one, and judges both endings.

    LD_PRELOAD=inject.so python injected.py WHERE DATA CASES SEED [VERB[:kill]...]

Each verb runs once undisturbed: its calls are counted and what it leaves is kept. Then CASES calls are drawn with a fault
for each, and each case is a forked child on a fresh copy of the verb's folder, with everything imported already. Prints
one line of JSON a case. A case is `equal`, or it is

    stuck               a run did not end within LIMIT seconds
    without a sentence  the disturbed run ended in something else than an exit code of the program and one sentence
    different           the second run did not end in 0 and the same files, or the disturbed one claimed success without
    left over           the second run left a name that the undisturbed one does not leave
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import random
import re
import shutil
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

LIMIT = 240.0  # seconds of one run; an undisturbed one takes one to ten, on a busy machine
ERRORS = {  # what a call of each group can meet
    "o": ["EIO", "EACCES", "EMFILE", "EINTR"],
    "c": ["ENOSPC", "EDQUOT", "EROFS", "EACCES", "EIO", "EINTR"],
    "r": ["EIO", "EINTR"],
    "w": ["ENOSPC", "EDQUOT", "EIO", "EFBIG", "EINTR", "short"],
    "s": ["EIO", "ENOSPC", "EDQUOT"],
    "n": ["EIO", "ENOSPC", "EROFS", "EACCES"],
    "l": ["EPERM", "EMLINK", "EIO", "ENOSPC", "EACCES"],
    "u": ["EIO", "EACCES", "EROFS"],
    "d": ["ENOSPC", "EDQUOT", "EROFS", "EACCES", "EIO"],
    "m": ["ENOMEM", "EACCES", "ENODEV"],
    "t": ["ENOSPC", "EDQUOT", "EIO", "EFBIG", "EOPNOTSUPP"],
    "k": ["ENOLCK", "EOPNOTSUPP", "ENOSYS", "EINTR", "EIO"],
    "x": ["EIO", "ENOSPC", "EDQUOT"],
}
STAYS = {
    "ENOSPC": "cwsnldt",
    "EDQUOT": "cwsnldt",
    "EROFS": "cwnldut",
    "EACCES": "cnldu",
    "ENOLCK": "k",
    "EOPNOTSUPP": "k",
}
CLOCKED = {
    "fit_seconds",
    "fit_cpu_seconds",
    "tokenizer_fit_seconds",
    "tokenizer_fit_cpu_seconds",
    "generate_seconds",
    "generate_cpu_seconds",
    "realtime_factor",
    "latency",
    "seconds",
    "cpu_seconds",
}  # how long, not what
OURS = re.compile(r"(\.dyadbench-digest\.json|home/logs(/.*)?)$")  # stamps of files, and what was said
CODES = {0, 1, 2, 3, 130}
USUAL = re.compile(
    r": \d+/\d+$|^no face of |^sanity: |^  \d+\. |waiting for |every value of .* is 0: |reactions made by |"
    r"^\d+ of \d+ cells failed:$|^  \S+ / |"  # failures again, at the end of a run
    r"^\S+: (preset \w+|no preset, )"  # what is trained, and for how many steps
)


@dataclass(frozen=True)
class Verb:
    """What is run, on which files."""

    words: Callable[[Path], list[str]]
    prepare: Callable[[Path], object] = lambda base: base.mkdir(parents=True)
    result: str = "leaderboards/records"  # below the folder: what a run that claims success has left, whole
    once: bool = False  # whether it refuses to run again where it has succeeded
    says: bool = False  # whether what it prints is its result


@dataclass(frozen=True)
class Fault:
    at: int
    what: str  # an errno's name, kill-before, kill-after, interrupt, short
    ever: str = ""  # groups that meet it from then on

    def __str__(self) -> str:
        return self.what + (" from then on" if self.ever else "")


@dataclass(frozen=True)
class Case:
    verb: str
    call: str
    fault: str
    verdict: str
    why: str = ""


@dataclass(frozen=True)
class Ending:
    code: int | None  # negative: the signal; None: it did not end
    out: str
    err: str


# --- the verbs ------------------------------------------------------------------------------------------


def verbs(where: Path, data: Path) -> dict[str, Verb]:
    """Every verb that writes, on folders below `where`; `data` is a small REACT folder."""

    def cell(base: Path, *methods: str, more: Sequence[str] = (), on: Path = data) -> list[str]:
        return ["run", "-b", "react2024-val", *(word for m in methods for word in ("-m", m)), *more,
                "--data", f"react2024={on}", "--data-set", "frames=48", "--threads", "1", "--root", str(base),
                "--home", str(base / "home")]  # fmt: skip

    def own_data(base: Path) -> None:
        base.mkdir(parents=True)
        shutil.copytree(data, base / "react")

    def no_matrices(base: Path) -> None:
        """A corpus as real data are delivered, without the matrices that the global one gives."""
        folder = where / "made" / "react"
        if not folder.exists():
            folder.parent.mkdir(parents=True)
            if child(["data", "simulate", str(folder)], folder.parent).code != 0:
                raise RuntimeError("cannot simulate")
            for path in (folder / "simdyad.json", folder / "SHA256SUMS", *folder.glob("neighbour_emotion_*.npy")):
                path.unlink()
        shutil.copytree(folder, base / "react")

    simulated = ["-b", "simdyad-clear-react-online", "--data-set", "size=tiny", "--data-set", "seconds=4",
                 "--data-set", "listeners=1", "--threads", "1"]  # fmt: skip

    def recorded(base: Path) -> None:
        """Records and a store of two methods, one of them trained; made once and copied."""
        folder = where / "recorded"
        if not folder.exists():
            folder.mkdir(parents=True)
            ending = child(
                [
                    "run",
                    *simulated,
                    "-m",
                    "mime",
                    "-m",
                    "ridge-sampled",
                    "--root",
                    str(folder),
                    "--home",
                    str(folder / "home"),
                ],
                folder,
            )
            if ending.code != 0:
                raise RuntimeError(ending.err)
        shutil.copytree(folder, base)

    def predicted(base: Path) -> None:
        base.mkdir(parents=True)
        if child([*score(base), "--template"], base).code != 0:
            raise RuntimeError("cannot write a template")

    def score(base: Path) -> list[str]:
        return ["score", str(base / "deep" / "p.npz"), "--benchmark", "react2024-val", "--data", str(data),
                "--data-set", "frames=48", "--threads", "1", "--root", str(base), "--home", str(base / "home")]  # fmt: skip

    return {
        "run": Verb(lambda base: cell(base, "mime", "ridge-sampled")),
        "fit": Verb(lambda base: cell(base, "dense-fsq", more=("--preset", "smoke"))),
        "features": Verb(lambda base: cell(base, "nearest-audio", on=base / "react"), own_data),
        "built-in": Verb(lambda base: ["run", *simulated, "-m", "mime", "--root", str(base), "--home", str(base / "home")]),
        "leaderboard": Verb(lambda base: ["leaderboard", "--root", str(base)], recorded, "leaderboards"),
        "report": Verb(lambda base: ["report", "--root", str(base), "--home", str(base / "home")], recorded, "leaderboards"),
        "simulate": Verb(lambda base: ["data", "simulate", str(base / "made")], result="made", once=True),
        "simulate l2l": Verb(lambda base: ["data", "simulate", str(base / "made"), "--layout", "l2l"], result="made", once=True),
        "check --fix": Verb(lambda base: ["data", "check", "react2024", str(base / "react"), "--fix"], no_matrices, "react"),
        "score --template": Verb(lambda base: [*score(base), "--template"], result="deep"),
        "score": Verb(score, predicted, "deep", says=True),
    }  # fmt: skip


# --- one run --------------------------------------------------------------------------------------------


def ready() -> None:
    """Imports what every child uses, and makes training and simulating short enough for hundreds of cases."""
    from dyadbench.datasets.simdyad.config import SIZES
    from dyadbench.training.loop import FitOptions

    FitOptions.__init__.__defaults__ = tuple(  # a checkpoint every 5 steps: smoke presets have 12
        5 if value == 200 else value for value in FitOptions.__init__.__defaults__ or ()
    )
    SIZES["tiny"] = (2, 1, 2)


def child(words: Sequence[str], base: Path, fault: Fault | None = None, log: str = "") -> Ending:
    """`dyadbench WORDS` in a forked child, on a disk that fails below `base`."""
    files = [base.parent / "out.txt", base.parent / "err.txt"]
    pid = os.fork()
    if pid == 0:
        for number, file in enumerate(files, 1):
            os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        os._exit(_inside(words, base, fault, log))
    deadline = time.monotonic() + LIMIT
    while (status := os.waitpid(pid, os.WNOHANG))[0] == 0:
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return Ending(None, *(file.read_text(errors="replace") for file in files))
        time.sleep(0.005)
    return Ending(os.waitstatus_to_exitcode(status[1]), *(file.read_text(errors="replace") for file in files))


def _inside(words: Sequence[str], base: Path, fault: Fault | None, log: str) -> int:
    from dyadbench.cli import main

    if fault is not None or log:
        number = getattr(errno, fault.what, None) if fault else None
        what = str(number) if number is not None else fault.what if fault else ""
        arm = ctypes.CDLL(os.environ["LD_PRELOAD"]).inject_arm
        arm(f"{base}/".encode(), ctypes.c_long(fault.at if fault else 0), what.encode(),
            (fault.ever if fault else "").encode(), log.encode())  # fmt: skip
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where this was started in the background
    sys.argv = ["dyadbench", *words]
    code = 1
    try:
        main()
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 0 if error.code is None else 1
    except BaseException:
        traceback.print_exc()
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    return code


# --- judging --------------------------------------------------------------------------------------------


def tree(base: Path) -> dict[str, object]:
    """Every file below `base` without its clocks."""
    entries: dict[str, object] = {}
    for path in sorted(base.rglob("*")):
        name = path.relative_to(base).as_posix()
        if not OURS.search(name):
            entries[name] = "folder" if path.is_dir() else _unclocked(path)
    return entries


def _unclocked(path: Path) -> object:
    data = path.read_bytes()
    if path.suffix == ".json":
        with contextlib.suppress(ValueError):
            value = json.loads(data)
            if isinstance(value, dict):
                return _without(value)
    return data


def _without(value: dict[str, object]) -> dict[str, object]:
    return {k: _without(v) if isinstance(v, dict) else v for k, v in value.items() if k not in CLOCKED and k != "git"}


def _sentence(ending: Ending, fault: Fault, base: Path) -> str:
    """What is wrong with how a disturbed run ended; "" if nothing."""
    lines = [line for line in ending.err.splitlines() if line.strip()]
    sentences = [line for line in lines if line.startswith(("dyadbench: ", "FAILED "))]
    if fault.what.startswith("kill"):
        return "" if ending.code == -9 else f"was to be killed, ended with {ending.code}"
    if "Traceback" in ending.err:
        return f"a traceback: {lines[-1][:300]}"
    if ending.code not in CODES:
        return f"ended with {ending.code}"
    if (
        ending.code and not sentences and ": not clean: " not in " ".join(ending.out.split())
    ):  # a check's report says it
        return f"ended with {ending.code} and without a word"
    if ending.code == 0 and any(line.startswith("dyadbench: ") for line in lines):
        return f"said {sentences[0][:200]!r} and ended with 0"
    if sum(line.startswith("dyadbench: ") for line in lines) > 1:
        return f"{len(sentences)} sentences: {sentences}"
    if other := [line for line in lines if line not in sentences and not USUAL.search(line)]:
        return f"said {other[0][:300]!r}"
    if fault.what != "interrupt" and any(str(base) not in line for line in sentences):
        return f"names no file: {sentences[0][:300]!r}"
    return ""


def difference(actual: dict[str, object], expected: dict[str, object]) -> str:
    """The first names that differ; "" where nothing does."""
    gone, changed = set(expected) - set(actual), [n for n in expected if n in actual and actual[n] != expected[n]]
    return "; ".join([*(f"no {n}" for n in sorted(gone)[:3]), *(f"other {n}" for n in changed[:3])])


def unexpected(actual: dict[str, object], expected: dict[str, object]) -> str:
    """Names that the undisturbed run does not leave. A lock file that could not be removed locks nothing."""
    return "; ".join(sorted(name for name in set(actual) - set(expected) if not name.endswith("/lock"))[:3])


def below(entries: dict[str, object], folder: str) -> dict[str, object]:
    return {name: value for name, value in entries.items() if name.startswith(folder + "/")}


def judge(name: str, verb: Verb, base: Path, whole: dict[str, object], output: str, call: str, fault: Fault) -> Case:
    """Runs the verb under the fault and again without, and says what came of it."""
    shutil.rmtree(base, ignore_errors=True)
    verb.prepare(base)
    first = child(verb.words(base), base, fault)

    def case(*wrong: tuple[str, str]) -> Case:
        """The worst of what went wrong, and all of it in words."""
        return Case(name, call, str(fault), wrong[0][0], "; ".join(f"{verdict}: {why}" for verdict, why in wrong))

    if first.code is None:
        return case(("stuck", f"under the fault: {first.err[-300:]}"))
    wrong = [("without a sentence", said_wrong)] if (said_wrong := _sentence(first, fault, base)) else []
    if (
        first.code == 0
        and "no face of" not in first.err
        and (lost := difference(below(tree(base), verb.result), below(whole, verb.result)))
    ):
        return case(("different", f"claims success, {lost}"), *wrong)
    if first.code == 0 and verb.once:
        return case(*wrong or [("equal", "")])
    for path in base.rglob(".*"):  # two days pass before somebody comes back: what nobody holds is then cleared by age
        with contextlib.suppress(OSError):
            os.utime(path, (time.time() - 2 * 86400,) * 2)
    second = child(verb.words(base), base)
    if second.code is None:
        return case(("stuck", f"second run: {second.err[-300:]}"), *wrong)
    if second.code != 0:
        return case(("different", f"the second run ends with {second.code}: {second.err[-400:]}"), *wrong)
    after = tree(base)
    lost = difference(after, whole)
    if not lost and verb.says and _clockless(second.out) != output:
        lost = "other output"
    if lost:
        return case(("different", lost), *wrong)
    if more := unexpected(after, whole):
        wrong.append(("left over", more))
    return case(*wrong or [("equal", "")])


def _clockless(text: str) -> str:
    return re.sub(r"\(?\d+(\.\d+)? s(\)|,.*)?$", "", text, flags=re.MULTILINE)


def draw(calls: Sequence[str], number: int, rng: random.Random, kills: bool) -> Iterator[tuple[str, Fault]]:
    """Faults (`kills`: these alone) at calls of every group alike, so that the one lock is met as well as the hundred writes."""
    groups: dict[str, list[int]] = {}
    for at, call in enumerate(calls, 1):
        groups.setdefault(call[0], []).append(at)
    for n in range(number):
        group = rng.choice(sorted(groups))
        at = rng.choice(groups[group])
        kind = n % 10
        if kills or kind in (2, 5, 8):
            fault = Fault(at, rng.choice(["kill-before", "kill-after"]))
        elif kind == 6:
            fault = Fault(at, "interrupt")
        else:
            what = rng.choice(ERRORS[group])
            stays = STAYS.get(what, "") if kind in (0, 4) else ""
            fault = Fault(at, what, stays if group in stays else "")
        yield calls[at - 1], fault


def cases(name: str, verb: Verb, where: Path, number: int, seed: int, kills: bool = False) -> Iterator[Case]:
    """`number` cases of one verb, after the undisturbed run that they are held against."""
    base, log = where / name.replace(" ", "-") / "base", where / "calls.txt"
    verb.prepare(base)
    log.unlink(missing_ok=True)
    ending = child(verb.words(base), base, log=str(log))
    if ending.code != 0:
        raise RuntimeError(f"undisturbed {name} ended with {ending.code}: {ending.err}")
    whole, calls = tree(base), log.read_text().splitlines()
    for call, fault in draw(calls, number, random.Random(f"{seed} {name}"), kills):
        call_text = call.replace(f"{base}/", "")
        yield judge(name, verb, base, whole, _clockless(ending.out), f"{fault.at} of {len(calls)}: {call_text}", fault)
    shutil.rmtree(base)


def table(case_list: Sequence[Case]) -> str:
    """Verbs by faults: how many ended how."""
    counts = Counter((case.verb, case.fault, case.verdict) for case in case_list)
    rows = [f"{'verb':18} {'fault':24} {'equal':>6} {'stuck':>6} {'wordless':>9} {'different':>10} {'left over':>10}"]
    for verb, fault in sorted({(case.verb, case.fault) for case in case_list}):
        number = [counts[verb, fault, v] for v in ("equal", "stuck", "without a sentence", "different", "left over")]
        rows.append(f"{verb:18} {fault:24} {number[0]:6} {number[1]:6} {number[2]:9} {number[3]:10} {number[4]:10}")
    totals = Counter(case.verdict for case in case_list)
    return "\n".join([*rows, f"{len(case_list)} cases: " + ", ".join(f"{n} {v}" for v, n in totals.most_common())])


def main(where: Path, data: Path, number: int, seed: int, names: Sequence[str]) -> None:
    ready()
    all_verbs = verbs(where, data)
    for choice in names or all_verbs:
        name, _, only = choice.partition(":")
        for case in cases(name, all_verbs[name], where, number, seed, only == "kill"):
            print(json.dumps(asdict(case)), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve(), int(sys.argv[3]), int(sys.argv[4]), sys.argv[5:])
