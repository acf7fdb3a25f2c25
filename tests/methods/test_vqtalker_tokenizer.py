"""Grid tokenizers: the paper's bitrates, any length, prefixes that decode, the family behind one interface."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dyadbench.api import DECA_56, FACEVERSE_58, DyadbenchError, MotionSpace, Setup, Tokenizer, Tokens, Trainable
from dyadbench.datasets.tiny_corpus import TinyCorpus
from dyadbench.metrics.tokenizer import score_tokenizer
from dyadbench.metrics.tokens import bits_per_second
from dyadbench.training.loop import FitOptions, fit
from dyadbench_vqtalker.config import TOKENIZER_PRESETS, GridConfig, GRVQConfig, GVQConfig, RVQConfig, VQConfig
from dyadbench_vqtalker.tokenizer import GridTokenizer

FAMILY: dict[str, type[GridConfig]] = {
    "grfsq": GridConfig, "grvq": GRVQConfig, "rvq": RVQConfig, "gvq": GVQConfig, "vq": VQConfig
}  # fmt: skip


def _tokenizer(
    kind: str = "grfsq", space: MotionSpace = FACEVERSE_58, emotion: bool = True, **config: Any
) -> GridTokenizer:
    full_config = FAMILY[kind](**{**TOKENIZER_PRESETS[kind]["smoke"], **config})
    return GridTokenizer(full_config, Setup(space, {}, emotion, seed=0))


def _motion(frames: int, space: MotionSpace = FACEVERSE_58, rows: int = 2) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((rows, frames, space.dim)).astype(np.float32)


@pytest.mark.parametrize(
    ("kind", "grid", "kbps", "digits"),
    [
        ("vq", {}, 0.3, 1),
        ("gvq", {}, 8.0, 1),
        ("rvq", {}, 8.0, 1),
        ("grvq", {}, 12.0, 1),
        ("grfsq", {"groups": 8}, 7.4, 1),
        ("grfsq", {"residual": 2}, 5.6, 1),
        ("grfsq", {"levels": (4,) * 4}, 9.6, 1),
        ("grfsq", {"levels": (6,) * 4}, 12.4, 1),
        ("grfsq", {}, 11.145, 3),
    ],
)
def test_bitrates_of_table_3(kind: str, grid: dict[str, Any], kbps: float, digits: int) -> None:
    sizes = {"dim": 16, "heads": 2, "layers": 1}
    spec = GridTokenizer(FAMILY[kind](**sizes, **grid), Setup(FACEVERSE_58, {}, False, seed=0)).tokens
    assert spec.frames_per_token == 1
    assert round(bits_per_second(spec.codes, 25, groups=spec.groups, residual=spec.residual) / 1000, digits) == kbps


@pytest.mark.parametrize("kind", FAMILY)
@pytest.mark.parametrize("frames", [1, 13])
@pytest.mark.parametrize("space", [FACEVERSE_58, DECA_56])
def test_there_and_back_for_any_length(kind: str, frames: int, space: MotionSpace) -> None:
    tokenizer = _tokenizer(kind, space, emotion=space is FACEVERSE_58, block=4)
    assert isinstance(tokenizer, Tokenizer)
    assert isinstance(tokenizer, Trainable)
    spec, tokens = tokenizer.tokens, tokenizer.encode(_motion(frames, space))
    grid = () if kind == "vq" else (spec.groups, spec.residual)
    assert tokens.ids.shape == (2, frames, *grid)
    assert tokens.ids.max() < spec.codes
    motion, emotion = tokenizer.decode(tokens, frames)
    assert motion.shape == (2, frames, space.dim)
    assert (emotion is None) == (space is DECA_56)
    if emotion is not None:
        assert emotion.shape == (2, frames, 25)
        assert emotion[..., :15].min() >= 0
        assert emotion.min() >= -1
        assert emotion.max() <= 1


@pytest.mark.parametrize("block", [1, 8])
def test_a_token_knows_its_block_and_nothing_beyond(block: int) -> None:
    tokenizer, motion = _tokenizer(block=block), _motion(24)
    changed = motion.copy()
    changed[:, 8:16] += 3.0
    moved = (tokenizer.encode(motion).ids != tokenizer.encode(changed).ids).any((0, 2, 3))
    assert moved[8:16].all()
    assert not moved[:8].any()
    assert not moved[16:].any()
    assert tokenizer.tokens.lookahead == block - 1


def test_wrong_input_is_named() -> None:
    tokenizer = _tokenizer()
    with pytest.raises(DyadbenchError, match="faceverse-58"):
        tokenizer.encode(_motion(8, DECA_56))
    with pytest.raises(ValueError, match="9 codes"):
        tokenizer.decode(Tokens(np.full((1, 8, 2, 2), 9)), 8)
    with pytest.raises(ValueError, match="groups"):
        tokenizer.decode(Tokens(np.zeros((1, 8, 3, 2), np.int64)), 8)
    with pytest.raises(ValueError, match="at least"):
        tokenizer.decode(Tokens(np.zeros((1, 8, 2, 2), np.int64)), 9)
    with pytest.raises(ValueError, match="groups"):
        GridConfig(latent=100)
    with pytest.raises(ValueError, match="multiple of block"):
        GridConfig(block=5)


def _trained(tmp_path: Path, kind: str, **config: Any) -> tuple[GridTokenizer, GridTokenizer, list[np.ndarray]]:
    corpus = TinyCorpus()
    tokenizer = _tokenizer(kind, **config)
    fit(tokenizer, corpus, {}, FitOptions(tmp_path, seed=0))
    return _tokenizer(kind, **config), tokenizer, [dyad.listener.motion for dyad in corpus.dyads("train")]


@pytest.mark.parametrize("kind", FAMILY)
def test_training_lowers_the_error_of_motion_and_emotion(kind: str, tmp_path: Path) -> None:
    _, tokenizer, motion = _trained(tmp_path, kind, steps=60, drop=0.0, dim=32)
    scores = score_tokenizer(tokenizer, motion, FACEVERSE_58)
    assert scores["reconstruction"].value < 0.8 * scores["reconstruction_mean"].value
    assert set(FACEVERSE_58.groups) <= set(scores["reconstruction"].detail)
    felt = np.stack([dyad.listener.emotion for dyad in TinyCorpus().dyads("train")])
    _, emotion = tokenizer.decode(tokenizer.encode(np.stack(motion)), 96)
    assert np.abs(emotion - felt).mean() < np.abs(0.2 - felt).mean()


@pytest.mark.parametrize("kind", ["grfsq", "grvq", "rvq"])
def test_every_further_layer_decodes_to_less_error_after_dropout(kind: str, tmp_path: Path) -> None:
    _, tokenizer, motion = _trained(tmp_path, kind, steps=80, residual=3, drop=0.6)
    scores = score_tokenizer(tokenizer, motion, FACEVERSE_58)
    errors = [scores[f"motion-rmse.layers{r}"].value for r in (1, 2, 3)]
    assert errors[0] > errors[1] > errors[2]
    assert errors[0] < scores["constant-motion-rmse"].value
    assert errors[2] == pytest.approx(scores["motion-rmse"].value)


def test_the_printed_algorithm_trains_too_and_leaves_deep_layers_unused(tmp_path: Path) -> None:
    sizes: dict[str, Any] = {"steps": 60, "residual": 4, "levels": (5, 5, 5), "drop": 0.0}
    used = {}
    for literal in (False, True):
        _, tokenizer, motion = _trained(tmp_path / str(literal), "grfsq", literal=literal, **sizes)
        detail = score_tokenizer(tokenizer, motion, FACEVERSE_58)["utilisation"].detail
        used[literal] = np.mean([detail[f"g{g}r{r}"] for g in range(2) for r in (2, 3)])
    assert used[True] < 0.15
    assert used[False] > 0.5


def test_what_is_learnt_survives_saving(tmp_path: Path) -> None:
    fresh, tokenizer, motion = _trained(tmp_path, "grvq")
    fresh.load_state_dict(tokenizer.state_dict())
    assert np.array_equal(fresh.encode(motion[0][None]).ids, tokenizer.encode(motion[0][None]).ids)
