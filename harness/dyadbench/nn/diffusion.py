"""Discrete diffusion over tokens with an absorbing [MASK] (VQ-Diffusion, 2111.14822).

K codes plus MASK, whose index is K. One forward step keeps a code with probability alpha_t + beta_t, replaces it by
each code with beta_t and masks it with gamma_t, where alpha_t + K beta_t + gamma_t = 1; MASK stays MASK. Steps are
t = 1..T; cumulative products at index 0 are the identity. All in log space, because under the mask-only schedule
the uniform share is 1e-6 for every t.

Shapes: B rows, L tokens, S = K + 1 states. Log-probabilities are (B, L, S) or (B, L, K).
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

LOG_ZERO = -70.0  # exp(-70) is 0 for every purpose here, and differences of it stay finite
Schedule = Literal["paper", "code"]


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


def log_add(a: Tensor, b: Tensor) -> Tensor:
    return torch.logaddexp(a, b)


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
        """(B, L) ids in 0..K -> (B, L, S)."""
        out = torch.full((*ids.shape, self.codes + 1), LOG_ZERO, dtype=torch.float64, device=ids.device)
        return out.scatter_(-1, ids[..., None], 0.0)

    def forward_log(self, log_x: Tensor, s: Tensor | int, t: Tensor | int) -> Tensor:
        """log q(x_t) from log q(x_s): (B, L, S) -> (B, L, S)."""
        keep, uniform, mask = (_rows(value) for value in self.between(s, t))
        codes = log_x[..., : self.codes]
        any_code = torch.logsumexp(codes, -1, keepdim=True)
        masked = log_add(log_x[..., self.codes :], any_code + mask)
        return torch.cat([log_add(codes + keep, any_code + uniform), masked], -1)

    def noised(self, ids: Tensor, t: Tensor, gumbel: Tensor) -> Tensor:
        """x_t ~ q(x_t | x_0): (B, L) ids, (B,) steps, (B, L, S) Gumbel noise -> (B, L)."""
        return (self.forward_log(self.log_one_hot(ids), 0, t) + gumbel).argmax(-1)

    # --- the posterior ----------------------------------------------------------------------------------

    def posterior(self, log_x0: Tensor, xt: Tensor, t: Tensor | int, s: Tensor | int) -> Tensor:
        """log p(x_s | x_t) = log sum_x0 q(x_s | x_t, x0) p(x0), for any s < t (eq. 4 of the paper, strided).

        log_x0: (B, L, K); xt: (B, L) ids in 0..K. Returns (B, L, S); at s = 0 it is p(x0) where x_t allows it.
        """
        log_x0 = log_x0.double()
        likelihood = self._log_likelihood(xt, s, t)  # log q(x_t | x_s) over x_s
        reach = self._log_evidence(xt, t)  # log q(x_t | x_0) over x_0
        weighted = log_x0 - reach
        top = torch.cat([weighted, torch.full_like(weighted[..., :1], LOG_ZERO * 4)], -1)
        mixed = self._spread(top, s)
        return torch.log_softmax((likelihood + mixed).clamp_min(LOG_ZERO * 8), -1).clamp_min(LOG_ZERO)

    def _spread(self, log_x: Tensor, s: Tensor | int) -> Tensor:
        """log of sum_x0 q(x_s | x0) w(x0) for weights that need not sum to 1."""
        return self.forward_log(log_x, 0, s)

    def _log_likelihood(self, xt: Tensor, s: Tensor | int, t: Tensor | int) -> Tensor:
        keep, uniform, mask = (_rows(value) for value in self.between(s, t))
        shape = (*xt.shape, self.codes + 1)
        same = self.log_one_hot(xt)
        coded = log_add(same + keep, uniform.expand(shape))  # x_t is a code: from itself, or from any code
        coded = torch.cat([coded[..., : self.codes], torch.full_like(coded[..., :1], LOG_ZERO)], -1)
        hidden = torch.cat([mask.expand(*xt.shape, self.codes), torch.zeros_like(coded[..., :1])], -1)
        return torch.where((xt == self.codes)[..., None], hidden, coded)

    def _log_evidence(self, xt: Tensor, t: Tensor | int) -> Tensor:
        return self._log_likelihood(xt, torch.zeros_like(t) if isinstance(t, Tensor) else 0, t)[..., : self.codes]

    # --- training ---------------------------------------------------------------------------------------

    def draw_steps(self, rows: int, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """Steps and their probabilities: by sqrt of the mean squared loss once each was seen ten times, else uniform."""
        device = self.loss_count.device
        if bool((self.loss_count[1:] > 10).all()):
            weight = (self.loss_square[1:] + 1e-10).sqrt() + 1e-4
            weight = weight / weight.sum()
        else:
            weight = torch.full((self.steps,), 1 / self.steps, device=device)
        t = torch.multinomial(weight, rows, replacement=True, generator=generator) + 1
        return t, weight[t - 1]

    def loss(
        self, log_x0: Tensor, ids: Tensor, xt: Tensor, t: Tensor, weight: Tensor, valid: Tensor, aux: float
    ) -> Tensor:
        """Variational bound over tokens plus the auxiliary x0 term, both divided by the step's probability.

        log_x0: (B, L, K) of the denoiser; valid: (B, L) tokens that count; aux: its factor, 5e-4 in the paper.
        """
        true = self.posterior(self.log_one_hot(ids)[..., : self.codes], xt, t, t - 1)
        guess = self.posterior(log_x0, xt, t, t - 1)
        kl = (true.exp() * (true - guess)).sum(-1)
        nll = -log_x0.double().gather(-1, ids[..., None])[..., 0]
        bound = torch.where((t == 1)[:, None], nll, kl)
        count = valid.sum(-1).clamp_min(1)
        row = (bound * valid).sum(-1) / count
        self._remember(t, row.detach())
        side = (nll * valid).sum(-1) / count * (2 - t / self.steps) * aux
        return ((row + side) / weight / self.steps).mean().float()

    def _remember(self, t: Tensor, row: Tensor) -> None:
        if not self.training:
            return
        for step, value in zip(t.tolist(), row.pow(2).tolist(), strict=True):
            seen = self.loss_count[step] > 0
            self.loss_square[step] = 0.1 * value + 0.9 * self.loss_square[step] if seen else value
            self.loss_count[step] += 1


def truncate(log_p: Tensor, share: float) -> Tensor:
    """Keeps the likeliest codes that together hold `share` of the probability (at least one) and renormalises."""
    if share >= 1:
        return log_p
    ordered, place = log_p.sort(-1, descending=True)
    before = ordered.exp().cumsum(-1) - ordered.exp()
    kept = torch.where(before < share, ordered, torch.full_like(ordered, LOG_ZERO))
    return torch.log_softmax(torch.empty_like(log_p).scatter_(-1, place, kept), -1)


def strided_steps(total: int, steps: int) -> list[int]:
    """T = t_0 > t_1 > ... > 0: `steps` jumps, as even as whole numbers allow."""
    if not 1 <= steps <= total:
        raise ValueError(f"sampling takes 1 to {total} steps, not {steps}")
    return [round(total * (steps - i) / steps) for i in range(steps + 1)]


def _rows(value: Tensor) -> Tensor:
    return value[:, None, None] if value.dim() else value
