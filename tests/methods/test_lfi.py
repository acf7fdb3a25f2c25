"""Let's Face It: an exact likelihood, a frame that knows only the past, and what the release counts otherwise."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dyadbench.api import DECA_56, FACEVERSE_58, OWN_VOICE, AudioSpec, DyadbenchError, MotionSpace, Setup, WindowBatch
from dyadbench.cell.lookahead import measure_lookahead
from dyadbench.cell.noise import CellNoise
from dyadbench.conformance.check import check
from dyadbench.datasets.tiny_corpus import TinyCorpus
from dyadbench.registry.host import Host
from dyadbench.training.loop import FitOptions, fit
from dyadbench_lfi.config import PRESETS, FlowConfig
from dyadbench_lfi.network import ListenerFlow, Recall, Stream, histories
from dyadbench_lfi.predictor import FaceFlow, derangement

ONE_SIDED = {name: spec for name, spec in TinyCorpus().audio.items() if not name.startswith(OWN_VOICE)}
SETUP = Setup(FACEVERSE_58, ONE_SIDED, True, seed=0)
PAPER: dict[str, Any] = {"own_past": 5, "flow_steps": 16, "condition": 512, "hidden": 128}
FACE, VOICE = Stream(56, 24, 256), Stream(30, 16, 256)


def _build(setup: Setup = SETUP, **config: Any) -> FaceFlow:
    return FaceFlow(FlowConfig(**{**PRESETS["smoke"], **config}), setup)


def _size(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def _batch(rows: int = 6, frames: int = 16, step: int = 0) -> WindowBatch:
    generator = torch.Generator().manual_seed(1)
    faces = torch.randn(2, rows, frames, 58, generator=generator)
    return WindowBatch(
        tuple(map(str, range(rows))), *faces, None, None, {"mfcc-78": torch.randn(rows, frames, 78, generator=generator)},
        torch.ones(rows, frames, dtype=torch.bool), step, 0.0, generator=torch.Generator().manual_seed(step),
    )  # fmt: skip


def _loud(net: ListenerFlow) -> ListenerFlow:
    """Couplings that do something, which a flow only learns to."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for step in net.steps:
            step.conditioner.out.weight.normal_(0, 0.3, generator=generator)
            step.norm.log_scale.normal_(0, 0.2, generator=generator)
            step.linear.packed.add_(torch.randn(step.linear.packed.shape, generator=generator) * 0.05)
    return net.eval()


# --- the paper's sizes ----------------------------------------------------------------------------------


def test_paper_sizes_are_the_released_ones_less_idle_numbers() -> None:
    """17 647 488 in the release, which keeps two triangular factors of each 56 x 56 map as whole squares."""
    own_voice = Stream(30, 2, 128)
    net = ListenerFlow(56, {"face": FACE, "own-sound": own_voice, "sound": VOICE}, **PAPER)
    assert _size(net.recall) == 523_776
    assert _size(net) == 17_647_488 - 16 * (56 * 56 + 56)
    condition = net.steps[0].conditioner.condition
    assert condition.in_features == 1560


def test_without_its_own_voice_a_listener_is_told_1304_numbers() -> None:
    net = ListenerFlow(56, {"face": FACE, "sound": VOICE}, **PAPER)
    assert net.steps[0].conditioner.condition.in_features == 280 + 512 + 512
    config = FlowConfig(**PRESETS["paper"])
    assert (config.flow_steps, config.condition, config.hidden, config.own_past) == tuple(
        PAPER[name] for name in ("flow_steps", "condition", "hidden", "own_past")
    )


def test_the_released_condition_holds_every_gru_twice() -> None:
    torch.manual_seed(0)
    condition = Recall(FACE, copies=True)(torch.randn(2, 30, 56))
    assert condition.shape == (2, 30, 512)
    assert torch.equal(condition[..., :256], condition[..., 256:])


# --- likelihood -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [6, 7])
def test_the_likelihood_is_that_of_the_numerical_jacobian(channels: int) -> None:
    torch.manual_seed(0)
    net = _loud(ListenerFlow(channels, {"face": Stream(4, 3, 8)}, own_past=2, flow_steps=3, condition=8, hidden=8))
    motion, heard = torch.randn(1, 1, channels), torch.randn(1, 1, 16)
    own = torch.randn(1, 1, 2 * channels)

    def latent(x: torch.Tensor) -> torch.Tensor:
        z = x.view(1, 1, -1)
        for step in net.steps:
            z, _ = step(z, own, heard)
        return z.flatten()

    jacobian = torch.autograd.functional.jacobian(latent, motion.flatten())
    assert isinstance(jacobian, torch.Tensor)
    prior = torch.distributions.Normal(0, 1).log_prob(latent(motion.flatten())).sum()
    expected = -(prior + torch.linalg.slogdet(jacobian)[1]) / np.log(2)
    assert float(net.bits(motion, own, heard).detach()) == pytest.approx(float(expected.detach()), abs=1e-3)


@pytest.mark.parametrize("space", [FACEVERSE_58, MotionSpace("odd", 25.0, tuple("abcdefg"), {"all": (0, 7)})])
def test_generating_inverts_the_flow_frame_by_frame(space: MotionSpace) -> None:
    """Latents of true motion give that motion back, its memory and its own past included."""
    torch.manual_seed(0)
    net = _loud(ListenerFlow(space.dim, {"face": Stream(4, 3, 8)}, own_past=2, flow_steps=3, condition=8, hidden=8))
    motion, heard = torch.randn(2, 40, space.dim), torch.randn(2, 40, 16)
    with torch.no_grad():
        z, own = motion, net.own(motion, 0)
        for step in net.steps:
            z, _ = step(z, own, heard)
        assert torch.allclose(net.generate(heard, z), motion, atol=2e-3)


def test_released_logdets_count_a_channel_56_times() -> None:
    x, none = torch.randn(1, 1, 56), torch.zeros(1, 1, 0)
    for true, norm, linear in ((True, 5.6, 2.8), (False, 313.6, 156.8)):
        net = ListenerFlow(56, {}, own_past=1, flow_steps=1, condition=4, hidden=4, true_logdet=true).eval()
        step = net.steps[0]
        with torch.no_grad():
            own = net.own(x, 0)
            start = step(x, own, none)[1]  # of the coupling alone: a rotation and a fresh ActNorm have none
            step.norm.log_scale.fill_(0.1)
            normed = step(x, own, none)[1]
            step.linear.packed.diagonal().add_(0.05)
            mixed = step(x, own, none)[1]
        assert float(normed - start) == pytest.approx(norm, rel=1e-3)
        assert float(mixed - normed) == pytest.approx(linear, rel=1e-3)


def _start_bits(true: bool) -> float:
    """Bits per frame of random standardised input when the ActNorms have just been set."""
    torch.manual_seed(0)
    net = ListenerFlow(
        56, {"face": Stream(4, 3, 8)}, own_past=2, flow_steps=16, condition=8, hidden=8, true_logdet=true
    )
    motion = torch.randn(32, 20, 56)
    with torch.no_grad():
        return float(net.train().bits(motion, net.own(motion, 0), torch.randn(32, 20, 16)).mean())


def test_released_logdets_start_at_thousands_of_bits_below_any_density() -> None:
    assert _start_bits(True) == pytest.approx(115.0, abs=5)  # 56 standard normals have 114.7
    assert _start_bits(False) < -3000


# --- the mismatch trick -----------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [2, 3, 64])
def test_a_derangement_leaves_no_row_in_place(rows: int) -> None:
    orders = set()
    for seed in range(50):
        order = derangement(rows, torch.Generator().manual_seed(seed))
        assert sorted(order.tolist()) == list(range(rows))
        assert not (order == torch.arange(rows)).any()
        orders.add(tuple(order.tolist()))
    assert len(orders) == {2: 1, 3: 2}.get(rows, 50)


@pytest.mark.parametrize(("wrong", "loss", "gradient"), [(42.0, 39.8, -0.1), (39.0, 40.1, -0.1), (50.0, 39.42, 0.0)])
def test_the_wrong_speaker_must_cost_a_margin_and_no_more(
    wrong: float, loss: float, gradient: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Right speaker 40 bits; the margin is 0.1 bits for each of 58 channels. Beyond it nothing may be unlearnt."""
    predictor = _build(mismatch_share=1.0)
    bits = torch.tensor(wrong, requires_grad=True)
    orders: list[torch.Tensor | None] = []

    def priced(batch: WindowBatch, batch_wanted: object, order: torch.Tensor | None = None) -> torch.Tensor:
        orders.append(order)
        return torch.tensor(40.0) if order is None else bits

    monkeypatch.setattr(predictor, "_bits", priced)
    total = predictor._loss(_batch()).total["all"]
    total.backward()
    assert float(total.detach()) == pytest.approx(loss, abs=1e-5)
    assert bits.grad is not None
    assert float(bits.grad) == pytest.approx(gradient)
    assert orders[0] is None
    assert orders[1] is not None
    assert not (orders[1] == torch.arange(6)).any()


def test_a_share_of_batches_sees_the_wrong_speaker_and_validation_never() -> None:
    logged = []
    for share, step in ((0.0, 0), (1.0, 0), (1.0, -1)):
        predictor = _build(mismatch_share=share)
        _loud(predictor.net)
        with torch.no_grad():
            logged.append("mismatch" in predictor._loss(_batch(step=step)).log)
    assert logged == [False, True, False]


def test_the_released_trick_switches_itself_off_where_logdets_are_true() -> None:
    for logdet, stays in (("true", False), ("as-released", True)):
        predictor = _build(mismatch="as-released", mismatch_share=1.0, logdet=logdet)
        predictor.net.train()  # the first batch sets the ActNorms
        if stays:
            with torch.no_grad():
                for step in predictor.net.steps:
                    step.norm.initialised.fill_(True)
                    step.norm.log_scale.fill_(0.5)
        first = predictor._loss(_batch())
        assert bool(predictor.net.get_buffer("tricked")) == stays
        if stays:
            assert float(first.total["all"].detach()) == pytest.approx(-0.1 * float(first.log["mismatch"]))
        else:
            assert "bits" in predictor._loss(_batch(step=1)).log, "once off, training is plain for good"
            assert not predictor.net.get_buffer("tricked")


# --- what a frame knows ---------------------------------------------------------------------------------


def test_histories_end_with_their_frame() -> None:
    track = torch.arange(5.0).view(1, 5, 1)
    assert histories(track, 3)[0, :, :, 0].tolist() == [[0, 0, 0], [0, 0, 1], [0, 1, 2], [1, 2, 3], [2, 3, 4]]
    net = ListenerFlow(1, {}, own_past=2, flow_steps=1, condition=4, hidden=4)
    assert net.own(track, 0)[0].tolist() == [[0, 0], [0, 0], [0, 1], [1, 2], [2, 3]]


def test_lookahead_is_none_and_the_speaker_is_seen_and_heard() -> None:
    predictor = _build()
    _loud(predictor.net)
    context = TinyCorpus().context([0], predictor.needs, 96)
    assert measure_lookahead(predictor, context, CellNoise(0)) == 0
    base = predictor.sample(context, 1, CellNoise(0)).motion
    assert base is not None
    for other in (
        dataclasses.replace(context, speaker_motion=context.speaker_motion * 2),
        dataclasses.replace(context, audio={name: values * 2 for name, values in context.audio.items()}),
    ):
        changed = predictor.sample(other, 1, CellNoise(0)).motion
        assert changed is not None
        assert np.abs(base - changed).max() > 1e-4


def test_temperature_0_is_one_curve_and_more_of_it_spreads() -> None:
    spread = []
    for temperature in (0.0, 0.5, 1.0):
        predictor = _build(temperature=temperature)
        motion = predictor.sample(TinyCorpus().context([0], predictor.needs, 60), 4, CellNoise(0)).motion
        assert motion is not None
        spread.append(float(motion.std(1).mean()))
    assert spread[0] == pytest.approx(0.0, abs=1e-6)
    assert spread[1] < spread[2]


def test_spans_are_seconds_whatever_the_frame_rate() -> None:
    """0.96 s of face and 0.64 s of voice."""
    paper = PRESETS["paper"]
    at_30 = Setup(DECA_56, TinyCorpus().audio, False, seed=0)
    fast, usual = (FaceFlow(FlowConfig(**{**paper, "flow_steps": 1}), setup) for setup in (at_30, SETUP))
    assert (usual.streams["face"].past, usual.streams["sound"].past, usual.net.own_past) == (24, 16, 5)
    assert (fast.streams["face"].past, fast.streams["sound"].past, fast.net.own_past) == (29, 19, 6)
    assert (usual.frames, usual.history) == (80, 24)
    assert (fast.frames, fast.history) == (96, 29)


def test_training_hides_whole_frames_of_the_speaker_and_validation_none() -> None:
    predictor = _build()
    assert (predictor.config.face_drop, predictor.config.voice_drop) == (0.6, 0.3)
    mask = predictor._dropout(_batch(rows=200))
    assert mask is not None
    assert mask["face"].shape == (200, 10, 6)
    assert (mask["own"] == 1).all(), "the paper hides nothing of its own past"
    assert 0.35 < float((mask["face"] > 0).float().mean()) < 0.45
    assert mask["sound"].unique().tolist() == pytest.approx([0.0, 1 / 0.7])
    assert predictor._dropout(_batch(step=-1)) is None
    half = _build(past_drop=0.5)._dropout(_batch(rows=200))
    assert half is not None
    assert half["own"].shape == (200, 10, 5)
    assert 0.4 < float((half["own"] > 0).float().mean()) < 0.6


def test_a_hidden_past_is_not_told() -> None:
    predictor = _build()
    _loud(predictor.net)
    motion, keep = torch.randn(1, 12, 58), torch.ones(1, 8, 5)
    keep[:, :, 1] = 0
    other = predictor.net.own(motion, 4, keep).unflatten(-1, (5, 58))
    plain = predictor.net.own(motion, 4).unflatten(-1, (5, 58))
    assert not other[:, :, 1].any()
    assert torch.equal(other[:, :, [0, 2, 3, 4]], plain[:, :, [0, 2, 3, 4]])


def test_frames_after_a_clips_end_teach_nothing() -> None:
    predictor, batch = _build(mismatch="off"), _batch(step=-1)
    valid = torch.arange(16) < torch.tensor([16, 16, 12, 16, 9, 16])[:, None]
    other = torch.where(valid[..., None], batch.listener_motion, 9.0)
    with torch.no_grad():
        losses = [
            float(predictor._loss(dataclasses.replace(batch, listener_motion=motion, valid=valid)).total["all"])
            for motion in (batch.listener_motion, other)
        ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


# --- use ------------------------------------------------------------------------------------------------


def test_lfi_keeps_the_contract_in_both_layouts() -> None:
    report = check("lfi", Host())
    assert report.ok, [item for item in report.items if not item.ok]


def test_a_clip_without_sound_is_enough() -> None:
    for setup, audio in ((dataclasses.replace(SETUP, audio={}), "auto"), (SETUP, "none")):
        predictor = _build(setup, audio=audio)
        assert predictor.needs.audio == ()
        reaction = predictor.sample(TinyCorpus().context([0, 1], predictor.needs, 20), 2, CellNoise(0))
        assert reaction.motion is not None
        assert reaction.motion.shape == (2, 2, 20, 58)


def test_a_dataset_with_the_listeners_own_voice_is_asked_for_it() -> None:
    corpus = TinyCorpus()
    corpus.audio = {**corpus.audio, "own-mfcc-78": AudioSpec(78)}
    predictor = _build(dataclasses.replace(SETUP, audio=corpus.audio), mismatch_share=1.0)
    assert predictor.needs.audio == ("mfcc-78", "own-mfcc-78")
    assert list(predictor.streams) == ["face", "own-sound", "sound"]
    next(iter(predictor.stages(corpus)))
    _loud(predictor.net)
    context = corpus.context([0], predictor.needs, 30)
    deaf = dataclasses.replace(context, audio={**context.audio, "own-mfcc-78": context.audio["own-mfcc-78"] * 0})
    one, other = (predictor.sample(c, 1, CellNoise(0)).motion for c in (context, deaf))
    assert one is not None
    assert other is not None
    assert np.abs(one - other).max() > 1e-5
    assert measure_lookahead(predictor, corpus.context([0], predictor.needs, 96), CellNoise(0)) == 0
    batch = _batch()
    batch = dataclasses.replace(batch, audio={**batch.audio, "own-mfcc-78": batch.audio["mfcc-78"]})
    assert "mismatch" in predictor._loss(batch).log
    assert _build(dataclasses.replace(SETUP, audio=corpus.audio), own_voice="none").needs.audio == ("mfcc-78",)


def test_the_wrong_speaker_leaves_a_listener_its_own_voice(monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = TinyCorpus()
    predictor = _build(dataclasses.replace(SETUP, audio={**corpus.audio, "own-mfcc-78": AudioSpec(78)}))
    batch, calls = _batch(), []
    batch = dataclasses.replace(batch, audio={**batch.audio, "own-mfcc-78": batch.audio["mfcc-78"] + 1})
    heard = predictor.net.speaker
    monkeypatch.setattr(predictor.net, "speaker", lambda tracks, *more: calls.append(tracks) or heard(tracks, *more))
    order = torch.tensor([1, 2, 3, 4, 5, 0])
    predictor._bits(batch, None)
    predictor._bits(batch, None, order)
    right, wrong = calls
    assert torch.equal(wrong["own-sound"], right["own-sound"])
    assert all(torch.equal(wrong[name], right[name][order]) for name in ("face", "sound"))


def test_sound_with_several_rows_per_frame_is_averaged() -> None:
    predictor = _build(audio="mel-128")
    rows = torch.arange(8.0).view(1, 8, 1).expand(1, 8, 128)
    tracks = predictor._tracks(torch.zeros(1, 2, 58), {"mel-128": rows})
    assert tracks["sound"][0, :, 0].tolist() == [1.5, 5.5]


def test_an_unknown_feature_is_refused_by_name() -> None:
    with pytest.raises(DyadbenchError, match=r"lfi.*hubert.*mfcc-78"):
        _build(audio="hubert")
    with pytest.raises(ValueError, match="history 3 must be at least 5"):
        FlowConfig(**{**PRESETS["smoke"], "history": 3})


class Killed(Exception):
    pass


def _trained(folder: Path, stop: int | None = None, **config: Any) -> FaceFlow:
    def report(stage: str, done: int, total: int) -> None:
        if done == stop:
            raise Killed

    predictor, corpus = _build(**config), TinyCorpus()
    fit(predictor, corpus, corpus.audio, FitOptions(folder, seed=0, checkpoint_every=5, report=report))
    return predictor


def test_a_killed_training_resumes_to_the_same_weights(tmp_path: Path) -> None:
    whole = _trained(tmp_path / "whole", mismatch_share=0.5).state_dict()
    with pytest.raises(Killed):
        _trained(tmp_path / "cut", stop=8, mismatch_share=0.5)
    again = _trained(tmp_path / "cut", mismatch_share=0.5).state_dict()
    assert all(torch.equal(whole[name], again[name]) for name in whole)
    assert all(bool(value) for name, value in whole.items() if name.endswith("initialised"))


def test_training_lowers_the_bits_of_a_frame(tmp_path: Path) -> None:
    fresh = _build()
    next(iter(fresh.stages(TinyCorpus())))
    predictor = _trained(tmp_path, steps=60, lr=3e-3)
    dyads = list(TinyCorpus().dyads("train", ("mfcc-78",)))
    speaker, listener = (
        torch.from_numpy(np.stack([getattr(d, who).motion[40:56] for d in dyads])) for who in ("speaker", "listener")
    )
    batch = dataclasses.replace(
        _batch(rows=8, step=-1), speaker_motion=speaker, listener_motion=listener,
        audio={"mfcc-78": torch.from_numpy(np.stack([d.speaker.audio["mfcc-78"][40:56] for d in dyads]))},
    )  # fmt: skip
    with torch.no_grad():
        assert float(predictor._bits(batch, None)) < float(fresh._bits(batch, None)) - 10
