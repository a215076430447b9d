"""Plug-in for ebmkit: the method `nt-ebm`, its flows, and a sampler with a step size that adapts."""

from importlib.resources import files
from importlib.resources.abc import Traversable

from ebmkit import hookimpl

EBMKIT_PLUGIN_API = 2


@hookimpl
def methods() -> dict[str, str]:
    """The method as an import string, so that listing it does not import torch."""
    return {"nt-ebm": "ebmkit_neural_transport.method:NeuralTransport"}


@hookimpl
def networks() -> dict[str, str]:
    """The flows."""
    return {
        "affine-flow": "ebmkit_neural_transport.affine:AffineFlow",
        "coupling-flow": "ebmkit_neural_transport.coupling:CouplingFlow",
        "spline-flow": "ebmkit_neural_transport.spline:SplineFlow",
        "glow": "ebmkit_neural_transport.glow:Glow",
    }


@hookimpl
def samplers() -> dict[str, str]:
    """The sampler."""
    return {"adaptive-hmc": "ebmkit_neural_transport.adaptive:AdaptiveHMC"}


@hookimpl
def presets() -> Traversable:
    """The folder of the presets."""
    return files("ebmkit_neural_transport") / "presets"
