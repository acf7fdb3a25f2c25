"""The curve of a training stage, small enough for a record, so that a reader sees whether it was trained until flat."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

POINTS = 100  # of each curve


def curve_of(folder: Path, points: int = POINTS) -> dict[str, Any]:
    """What `metrics.jsonl` of a stage says: steps and losses of training and of validation, at most `points` each.

    A point of the training curve is the mean of the logged losses of its bin, which one batch cannot move. Validation has
    the first metric, as it was measured. A stage without a log gives {}.
    """
    path = folder / "metrics.jsonl"
    if not path.exists():
        return {}
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    trained = [(row["step"], row["loss"]) for row in rows if "loss" in row]
    validated = [(row["step"], *_first(row)) for row in rows if any(name.startswith("val/") for name in row)]
    curve: dict[str, Any] = {}
    if trained:
        bins = np.array_split(np.array(trained, float), min(points, len(trained)))
        curve |= {"steps": [int(part[-1, 0]) for part in bins], "loss": [short(part[:, 1].mean()) for part in bins]}
    if validated:
        points_of_line = [validated[i] for i in thin(len(validated), points)]
        curve |= {
            "validation_steps": [step for step, _, _ in points_of_line],
            "validation": [short(value) for _, _, value in points_of_line],
            "metric": validated[0][1],
        }
    return curve


def thin(count: int, points: int) -> list[int]:
    """Evenly spread places among `count`, the last one included: at most `points`."""
    return [count - 1 - i * count // min(points, count) for i in range(min(points, count))][::-1]


def thinned(curve: Mapping[str, Any], points: int) -> dict[str, Any]:
    """The same curve with at most `points` of each of its lists."""
    return {
        name: [value[i] for i in thin(len(value), points)] if isinstance(value, list) else value
        for name, value in curve.items()
    }


def _first(row: dict[str, Any]) -> tuple[str, float]:
    return next((name[len("val/") :], value) for name, value in row.items() if name.startswith("val/"))


def short(value: float | None) -> float | None:
    """Four digits, as a curve is kept and drawn; None for what is not there or not finite."""
    return float(f"{value:.4g}") if value is not None and np.isfinite(value) else None
