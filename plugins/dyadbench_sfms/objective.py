"""What the scores learn from: the errors of S drawn sets.

S sets of each of R rows, laid out (S * R, ...) with the rows of one set side by side; T frames.
"""

from __future__ import annotations

import torch
from torch import Tensor


def reinforce(log_p: Tensor, errors: Tensor, rows: int) -> Tensor:
    """A number whose gradient is an unbiased estimate of that of a drawn set's expected error.

    REINFORCE with the mean error of the row's other sets as baseline (Kool et al., 2019, "Buy 4 REINFORCE samples, get a
    baseline for free"). log_p: log-probabilities of S >= 2 independent draws; errors: theirs, without gradient; both
    (S * R,). A set's error holds all that its keyframes do, for their neighbours too, so nothing has to be relaxed; where
    errors say nothing the gradient is 0 on average.
    """
    each = errors.detach().view(-1, rows)  # (S, R)
    others = (each.sum(0) - each) / (len(each) - 1)
    return ((each - others) * log_p.view(-1, rows)).mean()


def best_of_s(p: Tensor, hard: Tensor, errors: Tensor) -> Tensor:
    """|p - r*|, r* the set of least error: an earlier reading of SFMS's eqs. 7 and 13, which sharpens whatever is drawn.

    It is linear in p, so its gradient favours frames that are drawn more often than others whatever the errors are.
    p: relaxed probabilities (R, T); hard: the sets (S * R, T); errors: (S * R,).
    """
    sets, each = hard.view(-1, *p.shape), errors.detach().view(-1, len(p))
    best = sets[each.argmin(0), torch.arange(len(p), device=p.device)]
    return (p - best.to(p.dtype)).abs().mean()
