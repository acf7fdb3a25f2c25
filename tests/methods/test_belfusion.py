"""BeLFusion: sizes, where the release errs and what is done instead, and the contract."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dyadbench import score_arrays
from dyadbench.api import DECA_56, FACEVERSE_58, Clip, Dyad, DyadbenchError, Setup, Track, WindowBatch
from dyadbench.cell.lookahead import measure_lookahead
from dyadbench.cell.noise import CellNoise
from dyadbench.conformance.check import check
from dyadbench.datasets.tiny_corpus import TinyCorpus
from dyadbench.registry.host import Host
from dyadbench.training.loop import FitOptions, fit
from dyadbench.training.windows import WindowSource
from dyadbench_belfusion.config import PRESETS, BeLFusionConfig, OnlineConfig
from dyadbench_belfusion.network import BeLFusionNet, Denoiser, WindowVAE
from dyadbench_belfusion.predictor import BeLFusion

SETUP = Setup(FACEVERSE_58, TinyCorpus().audio, True, seed=0)


def _build(setup: Setup = SETUP, *, online: bool = False, **config: object) -> BeLFusion:
    return BeLFusion((OnlineConfig if online else BeLFusionConfig)(**{**PRESETS["smoke"], **config}), setup)


def _size(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


# --- the release's sizes --------------------------------------------------------------------------------


def test_paper_preset_has_the_measured_sizes_of_the_release() -> None:
    with torch.device("meta"):
        net = BeLFusionNet(BeLFusionConfig(), 25, 58)
    assert _size(net.vae) == 242_579
    assert _size(net.denoiser) == 12_300_928


# --- where the release errs -----------------------------------------------------------------------------


class Waves:
    """Everybody's emotion and motion are the same three slow sines, of one's own speed and phases."""

    def __init__(self, frames: int = 200, clips: int = 24):
        self.frames, self.count = frames, clips

    def clips(self, split: str) -> list[Clip]:
        return [Clip(f"{split}{i}", str(i), self.frames) for i in range(self.count)]

    def dyads(self, split: str, audio: Sequence[str] = ()) -> Iterator[Dyad]:
        rng = np.random.default_rng(len(split))
        time = np.arange(self.frames)[:, None]
        for clip in self.clips(split):
            yield Dyad(clip, *(self._track(rng, time) for _ in range(2)))

    def _track(self, rng: np.random.Generator, time: np.ndarray) -> Track:
        slow, phase = rng.uniform(0.05, 0.15), rng.uniform(0, 6, 3)
        base = 0.5 + 0.4 * np.sin(slow * time + phase)  # (T, 3)
        emotion = np.tile(base, 9)[:, :25].astype(np.float32)
        return Track(np.tile(base, 20)[:, :58].astype(np.float32), emotion)


def _autoencoder(tmp_path: Path, **config: object) -> tuple[BeLFusion, torch.Tensor]:
    """A predictor whose auto-encoder is trained, and fresh windows (N, 16, 25)."""
    data = Waves()
    sizes: dict[str, Any] = {"code": 32, "decoder": 32, "vae_steps": 400, "vae_batch": 32, "vae_lr": 1e-2}
    predictor = _build(**{**sizes, **config})
    stage = next(predictor.stages(data))

    class Only:
        def stages(self, data: Any) -> Iterator[Any]:
            yield stage

    fit(Only(), data, {}, FitOptions(tmp_path, seed=0))  # type: ignore[arg-type]
    fresh = torch.stack([torch.from_numpy(d.listener.emotion[:192]) for d in data.dyads("test" * 3)])  # type: ignore[index]
    return predictor, fresh.unflatten(1, (-1, 16)).flatten(0, 1)


def test_the_release_decodes_what_was_never_encoded(tmp_path: Path) -> None:
    """Its diffusion lives on the encoder's state h, and the decoder reads h as if it were mu = W h + b."""
    predictor, windows = _autoencoder(tmp_path)
    released = _build(code=32, decoder=32, latent="h").net.vae
    released.load_state_dict(predictor.net.vae.state_dict())

    def error(vae: WindowVAE) -> float:
        with torch.no_grad():
            return float((vae.decode(vae.encode(windows)) - windows).pow(2).mean().sqrt())

    assert error(predictor.net.vae) < 0.4 * float(windows.std()), "the auto-encoder has learnt something"
    assert error(released) > 2 * error(predictor.net.vae)


def test_the_motion_head_learns_motion_and_the_releases_the_mean_face(tmp_path: Path) -> None:
    swing = {}
    for head in ("motion", "zeros"):
        predictor, windows = _autoencoder(tmp_path / head, head=head)
        vae = predictor.net.vae
        assert vae.head is not None
        with torch.no_grad():
            motion = vae.head(vae.decode(vae.encode(windows)))
        truth = windows[..., :3].tile(20)[..., :58]  # as Waves makes motion
        swing[head] = float(motion.std(1).mean() / truth.std(1).mean())
    assert swing["zeros"] < 0.1, "every number of the released head is that of a still face"
    assert swing["motion"] > 0.6


def test_the_same_weights_encode_to_the_state_or_to_the_mean() -> None:
    meant, released = _build(latent="mu").net.vae, _build(latent="h").net.vae
    assert isinstance(released, WindowVAE)
    released.load_state_dict(meant.state_dict())
    frames = torch.rand(3, 16, 25)
    h = meant.state(frames)
    assert torch.equal(released.encode(frames), h)
    assert torch.equal(meant.encode(frames), meant.mu(h))
    assert (meant.mu(h) - h).abs().max() > 1e-2


class Clock(Waves):
    """Emotion channel 0 is the number of the frame; speakers' are negative."""

    def _track(self, rng: np.random.Generator, time: np.ndarray) -> Track:
        emotion = np.repeat(time, 25, 1).astype(np.float32)
        return Track(np.repeat(time, 58, 1).astype(np.float32), emotion)


@pytest.mark.parametrize(
    ("windows", "online", "frames"),
    [("first", False, (0, 98)), ("first", True, (50, 148)), ("all", False, (0, 749)), ("all", True, (50, 749))],
)
def test_the_release_is_trained_on_the_first_frames_only(windows: str, online: bool, frames: tuple[int, int]) -> None:
    data = Clock(frames=750, clips=4)
    predictor = _build(online=online, windows=windows, window=50, batch=64, cold=0.0, swap=0.0)
    stages = predictor.stages(data)
    next(stages)
    stage = next(stages)
    source, rng = WindowSource(data, "train", (), {}), np.random.default_rng(0)
    starts: set[int] = set()
    torch.manual_seed(0)
    for _ in range(30):
        aim, condition, exists = predictor.windows(source.draw(stage.windows, rng, torch.device("cpu"), 0, 0.0))
        assert exists.all()
        assert (aim[:, :, 0] - condition[:, :, 0] == (50 if online else 0)).all()
        starts |= {int(frame) for frame in aim[:, :, 0].flatten()}
    assert (min(starts), max(starts)) == frames
    if windows == "all":
        assert len(starts) > 600


def test_rounded_action_units_are_what_made_frsyn_49() -> None:
    """The release rounds AUs; a channel that is then constant decides the official FRSyn alone."""
    predictor = _build(emotion="rounded")
    context = TinyCorpus().context([0, 1], predictor.needs, 96)
    rounded = predictor.sample(context, 2, CellNoise(0)).emotion
    raw = _build(emotion="raw").sample(context, 2, CellNoise(0)).emotion
    assert rounded is not None
    assert raw is not None
    assert np.array_equal(rounded[..., :15], raw[..., :15].round())
    assert np.array_equal(rounded[..., 15:], raw[..., 15:])
    rng = np.random.default_rng(0)
    listener = rng.random((2, 96, 25)).astype(np.float32)
    case: dict[str, Any] = {
        "listener": listener,
        "speaker": context.speaker_emotion,
        "appropriate": np.eye(2, dtype=bool),
    }
    assert (rounded[..., :15].std(2) == 0).any(), "some action unit never changes"
    assert score_arrays("react2024-official", pred=rounded, **case)["FRSyn"] == 49
    assert score_arrays("react2024-official", pred=raw, **case)["FRSyn"] != 49


def test_the_best_draw_is_the_same_for_both_losses() -> None:
    """Chosen apart, as in the release, the sum of the two minima is at most the minimum of the sum."""
    data = Waves()
    batch = _batch(data, 16)
    losses = {}
    for pick in ("joint", "separate"):
        predictor = _build(pick=pick, draws=8)
        torch.manual_seed(0)
        losses[pick] = float(predictor._diffusion_loss(batch).total["all"].detach())
    assert losses["separate"] < losses["joint"]


def _batch(data: Waves, frames: int, step: int = 0) -> WindowBatch:
    dyads = list(data.dyads("train"))

    def cut(arrays: list[Any]) -> torch.Tensor:
        return torch.from_numpy(np.stack([array[:frames] for array in arrays]))

    return WindowBatch(
        tuple(d.clip.id for d in dyads), cut([d.speaker.motion for d in dyads]), cut([d.listener.motion for d in dyads]),
        cut([d.speaker.emotion for d in dyads]), cut([d.listener.emotion for d in dyads]), {},
        torch.ones(len(dyads), frames, dtype=torch.bool), step, 0.0,
    )  # fmt: skip


def _context(data: Waves, frames: int = 96, rows: int = 2) -> Any:
    dyads = list(data.dyads("test"))[:rows]
    context = TinyCorpus().context(range(rows), _build().needs, frames)
    speakers = [d.speaker for d in dyads]
    return dataclasses.replace(
        context, speaker_motion=np.stack([t.motion[:frames] for t in speakers]),
        speaker_emotion=np.stack([t.emotion[:frames] for t in speakers if t.emotion is not None]),
    )  # fmt: skip


# --- how it works ---------------------------------------------------------------------------------------


def test_a_window_follows_the_speakers_window(tmp_path: Path) -> None:
    """Where listeners copy the speaker's window, so do reactions after a short training; online the one before."""

    class Copies(Waves):
        def __init__(self, late: int) -> None:
            super().__init__(frames=192)
            self.late = late

        def dyads(self, split: str, audio: Sequence[str] = ()) -> Iterator[Dyad]:
            rng = np.random.default_rng(len(split))
            for clip in self.clips(split):
                levels = np.repeat(rng.random((self.frames // 16 + 1, 1)), 16, 0)  # one number a window
                speaker, listener = levels[16:], levels[16 - self.late :][: self.frames]
                tracks = [np.repeat(x, 25, 1).astype(np.float32) for x in (speaker, listener)]
                yield Dyad(clip, *(Track(np.repeat(x[:, :1], 58, 1), x) for x in tracks))

    for online in (False, True):
        data = Copies(16 if online else 0)
        sizes: dict[str, Any] = {
            "vae_steps": 300,
            "steps": 500,
            "batch": 32,
            "vae_batch": 32,
            "width": 64,
            "vae_lr": 5e-3,
        }
        predictor = _build(online=online, swap=0.0, cold=0.0, **sizes)
        fit(predictor, data, {}, FitOptions(tmp_path / str(online), seed=0))
        dyads = list(data.dyads("test"))
        context = dataclasses.replace(
            TinyCorpus(clips=24, frames=192).context(range(24), predictor.needs, 192),
            speaker_motion=np.stack([d.speaker.motion for d in dyads]), speaker_emotion=np.stack([d.speaker.emotion for d in dyads]),  # type: ignore[arg-type]
        )  # fmt: skip
        emotion = predictor.sample(context, 4, CellNoise(0)).emotion
        assert emotion is not None
        truth = np.stack([d.listener.emotion[:, 0] for d in dyads])  # type: ignore[index]
        levels = emotion[:, :, 16:, 0].mean(1).reshape(24, -1, 16).mean(2)  # (clips, windows) after the first
        aims = truth[:, 16:].reshape(24, -1, 16).mean(2)
        assert np.corrcoef(levels.ravel(), aims.ravel())[0, 1] > 0.8


def test_online_the_first_window_answers_nothing() -> None:
    predictor = _build(online=True)
    context = TinyCorpus().context([0, 1], predictor.needs, 48)
    assert predictor.needs.lookahead == 0
    latents = predictor._condition(context)
    zeros = predictor.net.encode(torch.zeros(1, 16, 25))
    assert torch.allclose(latents[:, 0], zeros.expand(2, -1), atol=1e-6)
    offline = _build()._condition(context)
    assert torch.allclose(latents[:, 1:], offline[:, :-1], atol=1e-6)
    batch = _batch(Waves(), 32)
    torch.manual_seed(0)
    aim, condition, _ = _build(online=True, cold=1.0, swap=0.0).windows(batch)
    assert torch.equal(condition, torch.zeros_like(condition)), "which training shows as well"
    assert torch.equal(aim, batch.listener_emotion[:, :16])


@pytest.mark.parametrize(("online", "declared"), [(False, 15), (True, 0)])
def test_measured_lookahead_is_the_declared(online: bool, declared: int) -> None:
    predictor = _build(online=online)
    assert predictor.needs.lookahead == declared
    measured = measure_lookahead(predictor, TinyCorpus().context([0], predictor.needs, 96), CellNoise(0))
    assert measured is not None
    assert measured <= declared
    assert measured >= declared - 3, "the probes come close to a window's first frame"


@pytest.mark.parametrize("online", [False, True])
def test_a_clips_samples_do_not_depend_on_its_batch(online: bool) -> None:
    predictor = _build(online=online)
    corpus = TinyCorpus()
    context = dataclasses.replace(corpus.context([0, 1, 2], predictor.needs, 90), lengths=np.array([90, 41, 90]))
    together = predictor.sample(context, 3, CellNoise(1))
    alone = predictor.sample(corpus.context([1], predictor.needs, 41), 2, CellNoise(1))
    for a, b in ((together.motion, alone.motion), (together.emotion, alone.emotion)):
        assert a is not None
        assert b is not None
        assert np.abs(a[1, :2, :41] - b[0]).max() < 1e-4
        assert np.abs(a[1, 0] - a[1, 1]).max() > 1e-3


@pytest.mark.parametrize(("space", "emotion"), [(DECA_56, False), (FACEVERSE_58, False), (FACEVERSE_58, True)])
def test_motion_alone_will_do(space: Any, emotion: bool, tmp_path: Path) -> None:
    """Without sound and without emotion, or where motion windows are asked for."""
    corpus = TinyCorpus(space, emotion=emotion)
    predictor = _build(Setup(space, {}, emotion, seed=0), stream="motion" if emotion else "auto", online=True)
    fit(predictor, corpus, {}, FitOptions(tmp_path, seed=0))
    reaction = predictor.sample(corpus.context([0, 1], predictor.needs, 70), 2, CellNoise(0))
    assert reaction.emotion is None
    assert reaction.motion is not None
    assert reaction.motion.shape == (2, 2, 70, space.dim)
    assert predictor.net.vae.head is None


def test_stage_two_leaves_the_auto_encoder_alone(tmp_path: Path) -> None:
    corpus, predictor = TinyCorpus(), _build()
    stages = predictor.stages(corpus)
    next(stages)
    before = {k: v.clone() for k, v in predictor.net.vae.state_dict().items()}
    stage = next(stages)
    ours = {id(p) for p in stage.optimisers[0].parameters}
    assert ours == {id(p) for p in predictor.net.denoiser.parameters()}
    loss = stage.loss(_batch(Waves(), 16))
    loss.total["all"].backward()
    assert all(torch.equal(before[k], v) for k, v in predictor.net.vae.state_dict().items() if "mean" not in k)


def test_one_condition_serves_all_samples() -> None:
    torch.manual_seed(0)
    net = Denoiser(BeLFusionConfig(**PRESETS["smoke"]))
    x, condition = torch.randn(2, 5, 3, 16), torch.randn(2, 1, 3, 16)
    t = torch.full((2, 1, 3), 2)
    shared = net(x, t, condition)
    repeated = net(x, t.expand(2, 5, 3), condition.expand(-1, 5, -1, -1))
    assert torch.allclose(shared, repeated, atol=1e-5)
    assert (net(x, t, condition + 1) - shared).abs().max() > 1e-3
    assert (net(x, t + 1, condition) - shared).abs().max() > 1e-3


def test_killed_training_resumes_to_the_same_weights(tmp_path: Path) -> None:
    corpus = TinyCorpus()

    class Killed(Exception):
        pass

    def kill(stage: str, done: int, total: int) -> None:
        if stage.startswith("diffusion") and done == 8:
            raise Killed

    whole, cut = _build(), _build()
    fit(whole, corpus, {}, FitOptions(tmp_path / "whole", seed=0))
    with pytest.raises(Killed):
        fit(cut, corpus, {}, FitOptions(tmp_path / "cut", seed=0, checkpoint_every=3, report=kill))
    again = _build()
    fit(again, corpus, {}, FitOptions(tmp_path / "cut", seed=0, checkpoint_every=3))
    for name, value in whole.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name


@pytest.mark.parametrize("name", ["belfusion", "belfusion-online"])
def test_the_contract_is_kept(name: str) -> None:
    report = check(name, Host())
    assert report.ok, [item for item in report.items if not item.ok]


def test_requests_that_cannot_be_met_are_refused() -> None:
    with pytest.raises(DyadbenchError, match="take stream=motion"):
        _build(Setup(DECA_56, {}, False, seed=0), stream="emotion")
    with pytest.raises(ValueError, match="nothing to learn from"):
        BeLFusionConfig(latent_weight=0, decoded_weight=0)
