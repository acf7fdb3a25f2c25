"""Layers of a flow: they invert, and their log-determinants are those of their Jacobians."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from dyadbench.nn.flows import ActNorm, AffineCoupling, LULinear


class RunningSum(nn.Module):
    """A conditioner that carries the sum of what it has seen."""

    def __init__(self, first: int, rest: int):
        super().__init__()
        self.out = nn.Linear(first, 2 * rest)

    def forward(self, first: Tensor, carried: Tensor) -> tuple[Tensor, Tensor]:
        return self.out(first) + carried, carried + first.sum()


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def _jacobian_logdet(layer: nn.Module, x: Tensor, *conditions: Tensor) -> Tensor:
    jacobian = torch.autograd.functional.jacobian(lambda v: layer(v, *conditions)[0], x)
    assert isinstance(jacobian, Tensor)
    return torch.linalg.slogdet(jacobian)[1]


@pytest.mark.parametrize("channels", [6, 7])
def test_layers_invert_and_count_their_volume_once(channels: int) -> None:
    x = torch.randn(channels)
    norm, linear = ActNorm(channels).eval(), LULinear(channels)
    coupling = AffineCoupling(channels, RunningSum(channels // 2, channels - channels // 2))
    with torch.no_grad():
        norm.log_scale.normal_()
        norm.shift.normal_()
        linear.packed.add_(torch.randn(channels, channels) * 0.3)
    for layer in (norm, linear):
        y, logdet = layer(x)
        assert torch.allclose(layer.inverse(y), x, atol=1e-4)
        assert torch.allclose(logdet, _jacobian_logdet(layer, x), atol=1e-4)
    carried = torch.tensor(0.3)
    y, logdet, after = coupling(x, carried)
    back, again = coupling.inverse(y, carried)
    assert torch.allclose(back, x, atol=1e-5)
    assert torch.allclose(logdet, _jacobian_logdet(coupling, x, carried), atol=1e-5)
    assert torch.equal(after, again)
    assert torch.equal(y[: channels // 2], x[: channels // 2])
    assert not torch.equal(y[channels // 2 :], x[channels // 2 :])


def test_a_batch_has_one_logdet_per_vector() -> None:
    coupling = AffineCoupling(6, RunningSum(3, 3))
    x = torch.randn(2, 5, 6)
    assert coupling(x, torch.tensor(0.0))[1].shape == (2, 5)
    assert ActNorm(6).eval()(x)[1].shape == LULinear(6)(x)[1].shape == ()


def test_lu_linear_starts_as_a_rotation() -> None:
    linear = LULinear(8)
    matrix = linear.matrix()
    assert torch.allclose(matrix @ matrix.T, torch.eye(8), atol=1e-5)
    assert float(linear(torch.randn(8))[1].detach()) == pytest.approx(0.0, abs=1e-5)
    assert linear.packed.numel() == 64


def test_act_norm_standardises_its_first_batch_and_no_other() -> None:
    norm = ActNorm(3)
    y, _ = norm(torch.randn(4, 50, 3) * torch.tensor([0.1, 1.0, 20.0]) + 5)
    assert torch.allclose(y.flatten(0, 1).mean(0), torch.zeros(3), atol=1e-4)
    assert torch.allclose(y.flatten(0, 1).std(0, unbiased=False), torch.ones(3), atol=1e-3)
    scale = norm.log_scale.clone()
    norm(torch.randn(4, 50, 3) * 7)
    assert torch.equal(norm.log_scale, scale)


def test_act_norm_in_evaluation_sets_nothing() -> None:
    norm, x = ActNorm(3).eval(), torch.randn(9, 3)
    assert torch.equal(norm(x)[0], x)
    assert not norm.initialised


def test_a_restored_act_norm_stays_as_it_was_trained() -> None:
    """The released methods keep this flag as a plain attribute: the next batch would set a restored layer again."""
    norm = ActNorm(3)
    norm(torch.randn(20, 3) * 3)
    with torch.no_grad():
        norm.log_scale.add_(0.5)  # what training made of it
    restored = ActNorm(3).train()
    restored.load_state_dict(norm.state_dict())
    restored(torch.randn(20, 3) * 100)
    assert torch.equal(restored.log_scale, norm.log_scale)


def test_a_constant_channel_is_bounded_by_eps() -> None:
    norm = ActNorm(2, eps=0.01)
    norm(torch.stack([torch.zeros(30), torch.randn(30)], 1))
    assert float(norm.log_scale[0].detach().exp()) == pytest.approx(100.0)
