"""Grids of codebooks: channels split into G groups, each quantised by R residual layers (VQTalker, arXiv 2412.09892).

The codebooks of `GRFSQ` are finite scalar grids, those of `GRVQ` are learnt. GRVQ with one group is RVQ, with one layer
GVQ, and with one of each VQ. All have the same interface: forward(z) -> (quantised, ids, aux) and dequantise(ids) ->
quantised, with z and quantised (B, ..., dim) and ids (B, ..., G, R). The ids of the first r layers can be dequantised
without the others; r = 0 gives the quantiser's output for a sum of zero.

GroupedResidualFSQ of vector-quantize-pytorch (1.32) computes the same codes, but it multiplies the gradient by up to R (it
passes straight through every layer), decodes no prefix unless it was built with dropout, drops layers for a whole batch at
once, and reads an id of -1 as "no layer". Hence this module.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dyadbench.nn.quantize import FSQ, VQ, check_ids


class GroupLinear(nn.Module):
    """One linear map per group: (..., G, inward) -> (..., G, outward)."""

    def __init__(self, groups: int, inward: int, outward: int):
        super().__init__()
        reach = 1 / math.sqrt(inward)
        self.weight = nn.Parameter(torch.empty(groups, inward, outward).uniform_(-reach, reach))
        self.bias = nn.Parameter(torch.empty(groups, outward).uniform_(-reach, reach))

    def forward(self, x: Tensor) -> Tensor:
        return torch.einsum("...gi,gio->...go", x, self.weight) + self.bias


class Grid(nn.Module):
    """The common part of all grids; `codes` is the size of each of the G x R codebooks.

    In training, `dropout` is the share of rows (of the first axis) that keep only their first 1..R-1 layers, so that
    every prefix of layers learns to decode. They are drawn on the CPU, so that all devices draw the same.
    """

    codes: int

    def __init__(self, dim: int, groups: int, layers: int, channels: int, dropout: float):
        super().__init__()
        if dim % groups:
            raise ValueError(f"{dim} channels cannot be cut into {groups} groups")
        self.dim, self.groups, self.layers, self.dropout = dim, groups, layers, dropout
        project = channels * groups != dim
        self.inward: nn.Module = GroupLinear(groups, dim // groups, channels) if project else nn.Identity()
        self.outward: nn.Module = GroupLinear(groups, channels, dim // groups) if project else nn.Identity()

    @abstractmethod
    def bound(self, y: Tensor) -> Tensor:
        """Bounds the channels before they are quantised: (..., G, c) -> (..., G, c)."""

    @abstractmethod
    def layerwise(self, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Bounded channels (..., G, c) -> each layer's summand (..., G, R, c), ids (..., G, R), aux loss."""

    @abstractmethod
    def parts(self, ids: Tensor) -> Tensor:
        """ids (..., G, r) -> each layer's summand (..., G, r, c)."""

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        with torch.autocast(z.device.type, enabled=False):  # in half precision neighbouring levels can merge
            y = self.bound(self.inward(z.float().unflatten(-1, (self.groups, -1))))
            values, ids, aux = self.layerwise(y)
            total = (values * self._layer_mask(values)).sum(-2)
            straight = y + (total - y).detach()  # once, whatever R: the gradient does not grow with the layers
            return self.outward(straight).flatten(-2), ids, aux

    def _layer_mask(self, values: Tensor) -> Tensor:
        """1 for the layers that survive dropout, else 0: (B, 1, ..., R, 1)."""
        rows, layer = len(values), torch.arange(self.layers)
        count = torch.full((rows, 1), self.layers)
        if self.training and self.dropout and self.layers > 1:
            fewer = torch.randint(1, self.layers, (rows, 1))
            count = torch.where(torch.rand(rows, 1) < self.dropout, fewer, count)
        shape = (rows, *[1] * (values.dim() - 3), self.layers, 1)
        return (layer < count).view(shape).to(values)

    def dequantise(self, ids: Tensor, count: Tensor | None = None) -> Tensor:
        """ids (B, ..., G, r), r from 0 to R -> (B, ..., dim). With `count`, row b uses only its first count[b] layers.

        Raises ValueError for ids outside the codebook or a grid of another shape.
        """
        if ids.shape[-2] != self.groups or ids.shape[-1] > self.layers:
            raise ValueError(
                f"ids are a grid of {ids.shape[-2]} groups and {ids.shape[-1]} layers; the quantiser has {self.groups} "
                f"groups and {self.layers} layers"
            )
        check_ids(ids, self.codes)
        values = self.parts(ids)
        if count is not None:
            layer = torch.arange(ids.shape[-1], device=ids.device)
            values = values * (layer < count.view(-1, *[1] * (ids.dim() - 1)))[..., None]
        return self.outward(values.sum(-2)).flatten(-2)


class GRFSQ(Grid):
    """Group-residual finite scalar quantisation.

    By default, channels are bounded once, to +-L / (L - 1), and layer r rounds to L levels from -1 to 1, shrunk by L^-r.
    The cells of a layer then tile the cell of the layer before exactly: an id names one cell of a grid of L^R, and each
    layer reduces the residual's energy by L^2. (Shrinking by (L - 1)^-r makes cells overlap; the factor is (L - 1)^2.)
    `literal` is Algorithm 1 as printed: the whole FSQ is applied again to each residual. The second layer's residual is
    already smaller than half a step, so from the third layer on nearly everything rounds to the same few codes.
    """

    counts: Tensor
    basis: Tensor
    shrink: Tensor

    def __init__(
        self, dim: int, groups: int, layers: int, levels: Sequence[int], *, literal: bool = False, dropout: float = 0.0
    ):
        super().__init__(dim, groups, layers, len(levels), dropout)
        if not levels or min(levels) < 2:
            raise ValueError(f"levels are {list(levels)}, but every channel needs two or more")
        self.codes, self.literal = math.prod(levels), literal
        if literal:
            self.fsq = FSQ(levels)
        self.register_buffer("counts", torch.tensor(levels).float(), persistent=False)
        self.register_buffer("basis", torch.tensor([1, *levels[:-1]]).cumprod(0), persistent=False)
        shrink = self.counts ** -torch.arange(layers)[:, None]  # (R, c)
        self.register_buffer("shrink", torch.ones_like(shrink) if literal else shrink, persistent=False)

    def bound(self, y: Tensor) -> Tensor:
        if self.literal:
            return y
        limit = self.counts / (self.counts - 1)
        return limit * torch.tanh(y / limit)

    def _codes(self, digits: Tensor) -> Tensor:
        """Level numbers (..., c) -> the layer's values before shrinking."""
        if self.literal:
            half = self.fsq.levels // 2
            return (digits - half) / half
        return digits * (2 / (self.counts - 1)) - 1

    def _digits(self, residual: Tensor, layer: int) -> Tensor:
        if self.literal:
            return self.fsq.grid(residual).round() + self.fsq.levels // 2
        steps = ((residual / self.shrink[layer] + 1) * ((self.counts - 1) / 2)).round()
        return steps.clamp_min(0).minimum(self.counts - 1)

    def layerwise(self, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        residual, values, ids = y.detach(), [], []
        for layer in range(self.layers):
            digits = self._digits(residual, layer)
            values.append(self._codes(digits) * self.shrink[layer])
            ids.append((digits.long() * self.basis).sum(-1))
            residual = residual - values[-1]
        return torch.stack(values, -2), torch.stack(ids, -1), y.new_zeros(())

    def parts(self, ids: Tensor) -> Tensor:
        digits = ids[..., None] // self.basis % self.counts.long()
        return self._codes(digits) * self.shrink[: ids.shape[-1]]


class GRVQ(Grid):
    """Group-residual vector quantisation: the same grid with learnt codebooks (see nn.quantize.VQ)."""

    def __init__(
        self,
        dim: int,
        groups: int,
        layers: int,
        codes: int,
        *,
        decay: float = 0.9,
        commitment: float = 0.25,
        reset: float = 0.0,
        dropout: float = 0.0,
    ):
        super().__init__(dim, groups, layers, dim // groups, dropout)
        self.codes = codes
        books = (
            VQ(codes, dim // groups, decay=decay, commitment=commitment, reset=reset) for _ in range(groups * layers)
        )
        self.books = nn.ModuleList(books)  # group by group

    def bound(self, y: Tensor) -> Tensor:
        return y

    def layerwise(self, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        values, ids, aux = [], [], y.new_zeros(())
        for group in range(self.groups):
            residual = y[..., group, :]
            for layer in range(self.layers):
                code, book_ids, loss = self.books[group * self.layers + layer](residual)
                values.append(code.detach())
                ids.append(book_ids)
                aux = aux + loss
                residual = residual - code.detach()
        grid = (self.groups, self.layers)
        return torch.stack(values, -2).unflatten(-2, grid), torch.stack(ids, -1).unflatten(-1, grid), aux / self.groups

    def parts(self, ids: Tensor) -> Tensor:
        layers = ids.shape[-1]
        codes = [
            self.books[group * self.layers + layer].decode(ids[..., group, layer])  # type: ignore[operator]
            for group in range(self.groups)
            for layer in range(layers)
        ]
        if not codes:
            return ids.new_zeros((*ids.shape, self.dim // self.groups), dtype=torch.float32)
        return torch.stack(codes, -2).unflatten(-2, (self.groups, layers))
