"""Skewed sessions: where the intervals of a board hold the truth less often than they say, said on the board."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from dyadbench.api import Column
from dyadbench.leaderboard.stats import Floats

MOST = 1.0  # skewness up to which an interval of 18 sessions covers at least 0.93
# Skewness of a population -> the median skewness of samples of 18 sessions of it, which is what a board can measure and is
# less, and how often an interval of one seed held the truth in simulation: tests/leaderboard/test_coverage.py measures
# both. docs/validity.md says which corrections were tried and why none is made.
COVERAGE: Mapping[int, tuple[float, float]] = {
    1: (0.6, 0.93),
    3: (1.7, 0.90),
    4: (2.0, 0.86),
    6: (2.6, 0.77),
    8: (3.0, 0.72),
}


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
    """Of headline columns in which the sessions of ranked methods are more skewed than intervals allow for: a warning."""
    skewed = []
    for j, column in enumerate(columns):
        each = [abs(skewness(values[name][:, :, j], sessions)) for name in ranked] if column.headline else []
        if beyond := [value for value in each if value > MOST]:
            skewed.append(f"{column.id} ({len(beyond)} of {len(each)} ranked methods, up to {max(beyond):.1f})")
    covered = ", ".join(f"{share:.2f} at {sample}" for sample, share in COVERAGE.values())
    return [
        f"sessions are skewed by more than {MOST:g} in {', '.join(skewed)}, so that fewer than 95 % of the intervals hold the truth; in "
        f"simulation those of one seed held it in {covered} (docs/validity.md)"
    ] * bool(skewed)
