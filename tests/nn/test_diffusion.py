"""The discrete diffusion core against brute force."""

from __future__ import annotations

import pytest
import torch

from dyadbench.nn.diffusion import DiscreteDiffusion, strided_steps, truncate

SCHEDULES = ["paper", "code"]


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_rows_sum_to_one_and_closed_forms_equal_products(schedule: str) -> None:
    process = DiscreteDiffusion(codes=5, steps=12, schedule=schedule)
    product = torch.eye(6, dtype=torch.float64)
    for t in range(1, 13):
        step = process.matrix(t - 1, t)
        assert torch.allclose(step.sum(1), torch.ones(6, dtype=torch.float64), atol=1e-9)
        assert (step >= 0).all()
        product = product @ step
        assert torch.allclose(product, process.matrix(0, t), atol=1e-7)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_paper_ends_mostly_masked_and_code_has_no_uniform_share(schedule: str) -> None:
    last = DiscreteDiffusion(codes=8, steps=100, schedule=schedule).matrix(0, 100)
    uniform = float(last[0, 1] * 8)
    assert uniform == pytest.approx(0.1, abs=1e-3) if schedule == "paper" else uniform < 1e-5


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("jump", [1, 3])
def test_posterior_equals_brute_force(schedule: str, jump: int) -> None:
    codes, process = 4, DiscreteDiffusion(codes=4, steps=10, schedule=schedule)
    torch.manual_seed(0)
    log_x0 = torch.log_softmax(torch.randn(1, 1, codes, dtype=torch.float64), -1)
    for t in range(jump, 11):
        s = t - jump
        to_s, to_t, from_s = process.matrix(0, s), process.matrix(0, t), process.matrix(s, t)
        for xt in range(codes + 1):
            brute = sum(
                log_x0[0, 0, x0].exp() * to_s[x0] * from_s[:, xt] / to_t[x0, xt]
                for x0 in range(codes)
                if to_t[x0, xt] > 0
            )
            found = process.posterior(log_x0, torch.tensor([[xt]]), t, s)[0, 0].exp()
            assert torch.allclose(found, brute / brute.sum(), atol=1e-6), (t, xt)


def test_the_last_step_gives_p_x0_and_never_a_mask() -> None:
    process = DiscreteDiffusion(codes=4, steps=10)
    log_x0 = torch.log_softmax(torch.randn(2, 3, 4, dtype=torch.float64), -1)
    masked = torch.full((2, 3), 4)
    found = process.posterior(log_x0, masked, 1, 0)
    assert torch.allclose(found[..., :4].exp(), log_x0.exp(), atol=1e-9)
    assert (found[..., 4].exp() < 1e-20).all()


def test_strides_end_at_zero_and_truncation_keeps_the_likeliest() -> None:
    assert strided_steps(100, 4) == [100, 75, 50, 25, 0]
    with pytest.raises(ValueError, match="1 to 10"):
        strided_steps(10, 11)
    kept = truncate(torch.tensor([0.5, 0.3, 0.15, 0.05]).log(), 0.7).exp()
    assert torch.allclose(kept, torch.tensor([0.625, 0.375, 0.0, 0.0]), atol=1e-6)
