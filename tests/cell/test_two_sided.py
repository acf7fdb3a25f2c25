"""A predictor may be given the listener's own voice and past where a benchmark is two-sided, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.datasets.test_dualtalk import write_dualtalk
from tests.fixtures.hosts import shared_host
from tests.fixtures.mars import write_mars
from tests.fixtures.seamless import write_seamless
from typer.testing import CliRunner

from dyadbench.api import DyadbenchError, Needs
from dyadbench.cell.folds import run_of
from dyadbench.cell.lookahead import perturb_after
from dyadbench.cell.react import demand_sides
from dyadbench.cell.runtime import Runtime
from dyadbench.cell.source import Source
from dyadbench.cell.split import Split
from dyadbench.cli import app
from dyadbench.datasets.config import DualTalkConfig, MarsConfig, SeamlessConfig
from dyadbench.datasets.dualtalk import DualTalkDataset
from dyadbench.datasets.mars import MarsDataset
from dyadbench.datasets.seamless import SeamlessDataset
from dyadbench.matrix.cells import MethodSpec, make_cell
from dyadbench.records.record import load_record
from dyadbench.registry.benchmarks import ALL

NEEDS = Needs(audio=("mfcc-78",), own_audio=("mfcc-78",), own_past=90)


def test_who_asks_for_what_is_said() -> None:
    assert Needs().two_sided == () == Needs(audio=("mfcc-78",)).two_sided
    assert NEEDS.two_sided == ("own voice", "own past")
    assert Needs(audio=("own-mel-128",)).two_sided == ("own voice",)  # by the back door, too


def test_only_two_sided_benchmarks_give_it() -> None:
    demand_sides(NEEDS.two_sided, "x", "seamless-test", two_sided=True)
    demand_sides((), "x", "react2024-test", two_sided=False)
    with pytest.raises(
        DyadbenchError, match="x uses the listener's own voice and own past, which react2024-test gives to nobody"
    ):
        demand_sides(NEEDS.two_sided, "x", "react2024-test", two_sided=False)
    allowed = {name for name, (config, _) in ALL.items() if config.two_sided}
    assert allowed == {"dualtalk-test", "dualtalk-ood", "seamless-test", "seamless-dev"}
    assert "two_sided" not in ALL["react2024-test"][0].model_dump()  # keys and records of before stay as they were


def test_a_context_holds_the_own_voice_and_the_past_of_the_right_person(tmp_path: Path) -> None:
    data = SeamlessDataset(SeamlessConfig(window=8.0, least=5.0), write_seamless(tmp_path))
    split = Split(data, "test")
    context = split.context(range(2), NEEDS, privileged=False)
    assert context.own_audio["mfcc-78"].shape == context.audio["mfcc-78"].shape
    dyad = data.dyad("test", 1, ("mfcc-78", "own-mfcc-78"))
    assert np.array_equal(context.own_audio["mfcc-78"][1, : dyad.clip.frames], dyad.speaker.audio["own-mfcc-78"])
    assert context.own_past is not None and context.own_past_lengths is not None
    assert context.own_past_lengths.tolist() == [0, 90]
    assert not context.own_past[0].any()
    before = data.dyad("test", 0).listener.motion  # the window before, of the same person
    assert np.array_equal(context.own_past[1], before[-90:])
    assert split.context(range(2), Needs(), privileged=False).own_past is None
    with pytest.raises(DyadbenchError, match="its needs do not name"):
        split.context(range(1), Needs(), privileged=False).own_audio["mfcc-78"]


def test_the_past_of_a_whole_file_is_empty(tmp_path: Path) -> None:
    data = DualTalkDataset(DualTalkConfig(own_voice=True), write_dualtalk(tmp_path))
    context = Split(data, "test").context(range(1), NEEDS, privileged=False)
    assert context.own_past_lengths is not None and context.own_past_lengths.tolist() == [0]


def test_a_look_ahead_into_the_own_voice_is_seen(tmp_path: Path) -> None:
    data = SeamlessDataset(SeamlessConfig(), write_seamless(tmp_path))
    context = Split(data, "test").context(range(1), NEEDS, privileged=False)
    other = perturb_after(context, 100, np.random.default_rng(0), 30.0)
    same = np.abs(other.own_audio["mfcc-78"] - context.own_audio["mfcc-78"]).max(2)[0] == 0
    assert same[:101].all() and not same[101:].any()


def test_a_run_says_who_was_given_what_and_react_refuses(tmp_path: Path) -> None:
    root = write_seamless(tmp_path / "data")
    words = ["run", "-b", "seamless-test", "--root", str(tmp_path), "--data", str(root), "--threads", "1"]
    for method in ("ridge", "ridge-two-sided", "mismatched-listener"):
        words += ["-m", method]
    outcome = CliRunner().invoke(app, words)
    assert outcome.exit_code == 0, outcome.output
    folder = tmp_path / "leaderboards" / "records" / "seamless-test"
    assert load_record(folder / "ridge-two-sided" / "seed0.json").measured.two_sided == ("own voice",)
    assert load_record(folder / "ridge" / "seed0.json").measured.two_sided == ()
    host = shared_host()
    cell = make_cell(host, "seamless-test", MethodSpec(name="ridge-two-sided"), 0)
    one_sided = cell.model_copy(update={"setting": cell.setting.model_copy(update={"two_sided": False})})
    source = Source(host, cell.dataset, Runtime(home=tmp_path / ".dyadbench", data={cell.dataset.name: root}))
    again = run_of(one_sided, host, source.runtime, source.dataset)
    with pytest.raises(DyadbenchError, match="uses the listener's own voice"):  # though its reactions are in the store
        again.generate(again.spaces)
    tables = CliRunner().invoke(app, ["leaderboard", "--root", str(tmp_path)])
    assert tables.exit_code == 0, tables.output
    page = (tmp_path / "leaderboards" / "seamless-test.md").read_text()
    assert (
        "given the listener's own voice or past: ridge-two-sided (own voice); all others see the speaker alone" in page
    )
    mars = MarsDataset(MarsConfig(), write_mars(tmp_path / "mars"))
    assert not any(name.startswith("own-") for name in mars.audio)
    refused = CliRunner().invoke(
        app,
        [
            "run",
            "-b",
            "react2025-test",
            "-m",
            "ridge-two-sided",
            "--root",
            str(tmp_path),
            "--data",
            str(tmp_path / "mars"),
        ],
    )
    assert refused.exit_code == 1
    assert "this dataset has none" in refused.output
