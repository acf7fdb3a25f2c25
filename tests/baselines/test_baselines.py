"""Every baseline keeps the contract, and each is what it says it is."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError
from tests.fixtures.corpora import UnequalCorpus
from tests.fixtures.hosts import shared_host

from dyadbench.api import FACEVERSE_58, DyadbenchError, Setup
from dyadbench.cell.noise import CellNoise
from dyadbench.conformance.check import check
from dyadbench.datasets.tiny_corpus import TinyCorpus
from dyadbench_baselines.config import LagConfig, MimeConfig
from dyadbench_baselines.plugin import dyadbench_predictors
from dyadbench_baselines.tracks import Tracks

BASELINES = [entry.name for entry in dyadbench_predictors()]


@pytest.mark.parametrize("name", BASELINES)
def test_contract(name: str) -> None:
    report = check(name, shared_host())
    assert report.ok, [item for item in report.items if not item.ok]


def _sample(name: str, k: int = 4, frames: int = 80, **config: object):
    corpus = TinyCorpus()
    predictor = shared_host().build("predictor", name, config, Setup(FACEVERSE_58, corpus.audio, True, seed=0))
    if hasattr(predictor, "fit"):
        predictor.fit(corpus)
    context = corpus.context([0, 1], predictor.needs, frames)
    return predictor.sample(context, k, CellNoise(0)), context, corpus


def test_oracle_motion_is_the_truth_without_its_emotion() -> None:
    reaction, context, _ = _sample("oracle-motion", k=2)
    assert reaction.emotion is None
    assert all(np.array_equal(reaction.motion[row, 1], context.truth.motion[row][0]) for row in range(2))
    with pytest.raises(DyadbenchError, match="this dataset has no emotion; run oracle"):
        shared_host().build("predictor", "oracle-motion", {}, Setup(FACEVERSE_58, {}, False, seed=0))


def test_all_calibration_rows_are_marked_and_others_are_not() -> None:
    ranked = {name for name in BASELINES if not shared_host().get("predictor", name).calibration}
    assert ranked == {
        "nearest-face",
        "nearest-audio",
        "ridge",
        "ridge-sampled",
        "ridge-two-sided",
        "ridge-matched",
        "tcn",
    }


def test_oracle_copies_the_truth_and_oracle_set_spreads_over_it() -> None:
    reaction, context, _ = _sample("oracle")
    assert context.truth is not None
    assert (reaction.motion[0] == context.truth.motion[0][0]).all()
    spread, context, _ = _sample("oracle-set", k=3)
    samples = {sample.tobytes() for sample in spread.motion[0]}
    assert samples == {np.ascontiguousarray(reaction).tobytes() for reaction in context.truth.motion[0]}
    without, context, _ = _sample("oracle-set", k=6, include_true=False)
    assert not any((sample == context.truth.motion[0][0]).all() for sample in without.motion[0])


def test_random_has_the_moments_of_the_published_rows() -> None:
    reaction, _, _ = _sample("random", k=10)
    assert reaction.emotion.var() == pytest.approx(1 / 12, rel=0.02)
    later, _, _ = _sample("random-2025", k=10)
    assert set(np.unique(later.emotion[..., :15])) == {0.0, 1.0}
    assert np.abs(later.emotion[..., 15:17]).max() <= 1
    assert np.allclose(later.emotion[..., 17:].sum(-1), 1, atol=1e-5)


def test_mime_refuses_a_delay_that_it_would_not_read() -> None:
    """`-s seconds=2` made a record with 2 seconds in its configuration, of a copy that came at once."""
    assert MimeConfig.model_validate({"seconds": 0.7}).model_dump() == {"seconds": 0.7}, "what records hold"
    with pytest.raises(ValidationError, match="lagged-mime is late by them"):
        MimeConfig(seconds=2.0)
    assert LagConfig(seconds=2.0).seconds == 2.0


def test_mime_copies_and_lagged_mime_copies_late() -> None:
    mime, context, _ = _sample("mime")
    assert (mime.motion[:, 2] == context.speaker_motion).all()
    late, context, _ = _sample("lagged-mime")
    lag = round(0.7 * 25)
    assert (late.motion[:, 0, lag:] == context.speaker_motion[:, :-lag]).all()
    assert (late.motion[:, 0, :lag] == context.speaker_motion[:, :1]).all()


def test_averages() -> None:
    mean, _, corpus = _sample("mean")
    listeners = np.stack([dyad.listener.motion for dyad in corpus.dyads("train")])
    assert np.allclose(mean.motion[0, 0], listeners.mean((0, 1)), atol=1e-5)
    median, _, _ = _sample("median")
    assert np.allclose(median.motion[0, 0], np.median(listeners, (0, 1)), atol=1e-5)
    sequence, _, _ = _sample("mean-sequence")
    assert np.allclose(sequence.motion[0, 0], listeners.mean(0)[:80], atol=1e-5)
    both, _, _ = _sample("mean", both_roles=True)
    speakers = np.stack([dyad.speaker.motion for dyad in corpus.dyads("train")])
    assert np.allclose(both.motion[0, 0], np.concatenate([listeners, speakers]).mean((0, 1)), atol=1e-5)


@pytest.mark.parametrize("name", ["nearest-face", "nearest-audio", "mismatched-listener"])
def test_retrieval_returns_whole_training_listeners(name: str) -> None:
    reaction, _, corpus = _sample(name, k=3)
    listeners = {dyad.listener.motion[:80].tobytes() for dyad in corpus.dyads("train")}
    assert {np.ascontiguousarray(sample).tobytes() for sample in reaction.motion[0]} <= listeners


def test_nearest_finds_the_training_speaker_itself() -> None:
    corpus = TinyCorpus()
    predictor = shared_host().build("predictor", "nearest-face", {}, Setup(FACEVERSE_58, corpus.audio, True, seed=0))
    predictor.fit(corpus)
    dyads = list(corpus.dyads("train"))
    nearest = predictor.nearest([dyads[5].speaker.motion], 1, 96)
    assert (nearest.motion[0, 0] == dyads[5].listener.motion).all()


def test_ridge_recovers_a_planted_linear_reaction_and_its_residuals_differ() -> None:
    class Planted(TinyCorpus):
        def dyads(self, split, audio=()):
            for dyad in super().dyads(split, audio):
                motion = np.roll(dyad.speaker.motion, 1, 0) * 0.5
                motion[0] = dyad.speaker.motion[0] * 0.5
                yield type(dyad)(dyad.clip, dyad.speaker, type(dyad.listener)(motion, dyad.listener.emotion))

    corpus = Planted(clips=30)
    setup = Setup(FACEVERSE_58, corpus.audio, True, seed=0)
    errors = {}
    for name in ("ridge", "mean"):
        predictor = shared_host().build(
            "predictor", name, {"penalty": 0.1, "audio": False, "stride": 1} if name == "ridge" else {}, setup
        )
        predictor.fit(corpus)
        context = corpus.context([3], predictor.needs, 96)
        target = next(d for i, d in enumerate(corpus.dyads("test")) if i == 3).listener.motion
        errors[name] = np.abs(predictor.sample(context, 1, CellNoise(0)).motion[0, 0] - target).mean()
    assert errors["ridge"] < 0.35 * errors["mean"]
    reaction, _, _ = _sample("ridge-sampled")
    assert np.abs(reaction.motion[0, 0] - reaction.motion[0, 1]).max() > 1e-3


@pytest.mark.parametrize(("name", "least"), [("nearest-audio", 0), ("nearest-face", 0), ("ridge", 1000)])
def test_parameters_are_what_was_learnt_and_not_the_clips_that_are_kept(name: str, least: int) -> None:
    """nearest-audio had 20.4 million: the training clips in its state."""
    from dyadbench.training.fit import _count

    corpus = TinyCorpus()
    method = shared_host().build("predictor", name, {}, Setup(FACEVERSE_58, corpus.audio, True, seed=0))
    method.fit(corpus)
    state = method.state_dict()
    count = _count(method, state)
    assert count >= least and (count > 0) == (least > 0)
    assert sum(value.size for value in state.values()) > 1000


def test_tracks_loop_at_their_own_length_and_old_states_are_read() -> None:
    """All were cut to the shortest training clip: a floor of 20 frames over and over, where clips are minutes long."""
    long, short = np.arange(14, dtype=np.float32).reshape(7, 2), 100 + np.arange(6, dtype=np.float32).reshape(3, 2)
    tracks = Tracks.of([long, short])
    again = Tracks.from_state(tracks.state("motion"), "motion")
    for each in (tracks, again):
        assert len(each) == 2 and np.array_equal(each[0], long) and np.array_equal(each[1], short)
        looped = each.looped(np.array([[0, 1], [1, 0]]), 8)
        assert np.array_equal(looped[0, 0], long[[*range(7), 0]])
        assert np.array_equal(looped[1, 0], short[[0, 1, 2, 0, 1, 2, 0, 1]])
    old = Tracks.from_state({"motion": np.stack([long[:3], short])}, "motion")
    assert np.array_equal(old[0], long[:3]) and np.array_equal(old[1], short)


@pytest.mark.parametrize("name", ["mismatched-listener", "nearest-face", "ridge-sampled"])
def test_a_short_training_clip_shortens_no_other(name: str) -> None:
    corpus = UnequalCorpus((96, 20, 96, 60))
    predictor = shared_host().build("predictor", name, {}, Setup(FACEVERSE_58, corpus.audio, True, seed=0))
    predictor.fit(corpus)
    tracks = predictor.residuals if name == "ridge-sampled" else predictor.motion
    assert sorted(set(tracks.frames.tolist())) == sorted({len(dyad.listener.motion) for dyad in corpus.dyads("train")})
