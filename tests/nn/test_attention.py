"""Attention: masks are a row's own, caches change nothing, samples may share a memory."""

from __future__ import annotations

import pytest
import torch

from dyadbench.nn.attention import Attention, Block, GatedBlock, KVCache, block_causal_mask, look_back


def _gated(**options: bool) -> GatedBlock:
    torch.manual_seed(0)
    block = GatedBlock(16, 2, **options)  # type: ignore[arg-type]
    torch.nn.init.constant_(block.alpha, 0.7)
    return block.eval()


def test_a_batch_of_different_masks_equals_its_rows_alone() -> None:
    block, x, other = _gated(), torch.randn(3, 12, 16), torch.randn(3, 12, 16)
    valid = torch.arange(12) >= torch.tensor([[0], [5], [9]])
    mask = valid[:, None, None]
    together = block(x, other, mask=mask, cross_mask=mask)
    for row in range(3):
        alone = block(x[row : row + 1], other[row : row + 1], mask=mask[row : row + 1], cross_mask=mask[row : row + 1])
        assert torch.allclose(together[row], alone[0], atol=1e-6)
    unpadded = block(x[2:, 9:], other[2:, 9:])
    assert torch.allclose(together[2:, 9:], unpadded, atol=1e-6), "a masked key must count for nothing"


@pytest.mark.parametrize("window", [None, 8])
def test_block_causal_with_a_cache_equals_the_whole_sequence_under_its_mask(window: int | None) -> None:
    torch.manual_seed(0)
    blocks = [Block(16, 2, rotary=True).eval() for _ in range(2)]
    x, whole = torch.randn(2, 20, 16), torch.empty(0)
    mask = block_causal_mask(20, 20, 4, window=window)[None, None]
    whole = x
    for block in blocks:
        whole = block(whole, mask=mask)
    caches = [KVCache(window) for _ in blocks]
    for offset in range(0, 20, 4):
        part = x[:, offset : offset + 4]
        for block, cache in zip(blocks, caches, strict=True):
            part = block(part, cache=cache, offset=offset)
        assert torch.allclose(part, whole[:, offset : offset + 4], atol=1e-5)


def test_rotary_attention_depends_on_distances_only() -> None:
    torch.manual_seed(0)
    attention = Attention(16, 2, rotary=True).eval()
    x, memory = torch.randn(1, 6, 16), torch.randn(1, 6, 16)
    assert torch.allclose(attention(x), attention(x, offset=100), atol=1e-4)
    held, moved = attention.keys(memory), attention.keys(memory, offset=100)
    assert torch.allclose(attention(x, held), attention(x, moved, offset=100), atol=1e-4)
    assert not torch.allclose(attention(x, held), attention(x, held, offset=3), atol=1e-3)


@pytest.mark.parametrize("rotary", [False, True])
def test_the_last_positions_alone_are_what_they_are_among_all(rotary: bool) -> None:
    block = _gated(rotary=rotary, cross_rotary=rotary)
    x, other = torch.randn(2, 9, 16), torch.randn(2, 9, 16)
    mask = (torch.arange(9) >= torch.tensor([[0], [4]]))[:, None, None]
    whole = block(x, other, mask=mask, cross_mask=mask)
    for last in (1, 4, 9):
        assert torch.allclose(block(x, other, mask=mask, cross_mask=mask, last=last), whole[:, -last:], atol=1e-6)


def test_heads_start_at_their_lags() -> None:
    attention = Attention(32, 2, rotary=True)
    look_back(attention, [0.0, 5.0], strength=4.0)
    q = attention._rotated(attention.split(attention.query(torch.zeros(1, 20, 32))), 0)
    k, _ = attention.keys(torch.zeros(1, 20, 32))
    looked_at = (q @ k.mT)[0].argmax(-1)  # (heads, 20)
    assert looked_at[0].tolist() == list(range(20))
    assert looked_at[1, 5:].tolist() == list(range(15))
    for plain in (Attention(32, 2), Attention(32, 2, rotary=True, bias=False)):
        with pytest.raises(ValueError, match="rotary attention with biases"):
            look_back(plain, [0.0, 5.0])


@pytest.mark.parametrize("rotary", [False, True])
def test_samples_share_a_memory_without_copies(rotary: bool) -> None:
    block = _gated(rotary=rotary, cross_rotary=rotary)
    x, other = torch.randn(6, 5, 16), torch.randn(2, 9, 16)
    cross = (torch.arange(9) > torch.arange(5)[:, None])[None, None]
    for mask in (None, cross):
        shared = block(x, block.memory(other), cross_mask=mask)
        copied = block(x, other.repeat_interleave(3, 0), cross_mask=mask)
        assert torch.allclose(shared, copied, atol=1e-6)


def test_a_gated_block_starts_deaf_and_only_its_gate_learns() -> None:
    torch.manual_seed(0)
    block = GatedBlock(16, 2)
    x, other = torch.randn(1, 4, 16), torch.randn(1, 4, 16)
    assert torch.equal(block(x, other), block(x, other + 1))
    block(x, other).square().sum().backward()
    assert block.alpha.grad is not None
    assert block.alpha.grad != 0
    assert block.cross.query.weight.grad is not None
    assert not block.cross.query.weight.grad.any()


def test_block_causal_mask_sees_whole_blocks_within_its_window() -> None:
    mask = block_causal_mask(4, 8, 2, window=4)
    assert mask.int().tolist() == [[0, 0, 1, 1, 1, 1, 0, 0]] * 2 + [[0, 0, 0, 0, 1, 1, 1, 1]] * 2
