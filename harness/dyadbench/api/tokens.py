"""Tokenizers and the tokens they make. Which of them a predictor accepts is part of its configuration (`base`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from dyadbench.api.base import whole_number

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from dyadbench.api.base import Array
    from dyadbench.api.predict import Predictor, Setup


@dataclass(frozen=True)
class TokenSpec:
    """What a tokenizer's ids look like: (B, N) for one book, (B, N, G, R) for a grid."""

    codes: int  # entries of each book
    frames_per_token: int | None  # None: sparse, positions come with the tokens
    groups: int = 1
    residual: int = 1
    lookahead: int | None = 0  # frames after its own that a token's encoding depends on

    def __post_init__(self) -> None:
        for name, least in (("codes", 1), ("frames_per_token", 1), ("groups", 1), ("residual", 1), ("lookahead", 0)):
            object.__setattr__(self, name, whole_number(name, getattr(self, name), least))


@dataclass(frozen=True)
class Tokens:
    """What a tokenizer made of a batch of clips."""

    ids: NDArray[np.int64]  # (B, N), or (B, N, G, R) for a grid
    keyframes: NDArray[np.bool_] | None = None  # (B, T), or (B, T, G), for sparse tokenizers: where the ids sit
    frames: int = 0  # T of the motion that was encoded


@runtime_checkable
class Tokenizer(Protocol):
    """Built as `load(config, setup)`; learns as a Trainable or Fittable."""

    tokens: TokenSpec

    def encode(self, motion: Array) -> Tokens:
        """(B, T, D) -> ids."""

    def decode(self, tokens: Tokens, frames: int) -> tuple[Array, Array | None]:
        """ids -> motion (B, frames, D) and emotion (B, frames, 25) or None. An id outside the book raises ValueError."""


@runtime_checkable
class OnTokens(Protocol):
    """Optional: a predictor that shows the tokenizer it stands on, whose pictures are then drawn as well."""

    tokenizer: Tokenizer


class TokenizerFactory(Protocol):
    """What a `TokenizerEntry` loads. `config` is an instance of the entry's configuration."""

    def __call__(self, config: Any, setup: Setup) -> Tokenizer: ...


class OnTokensFactory(Protocol):
    """What a `PredictorEntry` loads for a method with a tokenizer, which is trained by then."""

    def __call__(self, config: Any, setup: Setup, *, tokenizer: Tokenizer) -> Predictor: ...
