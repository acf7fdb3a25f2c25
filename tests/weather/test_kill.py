"""kill -9 wherever it hurts: the rerun's record is the one that an undisturbed run writes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

DRIVER = Path(__file__).parent / "killed.py"
CLOCKED = {  # how long, not what
    "fit_seconds", "fit_cpu_seconds", "tokenizer_fit_seconds", "tokenizer_fit_cpu_seconds", "generate_seconds",
    "generate_cpu_seconds", "realtime_factor", "latency",
}  # fmt: skip


def _runs(where: Path, react: Path, points: int, seed: int, method: str, *more: str) -> dict[str, Any]:
    words = ["run", "-b", "react2024-val", "-m", method, *more, "--data", f"react2024={react}", "--data-set", "frames=48",
             "--threads", "1", "--batch", "1"]  # fmt: skip
    process = subprocess.run(
        [sys.executable, str(DRIVER), str(where), str(points), str(seed), *words],
        env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    return dict(json.loads(process.stdout))


def _untimed(record: dict[str, Any]) -> dict[str, Any]:
    """What a rerun must repeat: neither how long it took nor the commit, which may change under a run of minutes."""
    measured = {k: v for k, v in record["measured"].items() if k not in CLOCKED}
    return {**record, "measured": measured, "provenance": {**record["provenance"], "git": ""}}


def _demand_equal(where: Path, outcome: dict[str, Any]) -> None:
    whole = _untimed(outcome["whole"])
    for run in outcome["runs"]:
        assert run["killed"], f"event {run['at']} ({run['kind']}) was never reached"
        assert _untimed(run["record"]) == whole, f"killed at event {run['at']}: {run['kind']}"
    assert not list(where.glob("*/home/store/*/*/*/**/.*.tmp")), "what a kill left half written is cleared away"


def test_killed_runs_end_in_the_same_record(tmp_path: Path, react: Path) -> None:
    outcome = _runs(tmp_path, react, 3, 9, "dense-fsq", "--preset", "smoke")
    kinds = " ".join(outcome["events"])
    for moment in ("report predictor", "checkpoint.safetensors", "report generate", "report score", "seed0.json"):
        assert moment in kinds, f"the run has no moment {moment!r} to be killed at"
    _demand_equal(tmp_path, outcome)


@pytest.mark.long
@pytest.mark.parametrize("seed", [0])
@pytest.mark.parametrize("method", ["dense-fsq", "learning2listen", "ridge-sampled"])
def test_killed_at_twenty_points(tmp_path: Path, react: Path, method: str, seed: int) -> None:
    preset = () if method == "ridge-sampled" else ("--preset", "smoke")
    outcome = _runs(tmp_path, react, 20, seed, method, *preset)
    _demand_equal(tmp_path, outcome)
    print(*(f"{run['kind']}" for run in outcome["runs"]), sep="\n")
