"""Networks for E in p(x) ∝ exp(-E(x)), and energies with known moments."""

from typing import TYPE_CHECKING

from ebmkit._lazy import exports

if TYPE_CHECKING:
    from ebmkit.energies.analytic import DoubleWell, GaussianEnergy, Mixture
    from ebmkit.energies.convnet import ConvNet
    from ebmkit.energies.mlp import MLP
    from ebmkit.energies.resnet import ResNet

__all__ = ["MLP", "ConvNet", "DoubleWell", "GaussianEnergy", "Mixture", "ResNet"]

__getattr__, __dir__ = exports(
    __name__,
    {
        "ConvNet": "convnet",
        "DoubleWell": "analytic",
        "GaussianEnergy": "analytic",
        "MLP": "mlp",
        "Mixture": "analytic",
        "ResNet": "resnet",
    },
)
