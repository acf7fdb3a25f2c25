"""A predictor declares which tokens it accepts, and one place refuses the others."""

from __future__ import annotations

import re
from typing import Any

import pytest

from dyadbench.api import FACEVERSE_58, AcceptedTokens, AudioSpec, DyadbenchError, Setup, Tokens, TokenSpec
from dyadbench.registry.host import Host
from dyadbench.registry.tokens import demand_tokens

SETUP = Setup(FACEVERSE_58, {"mfcc-78": AudioSpec(78)}, has_emotion=True, seed=0)


class Tokenizer:
    """It has tokens and nothing else that a refusal needs."""

    def __init__(self, spec: TokenSpec):
        self.tokens = spec

    def encode(self, motion: Any) -> Tokens: ...

    def decode(self, tokens: Tokens, frames: int) -> Any: ...


def _refusal(accepts: AcceptedTokens, spec: TokenSpec) -> str:
    with pytest.raises(DyadbenchError) as caught:
        demand_tokens("mine", accepts, Tokenizer(spec))
    return str(caught.value)


def test_the_default_is_one_codebook_and_evenly_spaced_tokens() -> None:
    for every in (1, 8):
        demand_tokens("mine", AcceptedTokens(), Tokenizer(TokenSpec(16, every)))
    assert "evenly spaced" in _refusal(AcceptedTokens(), TokenSpec(16, None))
    assert "4 groups of 2" in _refusal(AcceptedTokens(), TokenSpec(16, 1, groups=4, residual=2))


def test_what_is_declared_is_accepted_and_nothing_else() -> None:
    demand_tokens("mine", AcceptedTokens(sparse=True), Tokenizer(TokenSpec(16, None)))
    demand_tokens("mine", AcceptedTokens(grid=True), Tokenizer(TokenSpec(16, 1, groups=4, residual=2)))
    demand_tokens("mine", AcceptedTokens(window=4), Tokenizer(TokenSpec(16, 8, lookahead=24)))
    assert "tokens of 1 frame, but its tokenizer makes tokens of 8" in _refusal(
        AcceptedTokens(most=1), TokenSpec(16, 8)
    )
    assert "2 or more frames" in _refusal(AcceptedTokens(least=2), TokenSpec(16, 1))
    assert "windows of 4 tokens, but its tokenizer encodes 2" in _refusal(
        AcceptedTokens(window=4), TokenSpec(16, 8, lookahead=8)
    )
    assert "method dequantise, which Tokenizer" in _refusal(AcceptedTokens(members=("dequantise",)), TokenSpec(16, 1))


def test_a_refusal_names_tokenizers_that_fit() -> None:
    assert _refusal(AcceptedTokens(such_as=("a", "b", "c")), TokenSpec(16, None)).endswith("; take a, b or c")
    assert _refusal(AcceptedTokens(such_as=("a",)), TokenSpec(16, None)).endswith("; take a")


@pytest.mark.parametrize(
    ("predictor", "spec", "reason"),
    [
        ("crossmodal-ar", TokenSpec(16, 8), "tokens of 1 frame"),
        ("crossmodal-ar", TokenSpec(16, 1, groups=2), "one codebook"),
        ("keyframe-ar", TokenSpec(16, 2), "tokens of 1 frame"),
        ("keyframe-ar", TokenSpec(16, None, groups=58), "one codebook"),  # keyframe_axis "channel"
        ("coarse-to-fine", TokenSpec(16, 8, groups=2), "tokens of 1 frame"),
        ("coarse-to-fine", TokenSpec(16, 1), "method ids_of"),
        ("patch-ar", TokenSpec(16, 1), "2 or more frames"),
        ("patch-ar", TokenSpec(16, 8, lookahead=8), "windows of 4 tokens"),
        ("token-diffusion", TokenSpec(16, None), "evenly spaced"),
    ],
)
def test_our_predictors_refuse_other_tokens_before_they_are_built(predictor: str, spec: TokenSpec, reason: str) -> None:
    with pytest.raises(DyadbenchError, match=rf"^predictor '{predictor}' needs .*{re.escape(reason)}.*; take "):
        Host().build("predictor", predictor, {}, SETUP, tokenizer=Tokenizer(spec))


def test_a_predictor_on_tokens_in_a_method_without_a_tokenizer_is_refused() -> None:
    with pytest.raises(DyadbenchError, match="its method names no tokenizer; take window-vq"):
        Host().build("predictor", "patch-ar", {}, SETUP)


def test_every_predictor_that_takes_a_tokenizer_declares_its_tokens_and_names_tokenizers_that_exist() -> None:
    host = Host()
    names = {entry.name for entry in host.entries("tokenizer")}
    on_tokens = {host.get("method", each.name).predictor for each in host.entries("method") if each.tokenizer}
    assert len(on_tokens) > 5
    for name in on_tokens:
        accepts = host.get("predictor", name).config().accepts
        assert accepts is not None and accepts.such_as and set(accepts.such_as) <= names, name
