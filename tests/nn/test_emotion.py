"""What becomes of unbounded emotion outputs."""

from __future__ import annotations

import torch

from dyadbench.nn.emotion import emotion_output


def _wild() -> torch.Tensor:
    torch.manual_seed(0)
    return 2 * torch.randn(3, 4, 50, 25)


def test_valid_emotion_is_in_range_and_its_expressions_are_probabilities() -> None:
    wild = _wild()
    copy = wild.clone()
    out = emotion_output(wild, "valid")
    assert torch.equal(wild, copy), "the input is left alone"
    assert out[..., :15].min() == 0
    assert out[..., 15:17].min() == -1
    assert out.max() <= 1
    assert torch.allclose(out[..., 17:].sum(-1), torch.ones(3, 4, 50))
    nothing = emotion_output(-torch.ones(1, 25), "valid")
    assert torch.allclose(nothing[0, 17:], torch.full((8,), 1 / 8)), "no expression at all is all alike"


def test_valid_emotion_is_unchanged() -> None:
    fine = emotion_output(_wild(), "valid")
    assert torch.allclose(emotion_output(fine, "valid"), fine, atol=1e-5)


def test_rounding_changes_action_units_alone() -> None:
    wild = _wild()
    out = emotion_output(wild, "rounded")
    assert torch.equal(out[..., :15], wild[..., :15].round())
    assert torch.equal(out[..., 15:], wild[..., 15:])
    assert torch.equal(emotion_output(wild, "raw"), wild)
