"""The command: exit codes, sentences, machine-readable output, and a kill in the middle."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

GOLDENS = Path(__file__).parents[1] / "goldens" / "react"
TINY = ["--data-set", "size=tiny"]
ONLINE = "simdyad-clear-react-online"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One store and corpus for the whole module."""
    return tmp_path_factory.mktemp("home")


def _start(*words: object, root: Path, home: Path, **extra: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "DYADBENCH_HOME": str(home), "OMP_NUM_THREADS": "1", **extra}
    code = "import sys; from dyadbench.cli import main; sys.exit(main())"
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, words)],
        cwd=root, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def _dyadbench(*words: object, root: Path, home: Path, code: int = 0, **extra: str) -> tuple[str, str]:
    process = _start(*words, root=root, home=home, **extra)
    out, err = process.communicate(timeout=300)
    assert process.returncode == code, f"{words}\n{out}\n{err}"
    return out, err


def test_list_is_quick_and_does_without_torch(tmp_path: Path) -> None:
    code = (
        "import sys; sys.argv = ['dyadbench', 'list', 'predictors', '--json']\n"
        "from dyadbench.cli import app\n"
        "app(standalone_mode=False)\n"
        "heavy = [name for name in ('torch', 'scipy', 'pandas', 'numba') if name in sys.modules]\n"
        "print(heavy, file=sys.stderr)"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert process.stderr.strip() == "[]"
    assert {"oracle", "ridge", "lagged-mime"} <= {row["name"] for row in json.loads(process.stdout)}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run"], "nothing to run"),
        (["run", "none.toml"], "there is no matrix file"),
        (["run", "-b", ONLINE, "-m", "rigde"], "did you mean ridge"),
        (["run", "-b", ONLINE, "-m", "ridge", "-s", "taps"], "FIELD=VALUE"),
        (["run", "-b", ONLINE, "-m", "ridge", "--seeds", "x"], "whole numbers"),
        (["run", "-b", ONLINE, "-m", "ridge", "--seeds", ""], "whole numbers"),
        (["run", "-b", ONLINE, "-m", "ridge", "--as", ""], "the name of a row is empty; give it a name"),
        (
            ["run", "-b", ONLINE, "-m", "ridge", "--as", "x\udcff"],
            "holds bytes that are not UTF-8 text; give it another",
        ),
        (["run", "-b", ONLINE, "-m", "ridge", "--seeds", "1", "--seeds", "2"], "--seeds is given twice; it takes one"),
        (["leaderboard", "--root", ".", "--root=."], "--root is given twice"),
        (["bench", "metrics", "--clips", "2", "--clips", "3", "--clips", "4"], "--clips is given 3 times"),
        (["run", "m.toml", "--as", "", "--seeds", ""], "leave --seeds out, or write it into m.toml"),
        (["score", "none.npz", "--benchmark", ONLINE, "--as", ""], "--as is empty; give it a name"),
        (["run", "-b", "react2024-val", "-m", "ridge", "--data", "/no/such"], "is not a folder"),
        (["score", "none.npz", "--benchmark", ONLINE, *TINY], "there is no file"),
        (["score", "none.npz"], "--benchmark NAME, or --suite NAME"),
        (["compare", "a", "b", "-b", ONLINE], "there is no record of 'a'"),
        (["data", "check", "react2042", "."], "react2042"),
    ],
)
def test_a_wrong_request_is_one_sentence_and_exit_2(tmp_path: Path, home: Path, words: list[str], message: str) -> None:
    _, err = _dyadbench(*words, root=tmp_path, home=home, code=2)
    assert message in err
    assert "Traceback" not in err


def test_run_leaderboard_compare_and_check(tmp_path: Path, home: Path) -> None:
    (tmp_path / "leaderboards").mkdir()
    inner = tmp_path / "some" / "folder"
    inner.mkdir(parents=True)
    methods = [word for name in ("oracle", "lagged-mime", "mismatched-listener", "ridge") for word in ("-m", name)]
    out, _ = _dyadbench("run", "-b", ONLINE, *methods, *TINY, "--json", root=inner, home=home)
    records = [Path(row["record"]) for row in json.loads(out)]
    assert len(records) == 4
    assert all(path.is_relative_to(tmp_path / "leaderboards") for path in records), (
        "the nearest folder with leaderboards/"
    )
    _dyadbench("leaderboard", root=inner, home=home)
    table = (tmp_path / "leaderboards" / f"{ONLINE}.md").read_text()
    assert "imulated" in table
    _dyadbench("leaderboard", "--check", root=inner, home=home)
    out, _ = _dyadbench("compare", "ridge", "lagged-mime", "-b", ONLINE, "--json", root=inner, home=home)
    assert "FRCorr" in out
    out, err = _dyadbench("report", root=inner, home=home)
    site = tmp_path / "leaderboards" / "site"
    assert out.strip().splitlines()[-1] == f"report: {site / 'index.html'}"
    assert "no face" not in err, "ridge was fitted in this store"
    assert "Watch them" in (site / f"{ONLINE}.html").read_text()
    excerpts = tmp_path / "leaderboards" / "excerpts" / ONLINE
    assert sorted(path.name for path in excerpts.iterdir()) == ["people.json", "ridge.json"]
    path = tmp_path / "leaderboards" / f"{ONLINE}.md"
    path.write_text(table.replace("ridge", "rigde"))
    _, err = _dyadbench("leaderboard", "--check", root=inner, home=home, code=3)
    assert ONLINE in err


def test_kill_9_in_the_middle_and_run_again_gives_the_same_record(tmp_path: Path, home: Path) -> None:
    words = ["run", "-b", ONLINE, "-m", "ridge-sampled", *TINY, "--batch", "1", "--threads", "1"]
    for name in ("whole", "cut"):
        (tmp_path / name / "leaderboards").mkdir(parents=True)
    _dyadbench("data", "simulate", tmp_path / "warm", root=tmp_path, home=home)
    _dyadbench(*words, root=tmp_path / "whole", home=tmp_path / "home1")
    kills = 0
    for delay in (1.0, 2.0, 3.0, 4.0):
        process = _start(*words, root=tmp_path / "cut", home=tmp_path / "home2")
        time.sleep(delay)
        kills += process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert kills >= 2
    _dyadbench(*words, root=tmp_path / "cut", home=tmp_path / "home2")
    one, two = (
        json.loads(next((tmp_path / name / "leaderboards" / "records").rglob("*.json")).read_text())
        for name in ("whole", "cut")
    )
    for volatile in ("measured", "provenance"):
        one.pop(volatile), two.pop(volatile)
    assert one == two


def test_a_failed_cell_does_not_cost_the_others(tmp_path: Path, home: Path) -> None:
    (tmp_path / "badplug.py").write_text(
        "from dyadbench.api import Needs, PredictorEntry\nfrom dyadbench.hookspecs import hookimpl\n"
        "class Bad:\n    needs = Needs()\n    def __init__(self, config, setup): pass\n"
        "    def sample(self, context, k, noise): raise RuntimeError('inner trouble')\n"
        "@hookimpl\ndef dyadbench_predictors():\n    return [PredictorEntry('bad', 1, 'badplug:Bad')]\n"
    )
    info = tmp_path / "badplug-2.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: badplug\nVersion: 2.0\n")
    (info / "entry_points.txt").write_text("[dyadbench]\nbadplug = badplug\n")
    out, err = _dyadbench(
        "run",
        "-b",
        ONLINE,
        "-m",
        "bad",
        "-m",
        "mime",
        *TINY,
        root=tmp_path,
        home=home,
        code=1,
        PYTHONPATH=str(tmp_path),
    )
    assert "1 of 2 cells" in out
    assert "predictor 'bad' of badplug 2.0 failed during sample: RuntimeError: inner trouble" in err
    assert "Traceback" not in err
    assert "inner trouble" in next((home / "logs").glob("*bad*")).read_text()


def test_score_template_round_trip_and_refusal(tmp_path: Path, home: Path) -> None:
    _dyadbench("score", "--template", "p.npz", "--benchmark", ONLINE, *TINY, root=tmp_path, home=home)
    out, _ = _dyadbench("score", "p.npz", "--benchmark", ONLINE, *TINY, "--json", root=tmp_path, home=home)
    assert json.loads(out)["react2024-official"]["FRVar"] == 0
    with np.load(tmp_path / "p.npz") as archive:
        arrays = dict(archive)
    arrays["emotion"] = arrays["emotion"][:, :3]
    np.savez(tmp_path / "q.npz", **arrays)
    _, err = _dyadbench("score", "q.npz", "--benchmark", ONLINE, *TINY, root=tmp_path, home=home, code=2)
    assert "emotion has 3 samples, 10 are expected" in err


def _golden_cases() -> list[dict]:
    return json.loads((GOLDENS / "index.json").read_text())["cases"]


@pytest.mark.parametrize("case", ["short_continuous", "mime_constant", "meanfr", "one_clip"])
def test_score_on_a_file_from_a_golden_gives_the_official_numbers(tmp_path: Path, home: Path, case: str) -> None:
    from safetensors.numpy import save_file

    [facts] = [each for each in _golden_cases() if each["case"] == case]
    official = facts["official_react2024"]
    with np.load(GOLDENS / facts["file"]) as golden:
        arrays = {name: np.ascontiguousarray(golden[name]) for name in ("pred", "listener", "speaker", "neighbour")}
    np.savez(tmp_path / "p.npz", **arrays)
    save_file(arrays, str(tmp_path / "p.safetensors"))
    for file in ("p.npz", "p.safetensors"):
        out, _ = _dyadbench("score", file, "--suite", "react2024-official", "--json", root=tmp_path, home=home)
        scores = json.loads(out)["react2024-official"]
        for ours, theirs, rel in (
            ("FRCorr", "FRC_mp", 1e-6),
            ("FRDist", "FRD_mp", 1e-9),
            ("FRDiv", "S_MSE", 5e-6),
            ("FRVar", "FRVar", 1e-6),
        ):
            assert scores[ours] == pytest.approx(official[theirs], rel=rel, abs=1e-9), ours
        assert scores["FRSyn"] == pytest.approx(official["TLCC_mp"], rel=1e-6)
