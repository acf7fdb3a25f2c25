"""Skewed sessions: where the intervals of a board hold the truth less often than they say, said on the board."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from dyadbench.api import Column
from dyadbench.leaderboard.stats import Floats

MOST = 1.0  # skewness up to which an interval of 18 sessions covers at least 0.93
# Skewness of the sessions -> how often an interval of one seed and 18 sessions held the truth in simulation, which
# tests/leaderboard/test_coverage.py measures. docs/validity.md says which corrections were tried and why none is made.
COVERAGE: Mapping[int, float] = {1: 0.93, 2: 0.92, 3: 0.90}


def skewness(values: Floats, sessions: Sequence[str]) -> float:
    """Of the means of the sessions, each over its clips and all seeds; values: (S, N), NaN where undefined."""
    names = np.asarray(sessions)
    means = np.array([np.mean(own[np.isfinite(own)]) for name in sorted(set(sessions)) if np.isfinite(own := values[:, names == name]).any()])  # fmt: skip
    apart = means - means.mean() if len(means) else means
    spread = np.sqrt(np.mean(apart**2)) if len(means) > 2 else 0.0
    return float(np.mean(apart**3) / spread**3) if spread > 1e-9 * np.abs(means).max(initial=0.0) else 0.0


def skewness_notes(
    values: Mapping[str, Floats], ranked: Sequence[str], sessions: Sequence[str], columns: Sequence[Column]
) -> list[str]:
    """For each headline column in which the sessions of ranked methods are more skewed than intervals allow for: a warning."""
    notes = []
    for j, column in enumerate(columns):
        if not column.headline:
            continue
        each = [abs(skewness(values[name][:, :, j], sessions)) for name in ranked]
        if skewed := [value for value in each if value > MOST]:
            covered = ", ".join(f"{share:.2f} at a skewness of {amount}" for amount, share in COVERAGE.items())
            notes.append(
                f"{column.id}: the sessions of {len(skewed)} of {len(each)} ranked methods are skewed by more than {MOST:g} (up to "
                f"{max(skewed):.1f}), so that fewer than 95 % of the intervals hold the truth; in simulation those of one seed "
                f"held it in {covered} (docs/validity.md)"
            )
    return notes
