"""The discrete diffusion core against brute force."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from dyadbench.nn.diffusion import DiscreteDiffusion, nucleus, strided_steps
from dyadbench.nn.guidance import guided
from dyadbench.nn.sampling import restrict

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
            posterior = process.posterior(log_x0, torch.tensor([[xt]]), t, s)[0, 0].exp()
            assert torch.allclose(posterior, brute / brute.sum(), atol=1e-6), (t, xt)


def test_the_last_step_gives_p_x0_and_never_a_mask() -> None:
    process = DiscreteDiffusion(codes=4, steps=10)
    log_x0 = torch.log_softmax(torch.randn(2, 3, 4, dtype=torch.float64), -1)
    masked = torch.full((2, 3), 4)
    posterior = process.posterior(log_x0, masked, 1, 0)
    assert torch.allclose(posterior[..., :4].exp(), log_x0.exp(), atol=1e-9)
    assert (posterior[..., 4].exp() < 1e-20).all()


def test_strides_end_at_zero() -> None:
    assert strided_steps(100, 4) == [100, 75, 50, 25, 0]
    assert strided_steps(7, 7) == [7, 6, 5, 4, 3, 2, 1, 0]
    with pytest.raises(ValueError, match="1 to 10"):
        strided_steps(10, 11)


def _shares(ids: Tensor, states: int) -> Tensor:
    return torch.bincount(ids.flatten(), minlength=states).double() / ids.numel()


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("t", [1, 6, 10])
def test_noised_tokens_follow_the_matrix(schedule: str, t: int) -> None:
    process, n = DiscreteDiffusion(codes=4, steps=10, schedule=schedule), 20_000
    uniform = torch.rand(1, n, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    ids = torch.full((1, n), 2)
    for steps in (t, torch.tensor([t])):
        shares = _shares(process.noised(ids, steps, uniform), 5)
        assert torch.allclose(shares, process.matrix(0, t)[2], atol=0.012)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize(("t", "s"), [(10, 9), (10, 5), (6, 3), (1, 0), (4, 0)])
def test_a_step_back_draws_from_the_posterior(schedule: str, t: int, s: int) -> None:
    process, n = DiscreteDiffusion(codes=3, steps=10, schedule=schedule), 20_000
    uniform = torch.rand(1, n, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for x0, xt in ((0, 3), (1, 1), (0, 2)):  # masked, as it was, replaced
        certain = process.log_one_hot(torch.tensor([[x0]]))
        expected = process.posterior(certain, torch.tensor([[xt]]), t, s)[0, 0].exp()
        ids_before = process.previous(torch.full((1, n), x0), torch.full((1, n), xt), t, s, uniform)
        assert torch.allclose(_shares(ids_before, 4), expected, atol=0.012), (x0, xt)


def test_guidance_of_one_is_none_and_more_sharpens() -> None:
    torch.manual_seed(0)
    one, free = torch.randn(2, 5).log_softmax(-1), torch.randn(2, 5).log_softmax(-1)
    assert torch.allclose(guided(one, free, 1.0), one, atol=1e-6)
    flat = torch.zeros(2, 5).log_softmax(-1)
    assert (guided(one, flat, 3.0).amax(-1) > one.amax(-1)).all()
    assert torch.allclose(guided(one, free, 3.0).exp().sum(-1), torch.ones(2), atol=1e-6)


@pytest.mark.parametrize("sharpness", [1.0, 6.0], ids=["all codes ordered", "a quarter is enough"])
def test_nucleus_draws_as_truncated_distributions_say(sharpness: float) -> None:
    torch.manual_seed(0)
    log_p = (sharpness * torch.randn(12)).log_softmax(-1)
    expected = restrict(log_p, top_p=0.8).exp()
    uniform = torch.rand(1, 20_000, dtype=torch.float64)
    shares = _shares(nucleus(log_p.expand(1, 20_000, 12), uniform, 0.8), 12)
    assert torch.allclose(shares, expected, atol=0.012)
    assert not shares[expected == 0].any()
    assert int(nucleus(log_p[None, None], torch.tensor([[1 - 1e-16]]), 0.8)) in expected.nonzero()


def test_held_tokens_stay_and_are_seen_at_every_step() -> None:
    process = DiscreteDiffusion(codes=4, steps=10)
    fixed = torch.tensor([[2, -1, -1], [3, 0, -1]])
    histories = []

    def denoise(ids: Tensor, t: int) -> Tensor:
        histories.append(ids.clone())
        return torch.zeros(2, 3, 4).log_softmax(-1)

    ids_out = process.sample(denoise, torch.rand(2, 10, 3, 3), known=fixed)
    assert len(histories) == 10
    for ids in (*histories, ids_out):
        assert (ids[fixed >= 0] == fixed[fixed >= 0]).all()
    assert (histories[0][fixed < 0] == 4).all()
    assert (ids_out < 4).all()


def test_truncation_draws_from_the_likeliest_only() -> None:
    process = DiscreteDiffusion(codes=4, steps=10, schedule="code")  # no uniform share: what is drawn stays
    log_p = torch.tensor([0.5, 0.3, 0.15, 0.05]).log().expand(1, 4000, 4)
    uniform = torch.rand(1, 5, 4000, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    shares = _shares(process.sample(lambda ids, t: log_p, uniform, truncation=0.7), 4)
    assert torch.allclose(shares, torch.tensor([0.625, 0.375, 0.0, 0.0], dtype=torch.float64), atol=0.03)


# --- a toy whose answer is known: two tokens, "00" with 0.7 or "11" with 0.3, codes 2 and 3 never --------

MODES = torch.tensor([[0, 0], [1, 1]])
WEIGHTS = torch.tensor([0.7, 0.3], dtype=torch.float64)


def _exact(process: DiscreteDiffusion) -> object:
    """p(x0 | xt) of the toy, by Bayes."""

    def denoise(ids: Tensor, t: int) -> Tensor:
        to_t = process.matrix(0, t)
        joint = torch.stack(
            [w * to_t[m[0], ids[:, 0]] * to_t[m[1], ids[:, 1]] for m, w in zip(MODES, WEIGHTS, strict=True)]
        )
        p = (joint / joint.sum(0)).T[:, :, None] * nn.functional.one_hot(MODES, 4)[None, :, 0][..., :]
        return p.sum(1)[:, None].expand(-1, 2, -1).clamp_min(1e-30).log()

    return denoise


def _pairs(process: DiscreteDiffusion, denoise: object, steps: int, rows: int = 8000) -> Tensor:
    """Shares of the 16 pairs of codes in samples, as (4, 4)."""
    uniform = torch.rand(rows, steps, 2, 3, generator=torch.Generator().manual_seed(steps), dtype=torch.float64)
    ids_out = process.sample(denoise, uniform)  # type: ignore[arg-type]
    assert int(ids_out.max()) < 4, "a MASK is left"
    return _shares(ids_out[:, 0] * 4 + ids_out[:, 1], 16).view(4, 4)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_strided_and_full_sampling_agree_in_distribution(schedule: str) -> None:
    process = DiscreteDiffusion(codes=4, steps=100, schedule=schedule)
    full, strided = (_pairs(process, _exact(process), steps) for steps in (100, 25))
    assert (full - strided).abs().max() < 0.03
    for pairs in (full, strided):
        assert pairs[0, 0] == pytest.approx(0.7, abs=0.03)
        assert pairs[1, 1] == pytest.approx(0.3, abs=0.03)
    one = _pairs(process, _exact(process), 1)  # a single jump draws tokens independently
    assert one[0, 1] + one[1, 0] == pytest.approx(2 * 0.7 * 0.3, abs=0.03)


class TinyDenoiser(nn.Module):
    """A small network over both tokens and the step."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(11, 64), nn.GELU(), nn.Linear(64, 64), nn.GELU(), nn.Linear(64, 8))

    def forward(self, ids: Tensor, t: Tensor) -> Tensor:
        one_hot = nn.functional.one_hot(ids, 5).flatten(1).float()
        return self.layers(torch.cat([one_hot, t[:, None] / 20], 1)).unflatten(1, (2, 4)).log_softmax(-1)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_two_modes_are_learnt_and_sampled_in_proportion(schedule: str) -> None:
    torch.manual_seed(0)
    process, net = DiscreteDiffusion(codes=4, steps=20, schedule=schedule), TinyDenoiser()
    adam, valid = torch.optim.Adam(net.parameters(), 3e-3), torch.ones(256, 2, dtype=torch.bool)
    for i in range(500):
        adam.param_groups[0]["lr"] = 3e-3 * (1 - i / 500)
        ids = MODES[torch.multinomial(WEIGHTS, 256, replacement=True)]
        t, chance = process.draw_steps(256)
        xt = process.noised(ids, t, torch.rand(256, 2, 2))
        loss = process.loss(net(xt, t), ids, xt, t, chance, valid, 5e-4)
        adam.zero_grad()
        loss.backward()
        adam.step()
    assert bool((process.loss_count[1:] > 10).all()), "steps are importance-sampled by now"
    with torch.no_grad():
        pairs = _pairs(process, lambda ids, t: net(ids, torch.full((len(ids),), t)), 20)
    assert pairs[0, 0] == pytest.approx(0.7, abs=0.06)
    assert pairs[1, 1] == pytest.approx(0.3, abs=0.06)


def test_important_steps_are_drawn_more_often_and_weighed_less() -> None:
    process = DiscreteDiffusion(codes=4, steps=4)
    t, chance = process.draw_steps(400)
    assert torch.allclose(chance, torch.full((400,), 0.25))
    process.loss_count.fill_(11)
    process.loss_square[1:] = torch.tensor([1.0, 1.0, 1.0, 49.0])
    torch.manual_seed(0)
    t, chance = process.draw_steps(4000)
    assert _shares(t, 5)[4] == pytest.approx(0.7, abs=0.03)
    assert float(chance[t == 4][0]) == pytest.approx(0.7, abs=1e-3)


def test_the_auxiliary_term_weighs_twice_at_the_first_step_and_falls_to_one_after_the_last() -> None:
    """2 - t / T with t from 0 (VQ-Diffusion's release): 2 at its first step, 1 + 1 / T at its last."""
    process = DiscreteDiffusion(codes=4, steps=10).eval()
    torch.manual_seed(0)
    ids, guess = torch.randint(4, (1, 5)), torch.randn(1, 5, 4).log_softmax(-1)
    valid, chance = torch.ones(1, 5, dtype=torch.bool), torch.full((1,), 0.1)
    nll = -float(guess.gather(-1, ids[..., None]).mean())
    for step, factor in ((1, 2.0), (4, 1.7), (10, 1.1)):
        t = torch.tensor([step])
        with_, without = (
            process.loss(guess, ids, torch.full_like(ids, 4), t, chance, valid, aux) for aux in (1.0, 0.0)
        )
        assert float(with_ - without) == pytest.approx(factor * nll, rel=1e-5)


def test_the_loss_of_the_truth_is_near_zero_and_invalid_tokens_do_not_count() -> None:
    process = DiscreteDiffusion(codes=4, steps=10)
    torch.manual_seed(0)
    ids, t = torch.randint(4, (6, 5)), torch.tensor([1, 1, 3, 5, 8, 10])
    xt, chance = process.noised(ids, t, torch.rand(6, 5, 2)), torch.full((6,), 0.1)
    valid = torch.ones(6, 5, dtype=torch.bool)
    truth = process.log_one_hot(ids)
    assert float(process.loss(truth, ids, xt, t, chance, valid, 5e-4)) == pytest.approx(0, abs=1e-6)
    guess = torch.randn(6, 5, 4).log_softmax(-1)
    assert float(process.loss(guess, ids, xt, t, chance, valid, 5e-4)) > 0.01
    valid[:, 3:] = False
    other = torch.cat([guess[:, :3], torch.randn(6, 2, 4).log_softmax(-1)], 1)
    one, two = (float(process.loss(p, ids, xt, t, chance, valid, 5e-4)) for p in (guess, other))
    assert one == two


def test_steps_of_a_validation_are_even_whatever_training_has_seen() -> None:
    process = DiscreteDiffusion(6, 50)
    torch.manual_seed(3)
    t, chance = process.even_steps(100)
    assert torch.bincount(t, minlength=51).tolist() == [0] + [2] * 50 and (chance == 1 / 50).all()
    process.loss_count += 100
    process.loss_square[1:] = torch.arange(50.0)
    torch.manual_seed(3)
    assert torch.equal(process.even_steps(100)[0], t)
    assert process.even_steps(7)[0].unique().numel() == 7
