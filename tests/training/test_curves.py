"""Curves in records: few points, the whole length, and nothing that JSON cannot hold."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dyadbench.training.curves import curve_of, thin, thinned


def _log(folder: Path, rows: list[dict[str, float]]) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_a_long_log_becomes_few_points_that_keep_the_mean(tmp_path: Path) -> None:
    curve = curve_of(_log(tmp_path / "s", [{"step": 20 * (i + 1), "loss": float(i)} for i in range(1000)]), points=100)
    assert len(curve["steps"]) == len(curve["loss"]) == 100
    assert curve["steps"][-1] == 20_000
    assert sum(curve["loss"]) / 100 == pytest.approx(499.5)


def test_validation_has_its_first_metric_and_its_own_steps(tmp_path: Path) -> None:
    rows = [
        {"step": 20, "loss": 3.0},
        {"step": 30, "val/nll": 2.0, "val/accuracy": 0.5},
        {"step": 60, "val/nll": float("nan"), "val/accuracy": 0.5},
    ]
    curve = curve_of(_log(tmp_path / "s", rows))
    assert curve["metric"] == "nll"
    assert curve["validation_steps"] == [30, 60] and curve["validation"] == [2.0, None]


def test_a_stage_without_a_log_has_no_curve(tmp_path: Path) -> None:
    assert curve_of(tmp_path / "nothing") == {}


@pytest.mark.parametrize(("count", "points"), [(5, 20), (20, 5), (1, 5), (100, 1)])
def test_thinning_keeps_the_last_point(count: int, points: int) -> None:
    places = thin(count, points)
    assert places[-1] == count - 1 and len(places) == min(count, points)
    assert thinned({"loss": list(range(count)), "metric": "nll"}, points) == {"loss": places, "metric": "nll"}
