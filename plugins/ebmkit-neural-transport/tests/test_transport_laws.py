"""Laws of tilted flows, each with wrong models that must fail: z-tests with |z| < 5 and fixed seeds."""

import math

import pytest
import torch
from ebmkit_neural_transport.affine import AffineFlow
from ebmkit_neural_transport.likelihood import log_likelihood, normaliser
from ebmkit_neural_transport.method import NeuralTransport
from ebmkit_neural_transport.tilt import ExampleEnergy, LatentEnergy, tilt
from torch import nn

from ebmkit import ShortRun
from ebmkit.samplers import HMC

D, CHAINS = 3, 10_000


class Quadratic(nn.Module):
    """(x - centre) A (x - centre) / 2 with a positive definite A."""

    def __init__(self, d, seed=11):
        super().__init__()
        rng = torch.Generator().manual_seed(seed)
        root = torch.randn(d, d, dtype=torch.double, generator=rng)
        self.matrix = root @ root.T / d
        self.centre = torch.randn(d, dtype=torch.double, generator=rng)

    def forward(self, x):
        offset = x.flatten(1) - self.centre
        return ((offset @ self.matrix) * offset).sum(1) / 2


class Noise:
    """N(0, I) of a shape, in double precision."""

    def __init__(self, shape):
        self.shape = shape

    def sample(self, n, rng):
        return torch.randn(n, *self.shape, generator=rng, dtype=torch.double)

    def in_batches(self, n, rng, batch):
        return [self.sample(n, rng)]


def moments_z(x, mean, covariance):
    """The largest |z| of means and covariances of `x` `(n, d)`."""
    offset = x - mean
    products = (offset.unsqueeze(2) * offset.unsqueeze(1) - covariance).flatten(1)
    both = torch.cat([offset, products], 1)
    return float((both.mean(0) / (both.std(0) / math.sqrt(len(both)))).abs().max())


def tilted(flow, energy, steps=25):
    """The model of a flow and a tilt without a bound."""
    latent = LatentEnergy(energy, flow, None)
    return ShortRun(latent, HMC(steps=steps, step_size=0.4, leapfrog=3), Noise(flow.shape), decode=flow)


@pytest.fixture
def gaussian_tilt(flow_named):
    """A Gaussian flow with a quadratic tilt, and the mean, the covariance and log Z of the density."""
    flow, energy = flow_named("affine", spread=0.4), Quadratic(D)
    with torch.no_grad():
        matrix = flow.scale.diag() @ flow.matrix
        centre = flow.centre + flow.scale * flow.shift
    precision = torch.linalg.inv(matrix @ matrix.T)
    covariance = torch.linalg.inv(precision + energy.matrix)
    mean = covariance @ (precision @ centre + energy.matrix @ energy.centre)
    # E_q exp(-E) of two Gaussian functions: that of their difference.
    offset = centre - energy.centre
    inner = torch.eye(D, dtype=torch.double) + matrix @ matrix.T @ energy.matrix
    log_z = -torch.linalg.slogdet(inner).logabsdet / 2 - offset @ energy.matrix @ torch.linalg.solve(inner, offset) / 2
    return flow, energy, mean, covariance, float(log_z)


def test_a_gaussian_flow_with_a_quadratic_tilt_is_the_gaussian_of_theory(gaussian_tilt):
    flow, energy, mean, covariance, _ = gaussian_tilt
    rng = torch.Generator().manual_seed(1)
    assert moments_z(tilted(flow, energy).sample(CHAINS, rng, batch=CHAINS), mean, covariance) < 5

    def untilted(x):
        return 0 * energy(x)

    assert moments_z(tilted(flow, untilted).sample(CHAINS, rng, batch=CHAINS), mean, covariance) > 20


def test_the_jacobian_cancels_in_the_latent_energy(flow, standard, log_determinants):
    z = standard(flow, 5)
    energy = Quadratic(z[0].numel())
    x = flow(z)
    full = energy(x) - flow.log_density(x) - log_determinants(flow, z)
    constant = LatentEnergy(energy, flow, None)(z) - full
    torch.testing.assert_close(constant, constant[:1].expand(5))
    twice = LatentEnergy(energy, flow, None)(z) - log_determinants(flow, z) - full
    assert isinstance(flow, AffineFlow) or float(twice.detach().std()) > 1e-3


def test_the_energy_of_examples_is_the_tilt_of_the_density(flow, standard):
    x = flow(standard(flow, 5))
    energy = Quadratic(x[0].numel())
    found = ExampleEnergy(LatentEnergy(energy, flow, None), flow)(x)
    torch.testing.assert_close(found, energy(x) - flow.log_density(x))


def test_chains_agree_with_importance_sampling(flow_named, standard):
    """The mean of E(x) by HMC in z, and by draws of the flow with weights exp(-E)."""
    flow, energy = flow_named("coupling"), Quadratic(5)
    with torch.no_grad():
        rng = torch.Generator().manual_seed(3)
        chains = energy(tilted(flow, energy).sample(4000, rng, batch=4000))
        value = energy(flow(standard(flow, 100_000, seed=4)))
    weight = (-value).softmax(0)
    expected = float((weight * value).sum())
    variance = float((weight * (value - expected)).square().sum())

    def z(x):
        return abs(float(x.mean()) - expected) / math.sqrt(float(x.var()) / len(x) + variance)

    assert z(chains) < 5
    assert z(value[:4000]) > 20  # the flow without its tilt


@pytest.mark.parametrize("temperatures", [1, 4])
def test_log_z_is_that_of_theory(temperatures, gaussian_tilt):
    flow, energy, _, _, log_z = gaussian_tilt
    found = normaliser(in_single(flow, energy), torch.Generator().manual_seed(5), draws=8000, temperatures=temperatures)
    assert abs(found.value - log_z) / found.error < 5
    assert 100 < found.ess <= found.draws == 8000
    other = in_single(flow, lambda x: 0.9 * energy(x))
    wrong = normaliser(other, torch.Generator().manual_seed(5), draws=8000, temperatures=temperatures)
    assert abs(wrong.value - log_z) / wrong.error > 20


def test_temperatures_raise_the_effective_sample_size(gaussian_tilt):
    flow, energy, *_ = gaussian_tilt
    short = in_single(flow, lambda x: 4 * energy(x))
    few, many = (
        normaliser(short, torch.Generator().manual_seed(5), draws=2000, temperatures=temperatures)
        for temperatures in (1, 10)
    )
    assert many.ess > 2 * few.ess


def test_the_log_likelihood_is_that_of_theory(gaussian_tilt):
    flow, energy, mean, covariance, _ = gaussian_tilt
    truth = torch.distributions.MultivariateNormal(mean, covariance)
    x = truth.sample((2000,)).float()
    found = log_likelihood(in_single(flow, energy), x, torch.Generator().manual_seed(6), draws=20_000)
    expected = truth.log_prob(x.double())
    assert abs(found.tilted - float(expected.mean())) < 5 * found.normaliser.error + 1e-4
    assert found.gain == pytest.approx(found.tilted - found.flow)
    assert found.gain > 5 * found.gain_error


def in_single(flow, energy):
    """A model whose chains are in single precision, as those of a run are."""

    class Cast(nn.Module):
        def forward(self, x):
            return energy(x.double()).float()

    return tilted(flow.float(), Cast())


class Linear(nn.Module):
    """E(x) = -w x: the tilt of N(m, S) by it is N(m + S w, S)."""

    def __init__(self, w):
        super().__init__()
        self.w = nn.Parameter(w.clone())

    def forward(self, x):
        return -x @ self.w


def move_of_a_linear_tilt(w, mean, variance, data_mean):
    """The move of w in one update by gradient descent of rate 1, in standard errors."""
    method = object.__new__(NeuralTransport)
    method.flow = AffineFlow((D,), (D,))
    method.flow.centre.copy_(mean)
    method.flow.scale.copy_(variance.sqrt())
    method.energy, method.bound, method.flow_iterations, method.energy_l2 = Linear(w), None, 0, 0.0
    method.init, method.sampler = Noise((D,)), HMC(steps=25, step_size=0.4, leapfrog=3)
    method.init.sample = lambda n, rng: torch.randn(n, D, generator=rng)
    method.init.remember = lambda x: None
    method.chains = lambda energy: energy
    method.optimizer = torch.optim.SGD(method.energy.parameters(), lr=1.0)
    method.flow_optimizer = torch.optim.SGD(method.flow.parameters(), lr=1.0)
    method.begin(torch.Generator().manual_seed(7))
    data = data_mean + variance.sqrt() * torch.randn(CHAINS, D, generator=torch.Generator().manual_seed(8))
    method.update(data)
    return (method.energy.w.detach() - w) / (2 * variance / CHAINS).sqrt()


def test_a_linear_tilt_rests_where_theory_says():
    """The tilt that fits data of another mean is w = S⁻¹ (data mean - mean): there an update does not move it."""
    mean, variance = torch.tensor([0.5, -1.0, 0.0]), torch.tensor([1.0, 0.25, 4.0])
    data_mean = torch.tensor([1.0, -0.5, 1.0])
    w = (data_mean - mean) / variance
    assert float(move_of_a_linear_tilt(w, mean, variance, data_mean).abs().max()) < 5
    assert float(move_of_a_linear_tilt(-w, mean, variance, data_mean).abs().min()) > 20
    assert float(move_of_a_linear_tilt(0.9 * w, mean, variance, data_mean).min()) > 1  # it moves towards w
    assert float(move_of_a_linear_tilt(0 * w, mean, variance, data_mean).min()) > 20


def test_a_bound_leaves_small_tilts_and_bounds_large_ones():
    x = torch.tensor([[0.01], [-1e6], [1e6]])
    found = tilt(lambda x: x[:, 0], x, 20.0)
    torch.testing.assert_close(found, torch.tensor([0.01, -20.0, 20.0]))
    assert torch.equal(tilt(lambda x: x[:, 0], x, None), x[:, 0])
