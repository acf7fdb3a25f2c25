"""Sampling of tokens, and the patch-wise autoregressive loop that methods share.

Every row has its own random numbers, one uniform per token, so other rows of the batch cannot change it.
R rows (clips x samples), N tokens, V codes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from dyadbench.api import Noise

Step = Callable[[int, Tensor], Tensor]  # (first token of the patch, history (R, first)) -> logits (R, patch, V)


def uniforms(
    noise: Noise, clips: Sequence[str], k: int, n: int, purpose: str = "", device: torch.device | str = "cpu"
) -> Tensor:
    """(len(clips) * k, n) float64 in [0, 1): row b * k + s is the start of stream (clip b, sample s)."""
    rows = [noise.stream(clip, sample, purpose).random(n) for clip in clips for sample in range(k)]
    return torch.from_numpy(np.stack(rows)).to(device)


class UniformStreams:
    """The rows of `uniforms`, a few numbers at a time: what streams draw from."""

    def __init__(
        self, noise: Noise, clips: Sequence[str], k: int, purpose: str = "", device: torch.device | str = "cpu"
    ):
        self.device = device
        self.rows = [noise.stream(clip, sample, purpose) for clip in clips for sample in range(k)]

    def next(self, n: int) -> Tensor:
        """(len(clips) * k, n) float64 in [0, 1): the numbers after those that were taken before."""
        return torch.from_numpy(np.stack([row.random(n) for row in self.rows])).to(self.device)


def normals(
    noise: Noise, clips: Sequence[str], k: int, *shape: int, purpose: str = "", device: torch.device | str = "cpu"
) -> Tensor:
    """(len(clips), k, *shape) float32, standard normal: row (b, s) is the start of stream (clip b, sample s)."""
    rows = [[noise.stream(clip, sample, purpose).standard_normal(shape) for sample in range(k)] for clip in clips]
    return torch.from_numpy(np.array(rows, np.float32)).to(device)


def restrict(
    logits: Tensor, *, temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None
) -> Tensor:
    """Log-probabilities (..., V) after temperature, top-k and nucleus, each row by itself.

    top_k keeps the k likeliest codes, and ties with the k-th. top_p (1904.09751) keeps the likeliest codes until their
    probabilities sum to p, at least one.
    """
    if temperature <= 0:
        raise ValueError(f"temperature must be above 0, not {temperature}; take top_k=1 for the likeliest code")
    scores = logits.double() / temperature
    if top_k is not None and top_k < scores.shape[-1]:
        least = scores.topk(top_k, -1).values[..., -1:]
        scores = scores.masked_fill(scores < least, -torch.inf)
    if top_p is not None and top_p < 1:
        ordered, place = scores.softmax(-1).sort(dim=-1, descending=True, stable=True)
        dropped = ordered.cumsum(-1) - ordered >= top_p
        scores = scores.masked_fill(torch.zeros_like(dropped).scatter(-1, place, dropped), -torch.inf)
    return scores.log_softmax(-1)


def draw(
    logits: Tensor,
    uniform: Tensor,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
) -> Tensor:
    """Samples one code per row by inverting its cumulative distribution: logits (..., V), uniform (...) -> ids (...).

    Raises ValueError for a temperature of 0 or below. A code with logit -inf is never sampled.
    """
    p = restrict(logits, temperature=temperature, top_k=top_k, top_p=top_p).exp()
    below = p.cumsum(-1)
    ids = (below <= uniform[..., None].to(below) * below[..., -1:]).sum(-1)
    last = p.shape[-1] - 1 - (p > 0).flip(-1).int().argmax(-1)  # rounding must not step past the last possible code
    return ids.minimum(last)


def autoregress(
    step: Step,
    uniform: Tensor,
    *,
    patch: int,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
) -> Tensor:
    """Generates N tokens patch by patch. The tokens of a patch are sampled independently, given all earlier patches.

    uniform: (R, N) with N a multiple of `patch`. `step` gets the tokens so far and may have its own cache,
    because it is called once per patch, in order. Returns ids (R, N).
    """
    rows, n = uniform.shape
    if n % patch:
        raise ValueError(f"{n} tokens are not a multiple of the patch of {patch}; pad the tokens and crop the result")
    ids = torch.zeros(rows, n, dtype=torch.long, device=uniform.device)
    for first in range(0, n, patch):
        logits = step(first, ids[:, :first])
        ids[:, first : first + patch] = draw(
            logits, uniform[:, first : first + patch], temperature=temperature, top_k=top_k, top_p=top_p
        )
    return ids
