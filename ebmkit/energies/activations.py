"""The activations of the networks."""

from typing import Literal

from torch import nn

Activation = Literal["leaky_relu", "silu", "relu", "elu", "gelu", "softplus"]

PIECEWISE_LINEAR = ("leaky_relu", "relu")


def activation_layer(name: Activation, slope: float) -> nn.Module:
    """A new activation layer; `slope` is that of LeakyReLU for negative inputs, and unused by the others."""
    layers: dict[str, nn.Module] = {
        "leaky_relu": nn.LeakyReLU(slope),
        "silu": nn.SiLU(),
        "relu": nn.ReLU(),
        "elu": nn.ELU(),
        "gelu": nn.GELU(),
        "softplus": nn.Softplus(),
    }
    return layers[name]
