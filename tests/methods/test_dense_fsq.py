"""The cross-modal listener: nothing leaks, masks are a row's own, the cache changes nothing, sound is heard."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

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
from dyadbench.datasets.tiny_corpus import TinyCorpus
from dyadbench.nn.component import ids_of
from dyadbench.training.loop import FitOptions, fit
from dyadbench_dense_fsq.config import PREDICTOR_PRESETS, TOKENIZER_PRESETS, PredictorConfig, TokenizerConfig
from dyadbench_dense_fsq.factory import build
from dyadbench_dense_fsq.network import CrossModalNet, Speaker, key_mask
from dyadbench_dense_fsq.predictor import CrossModalAR, block_lookahead
from dyadbench_dense_fsq.released import cut, scrambled
from dyadbench_dense_fsq.tokenizer import FrameTokenizer

SETUP = Setup(FACEVERSE_58, {"mfcc-78": AudioSpec(78), "mel-128": AudioSpec(128, 4)}, True, seed=0)


def _build(tokenizer: Any = None, *, setup: Setup = SETUP, loud: bool = True, **config: object) -> CrossModalAR:
    """An untrained predictor whose gates are open."""
    tokenizer = tokenizer or FrameTokenizer(TokenizerConfig(**TOKENIZER_PRESETS["smoke"]), setup)
    full_config = PredictorConfig(**{**PREDICTOR_PRESETS["smoke"], **config})
    predictor = build(full_config, setup, tokenizer=tokenizer)
    if loud:
        with torch.no_grad():
            for block in (*predictor.net.fuse, *predictor.net.answer):
                block.alpha.fill_(4.0)
            predictor.net.head.weight.mul_(8.0)
    return predictor


def _context(rows: Sequence[int], predictor: CrossModalAR, frames: int = 75) -> Context:
    return TinyCorpus().context(rows, predictor.needs, frames)


# --- nothing leaks --------------------------------------------------------------------------------------

CODES = 8


class CoinTokenizer:
    """Reads the id from channel 0."""

    tokens = TokenSpec(CODES, frames_per_token=1)

    def encode(self, motion: np.ndarray) -> Tokens:
        return Tokens(motion[..., 0].astype(np.int64), frames=motion.shape[1])

    def decode(self, tokens: Tokens, frames: int) -> tuple[np.ndarray, None]:
        return np.repeat(tokens.ids[:, :frames, None], 2, 2).astype(np.float32), None


class Coins:
    """Listeners whose tokens are independent and uniform: nobody can beat log V."""

    def clips(self, split: str) -> list[Clip]:
        return [Clip(f"{split}{i}", str(i), 200) for i in range(64 if split == "train" else 4)]

    def dyads(self, split: str, audio: Sequence[str] = ()) -> Iterator[Dyad]:
        rng = np.random.default_rng(len(split))
        for clip in self.clips(split):
            faces = [rng.integers(CODES, size=(200, 2)).astype(np.float32) for _ in range(2)]
            yield Dyad(clip, Track(faces[0]), Track(faces[1]))


def _entropy(tmp_path: Path, **config: object) -> torch.Tensor:
    """Cross entropy of each scored position on fresh coins after training."""
    setup = Setup(MotionSpace("coins", 25.0, ("a", "b"), {"all": (0, 2)}), {}, False, seed=0)
    sizes: dict[str, Any] = {"steps": 120, "batch": 16, "context": 16, "patch": 4, "mask": 0.0, "lr": 5e-3}
    predictor = _build(CoinTokenizer(), setup=setup, loud=False, **{**sizes, "dim": 32, **config})
    fit(predictor, Coins(), {}, FitOptions(tmp_path, seed=0))
    rng = np.random.default_rng(99)
    faces = [torch.from_numpy(rng.integers(CODES, size=(512, 20, 2)).astype(np.float32)) for _ in range(2)]
    batch = WindowBatch(("",) * 512, *faces, None, None, {}, torch.ones(512, 20, dtype=torch.bool), -1, 1.0)
    with torch.no_grad():
        entropy, _ = predictor._entropy(batch)
    return entropy.mean(0)


@pytest.mark.parametrize("levers", [{}, {"change": 2.0, "regress": 1.0}])
@pytest.mark.parametrize("attention", ["window", "block-causal"])
def test_no_scored_position_beats_chance_on_coins(attention: str, levers: dict[str, float], tmp_path: Path) -> None:
    assert _entropy(tmp_path, attention=attention, **levers).min() > math.log(CODES) - 0.03


def test_the_released_objective_fails_the_probe_everywhere_but_in_the_last_patch(tmp_path: Path) -> None:
    entropy = _entropy(tmp_path, mode="released")
    assert len(entropy) == 16
    assert entropy[:-4].max() < 0.2 * math.log(CODES)  # targets that the input shows
    assert entropy[-4:].min() > math.log(CODES) - 0.03
    assert entropy.mean() < 0.4 * math.log(CODES)


# --- look-ahead -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("attention", "block", "declared"), [("window", 8, 0), ("block-causal", 8, 0), ("window", 32, 23), ("window", 4, 0)]
)
def test_measured_lookahead_is_within_the_declared(attention: str, block: int, declared: int) -> None:
    tokenizer = FrameTokenizer(TokenizerConfig(**{**TOKENIZER_PRESETS["smoke"], "block": block}), SETUP)
    predictor = _build(tokenizer, attention=attention)
    measured = measure_lookahead(predictor, _context([0], predictor, 96), CellNoise(0))
    assert predictor.needs.lookahead == declared
    assert measured is not None
    assert measured <= declared
    assert (measured > 0) == (declared > 0), "the declaration is far from what is measured"


def test_the_released_speaker_tokens_look_ahead() -> None:
    predictor = _build(mode="released")
    measured = measure_lookahead(predictor, _context([0], predictor, 96), CellNoise(0))
    assert measured is not None
    assert 0 < measured <= predictor.needs.lookahead == 7


def test_block_lookahead() -> None:
    assert block_lookahead(32, 32) == 0
    assert block_lookahead(32, 8) == 0
    assert block_lookahead(8, 32) == 23
    assert block_lookahead(1, 1) == 0


def test_the_speaker_is_heard_up_to_the_patch() -> None:
    predictor = _build()
    context = _context([0], predictor, 64)
    louder = np.array(context.speaker_motion)
    louder[:, 23] += 5.0
    moved = np.abs(
        predictor.sample(context, 4, CellNoise(0)).motion
        - predictor.sample(dataclasses.replace(context, speaker_motion=louder), 4, CellNoise(0)).motion
    ).max((0, 1, 3))
    assert int(np.flatnonzero(moved > 1e-5)[0]) // 8 == 3, "frame 23 must reach the patch that starts at 24"


# --- masks and caches -----------------------------------------------------------------------------------


def test_a_batch_of_different_histories_equals_its_rows_alone() -> None:
    net, n = _build().net.eval(), 32
    torch.manual_seed(0)
    face, sound, ids = torch.randn(3, n, 58), torch.randn(3, n, 78), torch.randint(2, 82, (3, n))
    valid = torch.arange(n) >= torch.tensor([[0], [8], [24]])
    null = (torch.arange(n) >= torch.tensor([[0], [8], [24]])) & (torch.arange(n) < torch.tensor([[8], [16], [32]]))

    def run(rows: slice, start: int, mask: torch.Tensor | None) -> torch.Tensor:
        heard = net.speaker(Speaker(face[rows, start:], sound[rows, start:], null[rows, start:]), mask)
        return net.listener(ids[rows, start:], heard, mask, mask)

    with torch.no_grad():
        together = run(slice(0, 3), 0, key_mask(valid))
        for row, start in enumerate((0, 8, 24)):
            cut = run(slice(row, row + 1), start, None)  # what is masked may as well not be there
            assert torch.allclose(together[row, start:], cut[0], atol=1e-4)


def test_the_released_mask_expansion_gives_rows_the_masks_of_others() -> None:
    valid = torch.tensor([[True, True], [False, True], [True, False]])
    for row in range(3):
        for head in range(2):
            assert torch.equal(scrambled(valid, 2)[row, head, 0], valid[(row * 2 + head) % 3])


def test_the_release_cuts_each_position_at_the_batch_s_smallest_threshold() -> None:
    logits = torch.tensor([[3.0, 2, 1, 0], [30, 20, 10, 0]])
    assert cut(logits[None], 2).isfinite().sum(-1).tolist() == [[2, 2]], "positions do not share a threshold"
    assert cut(logits[:, None], 2).isfinite().sum(-1).tolist() == [[2], [3]], "rows of a batch do"
    assert torch.equal(cut(logits[None], 9), logits[None])


def test_the_release_attends_to_all_keys_alike_where_all_are_masked() -> None:
    predictor = _build(mode="released")
    block = predictor.net.answer[0]
    torch.manual_seed(0)
    x, valid = torch.randn(2, 6, 16), torch.arange(6) >= torch.tensor([[6], [4]])  # of the first row no key is seen
    for attention in (block.attention, block.cross):  # type: ignore[union-attr]
        with torch.no_grad():
            out = attention(x, x, mask=key_mask(valid))
            alike = attention.out(attention.value(x).mean(1, keepdim=True))  # type: ignore[union-attr, operator]
            alone = attention(x[1:], x[1:, 4:])
        assert torch.allclose(out[0], alike[0].expand(6, -1), atol=1e-6)
        assert torch.allclose(out[1:], alone, atol=1e-6), "a row with seen keys attends to these by score"
    fixed = _build().net.answer[0].attention  # type: ignore[union-attr]
    with torch.no_grad():
        assert not torch.allclose(fixed(x, x, mask=key_mask(valid))[0, 0], fixed(x, x, mask=key_mask(valid))[0, 1])


def test_the_released_network_starts_and_stays_where_the_release_s_does(tmp_path: Path) -> None:
    """Embeddings N(0, 0.02) whose row 0 never learns, no bias in the head, one norm for both queries of a gated block,
    sound as it comes."""
    predictor = _build(mode="released", loud=False, weight_decay=0.0)
    net = predictor.net
    tables = [net.face_in, net.token_in, net.face_at, net.sound_at, net.token_at]
    for table in tables:
        assert float(table.weight.detach().std()) == pytest.approx(0.02, rel=0.1)
    start = [table.weight.detach().clone() for table in tables]
    fit(predictor, TinyCorpus(), SETUP.audio, FitOptions(tmp_path, seed=0))
    for table, before in zip(tables, start, strict=True):
        assert torch.equal(table.weight[0], before[0])
        assert (table.weight - before).abs().max() > 1e-3
    assert net.head.bias is None
    assert all(block.norm_cross is None for block in (*net.fuse, *net.answer))
    assert float(net.sound_mean.abs().max()) == 0
    assert torch.equal(net.sound_scale, torch.ones_like(net.sound_scale))


def test_released_rows_depend_on_the_masks_and_thresholds_of_others() -> None:
    predictor = _build(mode="released")
    torch.manual_seed(0)
    past, face, sound = torch.randint(2, 82, (2, 32)), torch.randint(2, 82, (2, 32)), torch.randn(2, 32, 78)
    valid = torch.arange(32) >= torch.tensor([[0], [24]])
    with torch.no_grad():
        together = predictor._logits(past, face, sound, valid, valid)  # type: ignore[attr-defined]
        alone = predictor._logits(past[:1], face[:1], sound[:1], valid[:1], valid[:1])  # type: ignore[attr-defined]
    assert (together[0] - alone[0]).abs().max() > 1e-2
    pair, one = (predictor.sample(_context(rows, predictor, 64), 2, CellNoise(1)).motion for rows in ([0, 1], [0]))
    assert np.abs(pair[0] - one[0]).max() > 1e-2


def test_cached_generation_equals_uncached() -> None:
    cached, uncached = (_build(attention="block-causal", layers=2, cache=cache) for cache in (True, False))
    context = _context([0, 1], cached)
    one, two = (p.sample(context, 3, CellNoise(0)).motion for p in (cached, uncached))
    assert np.abs(one - two).max() < 1e-4
    # And position by position, well past the context, for given tokens.
    torch.manual_seed(0)
    ids = torch.randint(82, (4, 72))
    with torch.no_grad():
        fused = cached.net.speaker(cached._speaker(context, 80))
        memory, caches = cached.net.memory(fused), cached.net.caches()
        whole = cached.net.listener(ids, fused[:, :72].repeat_interleave(2, 0))
        for at in range(0, 72, 8):
            window = slice(max(0, at + 8 - cached.config.context), at + 8)
            memory_part = [(k[:, :, window], v[:, :, window]) for k, v in memory]
            part = cached.net.listener_step(ids[:, at : at + 8], memory_part, caches, at)
            assert torch.allclose(part, whole[:, at : at + 8], atol=1e-3)


def test_training_scores_what_sampling_asks() -> None:
    """The windows of the loss and of the loop are the same function: same history, same logits."""
    predictor = _build(mask=0.0)
    context, patch, width = _context([0], predictor, 40), 8, 32
    dyad = next(TinyCorpus().dyads("test", ("mfcc-78",)))
    frames = {
        name: torch.from_numpy(x[None, :40]) for name, x in (("s", dyad.speaker.motion), ("l", dyad.listener.motion))
    }
    batch = WindowBatch(
        ("a",), frames["s"], frames["l"], None, None, {"mfcc-78": torch.from_numpy(dyad.speaker.audio["mfcc-78"][None, :40])},
        torch.ones(1, 40, dtype=torch.bool), -1, 1.0,
    )  # fmt: skip
    with torch.no_grad():
        ids = ids_of(predictor.tokenizer, batch.listener_motion)
        trained = predictor._windowed(batch, ids).logits
        step = predictor._window(predictor._speaker(context, 40))
        assert torch.allclose(trained, step(width, ids[:, :width]), atol=1e-3)
        causal = _build(attention="block-causal")
        logits = causal._causal(batch, ids).logits
        step = causal._uncached(causal._speaker(context, 40))
        for first in range(0, 40, patch):
            assert torch.allclose(logits[:, first : first + patch], step(first, ids[:, :first]), atol=1e-3)


# --- use ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options", [{}, {"rotary": True}, {"attention": "block-causal"}, {"audio": "mel-128"}, {"audio": "none"}]
)
def test_a_clips_samples_do_not_depend_on_its_batch(options: dict[str, object]) -> None:
    predictor = _build(**options)
    together = predictor.sample(_context([0, 1, 2], predictor), 3, CellNoise(1))
    alone = predictor.sample(_context([1], predictor), 2, CellNoise(1))
    for a, b in ((together.motion, alone.motion), (together.emotion, alone.emotion)):
        assert a is not None
        assert b is not None
        assert np.abs(a[1, :2] - b[0]).max() < 1e-4
    assert np.abs(together.motion[1, 0] - together.motion[1, 1]).max() > 1e-3


@pytest.mark.parametrize("mode", ["fixed", "released"])
@pytest.mark.parametrize("frames", [1, 31, 33])
def test_any_length_is_generated_whole(mode: str, frames: int) -> None:
    predictor = _build(mode=mode)
    reaction = predictor.sample(_context([0], predictor, frames), 2, CellNoise(0))
    assert reaction.motion.shape == (1, 2, frames, 58)
    assert reaction.emotion is not None
    assert reaction.emotion.shape == (1, 2, frames, 25)
    longer = predictor.sample(_context([0], predictor, 64), 2, CellNoise(0))
    if mode == "fixed":
        whole = frames // 8 * 8  # later blocks see more frames where the clip goes on
        assert np.abs(longer.motion[:, :, :whole] - reaction.motion[:, :, :whole]).max(initial=0) < 1e-4


class Echo(TinyCorpus):
    """The listener's face is what was heard eight frames ago; neither face says it beforehand."""

    def dyads(self, split: str, audio: Sequence[str] = ()) -> Iterator[Dyad]:
        for i, dyad in enumerate(super().dyads(split, audio)):
            rng = np.random.default_rng([7, len(split), i])
            heard = np.repeat(rng.choice([-1.0, 1.0], self.frames // 8), 8).astype(np.float32)
            face = np.outer(np.roll(heard, 8) * (np.arange(self.frames) >= 8), np.sign(np.cos(np.arange(58))))
            sound = {name: 0.3 * values + heard[:, None] for name, values in dyad.speaker.audio.items()}
            speaker = dataclasses.replace(dyad.speaker, audio=sound)
            yield Dyad(dyad.clip, speaker, dataclasses.replace(dyad.listener, motion=face.astype(np.float32)))


@pytest.mark.parametrize("attention", ["window", "block-causal"])
def test_training_opens_the_gates_and_shuffled_sound_changes_the_reactions(attention: str, tmp_path: Path) -> None:
    corpus = Echo(clips=16)
    predictor = _build(loud=False, attention=attention, steps=120, batch=8, gate_gain=10.0)
    assert not predictor.net.alphas().any()
    for part, folder in ((predictor.tokenizer, "tokenizer"), (predictor, "predictor")):
        fit(part, corpus, corpus.audio, FitOptions(tmp_path / folder, seed=0))  # type: ignore[arg-type]
    assert (predictor.net.alphas().abs() > 0.01).all()

    dyads = list(corpus.dyads("val", ("mfcc-78",)))
    faces = (
        torch.from_numpy(np.stack([getattr(d, who).motion[:40] for d in dyads])) for who in ("speaker", "listener")
    )
    sound = torch.from_numpy(np.stack([dyad.speaker.audio["mfcc-78"][:40] for dyad in dyads]))
    right = WindowBatch(
        ("",) * 16, *faces, None, None, {"mfcc-78": sound}, torch.ones(16, 40, dtype=torch.bool), -1, 1.0
    )
    wrong = dataclasses.replace(right, audio={"mfcc-78": sound.roll(1, 0)})
    with torch.no_grad():
        heard, shuffled = (float(predictor._entropy(batch)[0].mean()) for batch in (right, wrong))
    assert shuffled > heard + 0.3

    context = _context([0, 1], predictor)
    context = dataclasses.replace(context, audio={"mfcc-78": sound[:2].numpy().repeat(2, 1)[:, : context.frames]})
    swapped = dataclasses.replace(context, audio={"mfcc-78": context.audio["mfcc-78"][::-1]})
    one, two = (predictor.sample(c, 4, CellNoise(0)).motion for c in (context, swapped))
    assert np.abs(one - two).max() > 0.1


@pytest.mark.parametrize("attention", ["window", "block-causal"])
def test_the_regression_teaches_the_speaker_and_validation_is_of_the_tokens_alone(attention: str) -> None:
    plain, taught = (_build(attention=attention, mask=0.0, **more) for more in ({}, {"change": 2.0, "regress": 1.0}))
    torch.manual_seed(0)
    faces, valid = torch.randn(2, 4, 40, 58), torch.ones(4, 40, dtype=torch.bool)
    batch = WindowBatch(("",) * 4, *faces, None, None, {"mfcc-78": torch.randn(4, 40, 78)}, valid, 0, 0.0)
    check = dataclasses.replace(batch, step=-1)
    assert plain._loss(check).total["all"].item() == taught._loss(check).total["all"].item()
    loss = taught._loss(batch)
    assert loss.total["all"].item() != plain._loss(batch).total["all"].item()
    assert taught.net.regression is not None
    taught.net.zero_grad()
    other = dataclasses.replace(batch, listener_motion=batch.listener_motion.roll(1, 1))
    one, two = (float(taught._loss(b).log["regression"]) for b in (batch, other))
    assert one != two, "it is compared with the listener at its own frames"
    loss.total["all"].backward()
    assert float(taught.net.regression.readout.weight.grad.abs().max()) > 0


def test_short_clips_still_teach() -> None:
    predictor = _build()
    torch.manual_seed(0)
    valid = torch.arange(40) < torch.tensor([[40], [20], [3]])
    faces = torch.randn(2, 3, 40, 58)
    batch = WindowBatch(("a", "b", "c"), *faces, None, None, {"mfcc-78": torch.randn(3, 40, 78)}, valid, 0, 0.0)
    _, scored = predictor._entropy(batch)
    assert scored.sum(1).tolist() == [8, 8, 3]


@pytest.mark.parametrize("attention", ["window", "block-causal"])
def test_rows_trained_without_a_past_do_not_depend_on_it(attention: str) -> None:
    predictor = _build(attention=attention, hide=1.0, mask=0.0)
    torch.manual_seed(0)
    batch = WindowBatch(
        ("a", "b"), *torch.randn(2, 2, 40, 58), None, None, {"mfcc-78": torch.randn(2, 40, 78)},
        torch.ones(2, 40, dtype=torch.bool), 0, 0.0,
    )  # fmt: skip
    other = dataclasses.replace(
        batch, listener_motion=torch.cat([torch.randn(2, 32, 58), batch.listener_motion[:, 32:]], 1)
    )
    for step, same in ((0, True), (-1, False)):  # in validation the past is there
        one, two = (predictor._entropy(dataclasses.replace(b, step=step))[0][:, -8:] for b in (batch, other))
        assert torch.allclose(one, two, atol=1e-5) is same


def test_modes_differ_where_they_should() -> None:
    fixed, released = _build(), _build(mode="released")
    assert fixed.net.head.out_features == 80
    assert released.net.head.out_features == 2050
    assert fixed.needs.lookahead == 0
    assert type(fixed) is not type(released)


def test_paper_preset_has_the_released_size() -> None:
    with torch.device("meta"):
        net = CrossModalNet(PredictorConfig(mode="released"), 58, AudioSpec(512, 2), 1000)
    dead = 0.12e6 + 720  # its unused sound embedding and last speaker norm
    assert sum(p.numel() for p in net.parameters()) == pytest.approx(86_087_896 - dead, rel=1e-3)


def test_requests_that_cannot_be_met_are_refused() -> None:
    with pytest.raises(ValueError, match="multiple of patch"):
        PredictorConfig(context=100)
    for options in ({"attention": "block-causal"}, {"rotary": True}):
        with pytest.raises(ValueError, match="absolute positions only"):
            PredictorConfig(mode="released", **options)
    for options in ({"null": 0.15}, {"guidance": 3.0}, {"top_p": 0.9}, {"change": 1.0}, {"regress": 1.0}):
        with pytest.raises(ValueError, match=f'mode "released" does not read {next(iter(options))}'):
            PredictorConfig(mode="released", **options)
    with pytest.raises(DyadbenchError, match=r"hubert.*mfcc-78"):
        _build(audio="hubert")
