"""Plugins that fail cost only themselves, and say so. Each is a fabricated distribution on the import path."""

from __future__ import annotations

import importlib
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from dyadbench.api import Config, DyadbenchError
from dyadbench.cell.runtime import Runtime
from dyadbench.cell.source import open_dataset
from dyadbench.cli import app
from dyadbench.cli.doctor import misplaced_entry_points
from dyadbench.errors import PluginError
from dyadbench.matrix.cells import Part
from dyadbench.registry.host import Host

GOOD = """
from dyadbench.api import PredictorEntry
from dyadbench.hookspecs import hookimpl
@hookimpl
def dyadbench_predictors():
    return [PredictorEntry(name="{name}", version=1, load="{module}:Thing")]
class Thing:
    def __init__(self, config, setup=None):
        self.setup = setup
"""

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    monkeypatch.syspath_prepend(str(tmp_path))

    def _install(module: str, source: str, version: str = "0.3") -> None:
        sys.modules.pop(module, None)
        (tmp_path / f"{module}.py").write_text(textwrap.dedent(source))
        info = tmp_path / f"{module}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(f"[dyadbench]\n{module} = {module}\n")
        importlib.invalidate_caches()

    return _install


def _good(name: str, module: str) -> str:
    return GOOD.format(name=name, module=module)


BROKEN = {
    "import error": ("raise ValueError('boom')", "import", "ValueError: boom"),
    "missing dependency": ("import no_such_package_anywhere", "import", "No module named 'no_such_package_anywhere'"),
    "exit at import": ("raise SystemExit(7)", "import", "SystemExit"),
    "misspelt hook": (
        "from dyadbench.hookspecs import hookimpl\n@hookimpl\ndef dyadbench_predictor():\n    return []",
        "register",
        "dyadbench_predictor is not a hook; did you mean dyadbench_predictors?",
    ),
    "no marker": ("def dyadbench_predictors():\n    return []", "register", "lacks @hookimpl"),
    "wrong argument": (
        "from dyadbench.hookspecs import hookimpl\n@hookimpl\ndef dyadbench_predictors(host):\n    return []",
        "register",
        "host",
    ),
    "exception inside a hook": (
        "from dyadbench.hookspecs import hookimpl\n@hookimpl\ndef dyadbench_predictors():\n    raise KeyError('inside')",
        "hooks",
        "dyadbench_predictors raised KeyError: 'inside'",
    ),
    "not an entry": (
        "from dyadbench.hookspecs import hookimpl\n@hookimpl\ndef dyadbench_predictors():\n    return ['name']",
        "entries",
        "returned a str; it must return PredictorEntry objects",
    ),
    "invalid version": (_good("x", "y").replace("version=1", "version='1'"), "entries", "version is '1'"),
    "invisible name": (_good("x\\u200b", "y"), "entries", "its name is 'x\\u200b', with characters that nobody sees"),
    "invalid load": (_good("x", "y").replace(":Thing", ".Thing"), "entries", 'must be "module:attribute"'),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_plugin_costs_only_itself_and_is_named(install: Install, case: str) -> None:
    source, stage, detail = BROKEN[case]
    install("brokenplug", source)
    install("goodplug", _good("good-thing", "goodplug"))
    host = Host()
    assert [entry.name for entry in host.entries("predictor") if entry.name == "good-thing"] == ["good-thing"]
    [problem] = [p for p in host.problems if p.plugin == "brokenplug"]
    assert (problem.stage, problem.distribution, problem.version) == (stage, "brokenplug", "0.3")
    assert detail in problem.detail
    with pytest.raises(DyadbenchError, match="brokenplug"):
        host.get("predictor", "a-name-that-is-not-there")


def test_one_bad_entry_costs_itself_alone(install: Install) -> None:
    good = _good("good-thing", "mixed").replace(
        "return [", "return ['text', PredictorEntry(name='bad', version=0, load='mixed:Thing'), "
    )
    install("mixed", good)
    host = Host()
    assert host.get("predictor", "good-thing").version == 1
    details = [problem.detail for problem in host.problems if problem.plugin == "mixed"]
    assert len(details) == 2
    assert "returned a str" in details[0] and "entry 'bad': its version is 0" in details[1]


def test_an_exception_is_blamed_on_whose_code_raised_it(install: Install) -> None:
    install("readsdata", _good("reader", "readsdata"))
    install("givesdata", _good("x", "givesdata").replace("PredictorEntry", "DatasetEntry").replace("predictors", "datasets")
            + "    def dyad(self): return {}['motion']\n")  # fmt: skip
    host = Host()
    dataset = host.build("dataset", "x", {})
    with (
        pytest.raises(
            PluginError, match=r"dataset 'x' of givesdata 0\.3 .*KeyError: 'motion' \(givesdata\.py, line \d+\)"
        ),
        host.blame("predictor", "reader", "fit"),
    ):
        dataset.dyad()


def test_doctor_names_the_wrong_group_and_heavy_imports(
    tmp_path: Path, install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("heavyplug", "import colorsys\n" + _good("heavy-thing", "heavyplug"))
    sys.modules.pop("colorsys", None)
    monkeypatch.setattr("dyadbench.registry.load.HEAVY", ("colorsys",))
    [plugin] = [plugin for plugin in Host().plugins if plugin.name == "heavyplug"]
    assert plugin.heavy == ("colorsys",) and plugin.seconds > 0
    install("lostplug", _good("lost-thing", "lostplug"))
    points = tmp_path / "lostplug-0.3.dist-info" / "entry_points.txt"
    points.write_text("[dyadbench.plugins]\nlostplug = lostplug\n")
    assert ("lostplug", "dyadbench.plugins") in misplaced_entry_points()


def test_a_suite_that_cannot_be_built_costs_its_own_tables(
    install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    source = _good("broken-suite", "badsuite").replace("PredictorEntry", "SuiteEntry").replace("predictors", "suites")
    install("badsuite", source + "        raise ValueError('boom')\n")
    suites = Host().suites()
    assert "react2024" in suites and "broken-suite" not in suites
    assert "suite 'broken-suite' of badsuite 0.3" in capsys.readouterr().err


def test_strict_raises_and_disable_blocks(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    install("brokenplug", "raise ValueError('boom')")
    monkeypatch.setenv("DYADBENCH_STRICT", "1")
    with pytest.raises(PluginError, match="boom"):
        Host()
    monkeypatch.setenv("DYADBENCH_DISABLE", "brokenplug")
    assert [p.stage for p in Host().problems if p.plugin == "brokenplug"] == ["disabled"]
    monkeypatch.setenv("DYADBENCH_DISABLE", "brokenplug, brokenplugg")  # a name that no plugin has was ignored
    assert [p.detail for p in Host().problems if p.plugin == "brokenplugg"] == [
        "DYADBENCH_DISABLE names it, and there is no such plugin; did you mean brokenplug?"
    ]


def test_two_plugins_with_one_name_are_both_named_and_neither_wins(install: Install) -> None:
    install("firstplug", _good("twin", "firstplug"))
    install("secondplug", _good("twin", "secondplug"))
    host = Host()
    with pytest.raises(DyadbenchError, match=r"firstplug.*secondplug"):
        host.get("predictor", "twin")
    assert "twin" not in [entry.name for entry in host.entries("predictor")]


def test_a_builtin_cannot_be_shadowed(install: Install) -> None:
    install("thief", _good("mime", "thief"))
    host = Host()
    assert host.plugin_of(host.get("predictor", "mime"))[0] == "dyadbench"
    assert any("built in" in p.detail and p.plugin == "thief" for p in host.problems)


def test_unknown_names_get_the_nearest(install: Install) -> None:
    install("goodplug", _good("good-thing", "goodplug"))
    with pytest.raises(DyadbenchError, match="did you mean good-thing"):
        Host().get("predictor", "god-thing")


def test_building_validates_the_config_and_blames_the_plugin(install: Install) -> None:
    install("goodplug", _good("good-thing", "goodplug") + "        if setup == 'bad': raise RuntimeError('inner')\n")
    host = Host()
    assert host.build("predictor", "good-thing", {}, "here").setup == "here"
    assert host.build("predictor", "good-thing", Config(), "here").setup == "here"
    with pytest.raises(DyadbenchError, match="layers"):
        host.build("predictor", "good-thing", {"layers": 3})
    with pytest.raises(PluginError, match=r"good-thing.*goodplug 0\.3 failed during build: RuntimeError: inner"):
        host.build("predictor", "good-thing", {}, "bad")


def test_the_installed_plugins_load_without_a_problem_and_without_torch() -> None:
    code = "from dyadbench.registry.host import Host; import sys; h = Host(); print(h.problems, 'torch' in sys.modules)"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert process.strip() == "[] False"


DATASET = """
import numpy as np
from dyadbench.api import DatasetEntry
from dyadbench.datasets.tiny_corpus import TinyCorpus
from dyadbench.hookspecs import hookimpl
@hookimpl
def dyadbench_datasets():
    return [DatasetEntry(name="toy-data", version=1, load="toy_data:Faulty")]
class Faulty(TinyCorpus):
    has_emotion, simulated, digest = True, False, "d" * 64
    def __init__(self, config, root):
        super().__init__()
        self.faulty = int(np.load(root / "clips.npy"))
    def dyad(self, split, index, *more, **others):
        if index == self.faulty:
            raise KeyError("jaw")
        return super().dyad(split, index, *more, **others)
"""


def test_a_plugins_data_are_checked_and_read_with_every_option_or_it_is_refused(
    install: Install, tmp_path: Path
) -> None:
    """--limit, --fix and --all were ignored, a faulty file was a traceback, and a forgotten --data a missing file."""
    install("toy_data", DATASET)
    folder = tmp_path / "data"
    folder.mkdir()
    np.save(folder / "clips.npy", 1)

    def answer(*words: str) -> tuple[int, str]:
        outcome = CliRunner().invoke(app, ["data", *words])
        return outcome.exit_code, outcome.output + (f"{outcome.exception}" if outcome.exception else "")

    assert answer("check", "toy-data", str(folder))[0] == 1
    code, text = answer("check", "toy-data", str(folder), "--limit", "1")
    assert code == 0 and "test: every clip is as declared: 1 clip" in text, text
    for option in ("--fix", "--all"):
        assert (
            f"{option} would change nothing here: toy-data is a plugin's"
            in answer("check", "toy-data", str(folder), option)[1]
        )
    assert (
        "dataset 'toy-data' of toy_data 0.3 failed during read: KeyError: 'jaw'"
        in answer("couplings", "toy-data", str(folder))[1]
    )
    part = Part(name="toy-data", version=1, config={})
    with pytest.raises(PluginError, match=r"clips\.npy.*; no folder was given for it: --data toy-data=FOLDER"):
        open_dataset(Host(), part, Runtime(home=tmp_path / "home"))


BENCHMARK = """
from dyadbench.api import BenchmarkConfig, BenchmarkEntry
from dyadbench.hookspecs import hookimpl
@hookimpl
def dyadbench_benchmarks():
    config = BenchmarkConfig(dataset="simdyad", suite="react2024", track="online")
    return [BenchmarkEntry(name=name, version=1, config=config) for name in ("Validity", "validity-2026")]
"""


def test_no_benchmark_takes_the_page_of_another_thing(install: Install) -> None:
    install("toy_benchmarks", BENCHMARK)
    host = Host()
    names = {entry.name for entry in host.entries("benchmark")}
    assert "validity-2026" in names and "Validity" not in names
    assert any("entry 'Validity': a page of the leaderboards has that name" in str(one) for one in host.problems)


def test_every_benchmark_has_a_headline_and_what_its_suite_ranks_by_is_of_a_family() -> None:
    """DualTalk's suite ranked nothing: its columns were of no family, so that no validity was judged either."""
    host = Host()
    for name in {entry.config.suite for entry in host.entries("benchmark")}:
        ranked = [column for column in host.build("suite", name, {}).columns if column.ranked]
        assert all(column.family for column in ranked), name
        assert {column.family for column in ranked if column.headline} == {"appropriateness"}, name


METHOD = """
from dyadbench.api import MethodEntry, PredictorEntry
from dyadbench.hookspecs import hookimpl
@hookimpl
def dyadbench_predictors():
    return [PredictorEntry(name="own", version=1, load="{module}:Thing")]
@hookimpl
def dyadbench_methods():
    return [MethodEntry(name="{name}", version=1, predictor="own"), MethodEntry(name="own", version=1, predictor="own")]
class Thing: ...
"""


def test_a_method_cannot_have_the_name_of_a_predictor_of_somebody_else(install: Install) -> None:
    install("methodthief", METHOD.format(module="methodthief", name="ridge"))
    host = Host()
    assert "ridge" not in [entry.name for entry in host.entries("method")], (
        "a run of ridge would have been of another method"
    )
    assert host.get("method", "own").predictor == "own", "its own predictor's name is its own"
    assert [p.detail for p in host.problems if p.plugin == "methodthief"] == [
        "method 'ridge' has the name of a predictor that is built in and cannot be replaced; rename it"
    ]


PRESETS = """
from dyadbench.api import Config, PredictorEntry
from dyadbench.hookspecs import hookimpl
class Few(Config):
    steps: int = 3
@hookimpl
def dyadbench_predictors():
    return [PredictorEntry(name="preset", version=1, load="{module}:Thing", config=Few, presets={presets})]
"""


@pytest.mark.parametrize(
    ("presets", "fault"),
    [
        ('["p"]', "its presets are a list; name -> settings is due"),
        ('{"p": 3}', "its preset 'p' is not a name with settings"),
        ("{3: {}}", "its preset 3 is not a name with settings"),
        ('{"p": {"stepz": 3}}', "its preset 'p' sets 'stepz', which its configuration does not have"),
    ],
)
def test_presets_that_cannot_be_meant_are_named(presets: str, fault: str, install: Install) -> None:
    install("presetplug", PRESETS.format(module="presetplug", presets=presets))
    assert any(fault in problem.detail for problem in Host().problems if problem.plugin == "presetplug")
