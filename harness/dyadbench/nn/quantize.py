"""Quantisers: finite scalar (FSQ), vector with moving averages (VQ) or by gradient (LearntBook), lookup-free (LFQ).

All share one shape: `codes`, `forward(z) -> (quantised, ids, aux loss)` and `decode(ids) -> quantised`, with z and
quantised (..., dim) and ids (...). Gradients pass straight through the rounding. All are this project's own: what
vector-quantize-pytorch adds is not needed, its FSQ reads inputs of three or more axes as images, and moving averages
here must follow torch.manual_seed alone and agree across processes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Protocol

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

Quantised = tuple[Tensor, Tensor, Tensor]  # code vectors, ids, loss


class Quantizer(Protocol):
    """What a tokenizer needs of its quantiser, which is an nn.Module."""

    codes: int

    def __call__(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]: ...

    def decode(self, ids: Tensor) -> Tensor: ...


def quantise_where(quantizer: Callable[[Tensor], Quantised], z: Tensor, valid: Tensor | None) -> Quantised:
    """`quantizer(z)` of z (B, N, dim), of the positions that exist alone, valid (B, N); None: all of them.

    What pads a clip would otherwise have entries of the book, and a share of the loss. There z stays as it is, with id 0.
    """
    if valid is None or bool(valid.all()):
        return quantizer(z)
    codes, ids, aux = quantizer(z[valid])
    every = ids.new_zeros((*valid.shape, *ids.shape[1:]))
    every[valid] = ids
    return z.masked_scatter(valid[..., None], codes.to(z.dtype)), every, aux


def check_ids(ids: Tensor, codes: int) -> None:
    """Raises ValueError for an id outside the book: aliasing it by modulo would hide a broken predictor."""
    if ids.numel() and (int(ids.min()) < 0 or int(ids.max()) >= codes):
        raise ValueError(
            f"ids from {int(ids.min())} to {int(ids.max())} do not fit a book of {codes} codes (0 to {codes - 1}); "
            "check the predictor's vocabulary"
        )


def counts(ids: Tensor, codes: int) -> Tensor:
    """(codes,): how often each code occurs. Raises ValueError for ids outside the book."""
    check_ids(ids, codes)
    return torch.bincount(ids.flatten(), minlength=codes)


def usage(ids: Tensor, codes: int) -> float:
    """Share of the codes that occur at least once, in [0, 1]."""
    return float((counts(ids, codes) > 0).float().mean())


def perplexity(ids: Tensor, codes: int) -> float:
    """exp of the entropy of the codes: 1 where one code is used, `codes` where all are used alike."""
    share = counts(ids, codes).double()
    return float(torch.special.entr(share / share.sum().clamp_min(1)).sum().exp())


class FSQ(nn.Module):
    """Finite scalar quantisation (2309.15505): each of a few channels is bounded and rounded to one of L levels.

    Codes are (z - offset) / (L // 2): even L gives {-1, ..., 1 - 2 / L}, odd L is symmetric. The id counts the first
    channel fastest, so [8, 5, 5, 5] has the basis 1, 8, 40, 200 and 1000 codes. A channel of two levels is refused: its
    offset moves both levels' border to -3.8, so that nearly everything gets one code and no gradient.
    """

    levels: Tensor
    basis: Tensor

    def __init__(self, levels: Sequence[int], dim: int | None = None):
        super().__init__()
        if not levels or min(levels) < 3:
            raise ValueError(
                f"FSQ levels are {list(levels)}, but a channel of fewer than three is dead; take three or more"
            )
        self.codes = math.prod(levels)
        dim = dim or len(levels)
        self.register_buffer("levels", torch.tensor(levels), persistent=False)
        self.register_buffer("basis", torch.tensor([1, *levels[:-1]]).cumprod(0), persistent=False)
        project = dim != len(levels)
        self.inward: nn.Module = nn.Linear(dim, len(levels)) if project else nn.Identity()
        self.outward: nn.Module = nn.Linear(len(levels), dim) if project else nn.Identity()

    def bound(self, z: Tensor) -> Tensor:
        """Squeezes each channel so that rounding it gives exactly L whole numbers. (..., channels) -> same."""
        half = (self.levels - 1) * (1 + 1e-3) / 2
        offset = torch.where(self.levels % 2 == 0, 0.5, 0.0)
        return (z + torch.atanh(offset / half)).tanh() * half - offset

    def grid(self, z: Tensor) -> Tensor:
        """(..., channels) -> whole steps in -(L // 2) .. (L - 1) // 2, with the gradient of `bound`."""
        bounded = self.bound(z)
        return bounded + (bounded.round() - bounded).detach()

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        with torch.autocast(z.device.type, enabled=False):  # in half precision neighbouring levels can merge
            steps = self.grid(self.inward(z.float()))
            ids = ((steps.detach().round().long() + self.levels // 2) * self.basis).sum(-1)
            return self.outward(steps / (self.levels // 2)), ids, z.new_zeros(())

    def codes_of(self, ids: Tensor) -> Tensor:
        """ids (...) -> codes (..., channels) in [-1, 1]. Raises ValueError for an id outside the grid."""
        check_ids(ids, self.codes)
        half = self.levels // 2
        return (ids[..., None] // self.basis % self.levels - half) / half

    def decode(self, ids: Tensor) -> Tensor:
        return self.outward(self.codes_of(ids))


def _everywhere(value: Tensor, *, total: bool) -> Tensor:
    """The sum over processes, or process 0's value, in place; alone it is what it was."""
    if dist.is_available() and dist.is_initialized():
        dist.all_reduce(value) if total else dist.broadcast(value, 0)
    return value


class VQ(nn.Module):
    """Vector quantisation with k-means initialisation, a book of moving averages, and reset of dead codes.

    Learns in training mode only, and not by gradient: the first batch is clustered, later ones move each code towards
    the mean of what was assigned to it (van den Oord et al., 1711.00937, appendix A.1). A code whose average count
    falls below `reset` is replaced by a row of the batch; 0 never resets. Randomness is torch's global generator.
    """

    book: Tensor
    count: Tensor
    total: Tensor
    ready: Tensor

    def __init__(self, codes: int, dim: int, *, decay: float = 0.8, commitment: float = 1.0, reset: float = 0.0):
        super().__init__()
        self.codes, self.decay, self.commitment, self.reset = codes, decay, commitment, reset
        self.register_buffer("book", torch.randn(codes, dim))
        self.register_buffer("count", torch.ones(codes))
        self.register_buffer("total", self.book.clone())
        self.register_buffer("ready", torch.zeros((), dtype=torch.bool))

    def nearest(self, rows: Tensor) -> Tensor:
        """(N, dim) -> (N,) ids of the nearest codes."""
        return (self.book.square().sum(1) - 2 * rows @ self.book.T).argmin(1)

    def _assigned(self, rows: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
        """How many rows each code got, and their sum: (codes,), (codes, dim). One matrix product: scatter-add orders
        its sums by chance on a GPU."""
        picked = F.one_hot(ids, self.codes).to(rows.dtype)
        return _everywhere(picked.sum(0), total=True), _everywhere(picked.T @ rows, total=True)

    def _pick(self, rows: Tensor, n: int) -> Tensor:
        """n rows at random, with repeats only where there are too few."""
        order = torch.randperm(len(rows), device=rows.device)
        return _everywhere(rows[order[torch.arange(n, device=rows.device) % len(rows)]].clone(), total=False)

    def _initialise(self, rows: Tensor, rounds: int = 10) -> None:
        """k-means from random rows of the first batch."""
        self.book.copy_(self._pick(rows, self.codes))
        for _ in range(rounds):
            number, sums = self._assigned(rows, self.nearest(rows))
            self.book.copy_(torch.where(number[:, None] > 0, sums / number.clamp_min(1)[:, None], self.book))
        number, _ = self._assigned(rows, self.nearest(rows))
        self.count.copy_(number)
        self.total.copy_(self.book * number[:, None])
        self.ready.fill_(True)

    @torch.no_grad()
    def _learn(self, rows: Tensor, ids: Tensor) -> None:
        number, sums = self._assigned(rows, ids)
        self.count.lerp_(number, 1 - self.decay)
        self.total.lerp_(sums, 1 - self.decay)
        # A little mass for every code, so that one without rows keeps its place instead of dividing by 0.
        self.book.copy_((self.total + 1e-5 * self.book) / (self.count + 1e-5)[:, None])
        dead = self.count < self.reset
        if bool(dead.any()):
            self.book[dead] = self._pick(rows, int(dead.sum()))
            self.count[dead] = max(self.reset, 1.0)
            self.total[dead] = self.book[dead] * self.count[dead][:, None]

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        with torch.autocast(z.device.type, enabled=False):
            rows = z.detach().float().flatten(0, -2)
            if self.training and not self.ready:
                with torch.no_grad():
                    self._initialise(rows)
            ids = self.nearest(rows)
            entries = self.book[ids].view_as(z)
            if self.training:
                self._learn(rows, ids)
            aux = self.commitment * F.mse_loss(z.float(), entries)
            return z + (entries - z).detach(), ids.view(z.shape[:-1]), aux

    def decode(self, ids: Tensor) -> Tensor:
        """ids (...) -> (..., dim). Raises ValueError for an id outside the book."""
        check_ids(ids, self.codes)
        return self.book[ids]


class LearntBook(nn.Module):
    """Vector quantisation whose codes learn by gradient: |sg(z) - q|^2 + commitment |z - sg(q)|^2 (1711.00937, eq. 3)."""

    def __init__(self, codes: int, dim: int, commitment: float):
        super().__init__()
        self.codes, self.commitment = codes, commitment
        self.book = nn.Parameter(torch.empty(codes, dim).uniform_(-1 / codes, 1 / codes))

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """z (..., dim) -> quantised with z's gradient, ids (...), loss."""
        ids = (self.book.square().sum(1) - 2 * z.detach() @ self.book.T).argmin(-1)
        entries = self.book[ids]
        aux = F.mse_loss(entries, z.detach()) + self.commitment * F.mse_loss(z, entries.detach())
        return z + (entries - z).detach(), ids, aux

    def decode(self, ids: Tensor) -> Tensor:
        """ids (...) -> (..., dim). Raises ValueError for an id outside the book."""
        check_ids(ids, self.codes)
        return self.book[ids]


class LFQ(nn.Module):
    """Lookup-free quantisation (2310.05737): the signs of log2(codes) channels are the bits of the id.

    aux = entropy weight x (mean entropy of a row's codes - `spread` x entropy of the mean over rows) + commitment x
    squared distance to the signs: rows should be sure of their code, and all codes should be used.
    """

    book: Tensor
    bits: Tensor

    def __init__(
        self,
        codes: int,
        dim: int,
        *,
        inv_temperature: float = 100.0,
        entropy: float = 0.1,
        spread: float = 1.0,
        commitment: float = 0.25,
    ):
        super().__init__()
        width = codes.bit_length() - 1
        if codes < 2 or codes != 1 << width:
            raise ValueError(f"LFQ codes are bits: {codes} is not a power of two; take {1 << max(width, 1)}")
        self.codes, self.inv_temperature = codes, inv_temperature
        self.entropy, self.spread, self.commitment = entropy, spread, commitment
        self.inward, self.outward = nn.Linear(dim, width), nn.Linear(width, dim)
        self.register_buffer("bits", 1 << torch.arange(width), persistent=False)
        self.register_buffer("book", self._signs(torch.arange(codes)), persistent=False)

    def _signs(self, ids: Tensor) -> Tensor:
        return torch.where((ids[..., None] & self.bits) != 0, 1.0, -1.0)

    def _aux(self, z: Tensor, signs: Tensor) -> Tensor:
        log_p = (2 * self.inv_temperature * z.flatten(0, -2) @ self.book.T).log_softmax(-1)  # (N, codes)
        p = log_p.exp()
        mean = p.mean(0).clamp_min(1e-12)  # where no row is near, the logarithm's gradient would be NaN
        sure, used = -(p * log_p).sum(-1).mean(), -(mean * mean.log()).sum()
        return self.entropy * (sure - self.spread * used) + self.commitment * F.mse_loss(z, signs)

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        with torch.autocast(z.device.type, enabled=False):
            z = self.inward(z.float())
            positive = z > 0
            signs = torch.where(positive, 1.0, -1.0)
            aux = self._aux(z, signs) if self.training else z.new_zeros(())
            return self.outward(z + (signs - z).detach()), (positive * self.bits).sum(-1), aux

    def decode(self, ids: Tensor) -> Tensor:
        """ids (...) -> (..., dim). Raises ValueError for an id outside the book."""
        check_ids(ids, self.codes)
        return self.outward(self._signs(ids))
