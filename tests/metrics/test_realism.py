"""Realism of motion: 0 for the truth itself, small for other people, large for noise, frozen faces and shuffled frames."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import linalg

from dyadbench.api import Evaluation, MotionSpace
from dyadbench.metrics import realism
from dyadbench.metrics.realism import RealismSuite, hellinger, sizes, space_of

SPACE = MotionSpace("toy", 25.0, ("a", "b", "c"), {"x": (0, 2), "y": (2, 3)})


def people(seed: int, clips: int = 24, frames: int = 250) -> np.ndarray:
    """(N, T, 3) smooth motion: an autoregression of second order, of another size in each channel."""
    rng = np.random.default_rng(seed)
    x = np.zeros((clips, frames, 3))
    for t in range(2, frames):
        x[:, t] = 1.8 * x[:, t - 1] - 0.82 * x[:, t - 2] + 0.1 * rng.standard_normal((clips, 3))
    return x * np.array([1.0, 5.0, 0.1])


def evaluation(predicted: np.ndarray, truth: np.ndarray, lengths: np.ndarray | None = None) -> Evaluation:
    n = len(truth)
    return Evaluation(
        clips=tuple(f"c{i}" for i in range(n)), lengths=np.full(n, truth.shape[1]) if lengths is None else lengths, space=SPACE,
        predicted_motion=predicted, predicted_emotion=None, listener_motion=truth, speaker_motion=truth,
    )  # fmt: skip


def scores(predicted: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    scores = RealismSuite("motion").evaluate(evaluation(predicted, truth))
    assert list(scores) == [column.id for column in RealismSuite.columns]
    assert all(result.value is not None for result in scores.values())
    return {name: float(result.value or 0.0) for name, result in scores.items()}


TRUTH = people(0)


def test_other_people_are_near_and_what_no_person_does_is_far() -> None:
    itself, others = scores(TRUTH[:, None], TRUTH), scores(people(1)[:, None], TRUTH)
    rng = np.random.default_rng(2)
    wrong = {
        "noise": TRUTH.mean((0, 1)) + TRUTH.std((0, 1)) * rng.standard_normal(TRUTH.shape),
        "frozen": np.broadcast_to(TRUTH.mean((0, 1)), TRUTH.shape),
        "shuffled": rng.permuted(TRUTH, axis=1),
    }
    for name in itself:
        assert itself[name] == pytest.approx(0, abs=1e-6)
        for what, motion in wrong.items():
            assert scores(motion[:, None], TRUTH)[name] > 3 * others[name] > 0, (name, what)


def test_fmd_is_the_frechet_distance_of_projected_windows_by_hand() -> None:
    space = space_of(list(TRUTH), SPACE.fps)
    assert (space.step, space.frames) == (2, 12), "one second at 12.5 frames per second"
    sides = [np.concatenate([space.project(x) for x in motion]) for motion in (TRUTH, people(1))]
    (m1, c1), (m2, c2) = ((x.mean(0), np.cov(x.T)) for x in sides)
    by_hand = ((m1 - m2) ** 2).sum() + np.trace(c1 + c2 - 2 * linalg.sqrtm(c1 @ c2).real)
    assert scores(people(1)[:, None], TRUTH)["FMD"] == pytest.approx(by_hand, rel=1e-6)


def test_histograms_by_hand() -> None:
    assert sizes(np.array([[0.0, 0], [3, 4], [3, 4]]), 1).tolist() == [5.0, 0.0]
    assert hellinger(np.array([2.0, 0]), np.array([0.0, 7])) == 1.0
    assert hellinger(np.array([1.0, 3]), np.array([2.0, 6])) == pytest.approx(0, abs=1e-7)
    assert hellinger(np.array([1.0, 0]), np.array([1.0, 1])) == pytest.approx(np.sqrt(1 - np.sqrt(0.5)))


def test_copies_order_padding_and_units_do_not_matter() -> None:
    motion, order = people(1), np.random.default_rng(0).permutation(len(TRUTH))
    once = scores(motion[:, None], TRUTH)
    assert scores(motion[:, None].repeat(3, 1), TRUTH) == pytest.approx(once)
    assert scores(motion[order, None], TRUTH[order]) == pytest.approx(once)
    unit = np.array([100.0, 1, 1])
    assert scores(motion[:, None] * unit, TRUTH * unit)["FMD"] == pytest.approx(once["FMD"], rel=1e-6)
    lengths = np.full(len(TRUTH), 200)
    padded = motion.copy()
    padded[:, 200:] = 1e6
    short = RealismSuite("motion").evaluate(evaluation(padded[:, None], TRUTH, lengths))
    cut = scores(motion[:, None, :200], TRUTH[:, :200])
    assert {name: result.value for name, result in short.items()} == pytest.approx(cut)


def test_clip_values_average_to_the_metric_and_bad_input_is_named() -> None:
    for result in RealismSuite("motion").evaluate(evaluation(people(1)[:, None], TRUTH)).values():
        assert result.per_clip.mean() == pytest.approx(result.value)
    with pytest.raises(ValueError, match="NaN"):
        scores(np.full_like(TRUTH, np.nan)[:, None], TRUTH)
    with pytest.raises(ValueError, match="there is none"):
        realism.emotion().evaluate(evaluation(TRUTH[:, None], TRUTH))
    tiny = RealismSuite("motion").evaluate(evaluation(TRUTH[:, None, :5], TRUTH[:, :5]))
    assert tiny["FMD"].value is None and tiny["HD.velocity"].value == pytest.approx(0, abs=1e-6)
