"""Error over time against plain loops, and what must hold of it whatever the data."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dyadbench.api import Evaluation, MotionSpace
from dyadbench.metrics.over_time import BINS, NAMES, SECONDS, MotionOverTimeSuite, OverTimeSuite, clip_over_time, growth

FPS = 4.0
SPACE = MotionSpace("pair", FPS, ("a", "b"), {})


def plain(pred: np.ndarray, listeners: list[np.ndarray], fps: float) -> tuple[list[float], list[float]]:
    """The definition, number by number."""

    def error(k: int, j: int, frames: range) -> float:
        shared = [t for t in frames if t < min(len(pred[k]), len(listeners[j]))]
        squares = [
            (float(pred[k][t][c]) - float(listeners[j][t][c])) ** 2 for t in shared for c in range(pred.shape[2])
        ]
        return math.sqrt(sum(squares) / len(squares)) if squares else math.nan

    everything = range(pred.shape[1])
    whole = [[error(k, j, everything) for j in range(len(listeners))] for k in range(len(pred))]
    nearest = [row.index(min(row)) for row in whole]
    best = min(range(len(pred)), key=lambda k: whole[k][nearest[k]])
    tables = []
    for b in range(BINS):
        frames = range(round(b * SECONDS * fps), round((b + 1) * SECONDS * fps))
        row = []
        for k, j in enumerate(nearest):
            shared = sum(t < min(pred.shape[1], len(listeners[j])) for t in frames)
            row.append(error(k, j, frames) if shared >= fps else math.nan)
        tables.append(row)
    means = [[v for v in row if not math.isnan(v)] for row in tables]
    return [row[best] for row in tables], [sum(row) / len(row) if row else math.nan for row in means]


@pytest.mark.parametrize(
    ("frames", "others"), [(120, (120, 120)), (120, (70, 103, 120)), (47, (60, 47)), (140, (140,))]
)
def test_it_is_the_definition(frames: int, others: tuple[int, ...]) -> None:
    rng = np.random.default_rng(frames)
    pred = rng.normal(size=(3, frames, 2)).cumsum(1)
    listeners = [rng.normal(size=(t, 2)).cumsum(0) for t in others]
    best, mean = clip_over_time(pred, listeners, FPS)
    expected = plain(pred, listeners, FPS)
    np.testing.assert_allclose(best, expected[0], rtol=1e-9)
    np.testing.assert_allclose(mean, expected[1], rtol=1e-9)


def evaluation(pred: np.ndarray, truth: np.ndarray, **change: object) -> Evaluation:
    count = len(pred)
    fields: dict[str, object] = {
        "clips": tuple(f"c{i}" for i in range(count)), "lengths": np.full(count, truth.shape[1]), "space": SPACE,
        "predicted_motion": pred, "predicted_emotion": None, "listener_motion": truth, "speaker_motion": truth,
    }  # fmt: skip
    return Evaluation(**fields | change)  # type: ignore[arg-type]


def test_the_truth_has_no_error_and_its_own_jitter() -> None:
    truth = np.random.default_rng(0).normal(size=(4, 120, 2)).cumsum(1).astype(np.float32)
    scores = MotionOverTimeSuite().evaluate(evaluation(np.repeat(truth[:, None], 3, 1), truth))
    assert list(scores) == [column.id for column in MotionOverTimeSuite.columns]
    assert all(scores[f"{kind}.{name}"].value == 0.0 for kind in ("best", "mean") for name in NAMES)
    assert scores["jitter"].value == pytest.approx(1.0)
    assert scores["growth.mean"].value == 0.0


def test_drift_grows_at_its_own_pace_and_steady_noise_does_not() -> None:
    rng = np.random.default_rng(1)
    truth = rng.normal(size=(5, 120, 2))
    drift = np.arange(120)[None, None, :, None] / FPS * 0.03  # 0.3 in ten seconds
    scores = MotionOverTimeSuite().evaluate(evaluation(np.repeat((truth[:, None] + drift), 2, 1), truth))
    assert scores["growth.best"].value == pytest.approx(0.3, rel=0.02)  # the root of a mean square
    assert scores["mean.25-30s"].value > 5 * scores["mean.0-5s"].value
    noisy = truth[:, None] + 0.3 * rng.normal(size=(5, 2, 120, 2))
    steady = MotionOverTimeSuite().evaluate(evaluation(noisy, truth))
    assert abs(steady["growth.mean"].value) < 0.02
    assert steady["jitter"].value > 1.0


def test_the_best_sample_and_any_appropriate_listener_count() -> None:
    truth = np.zeros((2, 40, 2))
    truth[1] += 5.0
    pred = np.stack([np.stack([np.full((40, 2), 5.0), np.full((40, 2), 1.0)])] * 2)
    both = MotionOverTimeSuite().evaluate(evaluation(pred, truth, appropriate=np.ones((2, 2), bool)))
    assert both["best.0-5s"].per_clip.tolist() == [0.0, 0.0]
    assert both["mean.0-5s"].per_clip.tolist() == [0.5, 0.5]
    own = MotionOverTimeSuite().evaluate(evaluation(pred, truth))
    assert own["best.0-5s"].per_clip.tolist() == [1.0, 0.0]
    assert own["best.10-15s"].value is None
    assert own["best.10-15s"].undefined == 2
    assert own["jitter"].value is None, "a listener that never moves has no jitter to compare with"


def test_growth_of_a_line() -> None:
    assert growth(1.0 + 0.2 * np.arange(6.0)) == pytest.approx(0.4)
    assert growth(np.array([1.0, np.nan, 1.4, np.nan, np.nan, 2.0])) == pytest.approx(0.4)
    assert np.isnan(growth(np.array([1.0, *[np.nan] * 5])))


def test_refusals() -> None:
    truth = np.zeros((1, 40, 2))
    with pytest.raises(ValueError, match="is of emotion"):
        OverTimeSuite().evaluate(evaluation(truth[:, None], truth))
    with pytest.raises(ValueError, match="no appropriate listener"):
        MotionOverTimeSuite().evaluate(evaluation(truth[:, None], truth, appropriate=np.zeros((1, 1), bool)))
