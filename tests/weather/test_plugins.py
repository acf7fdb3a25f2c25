"""Plugins that lie, hang, eat memory, scribble on what is shared or leave: named in one sentence, and the others go on."""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from dyadbench.api import Clip, Dyad, DyadbenchError, Result, Track
from dyadbench.cell.score import demand_whole
from dyadbench.cell.split import Split
from dyadbench.conformance.checks import check_factory
from dyadbench.datasets.tiny_corpus import TinyCorpus
from dyadbench.errors import PluginError
from dyadbench.leaderboard.tables import make_table
from dyadbench.python.method import load_method
from dyadbench.records.record import load_record
from dyadbench.registry.host import Host

Command = Callable[..., tuple[int, str, str]]
Words = Callable[..., list[str]]

PLUGIN = """
import os, random, sys, time
import numpy as np
from dyadbench.api import Config, Needs, PredictorEntry, Reaction
from dyadbench.hookspecs import hookimpl

print("printed at import")

NAMES = ("ahead", "fickle", "counting", "short", "text", "listed", "nothing", "endless", "hungry", "scribbler", "chatty",
         "leaving", "quiet", "seeded", "broken", "tensor", "needless", "mute", "truthful", "uneven", "halting", "painter",
         "feeling")

@hookimpl
def dyadbench_predictors():
    print("printed in a hook")
    return [PredictorEntry(name=name, version=1, load="strange:" + name.capitalize()) for name in NAMES]

class Quiet:
    needs = Needs()
    def __init__(self, config, setup):
        self.calls = 0
    def zeros(self, context, k):
        return np.zeros((len(context.clips), k, context.frames, 25), np.float32)
    def sample(self, context, k, noise):
        return Reaction(None, self.zeros(context, k))

class Ahead(Quiet):
    needs = Needs(lookahead=0)
    def sample(self, context, k, noise):
        return Reaction(None, self.zeros(context, k) + context.speaker_motion[:, None, ::-1, :25])

class Fickle(Quiet):
    def sample(self, context, k, noise):
        return Reaction(None, self.zeros(context, k) + np.float32(np.random.default_rng().random()))

class Counting(Quiet):
    def sample(self, context, k, noise):
        self.calls += 1
        return Reaction(None, self.zeros(context, k) + np.float32(self.calls / 100))

class Short(Quiet):
    def sample(self, context, k, noise):
        return Reaction(None, self.zeros(context, k)[:, :, 1:])

class Text(Quiet):
    def sample(self, context, k, noise):
        return Reaction(None, np.full((len(context.clips), k, context.frames, 25), "a"))

class Listed(Quiet):
    def sample(self, context, k, noise):
        return [0.0]

class Nothing(Quiet):
    def sample(self, context, k, noise):
        return None

class Endless(Quiet):
    def sample(self, context, k, noise):
        while True:
            time.sleep(1000)

class Hungry(Quiet):
    def sample(self, context, k, noise):
        np.ones(1 << 55)

class Scribbler(Quiet):
    def sample(self, context, k, noise):
        random.seed(1); np.random.seed(1)
        if "torch" in sys.modules:
            sys.modules["torch"].manual_seed(1)
        context.speaker_motion[:] = 7
        return super().sample(context, k, noise)

class Chatty(Quiet):
    def sample(self, context, k, noise):
        print("printed in sample")
        sys.stdout.write("[" * 5)
        return super().sample(context, k, noise)

class Seeded(Quiet):  # a generator per call: the first clip of every batch draws alike
    def sample(self, context, k, noise):
        values = np.random.default_rng(7).random((len(context.clips), k, 1, 1), np.float32)
        return Reaction(None, self.zeros(context, k) + values)

class Broken(Quiet):  # the motion that no suite of the benchmark scores
    def sample(self, context, k, noise):
        motion = np.full((len(context.clips), k, context.frames, 58), np.nan, np.float32)
        return Reaction(motion, self.zeros(context, k))

class Tensor(Quiet):
    def sample(self, context, k, noise):
        import torch
        return Reaction(None, torch.from_numpy(self.zeros(context, k)))

class Needless(Quiet):
    needs = None

class Mute(Quiet):
    def sample(self, context, k, noise):
        return context.audio["mfcc"]

class Truthful(Quiet):
    def sample(self, context, k, noise):
        return Reaction(None, self.zeros(context, k) > 0)

class Uneven(Quiet):
    def sample(self, context, k, noise):
        return Reaction(None, [[[0.0]], [[0.0], [0.0]]])

class Halting(Quiet):
    def start(self, clips, k, noise):
        return self
    def step(self, heard):
        raise RuntimeError("the stream broke")

class Painter(Quiet):
    def draw(self, dyad):
        return {"face": 3}

class Feeling(Quiet):
    def sample(self, context, k, noise):
        return Reaction(None, np.repeat(context.speaker_emotion[:, None], k, 1))

class Leaving(Quiet):
    def sample(self, context, k, noise):
        sys.exit(0)
"""  # the plugin's whole distribution


@pytest.fixture
def strange(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The distribution `strange` on the import path."""
    folder = tmp_path / "site"
    info = folder / "strange-0.3.dist-info"
    info.mkdir(parents=True)
    (folder / "strange.py").write_text(PLUGIN)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: strange\nVersion: 0.3\n")
    (info / "entry_points.txt").write_text("[dyadbench]\nstrange = strange\n")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("PYTHONPATH", str(folder))
    sys.modules.pop("strange", None)
    importlib.invalidate_caches()


def _record(base: Path) -> Path:
    [path] = (base / "leaderboards" / "records").rglob("*.json")
    return path


FAULTS = {
    "fickle": "fickle gave two reactions to the same clips with the same noise, so nobody could repeat its numbers",
    "counting": "counting gave two reactions to the same clips with the same noise",
    "seeded": "otherwise in a batch than alone, so --batch would change its numbers",
    "broken": "broken returned NaN or infinite motion for clip",
    "tensor": "tensor returned emotion as a torch tensor; return emotion.detach().cpu().numpy()",
    "needless": "needless does not say what it needs; give it an attribute needs = Needs(...)",
    "mute": "it reads the audio feature 'mfcc', which its needs do not name: needs = Needs(audio=('mfcc',))",
    "short": "short returned emotion of shape (3, 2, 47, 25) where (clips, samples, frames, channels) is (3, 2, 48, 25)",
    "text": "numpy",
    "listed": "listed returned a list; return an api.Reaction(motion, emotion)",
    "nothing": "nothing returned a NoneType; return an api.Reaction",
    "truthful": "truthful returned emotion of bool where numbers are due",
    "uneven": "uneven returned emotion that is no array (setting an array element with a sequence",
    "hungry": "predictor 'hungry' of strange 0.3 failed during sample: MemoryError: Unable to allocate",
    "leaving": "predictor 'leaving' of strange 0.3 failed during sample: SystemExit: 0",
}


@pytest.mark.usefixtures("strange")
@pytest.mark.parametrize("name", FAULTS)
def test_a_cell_of_a_broken_plugin_fails_with_a_sentence(
    tmp_path: Path, dyadbench: Command, cell: Words, name: str
) -> None:
    code, out, err = dyadbench(*cell(name, tmp_path), "-m", "quiet")
    assert code == 1, "one cell failed"
    [line] = [line for line in err.splitlines() if line.startswith("FAILED")]
    assert "/ " + name in line and (FAULTS[name] in line or name == "text") and "Traceback" not in err
    assert "1 of 2 cells recorded" in out, "the other cell is not lost"
    assert load_record(_record(tmp_path)).method == "quiet"


@pytest.mark.usefixtures("strange")
def test_a_picture_that_is_no_text_is_named(tmp_path: Path, dyadbench: Command, cell: Words) -> None:
    code, _, err = dyadbench(*cell("painter", tmp_path), "--draw", "1")
    assert code == 1 and "Painter.draw returned no pictures; return names and the text of an SVG each" in err
    assert "Traceback" not in err and "TypeError" not in err


@pytest.mark.usefixtures("strange")
def test_a_stream_that_breaks_costs_no_other_timing(dyadbench: Command) -> None:
    code, out, err = dyadbench("bench", "latency", "halting", "ridge", "--frames", "100", "--json")
    broken, ridge = json.loads(out)
    assert code == 1 and "Traceback" not in err and ridge["latency"]["frames"] == 100
    assert broken["reason"].startswith(
        "predictor 'halting' of strange 0.3 failed during stream: RuntimeError: the stream"
    )


@pytest.mark.usefixtures("strange")
def test_a_method_that_reads_emotion_says_that_it_was_given_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("dyadbench.python.method.plugins", host := cache(Host))
    tiny = {"dataset": {"size": "tiny"}, "root": tmp_path, "train": True}
    method = load_method("feeling", "simdyad-clear-react-online", **tiny)  # type: ignore[arg-type]
    motion = np.zeros((4, method.space.dim))
    with pytest.raises(DyadbenchError, match=r"feeling failed without the speaker's emotion.*give emotion=\(T, 25\)"):
        method.sample(motion)
    reaction = method.sample(motion, emotion=np.ones((4, 25)))
    assert reaction.emotion is not None and reaction.emotion.shape == (1, 1, 4, 25)
    assert host().get("predictor", "feeling").name == method.entry


@pytest.mark.usefixtures("strange")
def test_text_for_numbers_is_named(tmp_path: Path, dyadbench: Command, cell: Words) -> None:
    _, _, err = dyadbench(*cell("text", tmp_path))
    assert "text" in err and ("<U1" in err or "failed during sample" in err)


@pytest.mark.usefixtures("strange")
def test_look_ahead_that_is_denied_is_measured_and_not_ranked(tmp_path: Path, dyadbench: Command, cell: Words) -> None:
    assert dyadbench(*cell("ahead", tmp_path))[0] == 0
    record = load_record(_record(tmp_path))
    assert record.measured.declared_lookahead == 0 and record.measured.lookahead is None
    columns = [  # the others are undefined on clips so short
        dataclasses.replace(column, ranked=column.id == "FRDist")
        for column in Host().build("suite", "react2024", {}).columns
    ]
    [row] = make_table([record], "react2024", columns).rows
    assert row.rank is None and "it looks ahead over the whole clip" in row.reason


@pytest.mark.usefixtures("strange")
def test_a_plugin_that_sleeps_for_ever_is_stopped(tmp_path: Path, dyadbench: Command, cell: Words) -> None:
    code, _, err = dyadbench(*cell("endless", tmp_path), "--timeout", "0.02")
    assert code == 1 and "took longer than --timeout 0.02 (minutes) and was stopped" in err
    assert not list(tmp_path.rglob("claim.json")), "nothing is held for the dead"


@pytest.mark.usefixtures("strange")
def test_a_plugin_that_is_killed_for_its_memory_costs_its_own_cell(tmp_path: Path, cell: Words) -> None:
    """A real limit: the process may take no more, numpy raises, the next cell runs."""
    code = (
        "import resource, sys; import torch; from pathlib import Path\n"
        "held = int(Path('/proc/self/statm').read_text().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (held + (2 << 30),) * 2)\n"
        "from dyadbench.cli import main; main()"
    )
    words = [*cell("hungry", tmp_path), "-m", "quiet"]
    process = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, env=os.environ, check=False
    )
    assert process.returncode == 1 and "Unable to allocate" in process.stderr and "1 of 2 cells" in process.stdout


@pytest.mark.usefixtures("strange")
def test_scribbling_on_shared_state_changes_no_other_cell(tmp_path: Path, dyadbench: Command, cell: Words) -> None:
    """A method trained after the scribbler gives what it gives alone; its own context was a copy."""
    bases = tmp_path / "alone", tmp_path / "after"
    for base in bases:
        base.mkdir()
    assert dyadbench(*cell("ridge-sampled", bases[0]))[0] == 0
    assert dyadbench(*cell("scribbler", bases[1]), "-m", "ridge-sampled")[0] == 0
    alone, after = (load_record(next(base.rglob("ridge-sampled/seed0.json"))) for base in bases)
    assert alone.suites == after.suites


@pytest.mark.usefixtures("strange")
@pytest.mark.parametrize("words", [["list", "predictors"], ["run"], ["check", "chatty"]])
def test_what_a_plugin_prints_does_not_spoil_json(
    tmp_path: Path, dyadbench: Command, cell: Words, words: list[str]
) -> None:
    sys.modules.pop("strange", None)
    words = cell("chatty", tmp_path) if words == ["run"] else words
    _, out, err = dyadbench(*words, "--json")
    json.loads(out)
    assert "printed at import" in err and "printed in a hook" in err
    assert ("printed in sample" in err) == (words[0] != "list")


def _items(**methods: object) -> dict[str, tuple[bool, str]]:
    """What `dyadbench check` says about a predictor with these methods."""
    base = {"needs": __import__("dyadbench.api", fromlist=["Needs"]).Needs(), "__init__": lambda self: None}
    report = check_factory("p", lambda setup: type("P", (), {**base, **methods})())
    return {item.what.partition(": ")[2]: (item.ok, item.detail) for item in report.items}


def _zeros(context: object, k: int) -> np.ndarray:
    return np.zeros((len(context.clips), k, context.frames, 25), np.float32)  # type: ignore[attr-defined]


def test_check_names_each_lie() -> None:
    from dyadbench.api import Reaction

    def scribble(self: object, context: object, k: int, noise: object) -> Reaction:
        random.random()
        return Reaction(None, _zeros(context, k))

    def torch_noise(self: object, context: object, k: int, noise: object) -> Reaction:
        return Reaction(None, _zeros(context, k) + torch.rand(1).numpy())

    def overwrite(self: object, context: object, k: int, noise: object) -> Reaction:
        context.speaker_motion[:] = 0  # type: ignore[attr-defined]
        return Reaction(None, _zeros(context, k))

    def ahead(self: object, context: object, k: int, noise: object) -> Reaction:
        return Reaction(None, _zeros(context, k) + context.speaker_motion[:, None, ::-1, :25])  # type: ignore[attr-defined]

    def leave(self: object, context: object, k: int, noise: object) -> Reaction:
        raise SystemExit(0)

    assert not _items(sample=scribble)["global random state untouched"][0]
    items = _items(sample=torch_noise)
    assert not items["same noise, same reaction"][0] and not items["global random state untouched"][0]
    assert not _items(sample=overwrite)["inputs untouched"][0]
    assert "measured the whole clip, declared 0 frames" in _items(sample=ahead)["look-ahead"][1]
    assert _items(sample=leave)["exactly 96 frames"][1].startswith("SystemExit: 0 (test_plugins.py, line ")
    assert not _items(sample=leave)["exactly 96 frames"][0]


# --- datasets and suites that do not keep their word ----------------------------------------------------


class Lying(TinyCorpus):
    has_emotion, simulated, digest = True, True, "d" * 64

    def __init__(self, lie: str) -> None:
        super().__init__()
        self.lie = lie

    def clips(self, split: str) -> list[Clip]:
        return (
            [Clip("same", c.session, c.frames) for c in super().clips(split)]
            if self.lie == "ids"
            else [Clip("caf\udce9", "s", 96)]
            if self.lie == "bytes"
            else list(super().clips(split))
        )

    def dyad(self, split: str, index: int, audio: tuple[str, ...] = ()) -> Dyad:
        dyad = list(self.dyads(split, audio))[index]
        motion, emotion = dyad.listener.motion, dyad.listener.emotion
        change = {"frames": (motion[:-1], emotion), "nan": (motion * np.nan, emotion), "emotion": (motion, None)}
        motion, emotion = change.get(self.lie, (motion, emotion))
        return Dyad(dyad.clip, dyad.speaker, Track(motion, emotion))


@pytest.mark.parametrize(
    ("lie", "message"),
    [
        ("ids", "lists clip same twice"),
        ("bytes", "the id of a clip 'caf' holds bytes that are not UTF-8 text; give it another name"),
        ("frames", r"clip test/0: the listener's motion has shape \(95, 58\); \(96, 58\) was declared"),
        ("nan", "clip test/0: the listener's motion holds NaN"),
        ("emotion", r"clip test/0: the listener's emotion has nothing; \(96, 25\) was declared"),
    ],
)
def test_a_data_set_that_lies(lie: str, message: str) -> None:
    with pytest.raises(DyadbenchError, match=message):
        Split(Lying(lie), "test")._tracks  # noqa: B018


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"value": float("nan")}, "gave nan for FRCorr; what is undefined is None"),
        ({"value": float("inf")}, "gave inf for FRCorr"),
        ({"value": True}, "gave no api.Result of numbers for FRCorr: value: a number is expected, not true or false"),
        ({"value": "high"}, "gave no api.Result of numbers for FRCorr: value: a number is expected, not 'high'"),
        ({"per_clip": [[0.5], [0.5, 0.5]]}, "gave no api.Result of numbers for FRCorr: setting an array element"),
        ({"detail": 3}, "gave no api.Result of numbers for FRCorr: 'int' object is not iterable"),
        ({"per_clip": np.zeros(3)}, r"gave \(3,\) values of FRCorr for 4 clips"),
        ({"per_clip": np.full(4, np.inf)}, "or infinite ones"),
        ({"value": 0.6}, r"FRCorr: its value is 0\.6, and its per-clip values average to 0\.5"),
        ({"per_clip": np.full(4, np.nan)}, "FRCorr: its value and its per-clip values are not defined together"),
        (None, "gave no FRCorr, one of its columns"),
    ],
)
def test_a_suite_that_lies(change: dict[str, object] | None, message: str) -> None:
    suite = Host().build("suite", "react2024", {})
    results = {column.id: Result(0.5, np.full(4, 0.5)) for column in suite.columns}
    demand_whole("s", suite, results, 4)
    if change is None:
        del results["FRCorr"]
    else:
        results["FRCorr"] = Result(**{"value": 0.5, "per_clip": np.full(4, 0.5), **change})  # type: ignore[arg-type]
    with pytest.raises(PluginError, match=message):
        demand_whole("s", suite, results, 4)
