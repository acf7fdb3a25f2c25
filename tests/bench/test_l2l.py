"""Speed of the L2L metrics, and of the Shannon index against fitting its clusters again for every method.

Run `pytest tests/bench/test_l2l.py`; the ratio of one run's `sklearn` and `second` rows is the number to quote.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dyadbench.api import DECA_56, Evaluation
from dyadbench.metrics.l2l import shannon
from dyadbench.metrics.l2l.suite import L2LSuite

FRAMES, CHANNELS, K = 130_000, 50, 15


@pytest.fixture(scope="module")
def motion() -> tuple[Any, Any]:
    """Target and prediction: smooth expression coefficients whose spread falls off over channels."""
    rng = np.random.default_rng(0)
    scale = np.linspace(1.0, 0.1, CHANNELS)
    target = rng.normal(size=(FRAMES // 100, 100, CHANNELS)).cumsum(1).reshape(FRAMES, CHANNELS) * scale / 10
    return target.astype(np.float32), (target + 0.3 * rng.normal(size=target.shape)).astype(np.float32)


def test_si_second_method_same_truth(benchmark: Any, motion: tuple[Any, Any]) -> None:
    target, pred = motion
    centroids = shannon.centroids_for(target, K)
    entropy = benchmark(lambda: shannon.entropy(shannon.histograms([pred], centroids).sum(0)))
    assert 0 < entropy <= np.log(K)


def test_si_second_method_hash_of_truth_included(benchmark: Any, motion: tuple[Any, Any]) -> None:
    target, pred = motion
    shannon.centroids_for(target, K)
    entropy = benchmark(lambda: shannon.entropy(shannon.histograms([pred], shannon.centroids_for(target, K)).sum(0)))
    assert 0 < entropy <= np.log(K)


def test_si_sklearn_fit_for_every_method(benchmark: Any, motion: tuple[Any, Any]) -> None:
    cluster = pytest.importorskip("sklearn.cluster")
    target, pred = motion

    def refit() -> Any:
        fitted = cluster.KMeans(K, random_state=0, n_init="auto").fit(target.astype(np.float64))
        return shannon.entropy(np.bincount(fitted.predict(pred.astype(np.float64)), minlength=K))

    entropy = benchmark.pedantic(refit, rounds=1)
    assert 0 < entropy <= np.log(K)


@pytest.mark.parametrize("n", [8, 64])
def test_suite(benchmark: Any, n: int) -> None:
    rng = np.random.default_rng(0)
    target = rng.normal(size=(n, 750, 56)).cumsum(1).astype(np.float32)
    speaker = rng.normal(size=target.shape).cumsum(1).astype(np.float32)
    pred = target[:, None] + rng.normal(size=(n, 10, 750, 56)).astype(np.float32)
    clips = tuple(str(i) for i in range(n))
    data = Evaluation(clips, np.full(n, 750), DECA_56, pred, None, target, speaker)
    scores = benchmark.pedantic(lambda: L2LSuite().evaluate(data), rounds=2, warmup_rounds=1)
    assert scores["FD.expression"].value > 0
