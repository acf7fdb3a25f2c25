"""The rolling keyframe listener: nothing leaks, odds are honest, every window has a keyframe, dense tokens work too."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import binomtest
from torch.autograd import gradcheck

from dyadbench.api import (
    FACEVERSE_58,
    AudioSpec,
    Clip,
    Context,
    Dyad,
    DyadbenchError,
    MotionSpace,
    Setup,
    Tokens,
    TokenSpec,
    Track,
    WindowBatch,
)  # fmt: skip
from dyadbench.cell.lookahead import measure_lookahead
from dyadbench.cell.noise import CellNoise
from dyadbench.conformance.check import check
from dyadbench.datasets.tiny_corpus import TinyCorpus
from dyadbench.registry.host import Host
from dyadbench.training.loop import FitOptions, fit
from dyadbench_dense_fsq.config import TOKENIZER_PRESETS as FRAME_PRESETS
from dyadbench_dense_fsq.config import TokenizerConfig as FrameConfig
from dyadbench_dense_fsq.tokenizer import FrameTokenizer
from dyadbench_sfms.config import PREDICTOR_PRESETS, TOKENIZER_PRESETS, PredictorConfig, TokenizerConfig
from dyadbench_sfms.predictor import KeyframeAR, classes_of, tokens_of
from dyadbench_sfms.selection import evenly
from dyadbench_sfms.softdtw import divergence, soft_dtw
from dyadbench_sfms.tokenizer import SparseTokenizer

SETUP = Setup(FACEVERSE_58, {"mfcc-78": AudioSpec(78), "mel-128": AudioSpec(128, 4)}, True, seed=0)


def _sparse(**config: Any) -> SparseTokenizer:
    return SparseTokenizer(TokenizerConfig(**{**TOKENIZER_PRESETS["smoke"], **config}), SETUP)


def _dense(**config: Any) -> FrameTokenizer:
    return FrameTokenizer(FrameConfig(**{**FRAME_PRESETS["smoke"], **config}), SETUP)


def _build(tokenizer: Any = None, *, setup: Setup = SETUP, loud: bool = True, **config: Any) -> KeyframeAR:
    """An untrained predictor whose classes follow its inputs."""
    full_config = PredictorConfig(**{**PREDICTOR_PRESETS["smoke"], **config})
    predictor = KeyframeAR(full_config, setup, tokenizer=tokenizer or _sparse())
    if loud:
        with torch.no_grad():
            predictor.net.head.weight.mul_(6.0)
            predictor.net.head.bias[0] += 4.0  # transitions are the rule
            for block in predictor.net.fuse:
                block.alpha.fill_(1.0)
            for block in predictor.net.joint:
                block.attention.out.weight.mul_(16.0)
    return predictor


def _context(rows: Sequence[int], predictor: KeyframeAR, frames: int = 64) -> Context:
    return TinyCorpus().context(rows, predictor.needs, frames)


# --- soft-DTW -------------------------------------------------------------------------------------------


def test_soft_dtw_is_the_recursion_and_becomes_dtw() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.random((4, 6)), rng.random((4, 5))
    for gamma in (1.0, 0.1, 1e-3):
        for row in range(4):
            table = np.full((7, 6), np.inf)
            table[0, 0] = 0.0
            for i in range(1, 7):
                for j in range(1, 6):
                    ways = np.array([table[i - 1, j - 1], table[i - 1, j], table[i, j - 1]])
                    low = ways.min()
                    soft = low - gamma * np.log(np.exp(-(ways - low) / gamma).sum())
                    table[i, j] = (x[row, i - 1] - y[row, j - 1]) ** 2 + soft
            loss = soft_dtw(torch.from_numpy(x), torch.from_numpy(y), gamma)[row]
            assert float(loss) == pytest.approx(table[6, 5], abs=1e-9)


def test_the_divergence_is_zero_where_equal_positive_elsewhere_and_differentiable() -> None:
    torch.manual_seed(0)
    x, y = torch.rand(20, 8, dtype=torch.float64), torch.rand(20, 8, dtype=torch.float64)
    assert torch.allclose(divergence(y, y, 0.1), torch.zeros(20, dtype=torch.float64), atol=1e-12)
    assert (divergence(x, y, 0.1) > 0).all()
    assert (soft_dtw(y, y, 0.1) < 0).all(), "plain soft-DTW is what the divergence mends"
    assert gradcheck(lambda a: divergence(a, y[:2], 0.1), x[:2].requires_grad_())


# --- classes --------------------------------------------------------------------------------------------


def test_tokens_and_classes_are_each_others_inverse() -> None:
    keys = np.random.default_rng(0).random((5, 48)) < np.linspace(0.1, 0.4, 5)[:, None]
    classes = np.where(keys, np.random.default_rng(1).integers(1, 81, keys.shape), 0)
    tokens = tokens_of(torch.from_numpy(classes))
    assert np.array_equal(classes_of(tokens), classes)
    assert np.array_equal(classes_of(Tokens(np.array([[0, 5]]))), [[1, 6]])


def test_evenly_keeps_every_probability_and_never_clumps() -> None:
    rng = np.random.default_rng(0)
    p = torch.from_numpy(np.tile(rng.random(24) * 0.4, (4000, 1)))
    keys, carried = evenly(p, torch.from_numpy(rng.random(4000)))
    for frame in range(24):
        assert binomtest(int(keys[:, frame].sum()), 4000, float(p[0, frame])).pvalue > 1e-4
    assert len({int(n) for n in keys.sum(1)}) <= 2, "the number of keyframes is the sum, rounded up or down"
    first, middle = evenly(p[:, :8], carried * 0 + 0.3)
    second, _ = evenly(p[:, 8:], middle)
    assert torch.equal(torch.cat([first, second], 1), evenly(p, carried * 0 + 0.3)[0])


# --- nothing leaks --------------------------------------------------------------------------------------


class Coins:
    """A sparse tokenizer of noise: the frames with the highest values of channel 0 are the keyframes, exactly a quarter
    of what it is shown, and channel 1 is the code. Nobody can know the next frame."""

    tokens = TokenSpec(4, frames_per_token=None)

    def encode(self, motion: np.ndarray) -> Tokens:
        k = max(1, motion.shape[1] // 4)
        keys = np.zeros(motion.shape[:2], bool)
        np.put_along_axis(keys, np.argsort(-motion[..., 0], 1)[:, :k], True, 1)
        ids = motion[..., 1].astype(np.int64)[keys].reshape(len(motion), k)
        return Tokens(ids, keys, motion.shape[1])

    def decode(self, tokens: Tokens, frames: int) -> tuple[np.ndarray, None]:
        return np.zeros((len(tokens.ids), frames, 2), np.float32), None


NOISE = Setup(MotionSpace("noise", 25.0, ("a", "b"), {"all": (0, 2)}), {}, False, seed=0)


def _coins(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return np.stack([rng.random(shape), rng.integers(4, size=shape)], -1).astype(np.float32)


class NoiseCorpus:
    def clips(self, split: str) -> list[Clip]:
        return [Clip(f"{split}{i}", str(i), 200) for i in range(64 if split == "train" else 4)]

    def dyads(self, split: str, audio: Sequence[str] = ()) -> Iterator[Dyad]:
        rng = np.random.default_rng(len(split))
        for clip in self.clips(split):
            yield Dyad(clip, Track(_coins(rng, 200)), Track(_coins(rng, 200)))


@pytest.mark.parametrize(("history", "leaks"), [("apart", False), ("window", True)])
def test_where_keyframes_are_left_is_not_given_away(history: str, leaks: bool, tmp_path: Path) -> None:
    """Labelled as one window, the past says how many of the window's keyframes are still to come."""
    sizes: dict[str, Any] = {"dim": 32, "heads": 2, "layers": 1, "hidden": 64, "past": 8, "patch": 8, "cold": 0.0}
    predictor = _build(
        Coins(),
        setup=NOISE,
        loud=False,
        history=history,
        steps=250,
        batch=64,
        lr=5e-3,
        key_weight=1.0,
        dtw=0.0,
        **sizes,
    )
    fit(predictor, NoiseCorpus(), {}, FitOptions(tmp_path, seed=0))
    faces = [torch.from_numpy(_coins(np.random.default_rng(n), 2000, 16)) for n in (98, 99)]
    batch = WindowBatch(("",) * 2000, *faces, None, None, {}, torch.ones(2000, 16, dtype=torch.bool), -1, 1.0)
    with torch.no_grad():
        logits, classes, _ = predictor._predict(batch)
    keys = classes > 0
    p = 1 - logits.softmax(-1)[..., 0]
    rate = keys.float().mean()
    chance = -(rate * rate.log() + (1 - rate) * (1 - rate).log())
    entropy = float(torch.nn.functional.binary_cross_entropy(p.clamp(1e-6, 1 - 1e-6), keys.float()))
    if leaks:
        assert entropy < float(chance) - 0.03
    else:
        assert entropy > float(chance) - 0.01
        assert float(p.mean()) == pytest.approx(float(rate), abs=0.03)


def test_the_odds_of_keyframes_are_taken_back_from_the_balanced_loss(tmp_path: Path) -> None:
    predictor = _build(Coins(), setup=NOISE, loud=False, steps=150, batch=64, lr=5e-3, past=8, cold=0.0)
    fit(predictor, NoiseCorpus(), {}, FitOptions(tmp_path, seed=0))
    assert float(predictor.net.balance.exp()) == pytest.approx(3.0, rel=0.05)
    faces = [torch.from_numpy(_coins(np.random.default_rng(n), 500, 16)) for n in (98, 99)]
    batch = WindowBatch(("",) * 500, *faces, None, None, {}, torch.ones(500, 16, dtype=torch.bool), -1, 1.0)
    with torch.no_grad():
        logits, classes, _ = predictor._predict(batch)
        scores = predictor._validate(batch)
    balanced, honest = (1 - x.softmax(-1)[..., 0].mean() for x in (logits, predictor.net.calibrated(logits)))
    assert float(balanced) == pytest.approx(0.5, abs=0.07)
    assert float(honest) == pytest.approx(float((classes > 0).float().mean()), abs=0.04)
    assert 0 < float(scores["recall"]) < float(scores["recall-near"]) <= 1
    assert float(scores["keyframes"]) == pytest.approx(1.0, abs=0.2)


# --- look-ahead -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "declared"),
    [({}, 0), ({"ahead": 0}, 0), ({"ahead": 8}, 7), ({"decode": "windows"}, 40), ({"joint": True, "layers": 2}, 0)],
    ids=["first frame", "strictly past", "whole patch", "whole windows", "joint encoder"],
)
def test_measured_lookahead_is_the_declared(config: dict[str, Any], declared: int) -> None:
    predictor = _build(**config)
    assert predictor.needs.lookahead == declared
    measured = measure_lookahead(predictor, _context([0], predictor, 96), CellNoise(0))
    assert measured is not None
    assert measured <= declared
    assert (measured > 0) == (declared > 0), "the declaration is far from what is measured"


@pytest.mark.parametrize(("block", "declared"), [(8, 0), (32, 24)])
def test_lookahead_on_dense_tokens_grows_with_their_blocks(block: int, declared: int) -> None:
    predictor = _build(_dense(block=block))
    assert predictor.needs.lookahead == declared
    assert (measure_lookahead(predictor, _context([0], predictor, 96), CellNoise(0)) or 0) <= declared


# --- sampling -------------------------------------------------------------------------------------------


def _generated(predictor: KeyframeAR, k: int = 4, frames: int = 96) -> np.ndarray:
    """The classes (R, past + frames) of a sampling."""
    class_arrays: list[np.ndarray] = []
    decoded = predictor._reaction
    predictor._reaction = lambda classes, *rest: class_arrays.append(classes.numpy()) or decoded(classes, *rest)  # type: ignore[method-assign]
    predictor.sample(_context([0, 1], predictor, frames), k, CellNoise(0))
    return class_arrays[0]


@pytest.mark.parametrize("spacing", ["even", "independent"])
def test_every_window_has_a_keyframe_however_unlikely(spacing: str) -> None:
    predictor = _build(spacing=spacing)
    with torch.no_grad():
        predictor.net.head.bias[0] = 30.0
        predictor.net.opening[0] = 5
    classes = _generated(predictor)
    windows = np.lib.stride_tricks.sliding_window_view(classes, 48, 1)[:, ::8]
    assert (windows > 0).any(-1).all()
    assert (classes > 0).mean() < 0.05


def test_codes_stay_in_the_book_and_dense_tokens_are_never_a_transition() -> None:
    classes = _generated(_build())
    assert 0 < (classes[:, 40:] > 0).mean() < 1
    assert classes.max() <= 80
    assert _generated(_build(_dense()))[:, 40:].min() >= 1


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"spacing": "independent"},
        {"audio": "mfcc-78"},
        {"audio": "none"},
        {"joint": True, "layers": 2, "guidance": 2.0, "null": 0.1},
    ],
)
def test_a_clips_samples_do_not_depend_on_its_batch(options: dict[str, Any]) -> None:
    predictor = _build(**options)
    together = predictor.sample(_context([0, 1, 2], predictor), 3, CellNoise(1)).motion
    alone = predictor.sample(_context([1], predictor), 2, CellNoise(1)).motion
    assert together is not None
    assert alone is not None
    assert np.abs(together[1, :2] - alone[0]).max() < 1e-4
    assert np.abs(together[1, 0] - together[1, 1]).max() > 1e-3


def test_padding_after_a_short_clip_changes_nothing() -> None:
    predictor = _build(ahead=8)
    whole, short = _context([0, 1], predictor, 64), _context([1], predictor, 41)
    motion, audio = np.array(whole.speaker_motion), {name: np.array(values) for name, values in whole.audio.items()}
    motion[1, 41:] = 0.0
    for name, values in audio.items():
        values[1, 41 * SETUP.audio[name].per_frame :] = 0.0
    context = dataclasses.replace(whole, lengths=np.array([64, 41]), speaker_motion=motion, audio=audio)
    together, alone = predictor.sample(context, 2, CellNoise(0)).motion, predictor.sample(short, 2, CellNoise(0)).motion
    assert together is not None
    assert alone is not None
    assert np.abs(together[1, :, :41] - alone[0]).max() < 1e-4


def test_the_speaker_is_encoded_once_a_window_and_shared_exactly() -> None:
    predictor = _build()
    rows: list[int] = []
    speaker = predictor.net.speaker
    predictor.net.speaker = lambda face, sound: rows.append(len(face)) or speaker(face, sound)  # type: ignore[method-assign]
    predictor.sample(_context([0, 1], predictor), 5, CellNoise(0))
    assert rows == [2] * 8
    held = predictor.net.memory(torch.randn(2, 40, 16))
    past = torch.randint(81, (6, 40))
    with torch.no_grad():
        shared = predictor.net(past, held)
        copied = predictor.net(past, [(k.repeat_interleave(3, 0), v.repeat_interleave(3, 0)) for k, v in held])
    assert torch.equal(shared, copied)


def _logits(predictor: KeyframeAR) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    speaker, past = torch.randn(2, 40, 16, generator=generator), torch.randint(81, (6, 40), generator=generator)
    with torch.no_grad():
        return predictor.net(past, predictor.net.memory(speaker))


def test_in_the_joint_encoder_the_speakers_positions_read_the_listener() -> None:
    """From the second block on: the first block's speaker has read nobody yet, and nothing reads the last one's."""
    apart, joint = (_build(layers=2, joint=joint) for joint in (False, True))
    joint.load_state_dict(apart.state_dict())
    assert float((_logits(apart) - _logits(joint)).abs().max()) > 1e-3
    with pytest.raises(ValueError, match="joint changes nothing with one layer"):
        PredictorConfig(joint=True, layers=1)
    assert PredictorConfig(**PREDICTOR_PRESETS["paper"]).joint, "as the paper says"
    assert "joint" not in PredictorConfig(**PREDICTOR_PRESETS["small"]).model_dump(), "fits of before stay valid"


@pytest.mark.parametrize("who", ["face", "sound"])
def test_the_speaker_is_heard(who: str) -> None:
    predictor = _build()
    context = _context([0, 1], predictor)
    swapped = {name: values[::-1] for name, values in context.audio.items()}
    other = dataclasses.replace(
        context, **({"speaker_motion": context.speaker_motion[::-1]} if who == "face" else {"audio": swapped})
    )
    with torch.no_grad():
        one, two = (predictor._memory(*predictor._speaker(c, 64), 24)[0][0] for c in (context, other))
    assert (one - two).abs().max() > 1e-3


# --- training -------------------------------------------------------------------------------------------


def test_conversations_that_just_began_have_a_neutral_past(tmp_path: Path) -> None:
    predictor = _build(cold=1.0, steps=1)
    fit(predictor, TinyCorpus(), TinyCorpus().audio, FitOptions(tmp_path, seed=0))
    assert predictor.net.opening[0] > 0
    assert not predictor.net.opening[1:].any()
    pasts: list[torch.Tensor] = []
    predictor.net.register_forward_hook(lambda module, inputs, output: pasts.append(inputs[0]))
    x = torch.randn(64, 48, 58)
    sound = torch.randn(64, 48 * 4, 128)
    batch = WindowBatch(("",) * 64, x, x, None, None, {"mel-128": sound}, torch.ones(64, 48, dtype=torch.bool), 3, 0.5)
    torch.manual_seed(0)
    predictor._predict(batch)
    late = (pasts[0][:, :1] == predictor.net.opening[:1]).all(1)
    assert late.float().mean() > 0.7  # all but one row in six, whose conversation is a whole window old
    empty = (pasts[0][:, 1:] == 0).all(1)
    assert 0 < empty.float().mean() < 0.5, "some begin right here, others some patches ago"


@pytest.mark.parametrize("kind", ["sparse", "dense"])
def test_training_lowers_the_entropy(kind: str, tmp_path: Path) -> None:
    corpus, tokenizer = TinyCorpus(), _sparse(steps=40) if kind == "sparse" else _dense(steps=40)
    fit(tokenizer, corpus, {}, FitOptions(tmp_path / "tokenizer", seed=0))
    predictor = _build(tokenizer, loud=False, steps=60, batch=16)
    fit(predictor, corpus, corpus.audio, FitOptions(tmp_path / "predictor", seed=0))
    log = (tmp_path / "predictor" / "predictor" / "metrics.jsonl").read_text().splitlines()
    losses = [float(row.split('"loss": ')[1].rstrip("}")) for row in log if '"loss"' in row]
    assert losses[-1] < 0.97 * losses[0]


def test_requests_that_cannot_be_met_are_refused() -> None:
    with pytest.raises(DyadbenchError, match="no audio feature 'opera'"):
        _build(audio="opera")
    with pytest.raises(ValueError, match="frames of a patch"):
        PredictorConfig(ahead=9)


@pytest.mark.parametrize("name", ["sfms", "sfms-vq"])
def test_the_methods_pass_the_check(name: str) -> None:
    report = check(name, Host())
    assert report.ok, [item for item in report.items if not item.ok]


def test_a_tokenizer_whose_windows_are_shorter_than_those_that_are_decoded_is_refused() -> None:
    """A window of the tokenizer without a keyframe ended the run in the middle of sampling."""
    with pytest.raises(
        DyadbenchError, match=r"decodes windows of 48 frames \(past \+ patch\).*windows of 24; set tokenizer"
    ):
        _build(_sparse(window=24))


def test_a_last_window_that_is_cut_is_decoded_whole() -> None:
    predictor = _build(decode="windows")
    with torch.no_grad():  # keyframes are rare, so that a window of two frames has none
        predictor.net.head.weight.zero_()
        predictor.net.head.bias.zero_()
        predictor.net.head.bias[0] = 9.0
    context = _context([0, 1], predictor, 50)
    assert predictor.sample(context, 3, CellNoise(0)).motion.shape == (2, 3, 50, FACEVERSE_58.dim)


def test_a_keyframe_at_every_frame_trains_with_a_finite_loss() -> None:
    predictor = _build(_sparse(keyframes=48, placement="static"))
    next(iter(predictor.stages(TinyCorpus())))
    assert torch.isfinite(predictor.net.balance).all()
