"""The dualtalk suite against its formulas written out plainly."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import scipy.linalg

from dyadbench.api import Evaluation
from dyadbench.datasets.dualtalk import SPACE
from dyadbench.metrics.config import DualTalkSuiteConfig
from dyadbench.metrics.dualtalk import DualTalkSuite, frame_pairs

CLIPS, SAMPLES, FRAMES = 2, 2, (230, 260)
CLUSTERS = {"expression": 40, "rotation": 10, "jaw": 10}


def _evaluation() -> Evaluation:
    rng = np.random.default_rng(3)

    def motion(*shape: int) -> np.ndarray:
        return np.cumsum(rng.normal(0, 0.1, (*shape, max(FRAMES), 56)), -2).astype(np.float32)

    truth = motion(CLIPS)
    return Evaluation(
        clips=("one", "two"), lengths=np.array(FRAMES), space=SPACE, predicted_motion=truth[:, None] + motion(CLIPS, SAMPLES),
        predicted_emotion=None, listener_motion=truth, speaker_motion=motion(CLIPS),
    )  # fmt: skip


def _frechet(x: np.ndarray, y: np.ndarray) -> float:
    a, b = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    root = scipy.linalg.sqrtm(a @ b)
    return float(((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(a) + np.trace(b) - 2 * np.trace(np.real(root)))


def _bits(fitted_on: np.ndarray, counted: np.ndarray, k: int) -> float:
    cluster = pytest.importorskip("sklearn.cluster").KMeans(k, random_state=0, n_init="auto")
    labels = cluster.fit(fitted_on.astype(np.float32)).predict(counted.astype(np.float32))
    share = np.bincount(labels, minlength=k) / len(labels)
    return float(-(share * np.log2(share + 1e-6)).sum())


def test_every_value_is_the_scripts_formula_or_its_correction() -> None:
    data = _evaluation()
    scores = DualTalkSuite(DualTalkSuiteConfig(fit="sklearn")).evaluate(data)
    for group, k in CLUSTERS.items():
        at = SPACE.slice(group)
        rows: dict[str, list[list[float]]] = {}
        for n, frames in enumerate(FRAMES):
            y, s = (side[n, :frames, at].astype(float) for side in (data.listener_motion, data.speaker_motion))
            each: dict[str, list[float]] = {}
            first, second = frame_pairs(data.clips[n], frames)  # type: ignore[misc]
            for sample in range(SAMPLES):
                x = data.predicted_motion[n, sample, :frames, at].astype(float)
                step = [(y[i + 1] - y[i]) - (x[i + 1] - x[i]) for i in range(frames - 1)]
                values = {
                    "FD": _frechet(x, y),
                    "P-FD": _frechet(np.hstack([s, y]), np.hstack([s, x])),
                    "MSE": np.mean((x - y) ** 2),
                    "SID": _bits(y, x, k),
                    "SID-official": _bits(x, y, k),
                    "SID_target": _bits(y, y, k),
                    "STS": np.sqrt(sum((d**2).sum() / 0.1 for d in step)),
                    "velocity": np.sqrt(np.mean([(d * 25) ** 2 for d in step])),
                    "diversity": np.mean([np.linalg.norm(x[a] - x[b]) for a, b in zip(first, second, strict=True)]),
                    "variance": np.mean(np.var(x, axis=0)),
                    "RPCC": abs(np.corrcoef(y.ravel(), s.ravel())[0, 1] - np.corrcoef(x.ravel(), s.ravel())[0, 1]),
                }
                for name, value in values.items():
                    each.setdefault(name, []).append(float(value))
            for name, values_of in each.items():
                rows.setdefault(name, []).append(values_of)
        for name, values_of_clips in rows.items():
            head, _, suffix = name.partition("_")
            result = scores[f"{head}.{group}" + (f"_{suffix}" if suffix else "")]
            expected = np.mean(values_of_clips, 1)
            tolerance = 1e-4 if "FD" in name else 1e-6  # sqrtm of covariances that are nearly singular
            assert result.per_clip == pytest.approx(expected, rel=tolerance, abs=1e-6), (name, group)
            assert result.value == pytest.approx(expected.mean(), rel=tolerance, abs=1e-6)


def test_pairs_are_of_the_clip_and_no_other_draw() -> None:
    one, again, other = frame_pairs("one", 230), frame_pairs("one", 230), frame_pairs("two", 230)
    assert one is not None and again is not None and other is not None
    assert np.array_equal(one, again) and not np.array_equal(one, other)
    assert all(len(set(side.tolist())) == 100 for side in one)
    assert frame_pairs("one", 100) is None


def test_the_own_clusters_are_seeded_and_a_copy_of_the_truth_is_perfect() -> None:
    data = _evaluation()
    perfect = dataclasses.replace(data, predicted_motion=np.repeat(data.listener_motion[:, None], 2, 1))
    one, two = (DualTalkSuite().evaluate(perfect) for _ in range(2))
    for group in CLUSTERS:
        for name in ("FD", "P-FD", "MSE", "STS", "velocity", "RPCC"):
            assert one[f"{name}.{group}"].value == pytest.approx(0, abs=1e-9)
        for name in ("SID", "diversity", "variance"):
            assert one[f"{name}.{group}"].value == one[f"{name}.{group}_target"].value == two[f"{name}.{group}"].value
        assert one[f"SID-official.{group}"].value == one[f"SID.{group}"].value


def test_standing_still_is_no_way_out_and_foreign_spaces_are_refused() -> None:
    data = _evaluation()
    still = DualTalkSuite().evaluate(dataclasses.replace(data, predicted_motion=np.zeros_like(data.predicted_motion)))
    value = still["RPCC.jaw"].value
    assert value is not None and value > 0
    other = dataclasses.replace(SPACE, name="x", groups={"expression": (0, 50)})
    with pytest.raises(ValueError, match="no group 'rotation'"):
        DualTalkSuite().evaluate(dataclasses.replace(data, space=other))
