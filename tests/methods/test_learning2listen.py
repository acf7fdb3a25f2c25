"""The cross-modal predictor: nothing leaks, the speaker is heard, sampling asks what training scored."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from dyadbench.api import (
    DECA_56,
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
from dyadbench.cell.lookahead import measure_lookahead, perturb_after
from dyadbench.cell.noise import CellNoise
from dyadbench.datasets.tiny_corpus import TinyCorpus
from dyadbench.nn.component import ids_of
from dyadbench.training.loop import FitOptions, fit
from dyadbench_l2l.config import PREDICTOR_PRESETS, TOKENIZER_PRESETS, PredictorConfig, TokenizerConfig
from dyadbench_l2l.network import PatchPredictor
from dyadbench_l2l.predictor import PatchAR
from dyadbench_l2l.tokenizer import WindowTokenizer

SETUP = Setup(FACEVERSE_58, TinyCorpus().audio, True, seed=0)


def _build(tokenizer: Any = None, *, setup: Setup = SETUP, loud: bool = True, **config: object) -> PatchAR:
    """An untrained predictor that says different things at different places."""
    tokenizer = tokenizer or WindowTokenizer(TokenizerConfig(**TOKENIZER_PRESETS["smoke"]), setup)
    full_config = PredictorConfig(**{**PREDICTOR_PRESETS["smoke"], "temperature": 1.0, "top_p": 1.0, **config})
    predictor = PatchAR(full_config, setup, tokenizer=tokenizer)
    if loud:
        with torch.no_grad():
            predictor.net.head.weight.mul_(3.0)
            predictor.net.narrow.weight.mul_(40.0)
    return predictor


def _context(rows: Sequence[int], predictor: PatchAR, frames: int = 75) -> Context:
    return TinyCorpus(predictor.setup.space).context(rows, predictor.needs, frames)


# --- nothing leaks, everything is heard -----------------------------------------------------------------

CODES = 8


class CoinTokenizer:
    """Reads the id of each patch of 8 frames from channel 0."""

    tokens = TokenSpec(CODES, frames_per_token=8, lookahead=24)

    def encode(self, motion: np.ndarray) -> Tokens:
        return Tokens(motion[:, ::8, 0].astype(np.int64), frames=motion.shape[1])

    def decode(self, tokens: Tokens, frames: int) -> tuple[np.ndarray, None]:
        return np.repeat(tokens.ids[:, :, None], 8, 1)[:, :frames].repeat(2, 2).astype(np.float32), None


class Coins:
    """Independent uniform tokens. With `follow`, the listener's are what the speaker showed or said a patch before."""

    def __init__(self, follow: str | None = None):
        self.follow = follow

    def clips(self, split: str) -> list[Clip]:
        return [Clip(f"{split}{i}", str(i), 256) for i in range(64 if split == "train" else 8)]

    def dyads(self, split: str, audio: Sequence[str] = ()) -> Iterator[Dyad]:
        rng = np.random.default_rng(len(split))
        for clip in self.clips(split):
            codes = np.repeat(rng.integers(CODES, size=(3, 34)), 8, 1)  # face, voice, listener; patches begin anywhere
            face, voice, own = (row[: clip.frames] for row in codes)
            own = {"face": face, "voice": voice, None: own}[self.follow]
            face_row, voice_row = np.eye(CODES, dtype=np.float32)[[face, voice]]
            late = np.concatenate([own[:8], own[:-8]]) if self.follow else own
            yield Dyad(
                clip,
                Track(face_row, audio={"said": voice_row}),
                Track(np.repeat(late[:, None], CODES, 1).astype(np.float32)),
            )


def _entropy(tmp_path: Path, data: Coins, **config: object) -> np.ndarray:
    """Cross entropy of each scored output on fresh clips, patches aligned, after a short training: (horizon,)."""
    space = MotionSpace("coins", 25.0, tuple("abcdefgh"), {"all": (0, CODES)})
    setup = Setup(space, {"said": AudioSpec(CODES)}, False, seed=0)
    sizes: dict[str, Any] = {"steps": 150, "batch": 32, "dim": 32, "wide": 32, "cold": 0.0, "dropout": 0.0, "lr": 5e-3}
    predictor = _build(CoinTokenizer(), setup=setup, loud=False, **{**sizes, **config})
    fit(predictor, data, setup.audio, FitOptions(tmp_path, seed=0))
    dyads = list(data.dyads("test" * 5, ("said",)))
    entropies = []
    for first in range(0, 176, 16):

        def cut(arrays: list[np.ndarray], first: int = first) -> torch.Tensor:
            return torch.from_numpy(np.stack([a[first : first + 72] for a in arrays]))

        batch = WindowBatch(
            ("",) * len(dyads), cut([d.speaker.motion for d in dyads]), cut([d.listener.motion for d in dyads]), None, None,
            {"said": cut([d.speaker.audio["said"] for d in dyads])}, torch.ones(len(dyads), 72, dtype=torch.bool), -1, 1.0,
        )  # fmt: skip
        with torch.no_grad():
            entropies.append(predictor._entropy(batch)[0])
    return torch.cat(entropies).mean(0).numpy()


def test_no_output_beats_chance_on_coins(tmp_path: Path) -> None:
    assert _entropy(tmp_path, Coins()).min() > math.log(CODES) - 0.03


@pytest.mark.parametrize(("follow", "share"), [("face", 0.5), ("voice", 0.93)])
def test_the_speaker_is_seen_and_heard(follow: str, share: float, tmp_path: Path) -> None:
    """The voice only asks where to look, so it is learnt later."""
    entropy = _entropy(tmp_path, Coins(follow), steps=250)
    assert entropy[0] < share * math.log(CODES), "the next token was there a patch before"
    assert entropy[1:].min() > 0.9 * math.log(CODES), "later ones were not"


@pytest.mark.parametrize(
    ("ahead", "decode", "declared"), [(0, "sliding", 0), (8, "sliding", 7), (0, "window", 23), (8, "window", 31)]
)
def test_measured_lookahead_is_the_declared(ahead: int, decode: str, declared: int) -> None:
    predictor = _build(ahead=ahead, decode=decode)
    assert predictor.needs.lookahead == declared
    context = _context([0], predictor, 96)
    measured = measure_lookahead(predictor, context, CellNoise(0))
    assert measured is not None
    assert measured <= declared
    if declared:  # and it is really reached: the clip's first frame depends on the last one it may

        def first_frame(after: int) -> np.ndarray:
            other = perturb_after(context, after, np.random.default_rng(0))
            motion = predictor.sample(other, 64, CellNoise(0)).motion
            assert motion is not None
            return motion[0, :, 0]

        assert np.abs(first_frame(95) - first_frame(declared)).max() < 1e-5
        assert np.abs(first_frame(95) - first_frame(declared - 1)).max() > 1e-3


def test_a_hidden_past_has_no_influence() -> None:
    predictor, width = _build(), 40
    torch.manual_seed(0)
    face, sound, past = torch.randn(2, width, 58), torch.randn(2, 4 * width, 128), torch.randint(32, (2, 4))
    null = torch.arange(width)[None] < 24
    with torch.no_grad():
        one, two = (
            predictor.net.speaker(f, s, null.expand(2, -1))
            for f, s in ((face, sound), (face * (1 + 9 * null[..., None]), sound * (1 + 9 * null.repeat_interleave(4, 1)[..., None])))
        )  # fmt: skip
        assert torch.equal(one, two)
        louder = predictor.net.speaker(face + 1.0, sound, null.expand(2, -1))
        assert (predictor.net(past, one) - predictor.net(past, louder)).abs().max() > 1e-3


@pytest.mark.parametrize("ahead", [0, 3, 8])
def test_sampling_asks_what_training_scored(ahead: int) -> None:
    """Same history, same logits."""
    predictor = _build(ahead=ahead, horizon=2)
    now = 40 - ahead
    first = -now % 8  # so that the scored token starts where sampling has one
    dyad = next(TinyCorpus().dyads("test", ("mel-128",)))

    def cut(x: np.ndarray, rate: int = 1) -> torch.Tensor:
        return torch.from_numpy(x[None, first * rate : (first + now + 32) * rate])

    batch = WindowBatch(
        ("a",), cut(dyad.speaker.motion), cut(dyad.listener.motion), None, None,
        {"mel-128": cut(dyad.speaker.audio["mel-128"], 4)}, torch.ones(1, now + 32, dtype=torch.bool), -1, 1.0,
    )  # fmt: skip
    place = first + now
    with torch.no_grad():
        entropy, valid = predictor._entropy(batch)
        heard = predictor._speaker(_context([0], predictor, 96), 12)[:, place // 8]
        past, aim = (
            ids_of(predictor.tokenizer, torch.from_numpy(dyad.listener.motion[None, a : a + 32]))
            for a in (place - 32, place)
        )
        logits = predictor.net(predictor._past(past), heard)
    assert valid.all()
    assert torch.allclose(entropy, F.cross_entropy(logits.transpose(1, 2), aim[:, :2], reduction="none"), atol=1e-3)


# --- the release's options ------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["fixed", "released"])
def test_rows_of_sound(mode: str) -> None:
    """The release's loop takes mel rows from t on where frame t is at row 4 t."""
    predictor = _build(audio_slice=mode, ahead=8)
    context = _context([0], predictor, 96)
    sound = np.zeros((1, 384, 128), np.float32)
    sound[0, :, 0] = np.arange(384)
    voices: list[torch.Tensor] = []

    def spy(face: torch.Tensor, voice: torch.Tensor, null: torch.Tensor) -> torch.Tensor:
        voices.append(voice[:, :, 0])
        return torch.zeros(len(face), 5, predictor.config.dim)

    predictor.net.speaker = spy  # type: ignore[method-assign]
    predictor._speaker(dataclasses.replace(context, audio={"mel-128": sound}), 12)
    rows = torch.cat(voices)
    for token, start in ((4, 0), (5, 8), (9, 40)):
        top = start if mode == "released" else 4 * start
        assert rows[token].tolist() == [min(row, 383) for row in range(top, top + 160)]
    assert rows[2, 64:].tolist() == list(range(96)), "before the clip's 33rd frame both take the right rows"


def test_reencoded_history_is_what_the_decoder_made_of_it() -> None:
    plain, again = _build(), _build(reencode=True)
    again.net.rest.copy_(torch.linspace(-1, 1, 58))
    history = torch.randint(32, (3, 6), generator=torch.Generator().manual_seed(0))
    tokenizer = again.tokenizer
    expected = tokenizer.encode(tokenizer.decode(Tokens(history[:, -4:].numpy()), 32)[0]).ids
    assert np.array_equal(again._past(history).numpy(), expected)
    assert torch.equal(plain._past(history), history[:, -4:])
    short = again._past(history[:, :1])
    assert (short[:, :3] == 32).all(), "tokens before the conversation are nothing yet"
    mean = tokenizer.encode(again.net.rest.expand(1, 32, -1).numpy()).ids
    window = np.concatenate([np.repeat(mean[:, 1:], 3, 0), history[:, :1].numpy()], 1)
    assert np.array_equal(short[:, 3:].numpy(), tokenizer.encode(tokenizer.decode(Tokens(window), 32)[0]).ids[:, -1:])


def test_what_comes_before_a_reencoded_history_is_the_mean_listener(tmp_path: Path) -> None:
    predictor, corpus = _build(reencode=True, steps=1), TinyCorpus()
    fit(predictor, corpus, corpus.audio, FitOptions(tmp_path, seed=0))
    frames = np.concatenate([dyad.listener.motion for dyad in corpus.dyads("train")])
    assert np.allclose(predictor.net.rest.numpy(), frames.mean(0), atol=1e-5)


def test_the_release_s_short_histories_do_not_ask_but_are_asked() -> None:
    """By hand: of 4 listener and 5 speaker places, those without a token look at the speaker alone; all others see all."""
    net = _build(network="released").net
    tokens = torch.tensor([[32, 32, 5, 6], [1, 2, 3, 4], [32, 32, 32, 32]])
    mask = net._mask(tokens)
    assert mask is not None
    blocked = ~mask[:, 0]
    assert blocked[0].nonzero().tolist() == [[i, j] for i in (0, 1) for j in range(4)]
    assert not blocked[1].any()
    assert blocked[2].nonzero().tolist() == [[i, j] for i in range(4) for j in range(4)]
    assert _build().net._mask(tokens) is None
    heard = torch.randn(3, 5, 16)
    calls: list[torch.Tensor] = []
    net.blocks[0].register_forward_hook(lambda _, args, kwargs, out: calls.append(kwargs["mask"]), with_kwargs=True)
    with torch.no_grad():
        net(tokens, heard)
    assert torch.equal(calls[0], mask)
    assert float(net.token_in.weight[32].detach().abs().max()) == 0


def test_released_presets_run_in_both_layouts() -> None:
    for space, audio in ((FACEVERSE_58, True), (DECA_56, False)):
        setup = Setup(space, TinyCorpus(space).audio if audio else {"mel-128": AudioSpec(128, 4)}, audio, seed=0)
        tokenizer = WindowTokenizer(
            TokenizerConfig(**{**TOKENIZER_PRESETS["smoke"], **TOKENIZER_PRESETS["released"]}), setup
        )
        predictor = _build(tokenizer, setup=setup, **PREDICTOR_PRESETS["released"], ahead=8)
        reaction = predictor.sample(_context([0], predictor, 70), 2, CellNoise(0))
        assert reaction.motion is not None
        assert reaction.motion.shape == (1, 2, 70, space.dim)
        assert predictor.needs.lookahead == 31


# --- use ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"audio": "mfcc-78"}, {"audio": "none"}, {"ahead": 8, "decode": "window"}])
def test_a_clips_samples_do_not_depend_on_its_batch(options: dict[str, object]) -> None:
    predictor = _build(**options)
    context = _context([0, 1, 2], predictor)
    together = predictor.sample(context, 3, CellNoise(1)).motion
    alone = predictor.sample(_context([1], predictor), 2, CellNoise(1)).motion
    assert together is not None
    assert alone is not None
    assert np.abs(together[1, :2] - alone[0]).max() < 1e-4
    assert np.abs(together[1, 0] - together[1, 1]).max() > 1e-3
    shorter = dataclasses.replace(context, lengths=np.array([75, 41, 75]))
    padded = predictor.sample(shorter, 2, CellNoise(1)).motion
    assert padded is not None
    cut = predictor.sample(_context([1], predictor, 41), 2, CellNoise(1)).motion
    assert np.abs(padded[1, :, :32] - cut[0, :, :32]).max() < 1e-4


@pytest.mark.parametrize("frames", [1, 31, 33])
def test_any_length_is_generated_whole(frames: int) -> None:
    predictor = _build()
    motion = predictor.sample(_context([0], predictor, frames), 2, CellNoise(0)).motion
    longer = predictor.sample(_context([0], predictor, 64), 2, CellNoise(0)).motion
    assert motion is not None
    assert longer is not None
    assert motion.shape == (1, 2, frames, 58)
    assert np.abs(longer[:, :, :frames] - motion).max() < 1e-4


def test_shuffled_sound_changes_the_reactions(tmp_path: Path) -> None:
    corpus = TinyCorpus()
    predictor = _build(loud=False, steps=20)
    fit(predictor, corpus, corpus.audio, FitOptions(tmp_path, seed=0))
    context = _context([0, 1], predictor)
    shuffled = dataclasses.replace(context, audio={name: values[::-1] for name, values in context.audio.items()})
    with torch.no_grad():
        past = torch.zeros(2, 4, dtype=torch.long)
        one, two = (predictor.net(past, predictor._speaker(c, 10)[:, 8]) for c in (context, shuffled))
    assert (one - two).abs().max() > 1e-3


def test_short_clips_teach_only_what_exists() -> None:
    predictor = _build()
    torch.manual_seed(0)
    valid = torch.arange(72) < torch.tensor([[72], [60], [10]])
    faces = torch.randn(2, 3, 72, 58)
    batch = WindowBatch(("a", "b", "c"), *faces, None, None, {"mel-128": torch.randn(3, 288, 128)}, valid, -1, 1.0)
    with torch.no_grad():
        entropy, scored = predictor._entropy(batch)
        loss = predictor._loss(batch)
    assert scored.sum(1).tolist() == [4, 2, 0]
    assert float(loss.total["all"]) == pytest.approx(float(entropy[scored].mean()), rel=1e-5)
    assert float(loss.log["next"]) == pytest.approx(float(entropy[:2, 0].mean()), rel=1e-5)


def test_rows_hide_their_own_share_of_history() -> None:
    torch.manual_seed(0)
    empty = torch.zeros(4000, 0)
    batch = WindowBatch(("",) * 4000, empty, empty, None, None, {}, empty, 0, 0.0)
    lengths = _build(cold=0.5)._history_length(batch)
    assert 0.45 < float((lengths < 5).float().mean()) < 0.55
    assert set(lengths.flatten().tolist()) == {0, 1, 2, 3, 4, 5}
    assert (_build()._history_length(dataclasses.replace(batch, step=-1)) == 5).all()


def test_paper_preset_has_the_released_size() -> None:
    with torch.device("meta"):
        net = PatchPredictor(PredictorConfig(), channels=56, features=128, codes=200, patch=8)
        released = PatchPredictor(PredictorConfig(network="released"), channels=56, features=128, codes=200, patch=8)
    dead = 3 * 200 * 200 + 200 * 201 + 2 * 200 * 128 + 328 + 4 * 200  # the release's transformer that never runs
    ours = 2 * 400 + 200  # what stands for speakers and tokens that are not there
    assert sum(p.numel() for p in released.parameters()) == 5_438_224 - dead + ours
    assert sum(p.numel() for p in net.parameters()) == pytest.approx(5_438_224 - dead, rel=0.02)


def test_requests_that_cannot_be_met_are_refused() -> None:
    with pytest.raises(ValueError, match="more than the network's 4 outputs"):
        PredictorConfig(horizon=5)
    with pytest.raises(DyadbenchError, match=r"hubert.*mfcc-78"):
        _build(audio="hubert")
    with pytest.raises(DyadbenchError, match="ahead = 9"):
        _build(ahead=9)
