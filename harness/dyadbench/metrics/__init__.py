"""Metrics: pure functions over arrays, suites over evaluations. Nothing heavy is imported until it is used."""

from __future__ import annotations

from typing import Any

__all__ = ["score_arrays"]


def score_arrays(suite: str, **arrays: Any) -> dict[str, float]:
    """Scores plain arrays, without plugin or dataset; see `dyadbench.metrics.arrays.score_arrays`."""
    from dyadbench.metrics.arrays import score_arrays as score

    return score(suite, **arrays)
