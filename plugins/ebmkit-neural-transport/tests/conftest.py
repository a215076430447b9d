"""Small flows of every kind with random weights, in double precision."""

import pytest
import torch
from ebmkit_neural_transport.affine import AffineFlow
from ebmkit_neural_transport.coupling import CouplingFlow
from ebmkit_neural_transport.glow import Glow
from ebmkit_neural_transport.spline import SplineFlow
from torch.autograd.functional import jacobian

MAKERS = {
    "affine": lambda: AffineFlow((3,), (3,)),
    "coupling": lambda: CouplingFlow((5,), (5,), layers=4, width=8),
    "spline": lambda: SplineFlow((4,), (4,), transforms=2, width=8, bins=4),
    "glow": lambda: Glow((1, 4, 4), (1, 4, 4), levels=2, steps=2, width=4),
}


def make(name, spread=0.2):
    """A flow with other weights than the first ones, which may be the identity."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        flow = MAKERS[name]()
        with torch.no_grad():
            for weight in flow.parameters():
                weight.add_(spread * torch.randn_like(weight))
            flow.standardise(1 + torch.rand(50, *flow.shape))
    return flow.double()


def noise(flow, count, seed=0):
    """Noise of the shape of a flow, in double precision."""
    return torch.randn(count, *flow.shape, dtype=torch.double, generator=torch.Generator().manual_seed(seed))


def determinants(flow, z):
    """log |det dx/dz| of each example by autograd."""
    size = z[0].numel()
    matrices = [jacobian(lambda one: flow(one.unsqueeze(0)).flatten(), one).reshape(size, size) for one in z]
    return torch.stack([torch.linalg.slogdet(matrix).logabsdet for matrix in matrices])


@pytest.fixture(params=list(MAKERS))
def flow(request):
    if request.param == "spline":
        pytest.importorskip("zuko")
    return make(request.param)


@pytest.fixture
def flow_named():
    return make


@pytest.fixture
def standard():
    return noise


@pytest.fixture
def log_determinants():
    return determinants
