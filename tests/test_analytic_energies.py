"""Energies in closed form: their moments, their exact samples, their parameters."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Generator, Tensor

from ebmkit.energies.analytic import DoubleWell, GaussianEnergy, Mixture
from ebmkit.errors import UsageError
from ebmkit.interfaces import value_and_grad

FULL = torch.tensor([[2.0, 0.6, 0.0], [0.6, 0.5, 0.1], [0.0, 0.1, 1.5]], dtype=torch.float64)


def rng(seed: int = 0) -> Generator:
    return torch.Generator().manual_seed(seed)


def worst_z(x: Tensor, mean: Tensor, covariance: Tensor) -> float:
    """The largest |z| among all means and (co)variances of `x`, flattened, tested against those given."""
    offset = x.double().flatten(1) - mean.double().flatten()
    products = (offset.unsqueeze(2) * offset.unsqueeze(1)).flatten(1) - covariance.double().flatten()
    both = torch.cat([offset, products], dim=1)
    return float((both.mean(0) / (both.std(0) / math.sqrt(len(x)))).abs().max())


def test_a_ring_needs_two_elements():
    with pytest.raises(UsageError, match="2 elements or more"):
        Mixture((1,))
    assert Mixture((1,), centres=torch.tensor([[-1.0], [1.0]]))(torch.zeros(3, 1)).shape == (3,)


KNOWN = {
    "gaussian": GaussianEnergy((2, 2), mean=0.5, precision=4.0),
    "gaussian-diagonal": GaussianEnergy((3,), mean=torch.tensor([1.0, -1.0, 0.2]), precision=(0.5, 1.0, 2.0)),
    "gaussian-full": GaussianEnergy((3,), mean=-0.5, precision=FULL),
    "mixture": Mixture((3,), modes=5, radius=1.3, scale=0.4),
    "mixture-centres": Mixture((2, 1), centres=torch.tensor([[[0.0], [2.0]], [[1.0], [0.5]]]), scale=0.3),
    "double_well": DoubleWell((3,)),
    "double_well-flat": DoubleWell((2,), height=0.05, separation=1.5),
    "double_well-deep": DoubleWell((2, 1), height=5.0, separation=0.7),
}

known_energies = pytest.mark.parametrize("name", KNOWN)


@known_energies
def test_samples_have_the_known_moments_and_no_others(name: str):
    energy = KNOWN[name]
    x = energy.draw(50_000, rng(1))
    mean, covariance = energy.mean.detach(), energy.covariance
    assert x.shape == (50_000, *mean.shape)
    assert not x.requires_grad
    assert covariance.shape == (mean.numel(), mean.numel())
    assert worst_z(x, mean, covariance) < 5
    assert worst_z(x, mean + 0.05 * covariance.diag().max().sqrt(), covariance) > 5
    assert worst_z(x, mean, covariance * 1.1) > 5


@known_energies
def test_samples_are_from_the_density_of_the_energy(name: str):
    # For x ~ exp(-E): the mean of dE/dx is 0, and that of (x - mean) (dE/dx)' is the identity.
    energy = KNOWN[name]
    x = energy.draw(50_000, rng(2)).double()
    gradient = value_and_grad(energy, x)[1].flatten(1)
    d = gradient.shape[1]
    offset = (x - energy.mean.detach()).flatten(1)
    stein = (offset.unsqueeze(2) * gradient.unsqueeze(1) - torch.eye(d, dtype=torch.float64)).flatten(1)
    both = torch.cat([gradient, stein], dim=1)
    z = both.mean(0) / (both.std(0) / math.sqrt(len(x)))
    assert z.abs().max() < 5
    cooled = 1.3 * offset.unsqueeze(2) * gradient.unsqueeze(1) - torch.eye(d, dtype=torch.float64)
    z = cooled.mean(0) / (cooled.std(0) / math.sqrt(len(x)))
    assert z.diagonal().abs().min() > 5


@known_energies
def test_a_seed_decides_the_samples(name: str):
    energy = KNOWN[name]
    assert torch.equal(energy.draw(10, rng(1)), energy.draw(10, rng(1)))
    assert not torch.equal(energy.draw(10, rng(1)), energy.draw(10, rng(2)))
    assert energy.draw(0, rng(1)).shape == (0, *energy.mean.shape)


@pytest.mark.parametrize("settings", [{}, {"precision": (0.5, 2.0)}, {"precision": FULL[:2, :2]}], ids=str)
def test_the_moments_of_the_gaussian_are_those_of_quadrature(settings: dict[str, Any]):
    energy = GaussianEnergy((2,), mean=torch.tensor([0.3, -0.4], dtype=torch.float64), **settings)
    line = torch.linspace(-14, 14, 561, dtype=torch.float64)
    x = torch.cartesian_prod(line, line)
    weight = torch.exp(-energy(x).detach()) * float(line[1] - line[0]) ** 2
    assert float(weight.sum().log()) == pytest.approx(float(energy.log_partition()), abs=1e-9)
    mean = (weight[:, None] * x).sum(0) / weight.sum()
    torch.testing.assert_close(mean, energy.mean.detach())
    offset = x - mean
    torch.testing.assert_close((offset.T * weight) @ offset / weight.sum(), energy.covariance)


@pytest.mark.parametrize(
    ("height", "separation"), [(1e-4, 1.0), (1.0, 1.0), (0.3, 2.0), (8.0, 0.5), (2e3, 1.0), (1e7, 1.0)]
)
def test_the_variance_of_the_double_well_is_its_integral(height: float, separation: float):
    integrate = pytest.importorskip("scipy.integrate")

    def moment(power: int) -> float:
        ends = (math.sqrt(max(0, 1 - math.sqrt(750 / height))), math.sqrt(1 + math.sqrt(750 / height)))
        found: float = integrate.quad(
            lambda u: u**power * math.exp(-height * (u * u - 1) ** 2),
            *ends,
            limit=500,
            epsabs=0,
            epsrel=1e-11,
            points=[1.0],
        )[0]
        return found

    energy = DoubleWell((2,), height=height, separation=separation)
    expected = separation**2 * moment(2) / moment(0)
    np.testing.assert_allclose(energy.covariance.numpy(), expected * np.eye(2), rtol=1e-8)


def test_the_double_well_has_its_separation_and_height():
    energy = DoubleWell((2,), height=3.0, separation=0.5)
    x = torch.tensor([[0.5, -0.5], [0.0, 0.5], [0.0, 0.0]])
    torch.testing.assert_close(energy(x), torch.tensor([0.0, 3.0, 6.0]))


def test_the_modes_of_the_mixture_are_minima_on_a_ring():
    energy = Mixture((3,), modes=6, radius=2.0, scale=0.1)
    centres = energy.centres.detach()
    torch.testing.assert_close(centres.norm(dim=1), torch.full((6,), 2.0))
    assert torch.equal(centres[:, 2], torch.zeros(6))
    torch.testing.assert_close((centres - centres.roll(1, 0)).norm(dim=1), torch.full((6,), 2.0))
    value, gradient = value_and_grad(energy, centres)
    torch.testing.assert_close(value, torch.zeros(6), atol=1e-5, rtol=0)
    torch.testing.assert_close(gradient, torch.zeros(6, 3), atol=1e-5, rtol=0)


def test_an_energy_of_float64_tensors_is_in_float64():
    precise = [
        GaussianEnergy((3,), precision=FULL),
        GaussianEnergy((3,), mean=torch.zeros(3, dtype=torch.float64)),
        Mixture((2,), centres=torch.zeros(1, 2, dtype=torch.float64)),
    ]
    for energy in precise:
        assert {value.dtype for value in energy.state_dict().values()} == {torch.float64}
        assert energy.draw(2, rng()).dtype == torch.float64
    assert GaussianEnergy((3,)).draw(2, rng()).dtype == torch.float32
    x = torch.ones(2, 3, dtype=torch.float64)
    assert GaussianEnergy((3,), precision=FULL.float())(x).dtype == torch.float64


def test_the_given_tensors_are_copied():
    mean, precision, centres = torch.zeros(3), FULL.float(), torch.zeros(2, 3)
    gaussian, mixture = GaussianEnergy((3,), mean=mean, precision=precision), Mixture((3,), centres=centres)
    for given in (mean, precision, centres):
        given.add_(1)
    assert not gaussian.mean.any()
    torch.testing.assert_close(gaussian.precision, FULL.float())
    assert not mixture.centres.any()


def test_only_what_maximum_likelihood_moves_is_a_parameter():
    assert [name for name, _ in GaussianEnergy((2,)).named_parameters()] == ["mean"]
    assert [name for name, _ in GaussianEnergy((2,)).named_buffers()] == ["precision"]
    assert [name for name, _ in Mixture((2,)).named_parameters()] == ["centres"]
    assert not list(DoubleWell((2,)).parameters())
