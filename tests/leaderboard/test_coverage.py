"""How often the 95 % intervals hold the truth: simulated sessions, clips and seeds of a known mean."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from dyadbench.api import Column
from dyadbench.leaderboard.skewness import COVERAGE, MOST, skewness, skewness_notes
from dyadbench.leaderboard.skill import skills
from dyadbench.leaderboard.stats import bootstrap, interval, p_value

SESSIONS, TRIALS = 18, 500
DOCS = Path(__file__).parents[2] / "docs" / "validity.md"
NAMES = [f"{n:02}" for n in range(SESSIONS)]


def method(rng: np.random.Generator, shared: np.ndarray, seeds: int, spread: float, apart: float = 0.3) -> np.ndarray:
    """(S, N, 1) session means of a method whose true mean is 0: `spread` is the deviation of its seeds.

    Sessions, which all methods share, deviate by 0.5, and one more time by `apart` for every seed.
    """
    level = rng.normal(0, spread, (seeds, 1))
    return (shared + level + rng.normal(0, apart, (seeds, SESSIONS)))[:, :, None]


def ablation(rng: np.random.Generator, of: np.ndarray, spread: float) -> np.ndarray:
    """(S, N, 1) of a method that shares the weights of every seed: a tenth of the spread and a sixth of the noise is its own."""
    seeds = len(of)
    return of + rng.normal(0, spread / 10, (seeds, 1, 1)) + rng.normal(0, 0.05, (seeds, SESSIONS, 1))


A_VALUE, OTHER_SEEDS, UNRELATED, ABLATION = (
    "a value", "a difference of other seeds", "of the same seeds, unrelated", "of the same seeds, an ablation",
)  # fmt: skip


def spans(
    seeds: int, spread: float, what: str, *, skewness: float = 0.0, apart: float = 0.3, trials: int = TRIALS
) -> np.ndarray:
    """(trials, 2): intervals of a value, or of a difference of two methods, whose truth is 0."""
    rng, ends = np.random.default_rng(7), []
    for trial in range(trials):
        shared = 0.5 * (_skewed(rng, skewness) if skewness else rng.normal(0, 1, SESSIONS))
        methods = [method(rng, shared, seeds, spread, apart)]
        if what != A_VALUE:
            methods += [
                ablation(rng, methods[0], spread) if what == ABLATION else method(rng, shared, seeds, spread, apart)
            ]
        streams = ("first", "second" if what == OTHER_SEEDS else "first")
        boot = bootstrap(methods, NAMES, draws=500, seed=trial, streams=streams)
        span = interval(boot.draws[:, 0, 0] - (boot.draws[:, 1, 0] if len(methods) == 2 else 0))
        assert span is not None
        ends.append([span.low, span.high])
    return np.array(ends)


def coverage(
    seeds: int, spread: float, what: str = A_VALUE, *, skewness: float = 0.0, apart: float = 0.3, trials: int = TRIALS
) -> float:
    low, high = spans(seeds, spread, what, skewness=skewness, apart=apart, trials=trials).T
    return float(((low <= 0) & (high >= 0)).mean())


def _skewed(rng: np.random.Generator, skewness: float) -> np.ndarray:
    """(N,) of mean 0 and deviation 1: a gamma distribution's skewness is 2 / sqrt(shape)."""
    shape = 4 / skewness**2
    return (rng.gamma(shape, 1, SESSIONS) - shape) / np.sqrt(shape)


def _documented(seeds: int, spread: float) -> tuple[float, float]:
    """The coverage of a value and of a difference in the table of docs/validity.md."""
    [row] = re.findall(rf"^\| {seeds} \| {spread:g} \| ([\d.]+) \| ([\d.]+) \|$", DOCS.read_text(), re.MULTILINE)
    return float(row[0]), float(row[1])


@pytest.mark.parametrize(
    ("seeds", "spread"),
    [
        (1, 0.0),
        (2, 0.0),
        (2, 0.12),
        (2, 0.5),
        (2, 1.5),
        (3, 0.0),
        (3, 0.12),
        (3, 0.5),
        (3, 1.5),
        (5, 0.0),
        (5, 0.12),
        (5, 0.5),
        (5, 1.5),
    ],
)
@pytest.mark.parametrize("what", [A_VALUE, OTHER_SEEDS, UNRELATED, ABLATION])
def test_an_interval_of_18_sessions_covers_at_least_93_percent(seeds: int, spread: float, what: str) -> None:
    measured = coverage(seeds, spread, what)
    assert measured >= 0.93
    if what in (A_VALUE, OTHER_SEEDS):
        documented = _documented(seeds, spread)[what == OTHER_SEEDS]
        assert measured == pytest.approx(documented, abs=0.01), "docs/validity.md says otherwise"


@pytest.mark.parametrize("seeds", [3, 5])
def test_pairing_by_seed_narrows_an_ablation_and_costs_unrelated_methods_nothing(seeds: int) -> None:
    def width(what: str) -> float:
        low, high = spans(seeds, 0.5, what, trials=200).T
        return float(np.median(high - low))

    assert width(ABLATION) < width(OTHER_SEEDS) / 8
    assert width(UNRELATED) < width(OTHER_SEEDS)


@pytest.mark.parametrize(("spread", "most"), [(0.12, 0.90), (0.5, 0.60), (1.5, 0.30)])
def test_one_seed_of_a_random_method_has_no_honest_interval(spread: float, most: float) -> None:
    """Nothing says how another seed would do, so boards give such a row neither an interval nor a rank."""
    assert coverage(1, spread) <= most


@pytest.mark.parametrize("amount", COVERAGE)
def test_skewed_sessions_cost_what_the_boards_say(amount: int) -> None:
    """One seed, of which all that varies is the sessions. P-FD.expression on simdyad-clear-l2l has a sample skewness near 3."""
    sample, covered = COVERAGE[amount]
    rng = np.random.default_rng(0)
    samples = [skewness(_skewed(rng, amount)[None], NAMES) for _ in range(2000)]
    assert np.median(samples) == pytest.approx(sample, abs=0.06)
    measured = coverage(1, 0.0, skewness=amount, apart=0.0, trials=2000)
    assert measured == pytest.approx(covered, abs=0.012)
    assert (measured >= 0.93) == (sample <= MOST)


@pytest.mark.parametrize(("seeds", "spread"), [(1, 0.0), (3, 0.0), (3, 0.12), (5, 0.0), (5, 0.12), (5, 0.5)])
def test_the_interval_of_a_skill_covers_at_least_93_percent(seeds: int, spread: float) -> None:
    """Floor 0, ceiling 1, the method's truth 0.3: a ratio of three rows, each of which has the sessions' deviations."""
    rng, held = np.random.default_rng(11), 0
    column = Column("a", "max", headline=True)
    names = ["mismatched-listener", "fresh-listener", "mine"]
    for trial in range(TRIALS):
        shared = rng.normal(0, 0.3, SESSIONS)
        rows = [method(rng, shared, count, 0.0, 0.1) for count in (5, 5)] + [method(rng, shared, seeds, spread, 0.1)]
        rows = [row + truth for row, truth in zip(rows, (0.0, 1.0, 0.3), strict=True)]
        scale = skills(bootstrap(rows, NAMES, draws=500, seed=trial), names, [column])
        assert scale is not None and scale.draws is not None
        span = interval(scale.draws[:, 2].mean(-1))
        assert span is not None
        held += span.low <= 0.3 <= span.high
    assert held / TRIALS >= 0.93


def test_skewed_sessions_cost_five_seeds_that_deviate_nothing() -> None:
    assert coverage(5, 0.12, skewness=3) >= 0.93


def test_skewness_by_hand_and_the_note_of_a_board() -> None:
    values = np.array([[[0.0], [0.0], [0.0], [np.nan], [4.0]]]).repeat(2, 0)  # sessions of 0, 0, 0 and 4: 2 / sqrt(3)
    sessions = ["a", "b", "c", "c", "d"]
    assert skewness(values[:, :, 0], sessions) == pytest.approx(2 / np.sqrt(3))
    assert skewness(-values[:, :, 0], sessions) == pytest.approx(-2 / np.sqrt(3))
    assert skewness(np.full((1, 5), 0.1), sessions) == 0.0
    even = np.array([[[0.0], [1.0], [2.0], [2.0], [3.0]]])
    head = Column("FD", "min", headline=True)
    [note] = skewness_notes({"a": values, "b": even}, ["a", "b"], sessions, [head])
    assert note.startswith("sessions are skewed by more than 1 in FD (1 of 2 ranked methods, up to 1.2), so")
    assert "0.93 at 0.6, 0.90 at 1.7, 0.86 at 2.0" in note
    assert not skewness_notes({"a": values, "b": even}, ["b"], sessions, [head])


def test_resampling_three_seeds_would_cover_far_less() -> None:
    rng, hits = np.random.default_rng(3), 0
    for _ in range(TRIALS):
        seeds = rng.normal(0, 1, 3)
        means = rng.choice(seeds, (500, 3)).mean(1)
        low, high = np.quantile(means, [0.025, 0.975])
        hits += low <= 0 <= high
    assert hits / TRIALS < 0.85, "what a percentile bootstrap over seeds gives, and why it is not used"


def test_p_values_of_no_difference_are_not_small_too_often() -> None:
    rng, small = np.random.default_rng(11), 0
    for trial in range(TRIALS):
        shared = rng.normal(0, 0.5, SESSIONS)
        a, b = (method(rng, shared, 3, 0.3) for _ in range(2))
        draws = bootstrap([a, b], NAMES, draws=500, seed=trial).draws[:, :, 0]
        p = p_value(draws[:, 0] - draws[:, 1])
        assert p is not None
        small += p <= 0.05
    assert small / TRIALS <= 0.07
