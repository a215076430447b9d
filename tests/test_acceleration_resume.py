"""Which way passes are computed does not depend on weights: a resumed run computes what a straight one does."""

import pytest
import torch
from networks import SHAPE, Cancelling, images
from torch import nn

from ebmkit.acceleration.accelerated import Accelerated
from ebmkit.energies.convnet import ConvNet
from ebmkit.energies.mlp import MLP
from ebmkit.energies.resnet import ResNet

NETWORKS = {
    "convnet": lambda: ConvNet(SHAPE, width=4),
    "resnet": lambda: ResNet(SHAPE, width=4, stages=2, blocks=1, spectral_norm=True),
    "mlp": lambda: MLP(SHAPE, width=4, depth=2),
    "cancelling": Cancelling,
}
SIZES = (1.0, 1e-1, 1e-3, 1e-6)


def randomise(energy: nn.Module, seed: int) -> None:
    """Other weights; those of the last layer so that energies are small, and that some are near zero."""
    torch.manual_seed(seed)
    *_, last = energy.parameters()
    with torch.no_grad():
        for parameter in energy.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        last.mul_(SIZES[seed % len(SIZES)])
        last.sub_(energy(images(2)).mean() if last.numel() == 1 else 0.0)


@pytest.mark.filterwarnings("error::ebmkit.errors.Notice")
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("name", NETWORKS)
def test_what_is_computed_does_not_depend_on_where_it_began(name, precision):
    x = images(8)
    for seed in range(10):
        torch.manual_seed(seed)
        energy = NETWORKS[name]()
        randomise(energy, seed)
        straight = Accelerated(energy, precision=precision)
        straight.refreshed(energy).value_and_grad(x)
        for update in range(3):
            randomise(energy, 10 * seed + update)
            found = straight.refreshed(energy).value_and_grad(x)
            resumed = Accelerated(energy, precision=precision).refreshed(energy).value_and_grad(x)
            assert all(map(torch.equal, found, resumed)), (seed, update)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("seed", range(5))
def test_an_energy_near_zero_by_cancellation_is_recorded(seed, precision):
    energy = Cancelling(seed)
    fast = Accelerated(energy, precision=precision)
    fast.value_and_grad(images())
    assert fast.twin.replay(images()) is not None
