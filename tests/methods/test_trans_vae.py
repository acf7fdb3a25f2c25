"""Trans-VAE: sizes, the layers against torch's own, where the release errs, and the contract."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dyadbench.api import DECA_56, FACEVERSE_58, AudioSpec, Context, DyadbenchError, Setup, WindowBatch
from dyadbench.cell.lookahead import measure_lookahead
from dyadbench.cell.noise import CellNoise
from dyadbench.conformance.check import check
from dyadbench.datasets.tiny_corpus import TinyCorpus
from dyadbench.nn.attention import Attention, sinusoid
from dyadbench.registry.host import Host
from dyadbench.training.loop import FitOptions, fit
from dyadbench_transvae.config import ONLINE_PRESETS, PRESETS, OnlineConfig, TransVAEConfig
from dyadbench_transvae.network import DecoderLayer, LatentOf, OnlineTransVAE, Outcome, TransVAE
from dyadbench_transvae.predictor import TransVAEPredictor

SETUP = Setup(FACEVERSE_58, TinyCorpus().audio, True, seed=0)


def _build(setup: Setup = SETUP, *, online: bool = False, **config: object) -> TransVAEPredictor:
    """An untrained predictor, whose reactions differ visibly with what is heard."""
    full_config: TransVAEConfig
    if online:
        full_config = OnlineConfig(**{**ONLINE_PRESETS["smoke"], **config})
    else:
        full_config = TransVAEConfig(**{**PRESETS["smoke"], **config})
    return TransVAEPredictor(full_config, setup)


def _context(rows: Sequence[int], predictor: TransVAEPredictor, frames: int = 70) -> Context:
    return TinyCorpus(predictor.setup.space).context(rows, predictor.needs, frames)


def _size(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


# --- the release's sizes --------------------------------------------------------------------------------

IMAGES = 3 * 32 * 49 + 32 * 128 * 49 + 3 * 128 * 128 * 9 + 128 * 128 + 128  # the release's encoder of frames
FACE = (58 + 25) * 128 + 128  # what stands in its place
UNUSED = 211 * 128 + 128  # built and never run by the release offline


def test_paper_preset_has_the_measured_sizes_but_for_the_image_encoder() -> None:
    sizes: dict[str, Any] = {"face": 83, "sound": 78, "motion": 58, "emotion": 25}
    with torch.device("meta"):
        offline, online = TransVAE(TransVAEConfig(), **sizes), OnlineTransVAE(OnlineConfig(), **sizes)
    assert IMAGES == 664_288
    assert _size(offline) == 1_315_891 - IMAGES + FACE - UNUSED
    assert _size(online) == 1_670_835 - IMAGES + FACE


# --- the layers are torch's -----------------------------------------------------------------------------


def _attention(ours: Attention) -> nn.MultiheadAttention:
    theirs = nn.MultiheadAttention(ours.out.out_features, ours.heads, batch_first=True)
    parts = (ours.query, ours.key, ours.value)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([part.weight for part in parts]))
        theirs.in_proj_bias.copy_(torch.cat([part.bias for part in parts]))
        theirs.out_proj.load_state_dict(ours.out.state_dict())
    return theirs


def _layer(ours: DecoderLayer | LatentOf) -> Any:
    """torch's layer with our weights."""
    dim, hidden, heads = ours.norm1.normalized_shape[0], ours.mlp[0].out_features, ours.attention.heads
    kind = nn.TransformerDecoderLayer if isinstance(ours, DecoderLayer) else nn.TransformerEncoderLayer
    theirs: Any = kind(dim, heads, hidden, dropout=0.0, batch_first=True)
    theirs.self_attn = _attention(ours.attention)
    theirs.linear1, theirs.linear2 = ours.mlp[0], ours.mlp[3]
    theirs.norm1, theirs.norm2 = ours.norm1, ours.norm2
    if isinstance(ours, DecoderLayer):
        theirs.multihead_attn, theirs.norm3 = _attention(ours.cross), ours.norm3
    return theirs.train()  # the fast path of evaluation wants other shapes


def _causal(frames: int) -> Tensor:
    return nn.Transformer.generate_square_subsequent_mask(frames)


def test_the_latent_is_that_of_a_torch_encoder_layer() -> None:
    torch.manual_seed(0)
    ours = LatentOf(TransVAEConfig(dim=16, heads=2, hidden=32, dropout=0.0))
    frames = torch.randn(3, 20, 16)
    exists = torch.arange(20) < torch.tensor([[20], [7], [1]])
    mean, log_variance = ours(ours.keys(frames), exists)
    whole = torch.cat([ours.tokens.expand(3, -1, -1), ours.inward(frames)], 1)
    hidden = nn.functional.pad(~exists, (2, 0), value=False)
    expected = _layer(ours)(whole, src_key_padding_mask=hidden)
    assert torch.allclose(mean, expected[:, 0], atol=1e-5)
    assert torch.allclose(log_variance, expected[:, 1], atol=1e-5)


def _anew(net: OnlineTransVAE, speaker: Tensor, noise: Tensor) -> Tensor:
    """The online path as the release walks it: everything is computed again for every window. Motion (R, N w, D)."""
    w, first, second, third = net.config.window, _layer(net.first), _layer(net.second), _layer(net.third)
    latent = _layer(net.latent)
    motion, emotion = speaker.new_zeros(len(speaker), 0, 58), speaker.new_zeros(len(speaker), 0, 25)
    for i in range(noise.shape[1]):
        heard = speaker[:, : (i + 1) * w]
        zeros = heard.new_zeros(len(heard), heard.shape[1] - motion.shape[1], 83)
        past = torch.cat([torch.cat([motion, emotion], -1)[:, : heard.shape[1]], zeros], 1)
        fused = net.react(torch.cat([heard, past], -1))
        tokens = net.latent.tokens.expand(len(heard), -1, -1)
        read = latent(torch.cat([tokens, net.latent.inward(fused)], 1))
        z = read[:, 0] + (read[:, 1] / 2).exp() * noise[:, i]
        x = first(sinusoid(w, z.shape[1]).expand(len(z), -1, -1), z[:, None], tgt_mask=_causal(w))
        hidden = second(x, x, tgt_mask=_causal(w))
        x = hidden
        if i:
            inputs = torch.cat([net.past_in(motion), net.now_in(hidden)], 1)
            x = third(inputs, inputs, tgt_mask=_causal(inputs.shape[1]))[:, -w:]
            start = net.past_in(motion[:, -1])[None]
            x = net.lstm(x, (start, start))[0]
        new = net.motion(x)
        felt = net.emotion_of(new, hidden)
        assert felt is not None
        motion, emotion = torch.cat([motion, new], 1), torch.cat([emotion, felt], 1)
    return motion


def test_kept_keys_give_what_computing_everything_anew_does() -> None:
    predictor = _build(online=True, window=8)
    net = predictor.net
    assert isinstance(net, OnlineTransVAE)
    torch.manual_seed(0)
    speaker, noise = torch.randn(2, 37, 16), torch.randn(2, 5, 16)
    with torch.no_grad():
        out = net(speaker, torch.ones(2, 37, dtype=torch.bool), noise)
        expected = _anew(net, speaker, noise)
    assert out.motion.shape == (2, 40, 58)
    assert torch.allclose(out.motion, expected, atol=1e-4)


# --- where the release errs, and what the method cannot do ----------------------------------------------


def _shuffled(context: Context) -> Context:
    """The same frames of every speaker in another order."""
    order = np.random.default_rng(0).permutation(context.frames)
    audio = {}
    for name, values in context.audio.items():
        rows = values.reshape(len(values), context.frames, -1)[:, order]
        audio[name] = rows.reshape(values.shape)
    emotion = None if context.speaker_emotion is None else context.speaker_emotion[:, order]
    return dataclasses.replace(
        context, speaker_motion=context.speaker_motion[:, order], speaker_emotion=emotion, audio=audio
    )


def test_the_latent_ignores_the_order_of_frames() -> None:
    """Two speakers with the same frames in another order get the same reaction at the same noise."""
    predictor = _build()
    context = _context([0, 1], predictor)
    one, two = (predictor.sample(c, 2, CellNoise(0)) for c in (context, _shuffled(context)))
    for a, b in ((one.motion, two.motion), (one.emotion, two.emotion)):
        assert a is not None
        assert b is not None
        assert np.abs(a - b).max() < 1e-5
    other = predictor.sample(_context([2, 3], predictor), 2, CellNoise(0)).motion
    assert one.motion is not None
    assert other is not None
    assert np.abs(one.motion - other).max() > 1e-4, "other frames are another reaction, though"


def test_online_the_order_matters() -> None:
    predictor = _build(online=True)
    context = _context([0, 1], predictor)
    one, two = (predictor.sample(c, 2, CellNoise(0)).motion for c in (context, _shuffled(context)))
    assert one is not None
    assert two is not None
    assert np.abs(one - two).max() > 1e-4


@pytest.mark.parametrize(("tail", "still"), [("zeros", 6), ("generate", 0)])
def test_the_frames_after_the_last_whole_window(tail: str, still: int) -> None:
    """The release leaves them zero: 6 of 70 frames with windows of 16."""
    predictor = _build(online=True, window=16, tail=tail, delay=0)
    for values in dataclasses.astuple(predictor.sample(_context([0, 1], predictor, 70), 3, CellNoise(0))):
        zero = (np.abs(values).max((0, 1, 3)) == 0).nonzero()[0]
        assert zero.tolist() == list(range(70 - still, 70))
    whole = predictor.sample(_context([0], predictor, 64), 1, CellNoise(0)).motion
    assert whole is not None
    assert np.abs(whole).max((0, 1, 3)).min() > 0


def test_rounding_is_an_option() -> None:
    by_mode = {}
    for how in ("raw", "rounded", "valid"):
        predictor = _build(emotion=how)
        by_mode[how] = predictor.sample(_context([0], predictor), 2, CellNoise(0)).emotion
    assert np.array_equal(by_mode["rounded"][..., :15], by_mode["raw"][..., :15].round())
    assert np.array_equal(by_mode["rounded"][..., 15:], by_mode["raw"][..., 15:])
    assert np.abs(by_mode["raw"][..., 17:].sum(-1) - 1).max() > 1e-2, "raw expressions are no probabilities"
    assert np.abs(by_mode["valid"][..., 17:].sum(-1) - 1).max() < 1e-5


# --- how it works ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("window", "delay", "declared"), [(8, 0, 7), (8, 7, 0), (16, 10, 5), (4, 20, 0)])
def test_measured_lookahead_is_the_declared(window: int, delay: int, declared: int) -> None:
    predictor = _build(online=True, window=window, delay=delay)
    assert predictor.needs.lookahead == declared
    # Of 66 frames a probe disturbs the last one that a window hears.
    assert measure_lookahead(predictor, _context([0], predictor, 66), CellNoise(0)) == declared


def test_offline_the_whole_clip_is_heard() -> None:
    predictor = _build()
    assert predictor.needs.lookahead is None
    assert measure_lookahead(predictor, _context([0], predictor, 96), CellNoise(0)) is None


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"audio": "mel-128"},
        {"audio": "none"},
        {"online": True},
        {"online": True, "delay": 0},
        {"online": True, "delay": 9},
    ],
)
def test_a_clips_samples_do_not_depend_on_its_batch(options: dict[str, Any]) -> None:
    predictor = _build(**options)
    context = dataclasses.replace(_context([0, 1, 2], predictor, 90), lengths=np.array([90, 41, 90]))
    together = predictor.sample(context, 3, CellNoise(1))
    alone = predictor.sample(_context([1], predictor, 41), 2, CellNoise(1))
    for a, b in ((together.motion, alone.motion), (together.emotion, alone.emotion)):
        assert a is not None
        assert b is not None
        assert np.abs(a[1, :2, :41] - b[0]).max() < 1e-4
        assert np.abs(a[1, 0] - a[1, 1]).max() > 1e-3


def _batch(frames: int, predictor: TransVAEPredictor, valid: Tensor | None = None, step: int = 0) -> WindowBatch:
    corpus = TinyCorpus()
    dyads = list(corpus.dyads("train", predictor.needs.audio))

    def cut(arrays: list[Any], rate: int = 1) -> Tensor:
        return torch.from_numpy(np.stack([array[: frames * rate] for array in arrays]))

    return WindowBatch(
        tuple(d.clip.id for d in dyads), cut([d.speaker.motion for d in dyads]), cut([d.listener.motion for d in dyads]),
        cut([d.speaker.emotion for d in dyads]), cut([d.listener.emotion for d in dyads]),
        {n: cut([d.speaker.audio[n] for d in dyads], corpus.audio[n].per_frame) for n in predictor.needs.audio},
        torch.ones(len(dyads), frames, dtype=torch.bool) if valid is None else valid, step, 0.0,
    )  # fmt: skip


def test_sampling_generates_what_training_scores() -> None:
    """Frame for frame, also where the speaker is heard late: a training window's first frames stand for what is before."""
    predictor = _build(online=True, delay=0)
    net = predictor.net
    batch = _batch(48, predictor)
    torch.manual_seed(0)
    motion = predictor._generate(batch).motion
    torch.manual_seed(0)
    noise = torch.randn(8, 6, 16)
    context = Context(
        batch.clips, np.full(8, 48), batch.speaker_motion.numpy(), batch.speaker_emotion.numpy(),
        {name: values.numpy() for name, values in batch.audio.items()},
    )  # fmt: skip

    class Same(CellNoise):
        def stream(self, clip: str, sample: int, purpose: str = "") -> Any:
            class Fixed:
                def standard_normal(self, shape: tuple[int, ...]) -> np.ndarray:
                    return noise[batch.clips.index(clip)].numpy()

            return Fixed()

    sampled = predictor.sample(context, 1, Same(0)).motion
    assert sampled is not None
    assert np.abs(sampled[:, 0] - motion.detach().numpy()).max() < 1e-4
    assert net is predictor.net


def test_the_release_trains_with_other_windows_than_it_samples_with(tmp_path: Path) -> None:
    """Windows of 16 in training, in both passes of the loss; of 8 in validation and in sampling."""
    predictor = _build(online=True, train_window=16, steps=2, frames=40)
    latents: dict[int, list[int]] = {}

    def counted(net: nn.Module, _: object, outcome: Outcome) -> None:
        latents.setdefault(outcome.mean.shape[1], []).append(net.training)

    predictor.net.register_forward_hook(counted)
    fit(predictor, TinyCorpus(), TinyCorpus().audio, FitOptions(tmp_path, seed=0))
    assert set(latents) == {3, 5}, "40 frames in windows of 16 and of 8"
    assert all(latents[3]) and len(latents[3]) == 4
    assert not any(latents[5])
    assert predictor.needs.lookahead == 0, "what training uses changes nothing in sampling"
    assert ONLINE_PRESETS["released"]["train_window"] == 16
    assert "train_window" not in OnlineConfig().model_dump(), "so that older records keep their keys"


def test_short_clips_teach_only_what_exists() -> None:
    predictor = _build(online=True)
    valid = torch.arange(39) < torch.tensor([[39], [20], [8], [39], [39], [39], [39], [39]])
    batch = _batch(39, predictor, valid, step=-1)
    wild = dataclasses.replace(
        batch, listener_motion=torch.where(valid[..., None], batch.listener_motion, 99.0),
        listener_emotion=torch.where(valid[..., None], batch.listener_emotion, 99.0),
    )  # fmt: skip
    losses = []
    for each in (batch, wild):
        torch.manual_seed(0)
        losses.append(float(predictor._loss(each).total["all"].detach()))
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


def test_the_diversity_term_falls_as_reactions_part() -> None:
    predictor = _build()
    batch = _batch(39, predictor)
    a = torch.zeros(8, 39, 58)
    assert float(predictor._similarity(a, a, batch)) == 1.0
    assert float(predictor._similarity(a, a + 0.1, batch)) == pytest.approx(np.exp(-256 * 58 * 0.01 / 100), rel=1e-5)
    out = predictor._loss(batch)
    assert float(out.log["alike"]) <= 2.0


def test_features_of_frames_stand_for_the_face_where_they_are_asked_for(tmp_path: Path) -> None:
    """A dataset with an audio-like track `video-features` is read only then."""

    class Filmed(TinyCorpus):
        def __init__(self) -> None:
            super().__init__()
            self.audio: Mapping[str, AudioSpec] = {"video-features": AudioSpec(12, 2), **self.audio}

    corpus = Filmed()
    setup = Setup(FACEVERSE_58, corpus.audio, True, seed=0)
    assert _build(setup).needs.audio == ("mfcc-78",)
    only = Setup(FACEVERSE_58, {"video-features": AudioSpec(12, 2)}, True, seed=0)
    assert _build(only).needs.audio == (), "what was seen is not taken for sound"
    predictor = _build(setup, video="video-features")
    assert predictor.needs.audio == ("mfcc-78", "video-features")
    assert predictor.net.face_in.in_features == 24
    fit(predictor, corpus, corpus.audio, FitOptions(tmp_path, seed=0))
    context = corpus.context([0, 1], predictor.needs, 40)
    one = predictor.sample(context, 1, CellNoise(0)).motion
    still = dataclasses.replace(context, speaker_motion=context.speaker_motion * 0, speaker_emotion=None)
    two = predictor.sample(still, 1, CellNoise(0)).motion
    assert one is not None
    assert np.array_equal(one, two), "the face itself is then not looked at"
    with pytest.raises(DyadbenchError, match=r"video-features.*mfcc-78"):
        _build(video="video-features")


@pytest.mark.parametrize("online", [False, True])
def test_motion_alone_will_do(online: bool, tmp_path: Path) -> None:
    """On a dataset without sound and without emotion."""
    corpus = TinyCorpus(DECA_56, emotion=False)
    predictor = _build(Setup(DECA_56, {}, False, seed=0), online=online)
    fit(predictor, corpus, {}, FitOptions(tmp_path, seed=0))
    reaction = predictor.sample(corpus.context([0, 1], predictor.needs, 45), 2, CellNoise(0))
    assert predictor.needs.audio == ()
    assert reaction.emotion is None
    assert reaction.motion is not None
    assert reaction.motion.shape == (2, 2, 45, 56)


@pytest.mark.parametrize("online", [False, True])
def test_killed_training_resumes_to_the_same_weights(online: bool, tmp_path: Path) -> None:
    corpus = TinyCorpus()

    class Killed(Exception):
        pass

    def kill(stage: str, done: int, total: int) -> None:
        if done == 8:
            raise Killed

    whole, cut, again = (_build(online=online, dropout=0.2) for _ in range(3))
    fit(whole, corpus, corpus.audio, FitOptions(tmp_path / "whole", seed=0))
    with pytest.raises(Killed):
        fit(cut, corpus, corpus.audio, FitOptions(tmp_path / "cut", seed=0, checkpoint_every=3, report=kill))
    fit(again, corpus, corpus.audio, FitOptions(tmp_path / "cut", seed=0, checkpoint_every=3))
    for name, value in whole.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name


@pytest.mark.parametrize("name", ["trans-vae", "trans-vae-online"])
def test_the_contract_is_kept(name: str) -> None:
    report = check(name, Host())
    assert report.ok, [item for item in report.items if not item.ok]


def test_requests_that_cannot_be_met_are_refused() -> None:
    with pytest.raises(ValueError, match="not divisible by 3 heads"):
        TransVAEConfig(heads=3)
    with pytest.raises(ValueError, match="not shorter than a training window"):
        OnlineConfig(delay=256)
    with pytest.raises(DyadbenchError, match=r"hubert.*mfcc-78"):
        _build(audio="hubert")
