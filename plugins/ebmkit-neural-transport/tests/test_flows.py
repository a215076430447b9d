"""Flows: they invert, their log determinants are those of autograd, and their densities are those of their draws."""

import math
import sys

import pytest
import torch
from ebmkit_neural_transport.coupling import AffineCoupling, CouplingFlow
from ebmkit_neural_transport.flow import standard_normal
from ebmkit_neural_transport.glow import Glow
from ebmkit_neural_transport.spline import SplineFlow
from torch.autograd.functional import jacobian

from ebmkit import UsageError


def test_a_flow_inverts_and_its_log_determinant_is_that_of_autograd(flow, standard, log_determinants):
    z = standard(flow, 4)
    x = flow(z)
    back, found = flow.inverse(x)
    assert not torch.allclose(x, z, atol=0.1)
    torch.testing.assert_close(back, z)
    torch.testing.assert_close(found, -log_determinants(flow, z))


def test_the_log_density_is_that_of_the_noise_and_the_jacobian(flow, standard, log_determinants):
    z = standard(flow, 4)
    expected = torch.distributions.Normal(0, 1).log_prob(z).flatten(1).sum(1) - log_determinants(flow, z)
    torch.testing.assert_close(flow.log_density(flow(z)), expected)


def test_every_element_of_a_vector_is_mapped_and_depends_on_every_other():
    for d in (2, 3, 7):
        flow = CouplingFlow((d,), (d,), layers=8, width=8).double()
        with torch.no_grad():
            for weight in flow.parameters():
                weight.add_(0.3 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(1)))
        matrix = jacobian(lambda z, flow=flow: flow(z.unsqueeze(0))[0], torch.rand(d, dtype=torch.double))
        assert bool((matrix.abs() > 1e-9).all())


def test_a_coupling_bounds_its_scale():
    step = AffineCoupling(lambda a: torch.cat([1e6 * torch.ones_like(a), a], 1), kept=1, bound=1.5)
    z = torch.tensor([[0.0, 2.0]])
    assert float(step.push(z)[0, 1]) == pytest.approx(2 * math.exp(1.5))
    assert float(step.pull(z)[1]) == pytest.approx(-1.5)


def test_flows_begin_with_the_means_and_deviations_of_the_examples():
    x = torch.tensor([1.0, -2.0]) + torch.tensor([0.5, 3.0]) * torch.randn(4000, 2)
    flow = CouplingFlow((2,), (2,))
    flow.standardise(x)
    z, _ = flow.inverse(x)
    torch.testing.assert_close(z.mean(0), torch.zeros(2), atol=1e-5, rtol=0)
    torch.testing.assert_close(z.std(0, correction=0), torch.ones(2))


def test_an_element_that_does_not_vary_has_a_finite_density():
    flow = CouplingFlow((2,), (2,))
    flow.standardise(torch.tensor([[1.0, 0.0], [1.0, 1.0]]))
    assert bool(flow.log_density(torch.ones(1, 2)).isfinite())


def test_the_standard_normal_density():
    z = torch.randn(3, 2, 4)
    expected = torch.distributions.Normal(0, 1).log_prob(z).flatten(1).sum(1)
    torch.testing.assert_close(standard_normal(z), expected)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: CouplingFlow((2,), (3,)), "not to"),
        (lambda: CouplingFlow((1,), (1,)), "affine-flow"),
        (lambda: CouplingFlow((2,), (2,), layers=0), "layers must be at least 1"),
        (lambda: CouplingFlow((2,), (2,), bound=0.0), "bound must be above 0"),
        (lambda: Glow((1, 6, 6), (1, 6, 6)), "multiples of 4"),
        (lambda: Glow((16,), (16,)), "multiples of 4"),
        (lambda: Glow((1, 8, 8), (1, 8, 8), steps=0), "steps must be at least 1"),
        (lambda: SplineFlow((2,), (2,), bins=1), "bins must be at least 2"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(make, words):
    with pytest.raises(UsageError, match=words):
        make()


def test_a_missing_library_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "zuko", None)
    monkeypatch.setitem(sys.modules, "zuko.flows", None)
    with pytest.raises(UsageError, match=r"pip install 'ebmkit-neural-transport\[zuko\]'"):
        SplineFlow((2,), (2,))
