"""Grids of books: ids that mean one cell each, energy that falls layer by layer, prefixes that decode, layers that die."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from dyadbench.nn.grfsq import GRFSQ, GRVQ, Grid
from dyadbench.nn.quantize import usage

PAPER = (5, 5, 5, 5)


def _unbound(grid: GRFSQ, y: torch.Tensor) -> torch.Tensor:
    """The input that `bound` maps onto y."""
    limit = grid.counts / (grid.counts - 1)
    return limit * torch.atanh(y / limit)


def _bounded(levels: tuple[int, ...] = PAPER, rows: int = 30_000) -> torch.Tensor:
    """(rows, 1, channels) strictly inside the cells of the coarsest layer."""
    torch.manual_seed(0)
    return torch.tanh(torch.randn(rows, 1, len(levels)))


@pytest.mark.parametrize(("levels", "layers"), [((3, 3), 3), ((4, 2), 3), ((5, 4), 2)])
def test_every_combination_of_ids_comes_back(levels: tuple[int, ...], layers: int) -> None:
    grid = GRFSQ(len(levels), 1, layers, levels)
    ids = torch.tensor(list(itertools.product(range(grid.codes), repeat=layers)))[:, None]  # (N, 1, R)
    y = grid.dequantise(ids)
    assert len(y.unique(dim=0)) == math.prod(levels) ** layers  # a cell of its own for each
    quantised, back, aux = grid(_unbound(grid, y))
    assert torch.equal(back, ids)
    assert torch.allclose(quantised, y, atol=1e-5)
    assert aux == 0


@pytest.mark.parametrize("levels", [(4,) * 4, PAPER, (6,) * 4, (8, 5, 5, 5)])
def test_every_code_of_every_layer_comes_back(levels: tuple[int, ...]) -> None:
    grid = GRFSQ(8, 2, 4, levels)
    torch.manual_seed(0)
    for layer in range(4):
        ids = torch.randint(grid.codes, (grid.codes, 2, 4))
        ids[:, 0, layer] = torch.arange(grid.codes)
        z = _unbound(grid, grid.dequantise(ids).unflatten(-1, (2, 4))).flatten(-2)
        assert torch.equal(grid(z)[1], ids)


@pytest.mark.parametrize("levels", [(4,) * 4, PAPER, (6,) * 4])
def test_residual_energy_falls_tenfold_a_layer_and_error_with_every_layer(levels: tuple[int, ...]) -> None:
    grid, y = GRFSQ(4, 1, 4, levels), _bounded(levels)
    added, ids, _ = grid.layerwise(y)
    energy = [float(y.square().mean())]
    for layers in range(1, 5):
        left = y - added[..., :layers, :].sum(-2)
        energy.append(float(left.square().mean()))
        assert torch.allclose(grid.dequantise(ids[..., :layers]), (y - left)[:, 0], atol=1e-6)
    for before, after in itertools.pairwise(energy):
        assert after < before / 10
        # Within a cell everything is equally likely, so the energy is a cell's: (its half)^2 / 3.
    half = 1 / (levels[0] - 1) / levels[0] ** 3
    assert energy[4] == pytest.approx(half**2 / 3, rel=0.05)


def test_the_printed_algorithm_dies_after_the_second_layer_and_the_default_does_not() -> None:
    y = _bounded()
    used = {}
    for literal in (False, True):
        _, ids, _ = GRFSQ(4, 1, 4, PAPER, literal=literal).layerwise(y)
        used[literal] = [usage(ids[..., layer], 625) for layer in range(4)]
    assert min(used[False]) > 0.95
    assert used[True][0] > 0.6
    assert max(used[True][2:]) < 0.15


def test_literal_ids_decode_to_what_was_quantised() -> None:
    torch.manual_seed(0)
    grid = GRFSQ(8, 2, 3, (5, 4, 5, 5), literal=True)
    quantised, ids, _ = grid(torch.randn(50, 8))
    assert torch.allclose(grid.dequantise(ids), quantised, atol=1e-5)


GRIDS = {
    "grfsq": lambda **kw: GRFSQ(16, 2, 3, (5, 5, 5), **kw),
    "literal": lambda **kw: GRFSQ(16, 2, 3, (5, 5, 5), literal=True, **kw),
    "grvq": lambda **kw: GRVQ(16, 2, 3, 20, **kw),
    "rvq": lambda **kw: GRVQ(16, 1, 3, 20, **kw),
    "gvq": lambda **kw: GRVQ(16, 4, 1, 20, **kw),
    "vq": lambda **kw: GRVQ(16, 1, 1, 20, **kw),
}


@pytest.mark.parametrize("kind", GRIDS)
def test_one_interface(kind: str) -> None:
    torch.manual_seed(0)
    grid: Grid = GRIDS[kind]()
    grid(torch.randn(8, 25, 16))  # a learnt book starts from its first batch
    grid.eval()
    z = torch.randn(4, 7, 16, requires_grad=True)
    quantised, ids, _ = grid(z)
    assert quantised.shape == z.shape
    assert ids.shape == (4, 7, grid.groups, grid.layers)
    assert int(ids.max()) < grid.codes
    assert torch.allclose(quantised, grid.dequantise(ids), atol=1e-5)
    nothing = grid.dequantise(ids[..., :0])
    assert nothing.shape == z.shape
    assert torch.equal(nothing[0, 0], nothing[3, 6])
    layer_counts = torch.tensor([0, grid.layers, 1, grid.layers])
    some = grid.dequantise(ids, layer_counts)
    assert torch.allclose(some[0], nothing[0], atol=1e-6)
    assert torch.allclose(some[2], grid.dequantise(ids[2:3, ..., :1])[0], atol=1e-6)
    quantised.sum().backward()
    assert z.grad is not None
    assert (z.grad != 0).any()


@pytest.mark.parametrize("layers", [1, 4])
def test_the_gradient_does_not_grow_with_the_layers(layers: int) -> None:
    grid = GRVQ(8, 2, layers, 16)
    torch.manual_seed(0)
    z = torch.randn(64, 8, requires_grad=True)
    grid(z)[0].sum().backward()
    assert torch.equal(z.grad, torch.ones_like(z))


def test_groups_are_quantised_apart() -> None:
    torch.manual_seed(0)
    grid = GRFSQ(32, 4, 2, (5, 5))
    z = torch.randn(1, 32)
    other = z.clone()
    other[:, 8:16] += 1.0
    (one, a, _), (two, b, _) = grid(z), grid(other)
    assert (a != b).any(-1).tolist() == [[False, True, False, False]]
    assert ((one != two).view(4, 8).any(1)).tolist() == [False, True, False, False]


def test_dropout_keeps_prefixes_of_a_row_in_training_only() -> None:
    torch.manual_seed(0)
    grid = GRFSQ(16, 2, 4, (5, 5), dropout=0.5)
    z = torch.randn(200, 3, 16)
    dropped, ids, _ = grid(z)
    prefixes = [grid.dequantise(ids[..., :layers]) for layers in range(1, 5)]
    match = torch.stack([(dropped - p).abs().amax((1, 2)) < 1e-5 for p in prefixes])  # (4, rows)
    assert match.any(0).all(), "a row decodes from something that is no prefix of its layers"
    share = match.float().mean(1)
    assert float(share[3]) == pytest.approx(0.5, abs=0.12)
    assert (share[:3] > 0.08).all()
    grid.eval()
    assert torch.allclose(grid(z)[0], prefixes[3], atol=1e-5)


@pytest.mark.parametrize("kind", GRIDS)
def test_impossible_ids_and_sizes_are_refused(kind: str) -> None:
    grid: Grid = GRIDS[kind]()
    ids = torch.zeros(2, 5, grid.groups, grid.layers, dtype=torch.long)
    for bad in (-1, grid.codes):
        ids[0, 0, 0, 0] = bad
        with pytest.raises(ValueError, match=f"{grid.codes} codes"):
            grid.dequantise(ids)
    with pytest.raises(ValueError, match="groups"):
        grid.dequantise(torch.zeros(2, 5, grid.groups + 1, grid.layers, dtype=torch.long))
    with pytest.raises(ValueError, match="layers"):
        grid.dequantise(torch.zeros(2, 5, grid.groups, grid.layers + 1, dtype=torch.long))
    with pytest.raises(ValueError, match="cannot be cut"):
        GRFSQ(10, 3, 2, (5, 5))
    with pytest.raises(ValueError, match="two or more"):
        GRFSQ(8, 2, 2, (5, 1))
    with pytest.raises(ValueError, match="take three or more"):
        GRFSQ(8, 2, 2, (5, 2), literal=True)


@pytest.mark.parametrize("levels", [(4,) * 4, PAPER, (6,) * 4])
def test_codes_are_those_of_vector_quantize_pytorch(levels: tuple[int, ...]) -> None:
    theirs = pytest.importorskip("vector_quantize_pytorch").GroupedResidualFSQ(
        dim=8, groups=2, levels=list(levels), num_quantizers=3
    )
    torch.manual_seed(0)
    z = torch.randn(3, 50, 8)
    quantised, ids, _ = GRFSQ(8, 2, 3, levels)(z)
    expected, their_ids = theirs(z)
    assert torch.equal(ids, their_ids.movedim(0, 2))
    assert torch.allclose(quantised, expected, atol=1e-6)


def test_learnt_books_lower_the_error_layer_by_layer() -> None:
    torch.manual_seed(0)
    grid = GRVQ(8, 2, 3, 16, reset=0.5)
    data = torch.randn(16, 64, 8)
    for _ in range(10):
        grid(data)
    grid.eval()
    ids = grid(data)[1]
    errors = [float((grid.dequantise(ids[..., :r]) - data).square().mean()) for r in range(4)]
    assert all(after < 0.8 * before for before, after in itertools.pairwise(errors))
