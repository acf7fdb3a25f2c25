"""Quantisers: exact grids, ids that mean one code each, learning that follows the seed."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dyadbench.nn.quantize import FSQ, LFQ, VQ, perplexity, usage


@pytest.mark.parametrize("levels", [(8, 5, 5, 5), (5, 4, 4), (7, 3), (4, 3), (8, 8, 8, 4)])
def test_fsq_index_to_code_to_index_is_the_identity_over_the_whole_grid(levels: tuple[int, ...]) -> None:
    fsq = FSQ(levels)
    ids = torch.arange(math.prod(levels))
    codes = fsq.codes_of(ids)
    assert len(codes.unique(dim=0)) == fsq.codes == len(ids)
    # A value that `bound` maps onto the code: the inverse of the squeeze.
    half, offset = (fsq.levels - 1) * 1.001 / 2, torch.where(fsq.levels % 2 == 0, 0.5, 0.0)
    z = torch.atanh((codes * (fsq.levels // 2) + offset) / half) - torch.atanh(offset / half)
    quantised, back, aux = fsq(z)
    assert torch.equal(back, ids)
    assert torch.allclose(quantised, fsq.decode(ids), atol=1e-6)
    assert aux == 0


def test_fsq_of_the_paper_has_1000_codes_and_even_levels_are_asymmetric() -> None:
    fsq = FSQ((8, 5, 5, 5))
    assert fsq.codes == 1000
    assert fsq.basis.tolist() == [1, 8, 40, 200]
    first = fsq.codes_of(torch.arange(8))[:, 0]
    assert torch.equal(first, torch.tensor([-1, -0.75, -0.5, -0.25, 0, 0.25, 0.5, 0.75]))


@pytest.mark.parametrize("levels", [(2,), (8, 2, 5), (1, 5), ()])
def test_a_channel_of_fewer_than_three_levels_is_dead_and_refused(levels: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="fewer than three is dead"):
        FSQ(levels)


@given(st.lists(st.floats(-1e4, 1e4), min_size=4, max_size=4))
@settings(max_examples=50, deadline=None)
def test_fsq_forward_and_decode_agree_on_any_input(values: list[float]) -> None:
    fsq = FSQ((8, 5, 5, 5))
    quantised, ids, _ = fsq(torch.tensor([values]))
    assert 0 <= int(ids) < 1000
    assert torch.allclose(quantised, fsq.decode(ids), atol=1e-6)


@pytest.mark.parametrize("book", [FSQ((5, 4, 4), 16), VQ(80, 16), LFQ(64, 16)])
@pytest.mark.parametrize("bad", [-1, 80, 2049])
def test_an_id_outside_the_book_is_an_error_and_never_another_code(book: torch.nn.Module, bad: int) -> None:
    with pytest.raises(ValueError, match="codes"):
        book.decode(torch.tensor([[0, bad]]))  # type: ignore[operator]


@pytest.mark.parametrize("kind", ["fsq", "vq", "lfq"])
def test_the_gradient_passes_through_and_decode_gives_what_forward_gave(kind: str) -> None:
    torch.manual_seed(0)
    books = {"fsq": FSQ((5, 4, 4), 8), "vq": VQ(32, 8), "lfq": LFQ(32, 8)}
    book = books[kind].eval()
    z = torch.randn(3, 7, 8, requires_grad=True)
    quantised, ids, _ = book(z)
    assert quantised.shape == (3, 7, 8)
    assert ids.shape == (3, 7)
    assert torch.allclose(quantised, book.decode(ids), atol=1e-5)
    quantised.sum().backward()
    assert z.grad is not None
    assert (z.grad != 0).any()


def _blobs(seed: int = 0) -> torch.Tensor:
    """64 rows around each of 8 far corners."""
    generator = torch.Generator().manual_seed(seed)
    corners = torch.tensor([[a, b, c] for a in (-4.0, 4.0) for b in (-4.0, 4.0) for c in (-4.0, 4.0)])
    return (corners[:, None] + 0.1 * torch.randn(8, 64, 3, generator=generator)).flatten(0, 1)


def test_vq_learns_the_same_book_from_the_same_seed_and_only_in_training() -> None:
    books = []
    for _ in range(2):
        torch.manual_seed(5)
        vq = VQ(8, 3, reset=1.0)
        for step in range(20):
            vq(_blobs(step)[torch.randperm(512)])
        books.append(vq.book.clone())
    assert torch.equal(*books)
    vq.eval()
    vq(torch.randn(100, 3))
    assert torch.equal(vq.book, books[1])


def test_vq_dead_codes_come_back_where_reset_is_on() -> None:
    used = {}
    for reset in (0.0, 1.0):
        torch.manual_seed(1)
        vq = VQ(8, 3, reset=reset)
        vq(_blobs())
        for values in (vq.book, vq.total):
            values[3] = 1000.0  # where no row will ever be
        for step in range(30):
            vq(_blobs(step))
        vq.eval()
        used[reset] = usage(vq(_blobs(99))[1], 8)
    assert used[1.0] == 1.0
    assert used[0.0] < 1.0


def test_vq_state_survives_saving() -> None:
    torch.manual_seed(0)
    vq = VQ(8, 3)
    vq(_blobs())
    other = VQ(8, 3)
    other.load_state_dict(vq.state_dict())
    assert bool(other.ready)
    assert torch.equal(vq.eval()(_blobs(1))[1], other.eval()(_blobs(1))[1])


def test_lfq_entropy_loss_prefers_all_codes_used_to_one() -> None:
    lfq = LFQ(4, 2, commitment=0.0)
    spread = lfq._aux(torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]]), torch.zeros(4, 2))
    lone = lfq._aux(torch.ones(4, 2), torch.zeros(4, 2))
    assert float(spread) == pytest.approx(-0.1 * math.log(4), abs=1e-4)
    assert float(lone) == pytest.approx(0.0, abs=1e-4)


def test_sizes_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="power of two"):
        LFQ(1000, 8)
    for levels in ((8, 1), (8, 2), ()):
        with pytest.raises(ValueError, match="take three or more"):
            FSQ(levels)


def test_usage_and_perplexity() -> None:
    ids = torch.tensor([0, 0, 1, 1])
    assert usage(ids, 4) == 0.5
    assert perplexity(ids, 4) == pytest.approx(2.0)
    assert perplexity(torch.zeros(9, dtype=torch.long), 4) == pytest.approx(1.0)
