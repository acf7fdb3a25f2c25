"""Weights as files: what is installed is what was exported, and nothing else is."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import dyadbench
from dyadbench.api import DyadbenchError
from dyadbench.cell.weights import install
from dyadbench.matrix.keys import key_of
from dyadbench.python.arrays import plugins
from dyadbench.store.folders import Store

BENCHMARK = "simdyad-clear-react-online"
MATRIX = f"""
benchmarks = ["{BENCHMARK}"]
[datasets.{BENCHMARK}]
size = "tiny"
[[method]]
name = "dense-fsq"
preset = "smoke"
[[method]]
name = "mime"
[[method]]
name = "ridge"
"""


def _command(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "dyadbench", *map(str, words)], capture_output=True, text=True)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root whose methods were run, with their weights in leaderboards/weights."""
    root = tmp_path_factory.mktemp("made")
    (root / "leaderboards").mkdir()
    (root / "m.toml").write_text(MATRIX)
    assert _command("weights", "export", root / "m.toml", "--root", root).returncode == 2  # nothing is fitted yet
    for method, preset in (("dense-fsq", "smoke"), ("ridge", None)):
        dyadbench.run(BENCHMARK, method, preset=preset, dataset={"size": "tiny"}, root=root)
    process = _command("weights", "export", root / "m.toml", "--root", root)
    assert process.returncode == 0 and process.stdout.endswith("3 files\n"), process.stdout + process.stderr
    return root


def test_weights_that_were_trained_again_are_exported_again(exported: Path) -> None:
    weights = exported / "leaderboards" / "weights"
    before = {path.name: path.read_bytes() for path in weights.iterdir()}
    next(weights.glob("ridge-*")).write_bytes(b"what an earlier training gave, under the same key")
    assert _command("weights", "export", exported / "m.toml", "--root", exported).returncode == 0
    assert {path.name: path.read_bytes() for path in weights.iterdir()} == before


def test_an_installed_fit_is_sampled_to_the_bit_and_nothing_is_trained(exported: Path, tmp_path: Path) -> None:
    weights, other = exported / "leaderboards" / "weights", tmp_path / "other"
    other.mkdir()
    (other / "empty").mkdir()
    assert "holds no file of weights" in _command("weights", "install", other / "empty", "--root", other).stderr
    process = _command("weights", "install", weights, "--root", other)
    assert "3 of 3 fits are new" in process.stdout, process.stderr
    assert "0 of 3 fits are new" in _command("weights", "install", weights, "--root", other).stdout
    how = {"preset": "smoke", "dataset": {"size": "tiny"}}
    dyadbench.load_method("dense-fsq", BENCHMARK, root=other, **how)  # type: ignore[arg-type]  # would not train
    [mine] = dyadbench.run(BENCHMARK, "dense-fsq", root=other, **how)  # type: ignore[arg-type]
    [theirs] = dyadbench.run(BENCHMARK, "dense-fsq", root=exported, **how)  # type: ignore[arg-type]
    assert mine.suites == theirs.suites
    assert mine.measured.fit_seconds == theirs.measured.fit_seconds  # what it cost its maker


def _changed(path: Path, folder: Path, name: str, **change: object) -> Path:
    """A copy with another label."""
    with safe_open(str(path), framework="pt") as file:
        label = json.loads(file.metadata()["dyadbench"])
    label |= change
    folder.mkdir(exist_ok=True)
    save_file(load_file(path), folder / name, {"dyadbench": json.dumps(label)})
    return folder / name


def test_what_does_not_match_its_key_is_refused(exported: Path, tmp_path: Path) -> None:
    path = next((exported / "leaderboards" / "weights").glob("ridge-*"))
    store, host = Store(tmp_path / "store"), plugins()
    with safe_open(str(path), framework="pt") as file:
        made_of = json.loads(file.metadata()["dyadbench"])["made_of"]

    def refuse(match: str, other: Path) -> None:
        with pytest.raises(DyadbenchError, match=match):
            install(other, store, host)

    refuse("not fitted for the key", _changed(path, tmp_path / "a", path.name, made_of={**made_of, "seed": 7}))
    renamed = tmp_path / "ridge-0000000000000000.safetensors"
    shutil.copy(path, renamed)
    refuse("not fitted for the key", renamed)
    refuse("not those that its label", _changed(path, tmp_path / "b", path.name, content="0" * 64))
    made_of["method"]["predictor"]["version"] += 1
    key = key_of("fit", **made_of)
    refuse(
        "fitted by version", _changed(path, tmp_path / "c", f"ridge-{key[:16]}.safetensors", made_of=made_of, key=key)
    )
    (tmp_path / "x.safetensors").write_bytes(path.read_bytes()[:200])
    refuse("no file of weights", tmp_path / "x.safetensors")
    save_file(load_file(path), tmp_path / "y.safetensors")
    refuse("no file of weights", tmp_path / "y.safetensors")
    assert not list((tmp_path / "store").glob("fit/*/*/DONE"))


def test_fewer_clips_are_a_benchmark_of_their_own_on_the_same_fit(exported: Path) -> None:
    process = _command(
        "run", "-b", BENCHMARK, "-m", "ridge", "--data-set", "size=tiny", "--clips", "5", "--root", exported, "--json"
    )
    assert process.returncode == 0, process.stderr
    [outcome] = json.loads(process.stdout)
    assert outcome["cell"] == f"{BENCHMARK}+clips-5 / ridge / seed 0"
    record = json.loads(Path(outcome["record"]).read_text())
    assert len(record["clips"]) == 5 and len(set(record["sessions"])) == 4
    assert len(list((exported / ".dyadbench" / "store").glob("fit/*/*/DONE"))) == 3
