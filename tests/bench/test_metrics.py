"""Speed of each REACT metric at N = 8 and N = 64 clips of 10 samples, 750 frames and 15 neighbours, on one thread.

Run `pytest tests/bench/test_metrics.py`. `dyadbench bench metrics` gives the ratios to what they replace. With CUDA=1
the whole suite is timed on a GPU too, beside the CPU in the same run; -s prints both.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from dyadbench import score_arrays
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


@pytest.mark.skipif(not os.environ.get("CUDA"), reason="needs a CUDA device, and CUDA=1")
def test_suite_on_a_gpu(benchmark: Any, case: Case) -> None:
    """The same scores, timed on the GPU with what is copied there, and once on the CPU."""
    torch.set_num_threads(1)
    clips = len(case.pred)
    appropriate = np.zeros((clips, clips), bool)
    for n, rows in enumerate(case.rows):
        appropriate[n, [row for row in rows if row < clips]] = True
    arrays = {"listener": case.listener, "speaker": case.speaker, "appropriate": appropriate}
    score_arrays("react2024", pred=case.pred, **arrays)  # compiles
    started = time.perf_counter()
    expected = score_arrays("react2024", pred=case.pred, **arrays)
    cpu = time.perf_counter() - started
    pred = torch.from_numpy(case.pred).cuda()
    scores = benchmark.pedantic(lambda: score_arrays("react2024", pred=pred, **arrays), rounds=3, warmup_rounds=1)
    assert scores == pytest.approx(expected, rel=1e-9, nan_ok=True)
    gpu = benchmark.stats.stats.median
    benchmark.extra_info.update(clips=clips, cpu_seconds=cpu, ratio=cpu / gpu)
    print(f"\n{clips} clips: CPU {cpu:.2f} s, GPU {gpu:.3f} s, {cpu / gpu:.0f} times", end="")
