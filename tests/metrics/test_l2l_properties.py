"""What must hold of the L2L metrics whatever the data: order, scale, shift, bounds, array kinds, refusals."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dyadbench.metrics.l2l import shannon
from dyadbench.metrics.l2l.bilateral import bilateral
from dyadbench.metrics.l2l.frechet import frechet_distance, leave_one_out, moments, pooled, root
from dyadbench.metrics.l2l.official import official_l2
from dyadbench.metrics.l2l.readings import score_l2l

SEEDS = st.integers(0, 2**31)
SLOW = settings(deadline=None, max_examples=10)
CENTROIDS = {name: np.random.default_rng(9).normal(size=shape) for name, shape in
         {"dim.SI.expression": (40, 50), "dim.SI.pose": (20, 6), "SI.expression": (15, 50), "SI.rotation": (9, 3)}.items()}  # fmt: skip


def dyads(seed: int, n: int = 3, t: int = 40) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    target, speaker, noise = rng.normal(size=(3, n, t, 56))
    return target + 0.5 * noise, target, speaker


# --- Frechet --------------------------------------------------------------------------------------------


@given(SEEDS, st.integers(1, 8), st.integers(2, 30))
def test_frechet_of_equals_is_zero_and_it_is_symmetric(seed: int, dim: int, frames: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = moments(rng.normal(size=(frames, dim))), moments(3 * rng.normal(size=(frames + 3, dim)) + 1)
    scale = float(np.trace(a.cov) + np.trace(b.cov))
    assert float(frechet_distance(a, a)) == pytest.approx(0, abs=1e-8 * scale)
    assert float(frechet_distance(a, b)) == pytest.approx(float(frechet_distance(b, a)), rel=1e-6, abs=1e-7 * scale)
    assert float(frechet_distance(a, b)) > -1e-8 * scale


@given(SEEDS, st.floats(0.01, 100), st.floats(-10, 10))
def test_frechet_scales_with_the_square_and_ignores_a_common_shift(seed: int, scale: float, shift: float) -> None:
    x, y = np.random.default_rng(seed).normal(size=(2, 40, 4)) * np.array([[[1.0]], [[2.0]]])
    plain = float(frechet_distance(moments(x), moments(y)))
    moved = float(frechet_distance(moments(scale * x + shift), moments(scale * y + shift)))
    assert moved == pytest.approx(scale**2 * plain, rel=1e-6)
    away = float(frechet_distance(moments(x), moments(x + shift)))
    assert away == pytest.approx(4 * shift**2, rel=1e-6, abs=1e-7)


@given(SEEDS, st.integers(1, 20))
def test_frechet_is_what_sqrtm_gives(seed: int, dim: int) -> None:
    linalg = pytest.importorskip("scipy.linalg")
    rng = np.random.default_rng(seed)
    a, b = moments(rng.normal(size=(4 * dim + 4, dim))), moments(2 * rng.normal(size=(4 * dim + 4, dim)))
    product = np.real(np.trace(np.atleast_2d(linalg.sqrtm(a.cov @ b.cov))))
    expected = ((a.mean - b.mean) ** 2).sum() + np.trace(a.cov) + np.trace(b.cov) - 2 * product
    assert float(frechet_distance(a, b)) == pytest.approx(expected, rel=1e-7)


def test_frechet_batches_and_takes_singular_covariances() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(4, 20, 60)).cumsum(1), rng.normal(size=(4, 20, 60)).cumsum(1)  # 20 frames, 60 channels
    x[2], y[3] = 0.0, x[3]
    together = frechet_distance(moments(x), moments(y))
    apart = [float(frechet_distance(moments(a), moments(b))) for a, b in zip(x, y, strict=True)]
    np.testing.assert_allclose(together, apart, rtol=1e-9, atol=1e-8)
    assert together[2] == pytest.approx(float((y[2].mean(0) ** 2).sum() + np.trace(np.cov(y[2].T))), rel=1e-9)
    r = root(moments(x).cov)
    assert r.shape == (4, 19, 60)
    np.testing.assert_allclose(r.swapaxes(1, 2) @ r, moments(x).cov, atol=1e-10)


@given(SEEDS)
def test_moments_add_up_and_leave_out(seed: int) -> None:
    rng = np.random.default_rng(seed)
    clips = [rng.normal(size=(int(t), 3)) + 5 for t in rng.integers(2, 9, 4)]
    frames = np.array([len(x) for x in clips])
    sums, products = np.stack([x.sum(0) for x in clips]), np.stack([x.T @ x for x in clips])
    whole, without = pooled(frames, sums, products), leave_one_out(frames, sums, products)
    np.testing.assert_allclose(whole.cov, moments(np.concatenate(clips)).cov, rtol=1e-8, atol=1e-9)
    for i in range(4):
        direct = moments(np.concatenate(clips[:i] + clips[i + 1 :]))
        np.testing.assert_allclose(without.mean[i], direct.mean, rtol=1e-9)
        np.testing.assert_allclose(without.cov[i], direct.cov, rtol=1e-7, atol=1e-9)


# --- Shannon index --------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=40).filter(any))
def test_entropy_is_bounded_and_the_base_is_a_factor(histogram: list[int]) -> None:
    nats = float(shannon.entropy(histogram))
    assert -1e-12 <= nats <= np.log(len(histogram)) + 1e-12
    assert float(shannon.entropy(histogram, bits=True)) == pytest.approx(nats / np.log(2))


@given(SEEDS, st.integers(1, 9), st.integers(1, 5))
def test_assign_is_the_nearest_and_ignores_a_common_shift(seed: int, k: int, dim: int) -> None:
    rng = np.random.default_rng(seed)
    x, c = rng.normal(size=(50, dim)), rng.normal(size=(k, dim))
    labels = shannon.assign(x, c)
    np.testing.assert_array_equal(labels, ((x[:, None] - c) ** 2).sum(-1).argmin(1))
    np.testing.assert_array_equal(labels, shannon.assign(2 * x + 1, 2 * c + 1))


@given(SEEDS, st.sampled_from([np.float32, np.float64]), st.sampled_from([1e-30, 1.0, 1e8, 1e25]), st.floats(0, 1e4))
def test_assign_leaves_to_float64_what_float32_cannot_tell(seed: int, kind: type, size: float, offset: float) -> None:
    rng = np.random.default_rng(seed)
    c = np.repeat(rng.normal(size=(4, 3)), 3, 0) * np.tile([[1], [1 + 1e-9], [1]], (4, 1))  # close ones, and equal ones
    between = [(c[i] + c[j]) / 2 * (1 + 1e-7 * rng.normal()) for i in range(12) for j in range(i)]
    x, c = ((size * (values + offset)).astype(kind) for values in (np.array(between), c))
    wide = x.astype(np.float64)
    score = (c.astype(np.float64) ** 2).sum(1) - 2 * (wide[:, None] * c.astype(np.float64)).sum(-1)
    chosen = score[np.arange(len(x)), shannon.assign(x, c)]
    assert (chosen - score.min(1) <= 1e-14 * np.abs(score).max()).all()
    spoilt = x.copy()
    spoilt[::2] = np.nan
    np.testing.assert_array_equal(shannon.assign(spoilt, c)[1::2], shannon.assign(x, c)[1::2])


@pytest.mark.parametrize("size", [1e-30, 1e-23, 1e-22, 1e-20, 1e-15, 1e15, 1e20, 1e30])
def test_assign_is_the_nearest_at_any_magnitude(size: float) -> None:
    rng = np.random.default_rng(0)
    x, c = size * rng.normal(size=(2000, 20)), size * rng.normal(size=(15, 20))
    np.testing.assert_array_equal(shannon.assign(x, c), ((x[:, None] - c) ** 2).sum(-1).argmin(1))


def test_kmeans_finds_separate_clouds_and_repeats_itself() -> None:
    rng = np.random.default_rng(0)
    clouds = 100 * np.eye(6)
    x = np.concatenate([c + rng.normal(size=(40, 6)) for c in clouds])
    centres = shannon.kmeans(x, 6, seed=1)
    assert sorted(shannon.assign(clouds, centres)) == list(range(6))
    np.testing.assert_array_equal(centres, shannon.kmeans(x, 6, seed=1))
    assert np.isfinite(shannon.kmeans(np.ones((20, 3)), 4)).all()
    with pytest.raises(ValueError, match="T >= 7"):
        shannon.kmeans(x[:6], 7)


# --- the whole set --------------------------------------------------------------------------------------


@SLOW
@given(SEEDS)
def test_order_of_clips_does_not_matter(seed: int) -> None:
    sides = dyads(seed)
    order = np.random.default_rng(seed).permutation(3)
    plain = score_l2l(*sides, centroids=CENTROIDS)
    mixed = score_l2l(*(x[order] for x in sides), centroids=CENTROIDS)
    ours = {key for key in plain if "diversity" not in key and "dim.STS" not in key}  # their streams cross clip ends
    for key in ours:
        assert mixed[key] == pytest.approx(plain[key], rel=1e-6, abs=1e-9, nan_ok=True), key


@SLOW
@given(SEEDS, st.floats(0.1, 10))
def test_scale(seed: int, scale: float) -> None:
    sides = dyads(seed)
    plain = score_l2l(*sides, centroids=CENTROIDS)
    scaled = score_l2l(*(scale * x for x in sides), centroids={name: scale * c for name, c in CENTROIDS.items()})
    powers = {"FD": 2, "P-FD": 2, "variation": 2, "RPCC": 0, "STS": 1, "SI": 0, "diversity": 1}
    for key in plain:
        name = next((part for part in key.replace("_target", "").split(".") if part in powers), None)
        if name and not key.startswith("dualtalk.SI"):  # its k-means is fitted on the prediction
            assert scaled[key] == pytest.approx(scale ** powers[name] * plain[key], rel=1e-6, abs=1e-9), key


@SLOW
@given(SEEDS)
def test_the_target_is_a_perfect_prediction(seed: int) -> None:
    _, target, speaker = dyads(seed)
    scores = score_l2l(target, target, speaker, centroids=CENTROIDS)
    for key, value in scores.items():
        if any(part in key for part in ("FD", "L2", "RPCC", "STS")) and not key.startswith("l2l"):
            assert value == pytest.approx(0.0, abs=1e-9), key
        if f"{key}_target" in scores and "diversity" not in key:
            assert value == scores[f"{key}_target"], key


@SLOW
@given(SEEDS)
def test_padding_concatenation_and_torch_are_the_same(seed: int) -> None:
    torch = pytest.importorskip("torch")
    sides = [x.astype(np.float32) for x in dyads(seed)]
    lengths = np.array([40, 33, 12])
    padded = [x.copy() for x in sides]
    for x in padded:
        for n, t in enumerate(lengths):
            x[n, t:] = np.nan
    flat = [np.concatenate([x[n, :t] for n, t in enumerate(lengths)]) for x in sides]
    first = score_l2l(*padded, lengths, centroids=CENTROIDS)
    np.testing.assert_equal(score_l2l(*flat, lengths, centroids=CENTROIDS), first)
    tensors = [torch.from_numpy(x).requires_grad_() for x in flat]
    np.testing.assert_equal(score_l2l(*tensors, torch.from_numpy(lengths), centroids=CENTROIDS), first)


def test_bounds_and_undefined_values() -> None:
    pred, target, speaker = dyads(0, t=12)
    scores = score_l2l(pred, target, speaker, [12, 5, 1])
    assert np.isnan(scores["lm.diversity"])  # 5 frames have no 10 pairs
    assert np.isnan(scores["lm.FD"])  # 1 frame has no covariance
    assert np.isnan(scores["dim.SI.expression"])  # 18 frames have no 40 clusters
    assert np.isnan(scores["l2l.L2"])
    assert 0 <= scores["SI.global-nats.rotation"] <= np.log(9)
    assert 0 <= scores["dim.RPCC.pose"] <= 2


def test_a_value_is_the_same_with_and_without_the_others_centroids() -> None:
    sides = dyads(5, t=70)
    own = score_l2l(*sides)
    centres = shannon.kmeans(sides[1].reshape(-1, 56)[:, 50:53], 9)
    assert score_l2l(*sides, centroids={"SI.rotation": centres}) == pytest.approx(own, nan_ok=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pred": np.zeros((2, 9, 55))}, r"pred is \(2, 9, 55\)"),
        ({"speaker": np.zeros((2, 8, 56))}, "speaker is"),
        ({"listener": np.zeros((0, 9, 56))}, "must be"),
        ({"lengths": [9]}, "do not fit"),
        ({"lengths": [9, 10]}, "do not fit"),
        ({"lengths": [9, 0]}, "whole numbers"),
        ({"lengths": [9.0, 8.5]}, "whole numbers"),
        ({"pred": np.full((2, 9, 56), np.nan)}, r"pred holds NaN or infinity in clip 0 \(2 of 2"),
        ({"centroids": {"SI.jaw": np.zeros((3, 3))}}, "no clusters are called"),
        ({"centroids": {"SI.rotation": np.zeros((3, 4))}}, r"\(k, 3\)"),
        ({"fit": "other"}, "fit must be"),
        ({"pred": np.array([["a"]])}, "numbers are expected"),
    ],
)
def test_one_sentence_for_what_does_not_fit(change: dict[str, object], message: str) -> None:
    whole = dict.fromkeys(("pred", "listener", "speaker"), np.ones((2, 9, 56))) | change
    with pytest.raises(ValueError, match=message) as caught:
        score_l2l(**whole)
    assert "\n" not in str(caught.value)


def test_concatenated_clips_need_lengths_that_add_up() -> None:
    flat = np.ones((20, 56))
    with pytest.raises(ValueError, match="give lengths"):
        score_l2l(flat, flat, flat)
    with pytest.raises(ValueError, match="add up to 19"):
        score_l2l(flat, flat, flat, [10, 9])


def test_official_l2_needs_whole_windows() -> None:
    short = np.ones((2, 40, 56))
    with pytest.raises(ValueError, match="at least 64 frames"):
        official_l2(short, short, short)
    with pytest.raises(ValueError, match="N >= 2"):
        official_l2(np.ones((2, 64, 56)), np.ones((2, 64, 56)), np.ones((1, 64, 56)))
    np.testing.assert_allclose(bilateral(np.full((1, 5, 2), 3.0)), 3.0)


def test_importing_the_metrics_is_light() -> None:
    heavy = "torch", "scipy", "sklearn"
    code = f"import sys, dyadbench.metrics.l2l.suite, dyadbench.metrics.l2l.readings, dyadbench.metrics.tokens; assert not {{*sys.modules}} & {{*{heavy}}}"
    subprocess.run([sys.executable, "-c", code], check=True)
