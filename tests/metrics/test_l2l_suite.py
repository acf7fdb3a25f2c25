"""The ranked L2L suite: against the readings it chooses, its per-clip values, its refusals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dyadbench.api import DECA_56, FACEVERSE_58, Evaluation, MotionSpace
from dyadbench.metrics.l2l import shannon
from dyadbench.metrics.l2l.frechet import Moments, frechet_distance, moments
from dyadbench.metrics.l2l.readings import score_l2l
from dyadbench.metrics.l2l.suite import GROUPS, L2LSuite


def evaluation(space: MotionSpace = DECA_56, n: int = 5, k: int = 3, t: int = 70, seed: int = 0) -> Evaluation:
    rng = np.random.default_rng(seed)
    lengths = rng.integers(t // 2, t + 1, n)
    target = rng.normal(size=(n, t, space.dim)).cumsum(1).astype(np.float32)
    speaker = (0.5 * target + rng.normal(size=target.shape)).astype(np.float32)
    pred = (target[:, None] + rng.normal(size=(n, k, t, space.dim))).astype(np.float32)
    for i, length in enumerate(lengths):  # padding must not be looked at
        target[i, length:] = pred[i, :, length:] = speaker[i, length:] = np.nan
    clips = tuple(f"c{i}" for i in range(n))
    return Evaluation(clips, lengths, space, pred, None, target, speaker)


def subset(data: Evaluation, keep: list[int]) -> Evaluation:
    return replace(
        data,
        clips=tuple(data.clips[i] for i in keep),
        lengths=data.lengths[keep],
        predicted_motion=data.predicted_motion[keep],
        listener_motion=data.listener_motion[keep],
        speaker_motion=data.speaker_motion[keep],
    )


def test_one_sample_is_the_published_reading() -> None:
    data = evaluation(k=1)
    ours = L2LSuite().evaluate(data)
    sides = [np.concatenate([x[n, :t] for n, t in enumerate(data.lengths)]) for x in
             (data.predicted_motion[:, 0], data.listener_motion, data.speaker_motion)]  # fmt: skip
    published = score_l2l(*(x.astype(np.float64) for x in sides), data.lengths)
    same = {
        "FD": "FD.per-clip",
        "P-FD": "dualtalk.P-FD",
        "variation": "variation.time-mean",
        "SI": "SI.global-nats",
        "RPCC": "dualtalk.RPCC",
        "FD-pooled": "FD.pooled",
    }
    for group in GROUPS:
        for name, theirs in same.items():
            assert ours[f"{name}.{group}"].value == pytest.approx(published[f"{theirs}.{group}"], rel=1e-9)
        for name in ("variation", "SI"):
            target = published[f"{same[name]}.{group}_target"]
            assert ours[f"{name}.{group}_target"].value == pytest.approx(target, rel=1e-9)
        norm = [np.linalg.norm((a - b)[:, DECA_56.slice(group)].astype(float), axis=1).mean() for a, b in
                zip(*(np.split(x, np.cumsum(data.lengths)[:-1]) for x in sides[:2]), strict=True)]  # fmt: skip
        assert ours[f"L2.{group}"].value == pytest.approx(np.mean(norm), rel=1e-6)


@pytest.mark.parametrize("space", [DECA_56, FACEVERSE_58])
def test_columns_per_clip_values_and_targets(space: MotionSpace) -> None:
    suite = L2LSuite()
    calls: list[tuple[int, int]] = []
    scores = suite.evaluate(evaluation(space), lambda done, total: calls.append((done, total)))
    assert list(scores) == [column.id for column in suite.columns]
    assert calls == [(i + 1, 5) for i in range(5)]
    for name, result in scores.items():
        assert result.value is not None
        assert np.nanmean(result.per_clip) == pytest.approx(result.value, rel=1e-9), name
        assert result.per_clip.shape == (5,)
    for column in suite.columns:
        assert not column.target or not next(c for c in suite.columns if c.id == column.target).ranked
        assert column.direction != "match" or not column.ranked or column.target


def test_samples_are_scored_apart_and_averaged() -> None:
    data = evaluation(k=3)
    every = L2LSuite().evaluate(data)
    single = [
        L2LSuite().evaluate(replace(data, predicted_motion=data.predicted_motion[:, k : k + 1])) for k in range(3)
    ]
    for name, result in every.items():
        if not name.startswith("FD-pooled"):
            assert result.value == pytest.approx(np.mean([s[name].value for s in single]), rel=1e-9), name


def test_jackknife_is_leaving_a_clip_out(monkeypatch: pytest.MonkeyPatch) -> None:
    data = evaluation(k=2, n=6)
    whole = L2LSuite().evaluate(data)
    fitted = {g: np.concatenate([data.listener_motion[n, :t, data.space.slice(g)] for n, t in enumerate(data.lengths)])
              for g in GROUPS}  # fmt: skip
    centres = {x.shape[1]: shannon.kmeans(x, 15 if g == "expression" else 9) for g, x in fitted.items()}
    monkeypatch.setattr("dyadbench.metrics.l2l.suite.centroids_for", lambda x, *_, **__: centres[x.shape[1]])
    n = 6
    for name in ("SI.expression", "SI.rotation_target", "FD-pooled.expression", "FD-pooled.rotation"):
        parts = [[j for j in range(n) if j != i] for i in range(n)]
        without = np.array([L2LSuite().evaluate(subset(data, keep))[name].value for keep in parts])
        pseudo = n * whole[name].value - (n - 1) * without
        np.testing.assert_allclose(whole[name].per_clip, pseudo - pseudo.mean() + whole[name].value, rtol=1e-6)


def test_pooled_frechet_sees_all_samples_as_one_set() -> None:
    data = evaluation(k=2)
    at = data.space.slice("rotation")
    target = np.concatenate([data.listener_motion[n, :t, at] for n, t in enumerate(data.lengths)])
    pred = np.concatenate([data.predicted_motion[n, :, :t, at].reshape(-1, 3) for n, t in enumerate(data.lengths)])
    other = moments(pred)
    frames = len(target)
    biased = other.cov * (2 * frames - 1) / (2 * frames)
    expected = frechet_distance(moments(target), Moments(other.mean, biased * frames / (frames - 1)))
    assert L2LSuite().evaluate(data)["FD-pooled.rotation"].value == pytest.approx(expected, rel=1e-9)


def test_the_truth_is_perfect() -> None:
    data = evaluation(k=2)
    truth = L2LSuite().evaluate(replace(data, predicted_motion=np.repeat(data.listener_motion[:, None], 2, 1)))
    scale = float(np.nanvar(data.listener_motion)) * data.space.dim
    for group in GROUPS:
        for name in ("L2", "RPCC"):
            assert truth[f"{name}.{group}"].value == pytest.approx(0.0, abs=1e-12)
        for name in ("FD", "P-FD", "FD-pooled"):
            assert truth[f"{name}.{group}"].value == pytest.approx(0.0, abs=1e-11 * scale)
        for name in ("variation", "SI"):
            assert truth[f"{name}.{group}"].value == pytest.approx(truth[f"{name}.{group}_target"].value, rel=1e-12)


def test_standing_still_is_scored_and_a_constant_truth_is_undefined() -> None:
    data = evaluation(k=2)
    still = L2LSuite().evaluate(replace(data, predicted_motion=np.zeros_like(data.predicted_motion)))
    assert all(result.value is not None and result.undefined == 0 for result in still.values())
    assert still["variation.expression"].value == pytest.approx(0.0, abs=1e-20)
    assert still["SI.rotation"].value == 0.0
    listener = data.listener_motion.copy()
    listener[1] = 0.0
    scores = L2LSuite().evaluate(replace(data, listener_motion=listener))["RPCC.expression"]
    assert scores.undefined == 1
    assert np.isnan(scores.per_clip[1])
    assert scores.value == pytest.approx(np.nanmean(scores.per_clip))


def test_one_clip_of_one_frame() -> None:
    data = evaluation(n=1, k=1)
    scores = L2LSuite().evaluate(replace(data, lengths=np.array([1])))
    assert scores["FD.expression"].value is None
    assert scores["FD-pooled.rotation"].value is None
    assert scores["L2.expression"].value is not None


def test_centroids_are_kept_by_ground_truth(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shannon, "_memory", {})
    suite = L2LSuite()
    first = suite.evaluate(evaluation(seed=3))
    with monkeypatch.context() as patch:
        patch.setattr(shannon, "kmeans", lambda *_, **__: pytest.fail("fitted again"))
        second = suite.evaluate(evaluation(seed=3))
    assert second["SI.expression"].value == first["SI.expression"].value
    suite.evaluate(evaluation(seed=4))
    assert len(shannon._memory) == 4


def test_refusals_name_the_clip() -> None:
    data = evaluation()
    suite = L2LSuite()
    broken = data.predicted_motion.copy()
    broken[2, 1, 3, 4] = np.inf
    with pytest.raises(ValueError, match="'c2' holds NaN"):
        suite.evaluate(replace(data, predicted_motion=broken))
    with pytest.raises(ValueError, match="clip 'c0' is"):
        suite.evaluate(replace(data, predicted_motion=data.predicted_motion[..., :20]))
    with pytest.raises(ValueError, match="have none"):
        suite.evaluate(replace(data, predicted_motion=None))
    bare = replace(DECA_56, groups={"expression": (0, 50)}, units={})
    with pytest.raises(ValueError, match="no group 'rotation'"):
        suite.evaluate(replace(data, space=bare))
