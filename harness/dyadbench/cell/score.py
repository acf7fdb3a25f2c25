"""What a suite returns, checked and as it is written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from dyadbench.api import Result, Suite
from dyadbench.errors import PluginError
from dyadbench.records.record import Score, SuiteScores


def demand_whole(name: str, suite: Suite, results: Any, count: int) -> None:
    """One Result for each column, a number or None, and as many values as there are clips; PluginError otherwise."""
    for column in suite.columns:
        result = results.get(column.id)
        if result is None:
            raise PluginError(f"suite {name} gave no {column.id}, one of its columns")
        if result.value is not None and not np.isfinite(result.value):
            raise PluginError(f"suite {name} gave {result.value} for {column.id}; what is undefined is None")
        if np.shape(result.per_clip) != (count,) or np.isinf(result.per_clip).any():
            raise PluginError(
                f"suite {name} gave {np.shape(result.per_clip)} values of {column.id} for {count} clips, or infinite ones"
            )
    if strange := sorted(set(results) - {column.id for column in suite.columns}):
        raise PluginError(f"suite {name} gave {strange[0]}, which is none of its columns")


def scores_of(versions: Mapping[str, int], results: Mapping[str, Result]) -> SuiteScores:
    """Results as they are written: undefined values are null, never NaN."""
    return SuiteScores(
        versions=versions,
        scores={
            name: Score(value=result.value, undefined=result.undefined, detail=dict(result.detail))
            for name, result in results.items()
        },
        per_clip={
            name: [None if np.isnan(v) else float(v) for v in result.per_clip] for name, result in results.items()
        },
    )
