"""What holds for any predictions, and the fast path against a plain one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dyadbench import score_arrays
from dyadbench.metrics.react import closed_form as react
from dyadbench.metrics.react import frsyn, reference
from dyadbench.metrics.react.frdist import GROUPS, NOTHING, WEIGHTS, frdist
from dyadbench.metrics.react.frdist_kernels import CHANNELS, LANES, STRIP, dtw, scratch_size, strips
from dyadbench.metrics.react.frdist_packing import pack64

QUICK = settings(max_examples=25, deadline=None)
seeds = st.integers(0, 2**31)


def plain_dtw(x: np.ndarray, y: np.ndarray) -> float:
    """The textbook recursion, in float64, written down as it is defined."""
    cost = np.full((len(x) + 1, len(y) + 1), np.inf)
    cost[0, 0] = 0
    for i in range(len(x)):
        for j in range(len(y)):
            local = 0.0
            for c in range(x.shape[1]):
                local += (x[i, c] - y[j, c]) * (x[i, c] - y[j, c])
            cost[i + 1, j + 1] = local + min(cost[i, j + 1], cost[i + 1, j], cost[i, j])
    return float(np.sqrt(cost[-1, -1]))


def plain_distance(x: np.ndarray, y: np.ndarray) -> float:
    x, y = x.astype(np.float32).astype(np.float64), y.astype(np.float32).astype(np.float64)
    parts = [w * plain_dtw(x[:, a:b], y[:, a:b]) for w, (a, b) in zip(WEIGHTS, GROUPS, strict=True)]
    return (parts[0] + parts[1]) + parts[2]


def _signal(rng: np.random.Generator, frames: int, kind: str, scale: float = 1.0) -> np.ndarray:
    if kind == "binary":
        return (rng.random((frames, 25)) > 0.5).astype(np.float32) * np.float32(scale)
    if kind == "constant":
        return np.tile(rng.random((1, 25)), (frames, 1)).astype(np.float32) * np.float32(scale)
    if kind == "walk":
        return (np.cumsum(rng.standard_normal((frames, 25)), 0) * scale).astype(np.float32)
    return (rng.standard_normal((frames, 25)) * scale).astype(np.float32)


kinds = st.sampled_from(["binary", "constant", "walk", "noise"])


@QUICK
@given(seeds, st.integers(1, 150), st.integers(1, 150), st.sampled_from([0, 1, 2]), kinds)
def test_the_kernel_in_float64_is_the_plain_recursion_to_the_last_bit(
    seed: int, rows: int, columns: int, group: int, kind: str
) -> None:
    rng, (start, stop) = np.random.default_rng(seed), GROUPS[group]
    x, y = (_signal(rng, n, kind) for n in (rows, columns))
    blocks = -(-rows // STRIP)
    packed_x, packed_y = np.empty(blocks * STRIP * (stop - start)), np.empty((stop - start) * (columns + 2 * LANES))
    pack64(x, start, stop, True, packed_x)
    pack64(y, start, stop, False, packed_y)

    def within(bound: float) -> float:
        return dtw(strips(False)[group], CHANNELS[group], packed_x, packed_y, rows, columns, blocks - 1, bound,
                   NOTHING, NOTHING, np.empty(scratch_size(columns)))  # fmt: skip

    expected = plain_dtw(x[:, start:stop].astype(np.float64), y[:, start:stop].astype(np.float64))
    distance = within(np.inf)
    assert np.sqrt(distance) == expected == reference.dtw(x[:, start:stop], y[:, start:stop])
    assert within(distance) == distance, "a path exactly at the bound is kept"


@QUICK
@given(
    seeds,
    st.integers(1, 60),
    st.integers(1, 60),
    st.integers(1, 6),
    st.sampled_from([1e-12, 1e-4, 1.0, 1e4, 1e15]),
    kinds,
)
def test_the_nearest_is_exact_whatever_was_pruned(
    seed: int, frames: int, other: int, candidates: int, scale: float, kind: str
) -> None:
    rng = np.random.default_rng(seed)
    pred = np.stack([_signal(rng, frames, kind, scale) for _ in range(2)])
    lengths = [frames if i % 2 == 0 else other for i in range(candidates)]
    refs = [_signal(rng, n, kind, scale) for n in lengths]
    refs += refs[:1]  # a tie
    nearest = frdist(pred, refs)
    assert nearest.tolist() == [min(plain_distance(sample, ref) for ref in refs) for sample in pred]


def test_abandoning_never_loses_the_nearest() -> None:
    rng = np.random.default_rng(0)
    truth = _signal(rng, 400, "walk", 0.1)
    refs = [truth + _signal(rng, 400, "noise", 10.0**-e) for e in range(7)]
    [nearest] = frdist(truth[None], refs)
    assert nearest == min(plain_distance(truth, ref) for ref in (refs[-1], refs[-2]))
    assert frdist(truth[None], [*refs, truth])[0] == 0


def _case(seed: int, clips: int = 4, k: int = 3, frames: int = 60) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    make = lambda *shape: rng.random((*shape, frames, 25)).astype(np.float32)  # noqa: E731
    matrix = (rng.random((clips, clips)) > 0.5) | np.eye(clips, dtype=bool)
    return {
        "pred": make(clips, k),
        "listener": make(clips),
        "speaker": make(clips),
        "appropriate": matrix.astype(float),
    }


@pytest.mark.parametrize("suite", ["react2024-official", "react2024"])
@QUICK
@given(seed=seeds)
def test_order_of_clips_does_not_matter(suite: str, seed: int) -> None:
    case = _case(seed)
    order = np.random.default_rng(seed).permutation(4)
    moved = {name: case[name][order] for name in ("pred", "listener", "speaker")}
    moved["appropriate"] = case["appropriate"][np.ix_(order, order)]
    a, b = score_arrays(suite, **case), score_arrays(suite, **moved)
    assert b == pytest.approx(a, rel=1e-9, nan_ok=True)  # sets of one have no diversity


@QUICK
@given(seed=seeds)
def test_order_of_samples_matters_only_to_the_official_frsyn(seed: int) -> None:
    case = _case(seed)
    moved = {**case, "pred": case["pred"][:, [2, 0, 1]]}
    assert score_arrays("react2024", **moved) == pytest.approx(score_arrays("react2024", **case), rel=1e-9, nan_ok=True)
    a, b = score_arrays("react2024-official", **case), score_arrays("react2024-official", **moved)
    a.pop("FRSyn"), b.pop("FRSyn")
    assert b == pytest.approx(a, rel=1e-9)


@QUICK
@given(seed=seeds)
def test_bounds_and_identity(seed: int) -> None:
    case = _case(seed)
    scores = score_arrays("react2024", **case)
    assert -1 <= scores["FRCorr"] <= 1
    assert 0 <= scores["FRSyn"] <= 49
    assert min(scores[name] for name in ("FRDist", "FRDiv", "FRVar", "FRDvs")) >= 0
    truth = {**case, "pred": np.repeat(case["listener"][:, None], 3, 1)}
    perfect = score_arrays("react2024", **truth)
    assert perfect["FRCorr"] == pytest.approx(1, abs=1e-5)
    assert perfect["FRDist"] == 0
    assert perfect["FRDiv"] == 0
    assert perfect["FRVar"] == pytest.approx(perfect["FRVar_target"])
    assert perfect["FRDvs"] == pytest.approx(perfect["FRDvs_target"])
    assert perfect["FRSyn"] == pytest.approx(perfect["FRSyn_target"])


@QUICK
@given(seed=seeds, scale=st.floats(0.1, 10), shift=st.floats(-5, 5))
def test_scale_and_translation(seed: int, scale: float, shift: float) -> None:
    case = _case(seed)
    moved = {name: case[name].astype(np.float64) * scale + shift for name in ("pred", "listener", "speaker")}
    moved["appropriate"] = case["appropriate"]
    a, b = score_arrays("react2024", **case), score_arrays("react2024", **moved)
    assert b["FRCorr"] == pytest.approx(a["FRCorr"], abs=1e-4)
    assert b["FRDist"] == pytest.approx(a["FRDist"] * scale, rel=1e-4)
    for name in ("FRDiv", "FRVar", "FRDvs"):
        assert b[name] == pytest.approx(a[name] * scale**2, rel=1e-6)
    assert b["FRSyn"] == pytest.approx(a["FRSyn"])


@QUICK
@given(seed=seeds, frames=st.integers(2, 130))
def test_lag_correlations_are_numpys(seed: int, frames: int) -> None:
    rng = np.random.default_rng(seed)
    x, y = _signal(rng, frames, "walk")[:, :5], _signal(rng, frames, "binary")[:, :5]
    correlations, doubt = frsyn.lag_correlations(x, y)
    for lag in (-49, -7, -1, 0, 1, 20, 49):
        if frames - abs(lag) < 2:
            assert np.isnan(correlations[49 + lag]).all()
            continue
        a, b = (x[lag:], y[: frames - lag]) if lag >= 0 else (x[:lag], y[-lag:])
        for c in range(5):
            with np.errstate(invalid="ignore", divide="ignore"):
                expected = np.corrcoef(a[:, c].astype(float), b[:, c].astype(float))[0, 1]
            assert correlations[49 + lag, c] == pytest.approx(expected, abs=doubt[49 + lag, c] + 1e-8, nan_ok=True)
            assert np.isnan(expected) or doubt[49 + lag, c] < 1e-2


def test_a_constant_is_one_in_any_precision() -> None:
    held = np.full((2, 750, 25), 0.1)
    values, silent = react.ccc(held, held[:1])
    assert silent.all()
    assert not values.any()


@pytest.mark.parametrize("frame", [0, 60, 298])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_the_first_window_with_a_broken_value_is_the_official_maximum(frame: int, value: float) -> None:
    rng = np.random.default_rng(2)
    pred, speaker = _signal(rng, 300, "noise"), _signal(rng, 300, "noise")
    pred[frame, 3] = value
    assert frsyn.official_offset(pred, speaker) == reference.offset(pred, speaker)
    assert frsyn.official_offset(speaker, pred) == reference.offset(speaker, pred)


def test_one_constant_channel_decides_the_official_frsyn_and_not_ours() -> None:
    rng = np.random.default_rng(1)
    speaker = _signal(rng, 300, "walk")
    pred = np.roll(speaker, 6, 0)
    assert frsyn.official_offset(pred, speaker) == 6
    assert frsyn.best_lag(pred, speaker) == 6
    pred[:, 4] = 0.5
    assert frsyn.official_offset(pred, speaker) == 49, "the published number counts constant channels"
    assert frsyn.best_lag(pred, speaker) == 6


def test_values_whose_squares_are_nothing_have_no_lag() -> None:
    rng = np.random.default_rng(1)
    pred, speaker = rng.random((2, 90, 25)) * 1e-200
    assert np.isnan(frsyn.best_lag(pred, speaker))


def test_jackknife_values_of_frdvs_are_those_of_leaving_clips_out() -> None:
    from dyadbench.metrics.react.frdvs import spread_of

    pred = _case(5, clips=6)["pred"]
    value, pseudo = spread_of(6, lambda n: pred[n])
    without = [spread_of(5, lambda n, i=i: pred[[j for j in range(6) if j != i][n]])[0] for i in range(6)]
    direct = 6 * value - 5 * np.array(without)
    assert pseudo == pytest.approx(direct - direct.mean() + value, rel=1e-9)
    assert pseudo.mean() == pytest.approx(value)
