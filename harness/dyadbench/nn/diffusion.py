"""Discrete diffusion over tokens with an absorbing [MASK] (VQ-Diffusion, 2111.14822).

K codes plus MASK, whose index is K. One forward step keeps a code with probability alpha_t + beta_t, replaces it by
each code with beta_t and masks it with gamma_t, where alpha_t + K beta_t + gamma_t = 1; MASK stays MASK. Steps are
t = 1..T; cumulative products at index 0 are the identity. They are kept as logarithms and mixed in float64, because
under the mask-only schedule the uniform share is 1e-6 for every t.

Shapes: B rows, L tokens, S = K + 1 states. Log-probabilities are (B, L, S) or (B, L, K).
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from dyadbench.nn.sampling import draw

LOG_ZERO = -70.0  # exp(-70) is 0 for every purpose here, and differences of it stay finite
TINY = 1e-30
Schedule = Literal["paper", "code"]
Denoise = Callable[[Tensor, int], Tensor]  # ids x_t (R, L), step t -> log p(x_0 | x_t) (R, L, K)


def cumulative(schedule: Schedule, steps: int) -> tuple[Tensor, Tensor]:
    """Cumulative keep and mask probabilities at t = 0..T, float64.

    "paper": mask 0 -> 0.9 and uniform 0 -> 0.1, linear. "code": the released schedule, mask 9e-6 -> 0.99999 with
    keep the mirror image, so that the uniform share is 1e-6 at every t: mask-only in effect.
    """
    t = torch.arange(1, steps + 1, dtype=torch.float64)
    if schedule == "paper":
        mask, uniform = 0.9 * t / steps, 0.1 * t / steps
        keep = (1 - mask - uniform).clamp_min(1e-9)
    else:
        line = (t - 1) / max(steps - 1, 1)
        keep, mask = 0.99999 + (9e-6 - 0.99999) * line, 9e-6 + (0.99999 - 9e-6) * line
    zero = torch.zeros(1, dtype=torch.float64)
    return torch.cat([zero + 1, keep]), torch.cat([zero, mask])


class DiscreteDiffusion(nn.Module):
    """Forward process, exact posterior, loss and sampling; the denoiser is any function giving log p(x0 | xt)."""

    log_keep: Tensor
    log_uniform: Tensor
    log_mask: Tensor
    loss_square: Tensor
    loss_count: Tensor

    def __init__(self, codes: int, steps: int = 100, schedule: Schedule = "paper"):
        super().__init__()
        self.codes, self.steps, self.schedule = codes, steps, schedule
        keep, mask = cumulative(schedule, steps)
        uniform = ((1 - keep - mask) / codes).clamp_min(0)
        for name, value in (("log_keep", keep), ("log_uniform", uniform), ("log_mask", mask)):
            self.register_buffer(name, value.log().clamp_min(LOG_ZERO), persistent=False)
        self.register_buffer("loss_square", torch.zeros(steps + 1), persistent=True)
        self.register_buffer("loss_count", torch.zeros(steps + 1), persistent=True)

    # --- the forward process ----------------------------------------------------------------------------

    def between(self, s: Tensor | int, t: Tensor | int) -> tuple[Tensor, Tensor, Tensor]:
        """log (keep, uniform per code, mask) of the transition from step s to step t >= s, from cumulative ratios."""
        keep = self.log_keep[t] - self.log_keep[s]
        stay_s, stay_t = torch.log1p(-self.log_mask[s].exp()), torch.log1p(-self.log_mask[t].exp().clamp_max(1 - 1e-15))
        unmasked = (stay_t - stay_s).clamp_max(0)
        mask = torch.log1p(-unmasked.exp().clamp_max(1 - 1e-30)).clamp_min(LOG_ZERO)
        uniform = ((unmasked.exp() - keep.exp()).clamp_min(0) / self.codes).log().clamp_min(LOG_ZERO)
        return keep, uniform, mask

    def matrix(self, s: int, t: int) -> Tensor:
        """(S, S) transition from step s (rows) to step t (columns); rows sum to 1. For tests and for reading."""
        keep, uniform, mask = (value.exp() for value in self.between(s, t))
        size = self.codes + 1
        q = torch.zeros(size, size, dtype=torch.float64)
        q[: self.codes, : self.codes] = uniform
        q += torch.diag(torch.cat([keep.expand(self.codes), torch.zeros(1, dtype=torch.float64)]))
        q[: self.codes, self.codes] = mask
        q[self.codes, self.codes] = 1
        return q

    def log_one_hot(self, ids: Tensor) -> Tensor:
        """(B, L) ids in 0..K - 1 -> (B, L, K) log-probabilities that are sure of them."""
        return nn.functional.one_hot(ids, self.codes).double().clamp_min(TINY).log()

    def noised(self, ids: Tensor, t: Tensor | int, uniform: Tensor) -> Tensor:
        """x_t ~ q(x_t | x_0): (B, L) ids, (B,) steps or one, (B, L, 2) numbers in [0, 1) -> (B, L)."""
        _, spread, mask = (
            _tokens(value.exp()) for value in self.between(torch.zeros_like(t) if isinstance(t, Tensor) else 0, t)
        )
        chance = uniform[..., 0].double()
        moved = torch.where(chance < mask + self.codes * spread, self._any_code(uniform), ids)
        return torch.where(chance < mask, self.codes, moved)

    def _any_code(self, uniform: Tensor) -> Tensor:
        return (uniform[..., 1] * self.codes).long()

    # --- the posterior ----------------------------------------------------------------------------------

    def posterior(self, log_x0: Tensor, xt: Tensor, t: Tensor | int, s: Tensor | int) -> Tensor:
        """log p(x_s | x_t) = log sum_x0 q(x_s | x_t, x0) p(x0), for any s < t (eq. 4 of the paper, strided).

        log_x0: (B, L, K); xt: (B, L) ids in 0..K. Returns (B, L, S); at s = 0 it is p(x0) where x_t allows it.
        """
        start = torch.zeros_like(t) if isinstance(t, Tensor) else 0
        keep, uniform, mask = (_rows(value.exp()) for value in self.between(s, t))
        to_s, spread_s, mask_s = (_rows(value.exp()) for value in self.between(start, s))
        to_t, spread_t, _ = (_rows(value.exp()) for value in self.between(start, t))
        hidden, same = (xt == self.codes)[..., None], xt[..., None] == torch.arange(self.codes, device=xt.device)
        evidence = torch.where(hidden, 1.0, spread_t + to_t * same)  # q(x_t | x_0), up to a factor where x_t is MASK
        likelihood = torch.where(hidden, mask, uniform + keep * same)  # q(x_t | x_s) of codes x_s
        weight = log_x0.double().exp() / evidence
        total = weight.sum(-1, keepdim=True)
        codes = likelihood * (spread_s * total + to_s * weight)
        p = torch.cat([codes, torch.where(hidden, mask_s * total, 0.0)], -1)
        return (p / p.sum(-1, keepdim=True)).clamp_min(TINY).log()

    # --- sampling ---------------------------------------------------------------------------------------

    def previous(self, x0: Tensor, xt: Tensor, t: int, s: int, uniform: Tensor) -> Tensor:
        """x_s ~ q(x_s | x_t, x_0) for s < t: ids (B, L), (B, L, 2) numbers in [0, 1) -> (B, L).

        After x_0 ~ p(x_0) this draws from `posterior`, without ever writing down its K + 1 numbers a token: x_s is
        any code, x_0, or x_t unchanged.
        """
        keep, uniformly, mask = (float(value.exp()) for value in self.between(s, t))
        stay, spread, masked = (float(value.exp()) for value in self.between(0, s))
        hidden = xt == self.codes
        onward = torch.where(hidden, mask, uniformly).double()  # q(x_t | x_s) for a code x_s that is not x_t
        any_code, original = onward * self.codes * spread, onward * stay
        same = torch.where(hidden, masked, keep * (spread + stay * (x0 == xt)))
        chance = uniform[..., 0].double() * (any_code + original + same)
        changed = torch.where(chance < any_code, self._any_code(uniform), x0)
        return torch.where(chance < any_code + original, changed, xt)

    def sample(
        self, denoise: Denoise, uniform: Tensor, *, truncation: float = 1.0, known: Tensor | None = None
    ) -> Tensor:
        """Ids (R, L) drawn from all MASK in strided steps, one call of `denoise` each.

        uniform: (R, steps, L, 3) numbers in [0, 1), rows independent of each other. truncation: the share of p(x_0)
        that may be drawn from. known: (R, L) ids that are held at every step, -1 where there is none.
        """
        ids = torch.full((len(uniform), uniform.shape[2]), self.codes, device=uniform.device)
        free: slice | Tensor = slice(None)
        if known is not None:
            ids = torch.where(known >= 0, known, ids)
            free = (known < 0).any(0).nonzero()[:, 0]  # where some row draws
        for i, (t, s) in enumerate(pairwise(strided_steps(self.steps, uniform.shape[1]))):
            chance = uniform[:, i, free]
            x0 = nucleus(denoise(ids, t)[:, free], chance[..., 2], truncation)
            moved = self.previous(x0, ids[:, free], t, s, chance[..., :2])
            ids[:, free] = moved if known is None else torch.where(known[:, free] >= 0, known[:, free], moved)
        return ids

    # --- training ---------------------------------------------------------------------------------------

    def draw_steps(self, rows: int) -> tuple[Tensor, Tensor]:
        """Steps and their probabilities: by sqrt of the mean squared loss once each was seen ten times, else uniform."""
        device = self.loss_count.device
        if bool((self.loss_count[1:] > 10).all()):
            weight = (self.loss_square[1:] + 1e-10).sqrt() + 1e-4
            weight = weight / weight.sum()
        else:
            weight = torch.full((self.steps,), 1 / self.steps, device=device)
        t = torch.multinomial(weight, rows, replacement=True) + 1
        return t, weight[t - 1]

    def even_steps(self, rows: int) -> tuple[Tensor, Tensor]:
        """Steps at even distances over all of them, from a random one on, and their probability: for validation.

        `draw_steps` follows the losses that training has seen, so what it draws would change from one validation to the next.
        """
        device = self.loss_count.device
        start = torch.randint(self.steps, (1,)).to(device)
        t = (start + torch.arange(rows, device=device) * self.steps // rows) % self.steps + 1
        return t, torch.full((rows,), 1 / self.steps, device=device)

    def loss(
        self, log_x0: Tensor, ids: Tensor, xt: Tensor, t: Tensor, weight: Tensor, valid: Tensor, aux: float
    ) -> Tensor:
        """Variational bound over tokens plus the auxiliary x0 term, both divided by the step's probability.

        log_x0: (B, L, K) of the denoiser; valid: (B, L) tokens that count; aux: its factor, 5e-4 in the paper. The release
        weighs the auxiliary term by 2 - t / T and counts t from 0, so its first step, our 1, weighs 2.
        """
        true = self.posterior(self.log_one_hot(ids), xt, t, t - 1)
        guess = self.posterior(log_x0, xt, t, t - 1)
        kl = (true.exp() * (true - guess)).sum(-1)
        nll = -log_x0.double().gather(-1, ids[..., None])[..., 0]
        bound = torch.where((t == 1)[:, None], nll, kl)
        count = valid.sum(-1).clamp_min(1)
        row = (bound * valid).sum(-1) / count
        self._remember(t, row.detach())
        side = (nll * valid).sum(-1) / count * (2 - (t - 1) / self.steps) * aux
        return ((row + side) / weight / self.steps).mean().float()

    def _remember(self, t: Tensor, row: Tensor) -> None:
        """Moving average of the squared loss at each step, from the batch's mean there."""
        if not self.training:
            return
        rows = nn.functional.one_hot(t, self.steps + 1).to(row)  # (B, T + 1)
        count = rows.sum(0)
        mean = (rows.T @ row.pow(2)) / count.clamp_min(1)
        rate = torch.where(self.loss_count > 0, 0.1, 1.0) * (count > 0)
        self.loss_square += (rate * (mean - self.loss_square)).to(self.loss_square)
        self.loss_count += count.to(self.loss_count)


def strided_steps(total: int, steps: int) -> list[int]:
    """T = t_0 > t_1 > ... > 0: `steps` jumps, as even as whole numbers allow."""
    if not 1 <= steps <= total:
        raise ValueError(f"sampling takes 1 to {total} steps, not {steps}")
    return [round(total * (steps - i) / steps) for i in range(steps + 1)]


def nucleus(log_p: Tensor, uniform: Tensor, share: float) -> Tensor:
    """One of the likeliest codes that together hold `share`: log_p (R, L, K), uniform (R, L) -> (R, L).

    A quarter of the codes mostly holds it, and is found much sooner than an order of all; the other rows are ordered.
    """
    if share >= 1:
        return draw(log_p, uniform)
    p, place = log_p.double().exp().topk(-(-log_p.shape[-1] // 4), -1)
    head = p * (p.cumsum(-1) - p < share)
    below = head.cumsum(-1)
    at = (below <= uniform[..., None].double() * below[..., -1:]).sum(-1).minimum((head > 0).sum(-1) - 1)
    ids = place.gather(-1, at[..., None])[..., 0]
    short = p.sum(-1) < share
    if bool(short.any()):
        ids[short] = draw(log_p[short], uniform[short], top_p=share)
    return ids


def _tokens(value: Tensor) -> Tensor:
    return value[:, None] if value.dim() else value


def _rows(value: Tensor) -> Tensor:
    return value[:, None, None] if value.dim() else value
