"""REGNN: a network that inverts, a graph that leaves something out, noise of one size, reactions that suit."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import torch

from dyadbench.api import FACEVERSE_58, AudioSpec, Clip, Dyad, DyadbenchError, Setup, Track, WindowBatch
from dyadbench.cell.lookahead import measure_lookahead
from dyadbench.cell.noise import CellNoise
from dyadbench.conformance.check import check
from dyadbench.datasets.tiny_corpus import TinyCorpus
from dyadbench.registry.host import Host
from dyadbench.training.loop import FitOptions, fit
from dyadbench_regnn.config import PRESETS, MotionConfig, OnlineConfig, RegnnConfig
from dyadbench_regnn.graph import Cognitive, Motor, MotorLayer, neighbours, settle
from dyadbench_regnn.network import Regnn
from dyadbench_regnn.perceptual import Perceptual
from dyadbench_regnn.predictor import RegnnPredictor
from dyadbench_regnn.reactions import Reactions, window

SETUP = Setup(FACEVERSE_58, TinyCorpus().audio, True, seed=0)


def _build(kind: type[RegnnConfig] = RegnnConfig, setup: Setup = SETUP, **config: Any) -> RegnnPredictor:
    return RegnnPredictor(kind(**{**PRESETS["smoke"], **config}), setup)


def _emotion(predictor: RegnnPredictor, frames: int = 96, k: int = 2, rows: Sequence[int] = (0,)) -> np.ndarray:
    emotion = predictor.sample(TinyCorpus().context(rows, predictor.needs, frames), k, CellNoise(0)).emotion
    assert emotion is not None
    return emotion


def _size(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


# --- the released sizes ---------------------------------------------------------------------------------

NEVER_USED = {"perceptual": 128 * 128, "cognitive": 30_600, "motor": 5_050}  # a projection, mixture means, an LU matrix


def test_paper_sizes_are_the_released_ones_less_what_is_never_used() -> None:
    net = Regnn(RegnnConfig(**PRESETS["paper"]), seen=768, sound=128, channels=25)
    assert _size(net.perceptual) == 2_139_200 - NEVER_USED["perceptual"]
    assert _size(net.cognitive) == 78_605 - NEVER_USED["cognitive"]
    assert _size(net.motor) == 15_366 - NEVER_USED["motor"]


def test_our_inputs_change_two_projections() -> None:
    """58 coefficients and 25 emotions for 768 features of a frame; 78 cepstra are projected, 128 features need not be."""
    net = RegnnPredictor(RegnnConfig(**PRESETS["paper"]), SETUP).net
    assert _size(net.perceptual) == 2_139_200 - NEVER_USED["perceptual"] - 128 * 768 + 128 * (58 + 25) + 128 * 78
    assert RegnnPredictor(RegnnConfig(audio="mel-128"), SETUP).net.perceptual.sound_in is None


def test_the_bound_on_the_motor_starts_at_about_6() -> None:
    torch.manual_seed(0)
    assert float(MotorLayer(25, 50, 8).bound()) == pytest.approx(6.1, abs=0.1)


# --- the graph ------------------------------------------------------------------------------------------


@pytest.fixture
def edges() -> torch.Tensor:
    """Graphs of a network as it starts: (16, 8, 25, 25)."""
    torch.manual_seed(0)
    net = Cognitive(64, 25, 50, narrow=32, graphs=8, kept=5, mask="off")
    pairs: list[torch.Tensor] = []
    net.pairs.register_forward_hook(lambda module, inputs, out: pairs.append(out))
    net(torch.randn(16, 50, 64))
    query, key = pairs[0].unflatten(-1, (2, 8, -1)).permute(2, 0, 3, 1, 4)
    return (query @ key.mT / 50**0.5).softmax(-1).detach()


def test_the_released_top_5_mask_keeps_601_to_625_of_625(edges: torch.Tensor) -> None:
    """Random graphs lack a column at most in all but one of hundreds. Where rows prefer the same columns, the union is smaller."""
    random = torch.randn(800, 1, 25, 25, generator=torch.Generator().manual_seed(0)).softmax(-1)
    edges_left = neighbours(random, 5, "union").sum((-1, -2)).flatten()
    assert float((edges_left >= 601).float().mean()) > 0.995
    assert set(edges_left.unique().tolist()) <= {577, 601, 625}
    each = neighbours(edges, 5, "union").sum((-1, -2))  # a window's eight graphs, as the network starts
    assert (each == each[:, :1]).all() and 150 < float(each.float().mean()) < 500  # one mask for all graphs of a window
    alone = torch.cat([neighbours(window[None], 5, "union") for window in edges])
    assert torch.equal(alone, neighbours(edges, 5, "union"))  # whatever else is in the batch


def test_the_union_is_of_the_rows_of_the_sum_of_the_graphs() -> None:
    """Two graphs of four channels, of which each row keeps one: the first would keep column 0, the second 1, their sum 2."""
    one, other = torch.tensor([0.5, 0.0, 0.4, 0.1]), torch.tensor([0.0, 0.5, 0.4, 0.1])
    graphs = torch.stack([one.expand(4, 4), other.expand(4, 4)])[None]
    mask = neighbours(graphs, 1, "union")
    assert mask[0, 0].tolist() == mask[0, 1].tolist()
    assert torch.equal(mask[0, 0], torch.eye(4, dtype=torch.bool) | (torch.arange(4) == 2))


def test_each_row_keeps_its_own_five_and_itself(edges: torch.Tensor) -> None:
    edges_left, itself = neighbours(edges, 5, "top5"), torch.eye(25, dtype=torch.bool)
    assert set(edges_left.sum(-1).unique().tolist()) == {5, 6}
    assert edges_left.diagonal(dim1=-2, dim2=-1).all()
    assert ((edges_left & ~itself).sum(-1) >= 4).all()
    left = torch.where(edges_left, 0.0, edges).amax(-1)
    assert (torch.where(edges_left & ~itself, edges, 2.0).amin(-1) >= left).all(), "what stays is larger than what goes"
    assert neighbours(edges, 5, "off").all()


def test_permuted_channels_permute_the_codes_only_with_their_graph() -> None:
    torch.manual_seed(0)
    motor = Motor(25, 50, graphs=8, layers=2).eval()
    x, graphs, order = torch.randn(2, 3, 25, 50), torch.rand(2, 8, 25, 25), torch.randperm(25)
    with torch.no_grad():
        codes = motor(x, graphs)
        assert torch.allclose(motor(x[:, :, order], graphs[:, :, order][..., order]), codes[:, :, order], atol=1e-5)
        assert (motor(x[:, :, order], graphs) - codes[:, :, order]).abs().max() > 1e-3


# --- the inverse ----------------------------------------------------------------------------------------


def test_the_motor_inverts() -> None:
    torch.manual_seed(0)
    net = Regnn(RegnnConfig(), seen=10, sound=4, channels=25).eval()
    reactions = torch.randn(3, 4, 25, 50)
    with torch.no_grad():
        net.motor.train()(reactions, torch.rand(3, 8, 25, 25))  # sets the ActNorms
        _, graphs = net.speaker(torch.randn(3, 50, 10), torch.randn(3, 50, 4))
        codes = net.motor.eval()(reactions, graphs)
        back, unsettled = net.motor.inverse(codes, graphs, iterations=50, tolerance=1e-6)
        rough, _ = net.motor.inverse(codes, graphs, iterations=1, tolerance=1e-6)
    assert not unsettled.any()
    assert torch.allclose(back, reactions, atol=1e-4)
    assert (rough - reactions).abs().max() > 1e-3, "one iteration is not enough, or the layers do nothing"


def test_each_reaction_settles_by_itself() -> None:
    """A reaction must not be iterated further because another one in its batch has not settled."""
    rate = torch.tensor([0.1, 0.9]).view(2, 1, 1, 1)
    target = torch.ones(2, 1, 3, 4)
    alone, settled = settle(lambda x: rate[:1] * x + target[:1], torch.zeros(1, 1, 3, 4), 20, 1e-3)
    both, moving = settle(lambda x: rate * x + target, torch.zeros(2, 1, 3, 4), 20, 1e-3)
    assert torch.equal(both[:1], alone)
    assert (settled.tolist(), moving.tolist()) == ([[False]], [[False], [True]])


def test_what_does_not_settle_is_counted_and_said() -> None:
    predictor = _build()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _emotion(predictor)
    with pytest.warns(RuntimeWarning, match=r"did not converge to 1e-05 in 6 windows of 1 clips after 1 iterations"):
        _emotion(_build(iterations=1))
    with torch.no_grad():
        predictor.net.motor.layers[0].weight.fill_(float("nan"))  # type: ignore[union-attr,operator]
    with pytest.warns(RuntimeWarning, match="did not converge"):
        _emotion(predictor)


# --- noise ----------------------------------------------------------------------------------------------


def _noise(predictor: RegnnPredictor, frames: int) -> torch.Tensor:
    return predictor._noise(CellNoise(0), "clip", 0, frames, predictor.starts(frames))


def test_released_noise_shrinks_with_the_clip_and_ours_does_not() -> None:
    released, fixed = _build(noise="released"), _build()
    sizes = {
        frames: (float(_noise(released, frames).std()), float(_noise(fixed, frames).std())) for frames in (50, 750)
    }
    assert _noise(released, 750).shape == (29, 25, 50)
    assert float(_noise(released, 750).abs().max()) == pytest.approx(0.06**0.5, rel=1e-4)
    assert sizes[750][0] == pytest.approx(0.245 / 4.2, rel=0.15)
    assert sizes[50][0] > 1.15 * sizes[750][0]
    assert sizes[50][1] == pytest.approx(sizes[750][1], rel=0.05)
    assert sizes[750][1] == pytest.approx(0.058, rel=0.02)


def test_both_windows_of_a_frame_share_its_noise_unlike_the_releases() -> None:
    ours, theirs = _noise(_build(), 100), _noise(_build(noise="released"), 100)
    assert torch.equal(ours[0, :, 25:], ours[1, :, :25])
    assert (
        abs(float(torch.corrcoef(torch.stack([theirs[0, :, 25:].flatten(), theirs[1, :, :25].flatten()]))[0, 1])) < 0.15
    )


def test_without_noise_the_samples_are_one_and_more_noise_spreads() -> None:
    spreads = [float(_emotion(_build(sigma=sigma, emotion="raw"), k=4).std(1).mean()) for sigma in (0.0, 0.05, 0.5)]
    assert spreads[0] == pytest.approx(0.0, abs=1e-6)
    assert spreads[0] < spreads[1] < spreads[2]


def test_the_picture_of_a_graph_has_a_square_for_every_edge() -> None:
    """Draws from what the command gives it: the speaker with the features that the method asks for."""
    corpus = TinyCorpus()
    for kind, channels in ((RegnnConfig, 25), (MotionConfig, 58)):
        predictor = _build(kind)
        (svg,) = predictor.draw(corpus.dyad("test", 0, predictor.needs.audio)).values()
        squares = ElementTree.fromstring(svg).findall("{*}rect")[1:]  # the first is the ground
        shades = np.array([float(square.get("fill-opacity") or 0) for square in squares]).reshape(channels, channels)
        apart = shades[~np.eye(channels, dtype=bool)]
        assert (apart.min(), apart.max()) == (0.0, 1.0), "the lightest edge between two channels and the heaviest"


# --- windows and look-ahead -----------------------------------------------------------------------------


def test_windows_cover_a_clip_and_end_with_it() -> None:
    predictor = _build()
    assert predictor.starts(750) == list(range(0, 701, 25))
    assert predictor.starts(96) == [0, 25, 46]
    assert predictor.starts(50) == predictor.starts(7) == [0]


def test_online_windows_do_not_depend_on_where_the_clip_ends() -> None:
    """A last window that ended with the clip would be averaged into frames that were generated before."""
    predictor = _build(OnlineConfig)
    assert predictor.starts(96) == predictor.starts(90) == [0, 25, 50]
    whole, part = (TinyCorpus().context([0], predictor.needs, frames) for frames in (96, 90))
    reactions = [predictor.sample(context, 2, CellNoise(0)).emotion for context in (whole, part)]
    assert reactions[0] is not None and reactions[1] is not None
    assert np.allclose(reactions[0][:, :, :90], reactions[1], atol=1e-5)


@pytest.mark.parametrize(("kind", "declared"), [(RegnnConfig, 49), (OnlineConfig, 0)])
def test_lookahead_is_a_window_or_nothing(kind: type[RegnnConfig], declared: int) -> None:
    predictor = _build(kind)
    with torch.no_grad():
        for linear in (predictor.net.perceptual.out, predictor.net.cognitive.code[2]):
            linear.weight.mul_(5.0)  # type: ignore[operator]
    assert predictor.needs.lookahead == declared
    measured = measure_lookahead(predictor, TinyCorpus().context([0], predictor.needs, 96), CellNoise(0))
    assert measured is not None
    assert (declared - 5 if declared else 0) <= measured <= declared


def test_online_windows_hear_what_comes_before_them() -> None:
    predictor = _build(OnlineConfig)
    track = torch.arange(1.0, 101.0)[:, None]
    first, _, later = predictor._windows(track, [0, 25, 50])
    assert not first.any()
    assert later[:, 0].tolist() == list(range(1, 51))
    visible, _ = predictor._cold_start(_batch(200), torch.ones(200, 50, 3), None)
    hidden = (visible[..., 0] == 0).sum(1)
    assert 0.05 < float((hidden > 0).float().mean()) < 0.16
    assert ((visible[:, 1:] - visible[:, :-1]) >= 0).all(), "the speaker comes in once and stays"


@pytest.mark.parametrize("kind", [RegnnConfig, OnlineConfig])
@pytest.mark.parametrize("frames", [100, 64, 30])
def test_training_hears_what_sampling_hears_before_a_clips_last_window(kind: type[RegnnConfig], frames: int) -> None:
    """In clips shorter than 100 frames `hears=past` was trained on the very frames that it reacts to."""
    predictor = _build(kind)
    track = torch.arange(1.0, 1.0 + frames)[:, None]
    rows = torch.nn.functional.pad(track, (0, 0, 0, 100 - frames), value=-7.0)[None, : 50 + predictor.lag]
    valid = torch.arange(rows.shape[1])[None] < frames
    end = min(frames, rows.shape[1])  # where the training window's reaction ends
    [sampling] = predictor._windows(track, [max(0, end - 50)])
    assert torch.equal(predictor._heard(rows, valid)[0], sampling)


# --- training -------------------------------------------------------------------------------------------


def _batch(rows: int, step: int = 0) -> WindowBatch:
    return WindowBatch(
        ("a",) * rows, None, None, None, None, {}, None, step, 0.0, generator=torch.Generator().manual_seed(step)
    )


class Sessions:
    """Clips a, b, c and d; the listeners of a and b suit each other's speakers, c has three, d is short."""

    def clips(self, split: str) -> list[Clip]:
        return [Clip(name, name, 20 if name == "d" else 100) for name in "abcd"]

    def dyads(self, split: str, audio: Sequence[str] = ()) -> Iterator[Dyad]:
        for i, clip in enumerate(self.clips(split)):
            frames = np.arange(clip.frames, dtype=np.float32)
            felt = np.stack([np.full(clip.frames, i, np.float32), frames], 1)
            yield Dyad(clip, Track(felt, felt), Track(felt, felt))

    def appropriate(self, split: str) -> np.ndarray:
        return np.array([[1, 1, 0, 0], [1, 1, 0, 0], [0, 1, 1, 1], [0, 0, 0, 1]], bool)


def test_reactions_are_those_that_suit_at_the_windows_frames() -> None:
    pool = Reactions(Sessions(), "train", "emotion")
    reactions, there = pool.draw(("a", "c", "d"), np.array([30, 60, 0]), 10, 3)
    assert there.tolist() == [[True, True, False], [True, True, True], [True, False, False]]
    assert reactions.shape == (3, 3, 2, 10)
    assert reactions[0, :2, 0, 0].tolist() == [0, 1]
    assert reactions[1, :, 0, 0].tolist() == [1, 2, 3]
    assert reactions[0, 1, 1].tolist() == list(range(30, 40))
    assert reactions[1, 2, 1].tolist() == list(range(10, 20)), "a shorter listener's last frames"
    chosen, _ = pool.draw(("c",), np.array([0]), 5, 1, np.array([[0.9, 0.1, 0.5]]))
    assert chosen[0, 0, 0, 0] == 2
    assert window(np.arange(3.0)[:, None], 0, 5)[:, 0].tolist() == [0, 1, 2, 2, 2]


def test_the_loss_is_the_nearest_reaction_and_their_distance_from_each_other() -> None:
    net = Regnn(RegnnConfig(epoch=2), seen=3, sound=0, channels=2).eval()
    code = torch.zeros(2, 2, 50)
    codes = torch.tensor([[1.0, 3.0], [2.0, 99.0]]).view(2, 2, 1, 1).expand(2, 2, 2, 50)
    there = torch.tensor([[True, True], [True, False]])
    first, apart = net.loss(code, codes, there)
    assert float(first) == pytest.approx((1 + 4) / 2)
    assert float(apart) == pytest.approx((1 + 0) / 2)
    net.train()
    for _ in range(2):  # an epoch: from now on a third of 2.5 is near enough
        net.loss(code, codes, there)
    assert float(net.threshold) == pytest.approx(2.5 / 3)
    assert float(net.loss(code, codes * 0.9, there)[0]) == pytest.approx((0 + 3.24) / 2)


def _trained(
    folder: Path, stop: int | None = None, kind: type[RegnnConfig] = RegnnConfig, **config: Any
) -> RegnnPredictor:
    def report(stage: str, done: int, total: int) -> None:
        if done == stop:
            raise KeyboardInterrupt

    predictor, corpus = _build(kind, **config), TinyCorpus(frames=120)
    fit(predictor, corpus, corpus.audio, FitOptions(folder, seed=0, checkpoint_every=5, report=report))
    return predictor


@pytest.mark.parametrize("kind", [RegnnConfig, OnlineConfig])
def test_a_killed_training_resumes_to_the_same_weights(kind: type[RegnnConfig], tmp_path: Path) -> None:
    whole = _trained(tmp_path / "whole", kind=kind).state_dict()
    with pytest.raises(KeyboardInterrupt):
        _trained(tmp_path / "cut", stop=8, kind=kind)
    again = _trained(tmp_path / "cut", kind=kind).state_dict()
    assert all(torch.equal(whole[name], again[name]) for name in whole)
    assert float(whole["threshold"]) > 0
    assert all(bool(value) for name, value in whole.items() if name.endswith("initialised"))


def test_training_brings_the_codes_of_speaker_and_reactions_together(tmp_path: Path) -> None:
    def nearest(predictor: RegnnPredictor) -> float:
        corpus = TinyCorpus(frames=120)
        pool = Reactions(corpus, "val", "emotion")
        distances = []
        for dyad in corpus.dyads("val", predictor.needs.audio):
            with torch.no_grad():
                code, graphs = predictor._encode_speaker(
                    *predictor._tensors(dyad.speaker.motion, dyad.speaker.emotion, dyad.speaker.audio), [20]
                )
                reactions, there = pool.draw((dyad.clip.id,), np.array([20]), 50, 2)
                distances.append(float(predictor.net.loss(code, predictor.net.motor(reactions, graphs), there)[0]))
        return float(np.mean(distances))

    fresh, predictor = _build(), _trained(tmp_path, steps=60, lr=3e-3, decay_at=60)
    next(iter(fresh.stages(TinyCorpus(frames=120))))
    assert nearest(predictor) < 0.9 * nearest(fresh)


# --- use ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["regnn", "regnn-online", "regnn-motion"])
def test_regnn_keeps_the_contract(name: str) -> None:
    report = check(name, Host())
    assert report.ok, [item for item in report.items if not item.ok]


def test_clips_of_different_lengths_do_not_disturb_each_other() -> None:
    predictor = _build()
    context = TinyCorpus().context([0, 1], predictor.needs, 96)
    mixed = predictor.sample(dataclasses.replace(context, lengths=np.array([96, 61])), 2, CellNoise(0)).emotion
    alone = predictor.sample(TinyCorpus().context([1], predictor.needs, 61), 2, CellNoise(0)).emotion
    assert mixed is not None
    assert alone is not None
    assert np.abs(mixed[1, :, :61] - alone[0]).max() < 1e-5
    assert not mixed[1, :, 61:].any() or np.abs(mixed[1, :, 61:]).max() <= 1


def test_emotion_stays_in_its_ranges_and_raw_is_as_it_comes() -> None:
    valid, raw = (_emotion(_build(emotion=how, sigma=0.5)) for how in ("valid", "raw"))
    assert valid[..., :15].min() >= 0
    assert np.abs(valid).max() <= 1
    assert np.abs(valid[..., 17:].sum(-1) - 1).max() < 1e-5
    assert raw[..., :15].min() < 0


def test_features_of_frames_are_seen_instead_of_motion_and_emotion() -> None:
    corpus = TinyCorpus()
    corpus.audio = {**corpus.audio, "video-features": AudioSpec(12)}
    setup = dataclasses.replace(SETUP, audio=corpus.audio)
    predictor = _build(setup=setup, video="video-features")
    assert predictor.needs.audio == ("mfcc-78", "video-features")
    assert predictor.net.perceptual.seen_in.in_features == 12
    context = corpus.context([0], predictor.needs, 60)
    base, faceless, blind = (
        predictor.sample(c, 1, CellNoise(0)).emotion
        for c in (
            context,
            dataclasses.replace(context, speaker_motion=context.speaker_motion * 0),
            dataclasses.replace(
                context, audio={**context.audio, "video-features": context.audio["video-features"] * 0}
            ),
        )
    )
    assert base is not None
    assert faceless is not None
    assert blind is not None
    assert np.array_equal(base, faceless)
    assert np.abs(base - blind).max() > 1e-6


@pytest.mark.parametrize("audio", ["none", "mfcc-78", "mel-128"])
def test_any_sound_or_none(audio: str) -> None:
    assert _emotion(_build(audio=audio)).shape == (1, 2, 96, 25)


def test_attention_without_sound_is_of_the_face_alone() -> None:
    torch.manual_seed(0)
    net = Perceptual(
        6, 0, 4, dim=8, heads=2, layers=1, hidden=8, dropout=0.0, embedding_dropout=0.0
    ).eval()  # fmt: skip
    assert net.sound_in is None
    assert net(torch.randn(2, 10, 6), None).shape == (2, 10, 4)


def test_requests_that_cannot_be_met_are_refused() -> None:
    silent = dataclasses.replace(SETUP, has_emotion=False)
    with pytest.raises(DyadbenchError, match="take regnn-motion"):
        _build(setup=silent)
    assert _build(MotionConfig, setup=silent).channels == 58
    with pytest.raises(DyadbenchError, match=r"regnn.*'swin'.*mfcc-78"):
        _build(video="swin")
    with pytest.raises(ValueError, match="stride = 60"):
        RegnnConfig(stride=60)
