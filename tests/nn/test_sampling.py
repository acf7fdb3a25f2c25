"""Draws: right in distribution, each row's own, reproducible from its stream."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from dyadbench.cell.noise import CellNoise
from dyadbench.nn.sampling import autoregress, draw, restrict, uniforms


def test_draws_follow_the_distribution() -> None:
    logits = torch.tensor([0.1, 0.2, 0.3, 0.4]).log()
    ids = draw(logits.expand(40_000, 4), torch.from_numpy(np.random.default_rng(0).random(40_000)))
    assert np.allclose(np.bincount(ids, minlength=4) / 40_000, [0.1, 0.2, 0.3, 0.4], atol=0.01)


def test_every_uniform_gives_a_code_that_may_be_drawn() -> None:
    logits = torch.tensor([-torch.inf, 1.0, -torch.inf, 2.0, -torch.inf])
    edges = torch.tensor([0.0, 0.5, 1 - 2**-53], dtype=torch.float64)
    assert set(draw(logits.expand(3, 5), edges).tolist()) <= {1, 3}
    assert draw(logits, edges[0]).item() == 1
    assert draw(logits, edges[2]).item() == 3


def test_top_k_and_top_p_cut_each_row_by_itself() -> None:
    torch.manual_seed(0)
    logits = torch.randn(5, 50) * torch.tensor([0.1, 1, 3, 10, 30])[:, None]
    for options in ({"top_k": 7}, {"top_p": 0.8}, {"top_k": 7, "top_p": 0.8, "temperature": 0.5}):
        together = restrict(logits, **options)  # type: ignore[arg-type]
        alone = torch.stack([restrict(row, **options) for row in logits])  # type: ignore[arg-type]
        assert torch.equal(together, alone)
        assert torch.allclose(together.exp().sum(-1), torch.ones(5, dtype=torch.float64))
    assert (restrict(logits, top_k=7) > -torch.inf).sum(-1).tolist() == [7] * 5
    nucleus = restrict(torch.tensor([0.5, 0.3, 0.15, 0.05]).log(), top_p=0.75).exp()
    assert nucleus.tolist() == pytest.approx([0.625, 0.375, 0, 0])
    assert draw(logits, torch.full((5,), 0.9), top_k=1).tolist() == logits.argmax(-1).tolist()


def test_temperature_must_be_positive() -> None:
    with pytest.raises(ValueError, match="top_k=1"):
        draw(torch.zeros(3), torch.tensor(0.5), temperature=0.0)


def test_uniforms_are_the_start_of_each_samples_own_stream() -> None:
    noise = CellNoise(4)
    whole = uniforms(noise, ["a", "b"], 3, 20)
    assert whole.shape == (6, 20)
    assert torch.equal(uniforms(noise, ["b"], 3, 12), whole[3:, :12])
    assert torch.equal(uniforms(noise, ["b"], 1, 20)[0], whole[3])
    assert len(whole[:, 0].unique()) == 6


def _counting(patch: int, codes: int = 11) -> object:
    """A model whose next code is almost surely the number of codes before it that equal the newest, plus one."""

    def step(first: int, history: Tensor) -> Tensor:
        rows = history.shape[0]
        newest = history[:, -1:] if first else torch.zeros(rows, 1, dtype=torch.long)
        token = ((history == newest).sum(1) + 1) % codes
        return 3.0 * torch.nn.functional.one_hot(token, codes)[:, None].expand(rows, patch, codes).float()

    return step


def test_the_loop_gives_rows_alone_what_it_gives_them_together() -> None:
    u = uniforms(CellNoise(0), ["a", "b", "c"], 2, 24)
    together = autoregress(_counting(4), u, patch=4, top_k=5)  # type: ignore[arg-type]
    for row in range(6):
        alone = autoregress(_counting(4), u[row : row + 1], patch=4, top_k=5)  # type: ignore[arg-type]
        assert torch.equal(alone[0], together[row])
    assert len(together.unique(dim=0)) == 6


def test_the_loop_takes_whole_patches_only() -> None:
    with pytest.raises(ValueError, match="not a multiple of the patch"):
        autoregress(_counting(4), torch.zeros(1, 10), patch=4)  # type: ignore[arg-type]
