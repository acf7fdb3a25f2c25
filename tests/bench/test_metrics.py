"""Speed of each REACT metric at N = 8 and N = 64 clips of 10 samples, 750 frames and 15 neighbours, on one thread.

Run `pytest tests/bench/test_metrics.py`. `dyadbench bench metrics` gives the ratios to what they replace.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from dyadbench.bench.metrics import Case, made_up_case, offsets
from dyadbench.metrics.react import closed_form as react
from dyadbench.metrics.react.frdist import frdist
from dyadbench.metrics.react.frdvs import spread_of


@pytest.fixture(scope="module", params=[8, 64])
def case(request: pytest.FixtureRequest) -> Case:
    return made_up_case(request.param)


def _each(work: Callable[[Case, int], Any]) -> Callable[[Case], Any]:
    return lambda case: [work(case, n) for n in range(len(case.pred))]


METRICS: dict[str, Callable[[Case], Any]] = {
    "FRDist": _each(lambda case, n: frdist(case.pred[n], case.listener[case.rows[n]])),
    "FRCorr": _each(lambda case, n: react.ccc(case.pred[n], case.listener[case.rows[n]])[0].mean(2).max(1).sum()),
    "FRSyn": _each(lambda case, n: offsets(case.pred[n], case.speaker[n])),
    "FRDiv + FRVar": _each(lambda case, n: react.moments(case.pred[n])),
    "FRDvs": lambda case: spread_of(len(case.pred), lambda n: case.pred[n]),
}


@pytest.mark.parametrize("metric", METRICS)
def test_metric(benchmark: Any, case: Case, metric: str) -> None:
    values = benchmark.pedantic(METRICS[metric], args=(case,), rounds=2, warmup_rounds=1)
    benchmark.extra_info["clips"] = len(case.pred)
    assert len(values) > 0
