"""Emotion read out from motion: fitted once, kept, honest about its error."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from dyadbench.api import ACTION_UNITS, Dyad, DyadbenchError
from dyadbench.datasets.readout import (
    LOW,
    fit_readout,
    fit_thresholds,
    kept_readout,
    true_rates,
    with_binary_units,
)
from dyadbench.datasets.tiny_corpus import TinyCorpus
from dyadbench.store.folders import Store

FRAMES = 2500


class Felt(TinyCorpus):
    """Emotion is a threshold or a squashed sum of motion; `linked` False cuts that link."""

    def __init__(self, linked: bool = True):
        super().__init__(frames=FRAMES)
        self.linked = linked

    def dyads(self, split: str, audio: Sequence[str] = ()) -> Iterator[Dyad]:
        mixing = np.random.default_rng(1).standard_normal((self.space.dim, 25)) / 8
        for i, dyad in enumerate(super().dyads(split, audio)):
            rng = np.random.default_rng([i, len(split)])
            motion = rng.standard_normal(dyad.listener.motion.shape).astype(np.float32)
            source = motion if self.linked else rng.standard_normal(motion.shape)
            hidden = source @ mixing
            odds = np.exp(hidden[:, 17:])
            emotion = np.concatenate([hidden[:, :15] > 0, np.tanh(hidden[:, 15:17]), odds / odds.sum(1)[:, None]], 1)
            listener = dataclasses.replace(dyad.listener, motion=motion, emotion=emotion.astype(np.float32))
            yield dataclasses.replace(dyad, listener=listener)


def test_it_reads_what_is_there_and_says_how_well() -> None:
    data = Felt()
    readout = fit_readout(data)
    held = list(data.dyads("val"))
    expected = np.concatenate([dyad.listener.emotion for dyad in held])
    values = readout(np.concatenate([dyad.listener.motion for dyad in held]))
    assert (values >= LOW).all() and (values <= 1).all()
    assert values[:, 17:].sum(1) == pytest.approx(1, abs=1e-5)
    spread = expected.std(0)
    assert (readout.errors[15:] < 0.5 * spread[15:]).all()
    assert (readout.errors[:15] < 0.8 * spread[:15]).all()
    # the printed error is that of the same strided rows
    rows = np.concatenate([np.arange(i % 5, FRAMES, 5) + FRAMES * i for i in range(len(held))])
    assert readout.errors == pytest.approx(np.sqrt(((values - expected)[rows] ** 2).mean(0)), rel=1e-4)


def test_where_motion_tells_nothing_the_error_says_so() -> None:
    data = Felt(linked=False)
    expected = np.concatenate([dyad.listener.emotion for dyad in data.dyads("val")])
    assert (fit_readout(data).errors > 0.9 * expected.std(0)).all()


def test_it_is_fitted_once_and_kept(tmp_path: Path) -> None:
    store = Store(tmp_path)
    first = kept_readout(store, "a" * 64, Felt())
    again = kept_readout(store, "a" * 64, TinyCorpus(emotion=False))  # not looked at
    motion = np.random.default_rng(0).standard_normal((2, 3, 10, 58)).astype(np.float32)
    assert np.array_equal(first(motion), again(motion))
    assert first(motion).shape == (2, 3, 10, 25)


def test_a_clip_without_emotion_is_named() -> None:
    with pytest.raises(DyadbenchError, match="train/0 has no emotion"):
        fit_readout(TinyCorpus(emotion=False))


def test_thresholds_give_every_unit_its_rate() -> None:
    rates = np.linspace(0.01, 0.6, ACTION_UNITS.stop)
    shy = 0.3 * np.random.default_rng(0).random((4000, 25)) ** 2  # hardly ever above one half
    shy[:, 15:] -= 0.5
    thresholds = fit_thresholds(shy[:, ACTION_UNITS], rates)
    binary = with_binary_units(shy, thresholds)
    assert set(np.unique(binary[:, ACTION_UNITS])) == {0, 1}
    assert binary[:, ACTION_UNITS].mean(0) == pytest.approx(rates, abs=1e-3)
    assert np.array_equal(binary[:, ACTION_UNITS.stop :], shy[:, ACTION_UNITS.stop :].astype(np.float32))


def test_units_that_are_0_or_1_already_stay_whatever_their_rate() -> None:
    units = np.zeros((100, 25), np.float32)
    units[:60] = 1
    for rate in (0.0, 0.2, 0.6, 1.0):
        assert np.array_equal(
            with_binary_units(units, fit_thresholds(units[:, ACTION_UNITS], np.full(ACTION_UNITS.stop, rate))), units
        )


@pytest.mark.parametrize(("rate", "expected"), [(0.3, 0), (0.7, 1)])
def test_a_constant_unit_is_never_parted(rate: float, expected: int) -> None:
    still = np.full((50, 25), 0.37, np.float32)
    binary = with_binary_units(still, fit_thresholds(still[:, ACTION_UNITS], np.full(ACTION_UNITS.stop, rate)))
    assert (binary[:, ACTION_UNITS] == expected).all()


class Sorted(TinyCorpus):
    """The later a clip comes in the list, the larger its numbers, as where sites or roles stand one after another."""

    def dyads(self, split: str, audio: Sequence[str] = ()) -> Iterator[Dyad]:
        for n, dyad in enumerate(super().dyads(split, audio)):
            level = np.float32(n / self.count)
            emotion = np.full_like(dyad.listener.emotion, level)
            listener = dataclasses.replace(dyad.listener, motion=dyad.listener.motion + level, emotion=emotion)
            yield dataclasses.replace(dyad, listener=listener)


def test_what_is_learnt_of_a_long_list_is_of_all_its_parts() -> None:
    data = Sorted(frames=5, clips=1400)
    assert fit_readout(data).mean.mean() == pytest.approx(0.5, abs=0.05), "and not of the first 600 clips"
    rates = true_rates((dyad.clip, dyad.listener.emotion) for dyad in data.dyads("train"))
    assert rates == pytest.approx(0.5, abs=0.01)


def test_true_rates_count_frames_of_training_listeners() -> None:
    data = Felt()
    expected = np.concatenate([dyad.listener.emotion[:, ACTION_UNITS] for dyad in data.dyads("train")]).mean(0)
    of = lambda data: ((dyad.clip, dyad.listener.emotion) for dyad in data.dyads("train"))  # noqa: E731  # a name for one expression
    assert true_rates(of(data)) == pytest.approx(expected, abs=1e-6)
    with pytest.raises(DyadbenchError, match="train/0 has no emotion"):
        true_rates(of(TinyCorpus(emotion=False)))
