"""DiffListener: blocks, what each may hear, one pass a step, modalities, words, what it learns."""

from __future__ import annotations

import dataclasses
import sys
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
    Windows,
    Word,
)  # fmt: skip
from dyadbench.cell.lookahead import measure_lookahead, perturb_after
from dyadbench.cell.noise import CellNoise
from dyadbench.datasets.tiny_corpus import TinyCorpus
from dyadbench.nn.component import ids_of
from dyadbench.training.loop import FitOptions, fit
from dyadbench.training.windows import WindowSource
from dyadbench_difflistener import predictor as module
from dyadbench_difflistener.blocks import Block, cut, plan, training_layout, visible_frames
from dyadbench_difflistener.config import (
    ONLINE_PRESETS,
    PREDICTOR_PRESETS,
    TOKENIZER_PRESETS,
    OnlinePredictorConfig,
    PredictorConfig,
    TokenizerConfig,
)
from dyadbench_difflistener.predictor import TokenDiffusion
from dyadbench_difflistener.tokenizer import ConvTokenizer
from dyadbench_difflistener.words import HashedWords, WordEncoder, place, word_encoder

SETUP = Setup(FACEVERSE_58, {"mfcc-78": AudioSpec(78), "mel-128": AudioSpec(128, 4)}, True, seed=0)


def _config(online: bool = False, **config: object) -> PredictorConfig:
    if online:
        return OnlinePredictorConfig(**{**ONLINE_PRESETS["smoke"], **config})
    return PredictorConfig(**{**PREDICTOR_PRESETS["smoke"], **config})


def _build(tokenizer: Any = None, *, online: bool = False, setup: Setup = SETUP, **config: object) -> TokenDiffusion:
    """An untrained predictor that says something definite."""
    if tokenizer is None:
        tokenizer = ConvTokenizer(TokenizerConfig(**{**TOKENIZER_PRESETS["smoke"], "causal": online}), setup)
    predictor = TokenDiffusion(_config(online, **config), setup, tokenizer)
    with torch.no_grad():
        predictor.net.denoiser.head.weight.mul_(6.0)
        for layer in predictor.net.denoiser.layers:
            layer.cross.value.weight.mul_(10.0)
    return predictor


def _context(rows: Sequence[int], predictor: TokenDiffusion, frames: int = 90) -> Context:
    return TinyCorpus().context(rows, predictor.needs, frames)


# --- blocks ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tokens", [1, 7, 8, 9, 30, 94])
@pytest.mark.parametrize("online", [False, True])
def test_blocks_bring_every_token_once_and_hold_what_went_before(online: bool, tokens: int) -> None:
    config = _config(online)
    blocks = plan(config, tokens)
    brought = [token for block in blocks for token in range(block.first, block.stop)]
    assert brought[:tokens] == list(range(tokens))
    assert len(brought) == len(set(brought))
    for block in blocks:
        assert block.stop - block.start <= config.window
        assert block.first - block.start == (0 if block.first == 0 and not online else config.overlap)
    if not online:
        assert brought == list(range(tokens))
        assert len(blocks) == 1 or tokens > config.window


def test_cut_pads_with_zeros() -> None:
    values = torch.arange(1, 7).view(1, 6)
    assert cut(values, -2, 3).tolist() == [[0, 0, 1, 2, 3]]
    assert cut(values, 4, 8).tolist() == [[5, 6, 0, 0]]
    assert cut(values, 7, 9).tolist() == [[0, 0]]
    assert cut(values, -4, -1).tolist() == [[0, 0, 0]]
    assert cut(values[..., None], 5, 7).tolist() == [[[6], [0]]]


@pytest.mark.parametrize("ahead", [None, 0, 5])
def test_training_rows_hear_what_sampling_does(ahead: int | None) -> None:
    config, long = _config(window=6, overlap=3, ahead=ahead, prefix=0.5, cold=0.5), torch.tensor([1000])
    torch.manual_seed(0)
    layout = training_layout(config, 64, 8, training=True)
    layouts = set()
    for there, held, heard in zip(layout.exists, layout.prefix, layout.visible, strict=True):
        missing, past_tokens = int((~there).sum()), int(held.sum())
        start = 0 if ahead is None and not past_tokens else 20
        block = (
            Block(-missing, past_tokens - missing, 6 - missing)
            if missing
            else Block(start, start + past_tokens, start + 6)
        )
        assert torch.equal(heard, visible_frames(config, block, 8, long)[0])
        layouts.add((missing, past_tokens))
    assert layouts == ({(0, 0), (0, 3)} if ahead is None else {(m, 3) for m in range(4)})
    calm = training_layout(config, 2, 8, training=False)
    assert calm.exists.all()
    assert calm.prefix.any() == (ahead is not None)


def test_blocks_hold_the_tokens_of_the_one_before(monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = _build()
    calls: list[tuple[torch.Tensor, torch.Tensor]] = []
    sample = predictor.net.process.sample

    def spy(denoise: Any, uniform: torch.Tensor, **more: Any) -> torch.Tensor:
        calls.append((more["known"], sample(denoise, uniform, **more)))
        return calls[-1][1]

    monkeypatch.setattr(predictor.net.process, "sample", spy)
    predictor.sample(_context([0, 1], predictor, 96), 3, CellNoise(0))  # 12 tokens: 8, then 4 beside 3 held ones
    (first, output), (second, last) = calls
    assert (first == -1).all()
    assert torch.equal(second[:, :3], output[:, -3:])
    assert torch.equal(last[:, :3], output[:, -3:])
    assert (second[:, 3:] == -1).all()
    assert second.shape == (6, 7)


@pytest.mark.parametrize(("history", "knows"), [("window", True), ("apart", False)])
def test_held_tokens_know_of_what_follows_only_where_the_window_is_encoded_whole(history: str, knows: bool) -> None:
    """The encoder of `conv-vq-causal`, too, looks ahead; the tokens of a block before cannot when sampling."""
    predictor = _build(online=True, history=history)
    overlap, frames = predictor.config.overlap, predictor.config.window * predictor.patch
    motion = 100 * torch.randn(4, frames, SETUP.space.dim, generator=torch.Generator().manual_seed(0))
    other = motion.clone()
    other[:, overlap * predictor.patch :] += 300.0
    held, without = (predictor._held(x, ids_of(predictor.tokenizer, x)) for x in (motion, other))
    assert (held[:, :overlap] != without[:, :overlap]).any() == knows
    assert torch.equal(held[:, overlap:], ids_of(predictor.tokenizer, motion)[:, overlap:])


# --- look-ahead -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("ahead", [0, 8])
def test_measured_lookahead_of_blocks_is_within_the_declared(ahead: int) -> None:
    predictor = _build(online=True, ahead=ahead)
    context = _context([0], predictor, 96)
    measured = measure_lookahead(predictor, context, CellNoise(0))
    assert predictor.needs.lookahead == max(0, ahead - 1)
    assert measured is not None
    assert measured <= max(0, ahead - 1)
    other = perturb_after(context, 33, np.random.default_rng(0))  # in the block of frames 32 to 47
    moved = [predictor.sample(c, 16, CellNoise(0)).motion for c in (context, other)]
    first = int((np.abs(moved[0] - moved[1]).max((0, 1, 3)) > 1e-6).argmax())
    assert first == (48 if ahead == 0 else 32)


def test_whole_windows_declare_the_whole_clip_and_hear_it() -> None:
    predictor = _build(window=16)
    assert predictor.needs.lookahead is None
    assert measure_lookahead(predictor, _context([0], predictor, 96), CellNoise(0)) is None


def test_a_decoder_that_looks_ahead_counts() -> None:
    tokenizer = ConvTokenizer(TokenizerConfig(**TOKENIZER_PRESETS["smoke"]), SETUP)
    predictor = _build(tokenizer, online=True)
    assert tokenizer.decode_ahead > 0
    assert predictor.needs.lookahead == tokenizer.decode_ahead


def test_online_reactions_do_not_know_the_clips_end() -> None:
    predictor = _build(online=True)
    long, short = (predictor.sample(_context([0], predictor, n), 2, CellNoise(0)).motion for n in (90, 43))
    assert np.abs(long[:, :, :43] - short).max() < 1e-5


# --- sampling -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("guidance", [1.0, 2.0])
def test_one_pass_a_step_and_one_encoding_for_all_samples(guidance: float, monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = _build(window=16, guidance=guidance)
    passes: list[int] = []
    encoded: list[int] = []
    net = predictor.net
    net.denoiser.register_forward_pre_hook(lambda _, args: passes.append(len(args[0])))
    net.fusion.register_forward_pre_hook(lambda _, args: encoded.append(len(args[0])))
    sizes: list[int] = []
    memory = net.denoiser.memory
    monkeypatch.setattr(net.denoiser, "memory", lambda fused: sizes.append(len(fused)) or memory(fused))
    predictor.sample(_context([0, 1], predictor), 5, CellNoise(0))
    times = 1 if guidance == 1 else 2
    assert passes == [10] * (predictor.config.sample_steps * times)
    assert encoded == sizes == [2] * times


@pytest.mark.parametrize("memory", ["frames", "tokens"])
def test_sharing_the_speaker_changes_no_logit(memory: str) -> None:
    predictor, (block,) = _build(window=16, memory=memory), plan(_config(window=16), 12)
    context, lengths = _context([0, 1], predictor, 90), torch.tensor([90, 50])
    speaker = predictor._speaker(context)
    each = tuple(None if x is None else x.repeat_interleave(3, 0) for x in speaker[:2])
    ids = torch.randint(33, (6, 12), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        shared = predictor.denoise(block, speaker, lengths, 3)(ids, 7)
        alone = predictor.denoise(block, (*each, None), lengths.repeat_interleave(3), 1)(ids, 7)  # type: ignore[arg-type]
    assert torch.allclose(shared[:3], alone[:3], atol=1e-4)
    assert torch.allclose(shared[3:, :7], alone[3:, :7], atol=1e-4)  # the rest is after that clip's end
    assert torch.allclose(shared.exp().sum(-1), torch.ones(6, 12), atol=1e-4)


@pytest.mark.parametrize("options", [{}, {"online": True}, {"memory": "frames"}, {"guidance": 2.0, "truncation": 1.0}])
def test_a_clips_samples_do_not_depend_on_its_batch(options: dict[str, Any]) -> None:
    predictor = _build(**options)
    context = _context([0, 1, 2], predictor)
    mixed = dataclasses.replace(context, lengths=np.array([90, 43, 90]))
    mixed.speaker_motion[1, 43:] = 0
    for values in mixed.audio.values():
        values[1, 43 * (values.shape[1] // 90) :] = 0
    together = predictor.sample(mixed, 3, CellNoise(1)).motion
    alone = predictor.sample(_context([1], predictor, 43), 2, CellNoise(1)).motion
    assert np.abs(together[1, :2, :43] - alone[0]).max() < 1e-4
    assert not together[1, :, 48:].any()
    assert np.abs(together[0, 0] - together[0, 1]).max() > 1e-3


@pytest.mark.parametrize("steps", [1, 5, 20])
def test_any_number_of_steps_gives_codes(steps: int) -> None:
    motion = _build(sample_steps=steps).sample(_context([0], _build(), 37), 2, CellNoise(0)).motion
    assert motion.shape == (1, 2, 37, 58)
    assert np.isfinite(motion).all()


# --- modalities -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "streams", [("face",), ("differential",), ("audio",), ("face", "differential"), ("face", "audio")]
)
def test_what_is_left_out_has_no_weights_and_no_influence(streams: tuple[str, ...]) -> None:
    predictor = _build(speaker=streams, window=16)
    assert set(predictor.net.fusion.inward) == set(streams)
    assert predictor.needs.audio == (("mfcc-78",) if "audio" in streams else ())
    assert predictor.needs.face == ("audio" not in streams or len(streams) > 1)
    context = _context([0], predictor)
    base = predictor.sample(context, 4, CellNoise(0)).motion

    def moves(**other: Any) -> bool:
        changed = predictor.sample(dataclasses.replace(context, **other), 4, CellNoise(0)).motion
        return bool(np.abs(changed - base).max() > 1e-6)

    offset = np.ones_like(context.speaker_motion) * np.linspace(0, 9, 58, dtype=np.float32)
    wave = offset * np.sin(np.arange(90, dtype=np.float32))[:, None]
    assert moves(speaker_motion=context.speaker_motion + offset) == (
        "face" in streams
    )  # a resting face has no differential
    assert moves(speaker_motion=context.speaker_motion + wave) == bool({"face", "differential"} & set(streams))
    if "audio" in streams:
        assert moves(audio={"mfcc-78": context.audio["mfcc-78"] * 3})


def test_differential_is_the_difference_of_frames_that_are_heard() -> None:
    fusion = _build(speaker=("differential",)).net.fusion
    face = torch.randn(1, 16, 58)
    heard = (torch.arange(16) >= 5) & (torch.arange(16) < 12)
    differential = fusion._streams(face, None, None, heard[None])["differential"][0]
    assert torch.allclose(differential[6:12], face[0, 6:12] - face[0, 5:11], atol=1e-5)
    assert not differential[:6].any()
    assert not differential[12:].any()


def test_words_are_placed_where_they_end() -> None:
    words = (Word("a", 0, 0.04), Word("b", 0, 0.1), Word("c", 0, 0.12), Word("d", 0, 0.2), Word("e", 0, 9))
    vectors, ends = place(words, np.arange(1, 6, dtype=np.float32)[:, None], 25.0, 5)
    assert ends.tolist() == [True, False, True, False, True]
    assert vectors[:, 0].tolist() == [1, 0, 2.5, 0, 4]


def test_words_are_heard_where_there_are_any() -> None:
    predictor = _build(text="hashed", window=16)
    assert predictor.needs.words
    assert predictor.needs.lookahead is None
    context = dataclasses.replace(_context([0, 1], predictor), words=((), ()))

    def sample(*words: str) -> np.ndarray:
        speech = tuple(Word(text, 1.0, 1.5) for text in words)
        return predictor.sample(dataclasses.replace(context, words=(speech, ())), 3, CellNoise(0)).motion

    silent, yes, no = sample(), sample("yes"), sample("no")
    for heard, other in ((yes, silent), (no, silent), (yes, no)):
        assert np.abs(heard[0] - other[0]).max() > 1e-4
        assert np.abs(heard[1] - other[1]).max() < 1e-5
    assert np.array_equal(sample(" Yes,"), yes)
    assert "words" not in _build().net.fusion.inward


def test_a_word_is_the_same_vector_in_every_clip_and_process() -> None:
    words = tuple(Word(text, 0.0, 1.0) for text in ("yes", "no", "YES!", "don't", "\ud800"))
    vectors = word_encoder("hashed", torch.device("cpu")).vectors(words)
    again = word_encoder("hashed", torch.device("cpu")).vectors(words[::-1])[::-1]
    assert vectors.shape == (5, HashedWords.dim)
    assert np.array_equal(vectors, again)
    assert vectors[0, :3].tolist() == pytest.approx([-1.2682950, 0.5211371, -0.5767402]), (
        "another vector is another fit under the same key"
    )
    assert np.array_equal(vectors[0], vectors[2])
    assert HashedWords().vectors(()).shape == (0, HashedWords.dim)
    many = HashedWords().vectors(tuple(Word(str(i), 0.0, 1.0) for i in range(1000)))
    alike = np.corrcoef(many)[~np.eye(1000, dtype=bool)]
    assert abs(alike).max() < 0.75, "no two of a thousand words are alike"


def test_a_word_is_heard_when_it_has_been_said() -> None:
    """A hashed word knows nothing of the words after it, so the online variant may hear it, too."""
    predictor = _build(online=True, text="hashed", speaker=())
    assert predictor.needs.lookahead == 0
    assert measure_lookahead(predictor, _context([0], predictor, 96), CellNoise(0)) == 0
    context = _context([0], predictor, 96)
    other = perturb_after(context, 40, np.random.default_rng(0))
    moved = [predictor.sample(c, 16, CellNoise(0)).motion for c in (context, other)]
    assert int((np.abs(moved[0] - moved[1]).max((0, 1, 3)) > 1e-6).argmax()) >= 41


def test_words_are_asked_for_where_a_dataset_has_none(tmp_path: Path) -> None:
    class Wordless(TinyCorpus):
        def _track(self, *which: Any) -> Track:
            return dataclasses.replace(super()._track(*which), words=None)

    corpus, predictor = Wordless(), _build(text="hashed", window=8)
    with pytest.raises(DyadbenchError, match="this dataset has no words"):
        fit(predictor, corpus, corpus.audio, FitOptions(tmp_path, seed=0))


class Talk(TinyCorpus):
    """The tiny corpus with one word per clip."""

    def dyads(self, split: str, audio: Sequence[str] = ()) -> Iterator[Dyad]:
        for dyad in super().dyads(split, audio):
            yield dataclasses.replace(dyad, speaker=dataclasses.replace(dyad.speaker, words=(Word("yes", 0.5, 1.0),)))


def test_a_training_window_has_the_words_that_end_in_it() -> None:
    corpus, predictor = Talk(), _build(text="hashed", window=8)  # 64 of 96 frames
    next(iter(predictor.stages(corpus)))
    source = WindowSource(corpus, "train", ("mfcc-78",), corpus.audio)
    windows = Windows(64, 16, ("mfcc-78",))
    batch = source.draw(windows, np.random.default_rng(0), torch.device("cpu"), 0, 0.0)
    words = predictor._batch_words(batch)
    assert words is not None
    vectors, ends = words
    assert len(set(batch.starts.tolist())) > 4
    for row, start in enumerate(batch.starts.tolist()):  # "yes" ends at 1 s, in frame 24
        expected = [24 - start] if start <= 24 else []
        assert ends[row].nonzero().flatten().tolist() == expected
        assert vectors[row].any(1).nonzero().flatten().tolist() == expected


def test_a_stranger_s_voice_says_the_stranger_s_words() -> None:
    class Names(TinyCorpus):
        """Every speaker says the name of the clip."""

        def dyads(self, split: str, audio: Sequence[str] = ()) -> Iterator[Dyad]:
            for dyad in super().dyads(split, audio):
                words = (Word(dyad.clip.id, 1.0, 1.5),)
                yield dataclasses.replace(dyad, speaker=dataclasses.replace(dyad.speaker, words=words))

    corpus, predictor = Names(), _build(text="hashed", window=8)
    next(iter(predictor.stages(corpus)))
    source = WindowSource(corpus, "val", ("mfcc-78",), corpus.audio)

    def words_with(*stranger: str) -> torch.Tensor:
        windows = Windows(64, 2, ("mfcc-78",))
        words = predictor._batch_words(next(source.sweep(windows, torch.device("cpu"), 1, stranger=stranger)))
        assert words is not None
        return words[0].sum(1)

    own, other_face, stranger = words_with(), words_with("face"), words_with("face", "sound")
    assert own.any(1).all() and torch.equal(own, other_face)
    assert stranger.any(1).all() and not (own == stranger).all(1).any()


def test_a_bert_in_a_folder_gives_a_vector_a_word(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    (tmp_path / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "yes", "may", "##be"]))
    transformers.BertTokenizerFast(str(tmp_path / "vocab.txt")).save_pretrained(tmp_path)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    transformers.BertModel(transformers.BertConfig(vocab_size=8, **sizes)).save_pretrained(tmp_path)
    encoder = WordEncoder(str(tmp_path), torch.device("cpu"))
    words = tuple(Word(text, 0.0, 1.0) for text in ("yes", "maybe"))
    vectors = encoder.vectors(words)
    assert vectors.shape == (2, encoder.dim) == (2, 16)
    assert np.abs(vectors[0] - vectors[1]).max() > 1e-3
    assert encoder.vectors(()).shape == (0, 16)
    assert not encoder.vectors(words * 400)[-1].any(), "what the model cannot hold is left out"


def test_a_text_that_is_no_model_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    with pytest.raises(DyadbenchError, match=r"cannot load a BERT model.*text = 'hashed' needs none"):
        _build(text=str(tmp_path))
    (tmp_path / "hashed").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DyadbenchError, match="hashed exists; give that another name"):
        _build(text="hashed")


def test_a_missing_text_library_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(DyadbenchError, match=r"dyadbench\[text\].*'hashed', which needs no model"):
        _build(text="bert-base-uncased")


# --- learning -------------------------------------------------------------------------------------------

CODES = 8
PAIR = MotionSpace("pair", 25.0, ("a", "b"), {"all": (0, 2)})


class CoinTokenizer:
    """Two frames a token; the id is read from channel 0."""

    tokens = TokenSpec(CODES, frames_per_token=2)
    decode_ahead = 0

    def encode(self, motion: np.ndarray) -> Tokens:
        return Tokens(motion[:, ::2, 0].round().astype(np.int64).clip(0, CODES - 1), frames=motion.shape[1])

    def decode(self, tokens: Tokens, frames: int) -> tuple[np.ndarray, None]:
        return np.repeat(np.repeat(tokens.ids[..., None], 2, 2), 2, 1)[:, :frames].astype(np.float32), None


class Echo:
    """The listener's token is the speaker's of the same moment; the speaker's are independent and uniform."""

    def clips(self, split: str) -> list[Clip]:
        return [Clip(f"{split}{i}", str(i), 64) for i in range(48 if split == "train" else 4)]

    def dyads(self, split: str, audio: Sequence[str] = ()) -> Iterator[Dyad]:
        rng = np.random.default_rng(len(split))
        for clip in self.clips(split):
            face = np.repeat(rng.integers(CODES, size=32), 2)[:, None]
            both = np.stack([face[:, 0], face[:, 0] % 2], 1).astype(np.float32)
            yield Dyad(clip, Track(both), Track(both))


def _echoes(tmp_path: Path, online: bool) -> float:
    """Share of tokens in which the trained listener repeats a new speaker; chance is 1 / 8."""
    setup = Setup(PAIR, {}, False, seed=0)
    sizes = {
        "steps": 160,
        "batch": 16,
        "dim": 32,
        "lr": 5e-3,
        "ema": 0.9,
        "overlap": 2,
        "window": 6 if not online else 4,
    }
    predictor = TokenDiffusion(_config(online, **sizes), setup, CoinTokenizer())
    fit(predictor, Echo(), {}, FitOptions(tmp_path, seed=0))
    speakers = np.stack([dyad.speaker.motion for dyad in Echo().dyads("test")])
    context = Context(tuple("abcd"), np.full(4, 64), speakers, None, {})
    motion = predictor.sample(context, 8, CellNoise(0)).motion
    return float((motion[..., ::2, 0] == speakers[:, None, ::2, 0]).mean())


def test_the_speaker_is_followed(tmp_path: Path) -> None:
    assert _echoes(tmp_path, online=False) > 0.6


def test_without_lookahead_what_comes_cannot_be_known(tmp_path: Path) -> None:
    assert _echoes(tmp_path, online=True) < 0.25


class Saying(TinyCorpus):
    """All of a listener is the one word that a still and silent speaker says: "yes" or "no"."""

    def dyads(self, split: str, audio: Sequence[str] = ()) -> Iterator[Dyad]:
        for i, dyad in enumerate(super().dyads(split, audio)):
            still = np.zeros_like(dyad.speaker.motion)
            speech = (Word(("no", "yes")[i % 2], 0.5, 1.0),)
            yield Dyad(dyad.clip, Track(still, words=speech), Track(still + np.float32(i % 2)))


def test_words_decide_the_listener_where_nothing_else_does(tmp_path: Path) -> None:
    corpus = Saying(PAIR, frames=64, emotion=False, sound=False)
    config = _config(text="hashed", steps=60, lr=1e-2, window=32, speaker=())
    predictor = TokenDiffusion(config, Setup(PAIR, {}, False, seed=0), CoinTokenizer())
    fit(predictor, corpus, {}, FitOptions(tmp_path, seed=0))
    still = np.zeros((2, 64, PAIR.dim), np.float32)
    speech = tuple((Word(text, 0.5, 1.0),) for text in ("no", "yes"))
    motion = predictor.sample(
        Context(("a", "b"), np.full(2, 64), still, None, {}, words=speech), 8, CellNoise(0)
    ).motion
    assert [float(motion[i, :, :, 0].mean()) for i in range(2)] == pytest.approx([0, 1], abs=0.2)


def test_importance_of_steps_is_learnt_and_saved() -> None:
    state = _build().state_dict()
    assert state["process.loss_square"].shape == state["process.loss_count"].shape == (21,)


# --- use ------------------------------------------------------------------------------------------------


def test_paper_preset_has_the_expected_size() -> None:
    with torch.device("meta"):
        denoiser = module.Denoiser(PredictorConfig(), 256, 8)
    assert sum(p.numel() for p in denoiser.parameters()) == pytest.approx(64.5e6, rel=0.01)


def test_requests_that_cannot_be_met_are_refused() -> None:
    for config, message in (
        ({"overlap": 30}, "no new token"),
        ({"sample_steps": 101}, "more than noise_steps"),
        ({"text": "bert", "ahead": 0}, "leave ahead out or set text to 'hashed'"),
        ({"speaker": ()}, "speaker is empty"),
    ):
        with pytest.raises(ValueError, match=message):
            PredictorConfig(**config)
    with pytest.raises(DyadbenchError, match=r"hubert.*mfcc-78"):
        _build(audio="hubert")
    with pytest.raises(DyadbenchError, match="16 new frames"):
        _build(online=True, ahead=17)
    with pytest.raises(DyadbenchError, match="only the speaker's audio, but this dataset has none"):
        _build(speaker=("audio",), setup=dataclasses.replace(SETUP, audio={}))
