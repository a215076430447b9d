"""The checks of the kit for the parts of this package."""

import pytest
from ebmkit_neural_transport.adaptive import AdaptiveHMC
from ebmkit_neural_transport.affine import AffineFlow
from ebmkit_neural_transport.coupling import CouplingFlow
from ebmkit_neural_transport.glow import Glow
from ebmkit_neural_transport.method import NeuralTransport

from ebmkit.testing import conforms


@conforms("method", NeuralTransport, shape=(2,), flow_iterations=1)
def test_the_method(check):
    check()


@conforms("network", AffineFlow, shape=(1, 8, 8))
def test_the_affine_flow(check):
    check()


@conforms("network", CouplingFlow, shape=(3,), layers=2, width=8)
def test_the_coupling_flow(check):
    check()


@conforms("network", Glow, shape=(3, 4, 4), steps=1, width=8)
def test_glow(check):
    check()


def test_the_spline_flow():
    pytest.importorskip("zuko")
    from ebmkit.testing import check_network

    check_network("ebmkit_neural_transport.spline:SplineFlow", shape=(3,), transforms=2, width=8)


@conforms("sampler", AdaptiveHMC, steps=3)
def test_the_sampler(check):
    check()
