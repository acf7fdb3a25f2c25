"""Gaussian diffusion: the cosine schedule, and DDIM that carries noise to the data's distribution."""

from __future__ import annotations

import math

import pytest
import torch

from dyadbench.nn.gaussian import GaussianDiffusion, cosine_schedule, step_embedding


def test_the_schedule_is_the_cosine_one() -> None:
    level = cosine_schedule(10)

    def f(s: float) -> float:
        return math.cos((s + 0.008) / 1.008 * math.pi / 2) ** 2

    expected = [f((t + 1) / 10) / f(0) for t in range(9)]
    assert level[:9].tolist() == pytest.approx(expected, rel=1e-6), "products of what beta leaves"
    assert float(level[9]) == pytest.approx(expected[8] * 0.001, rel=1e-6), "beta ends at 0.999"


def test_noise_grows_with_the_step_and_its_variance_is_kept() -> None:
    process = GaussianDiffusion(10)
    torch.manual_seed(0)
    x0, noise = torch.randn(20_000, 1), torch.randn(20_000, 1)
    noisy = torch.stack([process.noised(x0, torch.tensor(t), noise) for t in range(10)])
    assert noisy.std(1).flatten().tolist() == pytest.approx([1.0] * 10, abs=0.02)
    overlap = (noisy * x0).mean((1, 2))
    assert (overlap.diff() < 0).all()
    assert overlap[-1] < 0.05


def test_a_denoiser_that_knows_the_answer_is_believed() -> None:
    answer = torch.tensor([[0.5, -0.9, 3.0]])
    sample = GaussianDiffusion(10).sample(lambda x, t: answer, torch.randn(1, 3))
    assert sample.tolist() == [pytest.approx([0.5, -0.9, 1.0])], "and clipped to the range of latents"


def test_ddim_carries_noise_to_the_distribution_of_the_data() -> None:
    """For data N(0.3, 0.04) the best denoiser is known: the regression of x0 on x_t."""
    process, mean, spread = GaussianDiffusion(200), 0.3, 0.2

    def best(x: torch.Tensor, t: int) -> torch.Tensor:
        level = process.level[t]
        gain = level.sqrt() * spread**2 / (level * spread**2 + 1 - level)
        return mean + gain * (x - level.sqrt() * mean)

    torch.manual_seed(0)
    noise = torch.randn(20_000, 1)
    sample = process.sample(best, noise, clip=None)
    assert float(sample.mean()) == pytest.approx(mean, abs=0.01)
    assert float(sample.std()) == pytest.approx(spread, rel=0.05)
    assert torch.equal(sample, process.sample(best, noise, clip=None)), "deterministic given the noise"


def test_step_embeddings_begin_with_the_cosines() -> None:
    table = step_embedding(torch.tensor([[0], [3]]), 8)
    assert table.shape == (2, 1, 8)
    assert table[0, 0].tolist() == [1.0] * 4 + [0.0] * 4
    assert table[1, 0, [0, 4]].tolist() == pytest.approx([math.cos(3), math.sin(3)])
    assert table[1, 0, [3, 7]].tolist() == pytest.approx([math.cos(3e-3), math.sin(3e-3)]), "rates fall to 1/1000"
