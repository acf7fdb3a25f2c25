"""REACT 2025 and 2026: which references are drawn, how lengths are aligned, what the numbers are by hand."""

from __future__ import annotations

import dataclasses
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from dyadbench.api import FACEVERSE_58, Config, DyadbenchError, Evaluation, Ragged
from dyadbench.bench.metrics import made_up
from dyadbench.metrics.react import frdist as exact
from dyadbench.metrics.react import mars_suites, reference
from dyadbench.metrics.react.alignment import by_network, resampled
from dyadbench.metrics.react.banded import frdist_banded
from dyadbench.metrics.react.mars_suites import drawn_references
from dyadbench.metrics.react.suites import ReactOfficialSuite, ReactSuite

LENGTHS, OTHERS = (150, 180, 120), (150, 140, 160, 170)


def _ragged(k: int = 2) -> Evaluation:
    """Three clips of one session, four listeners, one of whom belongs to no clip."""
    rng = np.random.default_rng(0)
    longest = max(LENGTHS)
    pred, speaker, listener = np.zeros((3, k, longest, 25)), np.zeros((3, longest, 25)), np.zeros((3, longest, 25))
    pool = [made_up(rng, 1, frames)[0] for frames in OTHERS]
    for n, frames in enumerate(LENGTHS):
        pred[n, :, :frames], speaker[n, :frames] = made_up(rng, k, frames), made_up(rng, 1, frames)[0]
        listener[n, : min(frames, OTHERS[n])] = pool[n][:frames]
    ragged = Ragged(np.array(LENGTHS), pool, np.ones((3, 4), bool))
    return Evaluation(
        ("a", "b", "c"), np.minimum(LENGTHS, OTHERS[:3]), FACEVERSE_58, None, pred.astype(np.float32), None, None,
        listener_emotion=listener.astype(np.float32), speaker_emotion=speaker.astype(np.float32),
        appropriate=np.ones((3, 3), bool), ragged=ragged,
    )  # fmt: skip


def test_the_draw_is_seeded_own_first_and_without_replacement_where_it_can_be() -> None:
    wide = np.zeros((2, 30), bool)
    wide[0, :20], wide[1, 1:5] = True, True
    rows = drawn_references(wide)
    assert rows == drawn_references(wide) and rows != drawn_references(wide, seed=1)
    assert rows[0][0] == 0 and len(set(rows[0])) == 10 and max(rows[0]) < 20
    assert rows[1][0] == 1 and len(rows[1]) == 10 and set(rows[1][1:]) <= {2, 3, 4}
    assert drawn_references(np.eye(1, dtype=bool)) == [[0] * 10]


def test_official_style_numbers_are_those_of_plain_loops_on_aligned_references() -> None:
    data = _ragged()
    scores = mars_suites.react2025(Config()).evaluate(data)
    rows, correlation, distance, lag = drawn_references(np.ones((3, 4), bool)), [], [], []
    for n, frames in enumerate(LENGTHS):
        refs = [resampled(data.ragged.listeners[j], frames) for j in sorted(set(rows[n]))]  # type: ignore[union-attr]
        pred = data.predicted_emotion[n, :, :frames]
        correlation.append(sum(max(reference.concordance(r, x) for r in refs) for x in pred))
        distance.append(sum(min(reference.distance(x, r) for r in refs) for x in pred))
        lag.append(reference.offset(pred[0], data.speaker_emotion[n, :frames]))
    assert scores["FRCorr"].value == pytest.approx(np.mean(correlation), rel=1e-6)
    assert scores["FRDist"].value == pytest.approx(np.mean(distance), rel=1e-9)
    assert scores["FRSyn"].value == np.mean(lag)
    assert "FRDvs" not in scores and "MAE" not in scores
    assert scores["FRDist"].detail["reference_seed"] == 1234


def test_2026_counts_a_copy_of_the_own_listener_as_perfect() -> None:
    data = _ragged()
    pred = np.array(data.predicted_emotion)
    for n, frames in enumerate(LENGTHS):
        own = resampled(data.ragged.listeners[n], frames)  # type: ignore[union-attr]
        own[:, 3] = 0
        data.ragged.listeners[n][:, 3] = 0  # type: ignore[union-attr,index]  # a constant channel, which CCC counts 0
        pred[n, :, :frames] = own
    copies = dataclasses.replace(data, predicted_emotion=pred)
    new, old = (suite(Config()).evaluate(copies) for suite in (mars_suites.react2026, mars_suites.react2025))
    assert new["FRCorr"].value == pytest.approx(2.0)
    assert old["FRCorr"].value < 2.0 * 24 / 25 + 1e-6  # type: ignore[operator]
    assert new["MAE"].value == pytest.approx(0, abs=1e-7)
    assert new["FRDist"].value == 0


def test_every_column_says_that_it_is_not_the_official_scale() -> None:
    for suite in (mars_suites.react2025(Config()), mars_suites.react2026(Config())):
        assert all("not the official scale" in column.unit for column in suite.columns)
    official = mars_suites.react2025_official(Config())
    assert not any("not the official scale" in column.unit for column in official.columns)
    with pytest.raises(DyadbenchError, match="aligner=FILE"):
        official.evaluate(_ragged())


def test_corrected_numbers_take_listeners_as_they_are() -> None:
    data = _ragged()
    scores = ReactSuite().evaluate(data)
    expected = [
        np.mean(
            [
                min(reference.distance(x, y) for y in data.ragged.listeners)
                for x in data.predicted_emotion[n, :, :frames]
            ]
        )  # type: ignore[union-attr]
        for n, frames in enumerate(data.lengths)
    ]
    assert scores["FRDist"].value == pytest.approx(np.mean(expected), rel=1e-9)
    assert -1 <= scores["FRCorr"].value <= 1  # type: ignore[operator]
    with pytest.raises(DyadbenchError, match="react2025 or react2026"):
        ReactOfficialSuite().evaluate(data)


def test_a_network_gets_segments_and_its_output_is_decoded() -> None:
    calls: list[tuple[int, int]] = []

    def network(values: np.ndarray, frames_in: int, frames_out: int) -> np.ndarray:
        calls.append((frames_in, frames_out))
        assert values.shape == (1000, 25) and not values[frames_in:].any()
        return np.full((frames_out, 25), 0.5, np.float32)

    out = by_network(np.ones((700, 25), np.float32), 2500, network)
    assert calls == [(234, 834)] * 3
    assert out.shape == (2500, 25) and (out[:, :15] == 1).all() and (out[:, 15:17] == 0.5).all()
    assert np.allclose(out[:, 17:], 1 / 8)


@pytest.mark.parametrize(("n", "m"), [(300, 300), (61, 200), (200, 61), (1, 7), (7, 1), (400, 130)])
def test_long_clips_are_exact_without_what_float32_left_behind(monkeypatch: pytest.MonkeyPatch, n: int, m: int) -> None:
    rng = np.random.default_rng(n)
    pred, listeners = made_up(rng, 2, n), list(made_up(rng, 3, m))
    unpadded = exact.frdist(pred, listeners)
    monkeypatch.setattr(exact, "STATE_BYTES", 0)
    assert np.array_equal(exact.frdist(pred, listeners), unpadded)
    assert unpadded.tolist() == pytest.approx(
        [min(reference.distance(x, y) for y in listeners) for x in pred], rel=1e-12
    )


@pytest.mark.parametrize(("n", "m"), [(80, 80), (40, 130), (130, 40)])
def test_a_band_is_an_upper_bound_and_exact_when_wide(n: int, m: int) -> None:
    rng = np.random.default_rng(m)
    pred, listeners = made_up(rng, 2, n), list(made_up(rng, 2, m))
    truth = exact.frdist(pred, listeners)
    distances = [frdist_banded(pred, listeners, radius) for radius in (0, 5, 20, max(n, m))]
    for narrow, wide in pairwise(distances):
        assert (wide <= narrow + 1e-9).all()
    assert np.isfinite(distances[0]).all() and (distances[0] >= truth - 1e-9).all()
    assert np.allclose(distances[-1], truth, rtol=1e-12)


def _peak(call: Any) -> int:
    import tracemalloc

    tracemalloc.start()
    call()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_memory_grows_with_length_and_not_with_its_square() -> None:
    rng = np.random.default_rng(0)
    sizes = []
    for frames in (10_000, 20_000):
        pred, listeners = made_up(rng, 1, frames), list(made_up(rng, 10, frames))
        search = exact.Search(exact.Listeners(listeners), frames)
        assert search.keep.nbytes == 0
        sizes.append(_peak(lambda n=frames, y=listeners: exact.Search(exact.Listeners(y), n)))  # type: ignore[misc]
        assert pred.nbytes < sizes[-1]
    assert sizes[1] < 2.2 * sizes[0]


def test_trailing_frames_without_numbers_are_dropped_without_a_square_of_memory() -> None:
    rng = np.random.default_rng(0)
    x, y = made_up(rng, 1, 90), made_up(rng, 1, 70)[0]
    ended = np.concatenate([x, np.full((1, 5, 25), np.nan, np.float32)], 1)
    assert (
        exact.frdist(ended, [y])[0] == exact.frdist(x, [y])[0] == pytest.approx(reference.distance(x[0], y), rel=1e-12)
    )
