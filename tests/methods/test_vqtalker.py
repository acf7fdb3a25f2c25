"""The coarse-to-fine listener: R passes, nothing leaks, whole clips are heard offline and only the past online."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.cluster.vq import vq
from scipy.stats import kstest

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
from dyadbench.training.loop import FitOptions, fit
from dyadbench_vqtalker.config import PREDICTOR_PRESETS, TOKENIZER_PRESETS, ChunkedConfig, GridConfig, PredictorConfig
from dyadbench_vqtalker.network import divergence
from dyadbench_vqtalker.predictor import CoarseToFine, reach
from dyadbench_vqtalker.reconstruction import Reconstruction
from dyadbench_vqtalker.smooth import smooth_uniforms
from dyadbench_vqtalker.speech import SpeechTokens, kmeans_codebook
from dyadbench_vqtalker.tokenizer import GridTokenizer

SETUP = Setup(FACEVERSE_58, {"mfcc-78": AudioSpec(78), "mel-128": AudioSpec(128, 4)}, True, seed=0)


def _tokenizer(**config: Any) -> GridTokenizer:
    return GridTokenizer(GridConfig(**{**TOKENIZER_PRESETS["grfsq"]["smoke"], **config}), SETUP)


def _build(tokenizer: Any = None, *, setup: Setup = SETUP, loud: bool = True, **config: Any) -> CoarseToFine:
    """An untrained predictor whose codes follow its inputs."""
    full_config = PredictorConfig(**{**PREDICTOR_PRESETS["smoke"], **config})
    predictor = CoarseToFine(full_config, setup, tokenizer or _tokenizer())
    if loud:
        with torch.no_grad():
            predictor.net.heads.weight.mul_(8.0)
            for block in predictor.net.blocks:
                block.attention.out.weight.mul_(16.0)
    return predictor


def _context(rows: Sequence[int], predictor: CoarseToFine, frames: int = 60) -> Context:
    return TinyCorpus().context(rows, predictor.needs, frames)


# --- passes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layers_sampled", [0, 1, 3])
@pytest.mark.parametrize("residual", [1, 3])
def test_a_batch_of_samples_takes_one_pass_a_layer(residual: int, layers_sampled: int) -> None:
    predictor = _build(_tokenizer(residual=residual), drawn=layers_sampled)
    rows: list[int] = []
    predictor.net.register_forward_hook(lambda module, inputs, output: rows.append(len(output)))
    reaction = predictor.sample(_context([0, 1], predictor), 5, CellNoise(0))
    assert len(rows) == residual
    assert reaction.motion.shape == (2, 5, 60, 58)
    assert rows == [2 if layer == 0 or layers_sampled == 0 else 10 for layer in range(residual)], (
        "samples alike are one row"
    )


def test_drawn_layers_make_the_samples_differ_and_arg_max_does_not() -> None:
    alike, differing = (_build(drawn=n).sample(_context([0], _build()), 3, CellNoise(0)).motion for n in (0, 1))
    assert np.array_equal(alike[0, 0], alike[0, 2])
    assert np.abs(differing[0, 0] - differing[0, 2]).max() > 1e-3


def test_later_layers_are_conditioned_on_what_was_drawn() -> None:
    predictor = _build()
    context = _context([0], predictor)
    heard, layer_of_row = predictor._speaker(context), torch.ones(1, dtype=torch.long)
    with torch.no_grad():
        one, two = (
            predictor.net(heard, predictor.grid.dequantise(torch.full((1, 60, 2, 1), code)), layer_of_row)
            for code in (0, 8)
        )
        assert (one - two).abs().max() > 1e-3
        other = predictor.net(
            heard, predictor.grid.dequantise(torch.zeros(1, 60, 2, 1, dtype=torch.long)), layer_of_row * 0
        )
        assert (one - other).abs().max() > 1e-3, "the layer's indicator changes nothing"


# --- nothing leaks --------------------------------------------------------------------------------------

CODES = 8


class CoinTokenizer:
    """Reads the two layers' ids from channels 0 and 1."""

    tokens = TokenSpec(CODES, frames_per_token=1, groups=1, residual=2)

    def ids_of(self, motion: torch.Tensor) -> torch.Tensor:
        return motion[..., None, :2].long()

    def dequantise(self, ids: torch.Tensor, layer_counts: torch.Tensor | None = None) -> torch.Tensor:
        codes = torch.nn.functional.one_hot(ids[:, :, 0], CODES).float()  # (B, T, r, V)
        if layer_counts is not None:
            codes = codes * (torch.arange(ids.shape[3]) < layer_counts.view(-1, 1, 1))[..., None]
        return codes.sum(2)

    def encode(self, motion: np.ndarray) -> Tokens:
        return Tokens(self.ids_of(torch.from_numpy(motion)).numpy(), frames=motion.shape[1])

    def decode(self, tokens: Tokens, frames: int) -> tuple[np.ndarray, None]:
        return tokens.ids[:, :frames, 0].astype(np.float32), None


COINS = Setup(MotionSpace("coins", 25.0, ("a", "b"), {"all": (0, 2)}), {}, False, seed=0)


class Coins:
    """Layer 0 is independent and uniform, layer 1 the next code: nobody can beat log V for one, all can for the other."""

    def clips(self, split: str) -> list[Clip]:
        return [Clip(f"{split}{i}", str(i), 100) for i in range(64 if split == "train" else 4)]

    def dyads(self, split: str, audio: Sequence[str] = ()) -> Iterator[Dyad]:
        rng = np.random.default_rng(len(split))
        for clip in self.clips(split):
            yield Dyad(clip, Track(_coins(rng, 100)), Track(_coins(rng, 100)))


def _coins(rng: np.random.Generator, *shape: int) -> np.ndarray:
    first = rng.integers(CODES, size=shape)
    return np.stack([first, (first + 1) % CODES], -1).astype(np.float32)


@pytest.mark.parametrize("chunk", [0, 4])
def test_a_layer_knows_the_layers_before_it_and_never_itself(chunk: int, tmp_path: Path) -> None:
    sizes: dict[str, Any] = {"steps": 150, "batch": 16, "frames": 20, "dim": 32, "lr": 5e-3}
    predictor = _build(CoinTokenizer(), setup=COINS, loud=False, chunk=chunk, **sizes)
    fit(predictor, Coins(), {}, FitOptions(tmp_path, seed=0))
    faces = [torch.from_numpy(_coins(np.random.default_rng(n), 256, 20)) for n in (98, 99)]
    batch = WindowBatch(("",) * 256, *faces, None, None, {}, torch.ones(256, 20, dtype=torch.bool), -1, 1.0)
    with torch.no_grad():
        first, second = (predictor.entropy(batch, torch.full((256,), n)) for n in (0, 1))
    assert float(first.mean((0, 2)).min()) > math.log(CODES) - 0.03
    assert float(second.mean()) < 0.5 * math.log(CODES)


def test_levers_act_in_training_and_leave_validation_as_it_is() -> None:
    sizes: dict[str, Any] = {"frames": 20, "dim": 32, "loud": False, "setup": COINS, "chunk": 4}
    plain, taught = (_build(CoinTokenizer(), **sizes, **more) for more in ({}, {"change": 2.0, "regress": 1.0}))
    faces = [torch.from_numpy(_coins(np.random.default_rng(n), 6, 20)) for n in (98, 99)]
    batch = WindowBatch(("",) * 6, *faces, None, None, {}, torch.ones(6, 20, dtype=torch.bool), 0, 0.0)
    check = dataclasses.replace(batch, step=-1)
    assert plain._loss(check).total["all"].item() == taught._loss(check).total["all"].item()
    loss = taught._loss(batch)
    assert loss.total["all"].item() > loss.log["regression"].item() > 0
    loss.total["all"].backward()
    assert taught.net.regression is not None
    assert float(taught.net.face.weight.grad.abs().max()) > 0
    assert float(taught.net.regression.readout.weight.grad.abs().max()) > 0


# --- look-ahead -----------------------------------------------------------------------------------------


def test_whole_clips_are_heard_by_default_and_the_harness_measures_it() -> None:
    predictor = _build()
    assert predictor.needs.lookahead is None
    measured = measure_lookahead(predictor, _context([0], predictor, 96), CellNoise(0))
    assert measured is None or measured > 48, "a frame of the beginning must change with the end"


@pytest.mark.parametrize(
    ("chunk", "ahead", "block", "declared"), [(8, 0, 1, 0), (8, 7, 1, 7), (1, 0, 1, 0), (8, 0, 8, 0), (4, 0, 16, 12)]
)
def test_measured_lookahead_of_chunks_is_the_declared(chunk: int, ahead: int, block: int, declared: int) -> None:
    predictor = _build(_tokenizer(block=block), chunk=chunk, ahead=ahead)
    measured = measure_lookahead(predictor, _context([0], predictor, 96), CellNoise(0))
    assert predictor.needs.lookahead == declared == reach(chunk, ahead, block)
    assert measured is not None
    assert measured <= declared
    assert (measured > 0) == (declared > 0), "the declaration is far from what is measured"


def test_a_chunk_hears_the_speaker_up_to_its_first_frame() -> None:
    predictor = _build(chunk=8, drawn=0)
    context = _context([0], predictor, 64)
    for frame, chunk in ((24, 3), (25, 4), (31, 4)):
        louder = np.array(context.speaker_motion)
        louder[:, frame] += 20.0
        changed = dataclasses.replace(context, speaker_motion=louder)
        moved = np.abs(
            predictor.sample(context, 1, CellNoise(0)).motion - predictor.sample(changed, 1, CellNoise(0)).motion
        ).max((0, 1, 3))
        assert int(np.flatnonzero(moved > 1e-5)[0]) // 8 == chunk


# --- the latent -----------------------------------------------------------------------------------------


def test_without_a_latent_nothing_changes_and_its_fits_stay_valid() -> None:
    assert "latent" not in PredictorConfig().model_dump()
    assert not [name for name in _build().net.state_dict() if name.startswith("latent")]


def test_divergence_is_that_of_torch() -> None:
    mean, log_variance = torch.randn(4, 3), torch.randn(4, 3)
    own = torch.distributions.Normal(mean, (log_variance / 2).exp())
    standard = torch.distributions.Normal(torch.zeros(4, 3), torch.ones(4, 3))
    expected = torch.distributions.kl_divergence(own, standard).sum(1)
    assert torch.allclose(divergence(mean, log_variance), expected, atol=1e-5)


def test_samples_of_a_latent_differ_though_no_layer_is_drawn() -> None:
    predictor = _build(drawn=0, latent=3)
    with torch.no_grad():
        predictor.net.latent.heard.weight.mul_(20.0)
    motion = predictor.sample(_context([0], predictor), 8, CellNoise(0)).motion
    assert motion[0].std(0).max() > 1e-3


class Kinds:
    """Every listener keeps to one of two codes, which nothing about the speaker tells."""

    def clips(self, split: str) -> list[Clip]:
        return [Clip(f"{split}{i}", str(i), 40) for i in range(32 if split == "train" else 8)]

    def dyads(self, split: str, audio: Sequence[str] = ()) -> Iterator[Dyad]:
        for n, clip in enumerate(self.clips(split)):
            yield Dyad(clip, Track(np.zeros((40, 2), np.float32)), Track(np.full((40, 2), 1 + 5 * (n % 2), np.float32)))


def test_a_latent_lets_the_codes_of_a_sample_agree(tmp_path: Path) -> None:
    """Drawn frame by frame, half of a sample's frames are of one kind and half of the other; with a latent all are alike."""
    alike = {}
    for latent in (0, 2):
        sizes: dict[str, Any] = {
            "steps": 200,
            "batch": 16,
            "frames": 20,
            "dim": 32,
            "lr": 5e-3,
            "drawn": 2,
            "latent": latent,
        }
        predictor = _build(
            CoinTokenizer(), setup=COINS, loud=False, audio="none", temperature=1.0, top_k=CODES, **sizes
        )
        fit(predictor, Kinds(), {}, FitOptions(tmp_path / str(latent), seed=0))
        face = np.zeros((1, 40, 2), np.float32)
        context = Context(("a",), np.array([40]), face, None, {})
        first = predictor.sample(context, 24, CellNoise(0)).motion[0, :, :, 0]  # (K, T) codes of the first layer
        share = (first == 1).mean(1)
        alike[latent] = float(np.maximum(share, 1 - share).mean())
        assert 0.2 < float(share.mean()) < 0.8, "both kinds of listener are sampled"
    assert alike[0] < 0.75
    assert alike[2] > 0.9


# --- discrete speech ------------------------------------------------------------------------------------


def test_speech_tokens_are_the_nearest_centroids() -> None:
    tokens = SpeechTokens(3, AudioSpec(2, 2), dim=4)
    tokens.book.copy_(torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 5.0]]))
    sound = torch.tensor([[[0.9, 0.1], [0.1, 0.0], [0.2, 4.0], [1.2, 0.0]]])  # two frames of two rows
    assert tokens.ids(sound).tolist() == [[1, 0, 2, 1]]
    table = tokens.embedding.weight
    assert torch.allclose(tokens(sound)[0, 0], (table[1] + table[0]) / 2)


def test_k_means_gives_the_same_codebook_again_and_it_travels_with_the_weights(tmp_path: Path) -> None:
    corpus = TinyCorpus()
    sizes: dict[str, Any] = {"steps": 2, "speech": "kmeans", "speech_codes": 5, "loud": False}
    one, two = _build(**sizes), _build(**sizes)
    for name, predictor in (("one", one), ("two", two)):
        fit(predictor, corpus, corpus.audio, FitOptions(tmp_path / name, seed=0))
    assert one.net.speech is not None
    assert two.net.speech is not None
    assert torch.equal(one.net.speech.book, two.net.speech.book)
    assert len(one.net.speech.book.unique(dim=0)) == 5
    restored = _build(**sizes)
    restored.load_state_dict(one.state_dict())
    context = _context([0], one)
    assert np.array_equal(restored.sample(context, 1, CellNoise(0)).motion, one.sample(context, 1, CellNoise(0)).motion)


def test_the_tokens_of_the_training_sound_are_those_of_k_means() -> None:
    """Channels of unlike spread: by the distance of raw numbers the loudest alone would decide."""
    scale = np.geomspace(20.0, 0.1, 78).astype(np.float32)

    class Loud(TinyCorpus):
        def dyads(self, split: str, audio: Sequence[str] = ()) -> Iterator[Dyad]:
            for dyad in super().dyads(split, audio):
                sound = {name: np.asarray(values) * scale for name, values in dyad.speaker.audio.items()}
                yield dataclasses.replace(dyad, speaker=dataclasses.replace(dyad.speaker, audio=sound))

    book, spread = kmeans_codebook(Loud(), "mfcc-78", 6)
    rows = np.concatenate([dyad.speaker.audio["mfcc-78"] for dyad in Loud().dyads("train", ("mfcc-78",))])
    labels = vq(rows / spread, book / spread)[0]
    tokens = SpeechTokens(6, AudioSpec(78), dim=2)
    tokens.book.copy_(torch.from_numpy(book))
    tokens.spread.copy_(torch.from_numpy(spread))
    assert (tokens.ids(torch.from_numpy(rows)[None])[0].numpy() == labels).mean() > 0.999
    assert (vq(rows, book)[0] == labels).mean() < 0.9, "the spread decides here"


def test_a_codebook_from_a_folder_is_read_or_refused_in_one_sentence(tmp_path: Path) -> None:
    book = np.random.default_rng(0).normal(size=(7, 78))
    np.save(tmp_path / "codebook.npy", book)
    predictor = _build(speech=str(tmp_path))
    assert predictor.net.speech is not None
    assert np.allclose(predictor.net.speech.book.numpy(), book, atol=1e-6)
    assert measure_lookahead(_build(speech=str(tmp_path), chunk=8), _context([0], predictor), CellNoise(0)) == 0
    np.save(tmp_path / "codebook.npy", book[:, :70])
    with pytest.raises(DyadbenchError, match=r"has shape \(7, 70\), but the feature 'mfcc-78' needs"):
        _build(speech=str(tmp_path))
    with pytest.raises(DyadbenchError, match=r"is no codebook"):
        _build(speech=str(tmp_path / "nowhere"))
    with pytest.raises(DyadbenchError, match=r"needs a sound feature"):
        _build(speech="kmeans", audio="none")


# --- use ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options", [{}, {"chunk": 8}, {"audio": "mel-128"}, {"audio": "none"}, {"smooth": 5.0}, {"latent": 3}]
)
def test_a_clips_samples_do_not_depend_on_its_batch(options: dict[str, Any]) -> None:
    predictor = _build(**options)
    together = predictor.sample(_context([0, 1, 2], predictor), 3, CellNoise(1))
    alone = predictor.sample(_context([1], predictor), 2, CellNoise(1))
    for a, b in ((together.motion, alone.motion), (together.emotion, alone.emotion)):
        assert a is not None
        assert b is not None
        assert np.abs(a[1, :2] - b[0]).max() < 1e-4
    assert np.abs(together.motion[1, 0] - together.motion[1, 1]).max() > 1e-3


def test_padding_after_a_short_clip_changes_nothing() -> None:
    predictor = _build()
    whole, short = _context([0, 1], predictor, 60), _context([1], predictor, 40)
    padded = {name: np.array(values) for name, values in whole.audio.items()}
    motion = np.array(whole.speaker_motion)
    for values in (motion, *padded.values()):
        values[1, 40:] = 0.0
    context = dataclasses.replace(whole, lengths=np.array([60, 40]), speaker_motion=motion, audio=padded)
    together = predictor.sample(context, 2, CellNoise(0)).motion
    assert np.abs(together[1, :, :40] - predictor.sample(short, 2, CellNoise(0)).motion[0]).max() < 1e-4


def test_smooth_numbers_stay_uniform_and_correlated() -> None:
    raw = torch.from_numpy(np.random.default_rng(0).random((400, 100, 2)))
    assert smooth_uniforms(raw, 0.0) is raw
    mixed = smooth_uniforms(raw, 10.0).numpy()
    for place in (0, 1, 50, 99):
        assert kstest(mixed[:, place].ravel(), "uniform").pvalue > 1e-3
    assert np.corrcoef(mixed[:, 50, 0], mixed[:, 51, 0])[0, 1] > 0.85
    assert abs(np.corrcoef(mixed[:, 50, 0], mixed[:, 50, 1])[0, 1]) < 0.2  # groups stay apart
    assert np.allclose(smooth_uniforms(raw[:, :30], 10.0).numpy(), mixed[:, :30])  # what comes later does not matter


def test_shuffled_sound_changes_the_reactions() -> None:
    predictor = _build(drawn=0)
    context = _context([0, 1], predictor)
    shuffled = dataclasses.replace(context, audio={name: values[::-1] for name, values in context.audio.items()})
    one, two = (predictor.sample(c, 1, CellNoise(0)).motion for c in (context, shuffled))
    assert np.abs(one - two).max() > 1e-3


def test_training_lowers_the_entropy_of_every_layer(tmp_path: Path) -> None:
    corpus, tokenizer = TinyCorpus(), _tokenizer(steps=60)
    fit(tokenizer, corpus, {}, FitOptions(tmp_path / "tokenizer", seed=0))
    predictor = _build(tokenizer, loud=False, steps=60, batch=8)
    fit(predictor, corpus, corpus.audio, FitOptions(tmp_path / "predictor", seed=0))
    dyads = list(corpus.dyads("train", ("mfcc-78",)))
    face, listener = (
        torch.from_numpy(np.stack([getattr(d, who).motion for d in dyads])) for who in ("speaker", "listener")
    )
    sound = torch.from_numpy(np.stack([d.speaker.audio["mfcc-78"] for d in dyads]))
    batch = WindowBatch(
        ("",) * 8, face, listener, None, None, {"mfcc-78": sound}, torch.ones(8, 96, dtype=torch.bool), -1, 1.0
    )
    fresh = _build(tokenizer, loud=False)
    with torch.no_grad():
        for layer in range(2):
            layer_of_row = torch.full((8,), layer)
            assert float(predictor.entropy(batch, layer_of_row).mean()) < 0.97 * float(
                fresh.entropy(batch, layer_of_row).mean()
            )


def test_what_comes_after_a_clip_is_not_learnt() -> None:
    predictor = _build()
    torch.manual_seed(0)
    faces, valid = torch.randn(2, 2, 40, 58), torch.arange(40) < torch.tensor([[40], [15]])
    other = faces.clone()
    other[:, 1, 15:] += 5.0
    with torch.no_grad():
        one, two = (
            predictor._loss(
                WindowBatch(("a", "b"), *x, None, None, {"mfcc-78": torch.zeros(2, 40, 78)}, valid, -1, 1.0)
            ).total["all"]
            for x in (faces, other)
        )
    assert float(one) == pytest.approx(float(two), rel=1e-5)


def test_reconstruction_is_the_true_listener_through_the_tokenizer() -> None:
    tokenizer, corpus = _tokenizer(), TinyCorpus()
    row = Reconstruction(PredictorConfig(), SETUP, tokenizer)
    context = corpus.context([0, 1], row.needs, 40)
    reaction = row.sample(context, 3, CellNoise(0))
    assert reaction.motion is not None
    assert context.truth is not None
    expected, _ = tokenizer.decode(tokenizer.encode(context.truth.motion[1][:1]), 40)
    assert reaction.motion.shape == (2, 3, 40, 58)
    assert np.array_equal(reaction.motion[1, 2], expected[0])


def test_requests_that_cannot_be_met_are_refused() -> None:
    with pytest.raises(ValueError, match="ahead = 8"):
        ChunkedConfig(ahead=8)
    with pytest.raises(ValueError, match="chunk"):
        ChunkedConfig(chunk=0)
    with pytest.raises(ValueError, match="kl weighs the latent, and latent is 0"):
        PredictorConfig(kl=0.5)
    with pytest.raises(ValueError, match="set speech to 'kmeans', or leave speech_codes out"):
        PredictorConfig(speech="folder", speech_codes=50)
    with pytest.raises(DyadbenchError, match=r"hubert.*mfcc-78"):
        _build(audio="hubert")


def test_paper_preset_has_twelve_layers_and_the_best_grid() -> None:
    predictor, tokenizer = (
        PredictorConfig(**PREDICTOR_PRESETS["paper"]),
        GridConfig(**TOKENIZER_PRESETS["grfsq"]["paper"]),
    )
    assert (predictor.layers, predictor.chunk, predictor.drawn) == (12, 0, 0)
    assert (tokenizer.groups, tokenizer.residual, tokenizer.levels) == (12, 4, (5, 5, 5, 5))
