"""Which frames are keyframes: exact Gumbel-top-k with a relaxed k-hot gradient, uniform places, adaptive counts.

SFMS (arXiv 2504.05748), eqs. 4-7 and Algorithm 1, with three corrections:
- An ordered draw without replacement has the probability prod_j exp(s_j) / (sum of exp(s) over the items that are left).
  The printed eq. 5 sums over the end of the sequence instead.
- The arg max of s + g is a draw from softmax(s) at every temperature, so eq. 6 needs none.
- The hard set is the top k of s + g itself. The top k of the relaxed sum differs from it in up to one draw in seven
  (Xie & Ermon, 1901.10517, only relax; they do not round).

R rows (windows, or windows x channels), T frames. Functions accept any leading axes, such as one for samples.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Draw:
    """Random sets of keyframes: which frames, and how probable the draw was."""

    keys: Tensor  # (R, T) bool
    log_p: Tensor  # (R,), with a gradient to the scores
    gate: Tensor | None = None  # (R, T), the keys with a relaxed gradient to the scores


def gumbel(shape: torch.Size | tuple[int, ...], device: torch.device | str = "cpu") -> Tensor:
    """Gumbel(0, 1) noise, drawn on the CPU so that devices agree."""
    uniform = torch.rand(tuple(shape)).clamp_(1e-20, 1 - 1e-7)
    return (-(-uniform.log()).log()).to(device)


def counts(valid: Tensor, k: int) -> Tensor:
    """Keyframes per row: k for a full window, proportionally fewer for a shorter one, at least 1.

    valid: (..., T) bool, frames that exist, from the first on.
    """
    frames = valid.sum(-1)
    share = (frames * k / valid.shape[-1]).round().long()
    return share.clamp_min(1).minimum(frames)


def hard_set(scores: Tensor, k: Tensor, valid: Tensor) -> Tensor:
    """The k highest scores of each row, exactly: scores, valid (..., T), k (...) -> bool (..., T)."""
    order = scores.masked_fill(~valid, -torch.inf).argsort(dim=-1, descending=True, stable=True)
    rank = order.argsort(-1)
    return (rank < k[..., None]) & valid


def log_probability(scores: Tensor, noisy: Tensor, k: Tensor, valid: Tensor) -> Tensor:
    """Of drawing the k highest of `noisy`, one after another and without replacement, from softmax(scores): (...).

    sum_j s_j - log sum exp(s) over what is left (eq. 5, corrected). An order of the set and not the set, whose sum over
    the k! orders are too many to form; an estimator that is unbiased over orders is so over sets. scores, valid: (..., T).
    """
    order = noisy.masked_fill(~valid, -torch.inf).argsort(dim=-1, descending=True, stable=True)
    ordered = scores.masked_fill(~valid, -1e9).gather(-1, order)  # -inf would give NaN gradients
    left = ordered.flip(-1).logcumsumexp(-1).flip(-1)
    drawn = torch.arange(scores.shape[-1], device=scores.device) < k[..., None]
    return torch.where(drawn, ordered - left, 0.0).sum(-1)


def spread_set(probability: Tensor, k: Tensor) -> Tensor:
    """Frames at which the running sum of the probabilities passes 1/2, 3/2, ... of k: bool (..., T), up to k of them.

    probability: (..., T), sums to k. Equal ones give even places; a frame that passes two of the marks is one keyframe.
    """
    total, slots = probability.cumsum(-1), torch.arange(int(k.max()), device=probability.device)
    marks = slots + 0.5 + 1e-4  # not at the mark but after it, as even places are: rounding must not decide
    passed = (total[..., None, :] > marks[:, None]) & (slots < k[..., None])[..., None]  # (..., k, T)
    first = passed & (passed.cumsum(-1) == 1)
    return first.any(-2)


def relaxed_khot(scores: Tensor, k: Tensor, tau: float, valid: Tensor) -> Tensor:
    """The sum of k successive softmaxes (Xie & Ermon, 1901.10517): (..., T), which sums to exactly k. Entries may exceed 1.

    Each softmax lowers the logits of the frames that the earlier ones chose. All rows are processed at once, one pass per
    keyframe; a row with fewer keyframes ignores the later passes.
    """
    logits = scores.masked_fill(~valid, -torch.inf)
    hot, total = torch.zeros_like(scores), torch.zeros_like(scores)
    for j in range(int(k.max())):
        # A frame that the last softmax chose with probability 1 must not be chosen again.
        logits = logits + (1 - hot).clamp_min(1e-6).log()
        hot = (logits / tau).softmax(-1)
        total = total + hot * (j < k)[..., None]
    return total


def straight_through(hard: Tensor, soft: Tensor) -> Tensor:
    """The hard set with the gradient of the soft one (the last line of Algorithm 1)."""
    return hard.to(soft.dtype) - soft.detach() + soft


def uniform_set(k: Tensor, valid: Tensor) -> Tensor:
    """k evenly spaced frames: the middles of k equal parts of each row, bool (..., T)."""
    frames, slots = valid.sum(-1, keepdim=True), torch.arange(int(k.max()), device=valid.device)
    places = ((slots + 0.5) * frames / k[..., None]).long().clamp(max=valid.shape[-1] - 1)
    used = (slots < k[..., None]).to(torch.uint8)
    marks = torch.zeros(valid.shape, dtype=torch.uint8, device=valid.device)
    return marks.scatter_reduce(-1, places, used, "amax").bool() & valid


def adaptive_set(scores: Tensor, threshold: float, valid: Tensor) -> Tensor:
    """Frames whose probability sigmoid(score) is above the threshold, or the likeliest frame if none is: bool (..., T)."""
    keys = (scores.sigmoid() > threshold) & valid
    return keys | (hard_set(scores, torch.ones_like(valid.sum(-1)), valid) & ~keys.any(-1, keepdim=True))


def neighbours(keys: Tensor) -> tuple[Tensor, Tensor]:
    """The nearest keyframe strictly before and strictly after each frame: (R, T) bool -> two (R, T) long.

    -1 and T where there is none.
    """
    frames = keys.shape[-1]
    place = torch.arange(frames, device=keys.device)
    # The last keyframe at or before each frame, then the first at or after it; shifting by one makes both strict.
    upto = torch.where(keys, place, -1).cummax(-1).values
    since = torch.where(keys, place, frames).flip(-1).cummin(-1).values.flip(-1)
    before = torch.cat([torch.full_like(upto[..., :1], -1), upto[..., :-1]], -1)
    after = torch.cat([since[..., 1:], torch.full_like(since[..., :1], frames)], -1)
    return before, after


def evenly(probability: Tensor, phase: Tensor) -> tuple[Tensor, Tensor]:
    """Keyframes of a patch by systematic sampling: one whenever the running sum of probabilities passes a whole number.

    probability (R, T), phase (R,) the running sum so far, which starts uniform in [0, 1) -> bool (R, T) and the new sum.
    Each frame is a keyframe with exactly its probability. The number of keyframes in a stretch is the stretch's summed
    probability, rounded up or down; independent draws would clump and leave gaps.
    """
    running = phase[:, None] + probability.cumsum(1)
    before = torch.cat([phase[:, None], running[:, :-1]], 1)
    return running.floor() > before.floor(), running[:, -1]
