"""Plug-in for ebmkit: the methods `latent-ebm` and `damc`, and the networks `deconvnet` and `encodernet`."""

from importlib.resources import files
from importlib.resources.abc import Traversable

from ebmkit import hookimpl

EBMKIT_PLUGIN_API = 2


@hookimpl
def methods() -> dict[str, str]:
    """The methods as import strings, so that listing them does not import torch."""
    return {"latent-ebm": "ebmkit_latent.latent_ebm:LatentEBM", "damc": "ebmkit_latent.damc:DAMC"}


@hookimpl
def networks() -> dict[str, str]:
    """The networks: from a vector to an image, and from an image to a vector."""
    return {"deconvnet": "ebmkit_latent.deconvnet:DeconvNet", "encodernet": "ebmkit_latent.encodernet:EncoderNet"}


@hookimpl
def presets() -> Traversable:
    """The settings of the papers, and smaller ones of the same methods."""
    return files("ebmkit_latent") / "presets"
