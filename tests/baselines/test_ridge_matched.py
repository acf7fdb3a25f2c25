"""ridge-matched is the recipe written out in two passes, is causal, and has the variance of real listeners."""

from __future__ import annotations

import numpy as np
import pytest

from dyadbench.api import FACEVERSE_58, MotionSpace, Needs, Setup
from dyadbench.cell.noise import CellNoise
from dyadbench.datasets.tiny_corpus import TinyCorpus
from dyadbench_baselines.config import RidgeMatchedConfig
from dyadbench_baselines.matched import RidgeMatched

SPACE = MotionSpace("small", 30.0, ("a", "b", "c"), {"all": (0, 3)})
CORPUS = TinyCorpus(SPACE, frames=120, emotion=False)


def _fitted(penalty: float = 50.0) -> RidgeMatched:
    model = RidgeMatched(RidgeMatchedConfig(penalty=penalty), Setup(SPACE, {}, has_emotion=False, seed=0))
    model.fit(CORPUS)
    return model


def _inputs(speaker: np.ndarray) -> np.ndarray:
    rows = []
    for t in range(len(speaker)):
        past = [speaker[max(t - lag, 0)] for lag in range(0, 91, 5)]
        rows.append(np.concatenate([*past, speaker[: t + 1].mean(0)]))
    return np.array(rows, np.float64)


def test_it_is_the_recipe() -> None:
    dyads = list(CORPUS.dyads("train"))
    x = np.concatenate([_inputs(dyad.speaker.motion) for dyad in dyads])
    y = np.concatenate([dyad.listener.motion for dyad in dyads]).astype(np.float64)
    z = (x - x.mean(0)) / x.std(0)
    weights = np.linalg.solve(z.T @ z + 50.0 * np.eye(z.shape[1]), z.T @ (y - y.mean(0)))
    factor = y.std(0) / (z @ weights).std(0)
    test = next(iter(CORPUS.dyads("test")))
    expected = (_inputs(test.speaker.motion) - x.mean(0)) / x.std(0) @ weights * factor + y.mean(0)
    context = CORPUS.context([0], Needs(), 120)
    reaction = _fitted().sample(context, 2, CellNoise(0))
    assert reaction.motion is not None and reaction.motion.shape == (1, 2, 120, 3)
    assert np.allclose(reaction.motion[0, 1], expected, atol=2e-3)


def test_on_its_training_clips_it_moves_as_much_as_real_listeners() -> None:
    model, dyads = _fitted(penalty=1e5), list(CORPUS.dyads("train"))
    moved = np.concatenate([(model.inputs(d.speaker.motion) - model.mean) / model.scale @ model.weights for d in dyads])
    real = np.concatenate([dyad.listener.motion for dyad in dyads])
    assert moved.std(0) == pytest.approx(real.std(0), rel=1e-3)


def test_a_channel_that_nothing_predicts_stays_still() -> None:
    class Silent(TinyCorpus):
        def _track(self, *where: object):  # type: ignore[no-untyped-def, override]
            track = super()._track(*where)  # type: ignore[arg-type]
            track.motion[:, 1] = 2.0
            return track

    model = RidgeMatched(RidgeMatchedConfig(), Setup(SPACE, {}, has_emotion=False, seed=0))
    corpus = Silent(SPACE, emotion=False)
    model.fit(corpus)
    reaction = model.sample(corpus.context([0, 1], Needs(), 96), 1, CellNoise(0))
    assert reaction.motion is not None and np.isfinite(reaction.motion).all()
    assert np.allclose(reaction.motion[..., 1], 2.0, atol=1e-4)


def test_delays_keep_their_seconds_at_another_frame_rate() -> None:
    slow = RidgeMatched(RidgeMatchedConfig(), Setup(FACEVERSE_58, {}, has_emotion=True, seed=0))
    assert len(slow.delays) == 19 and slow.delays[-1] == 75
