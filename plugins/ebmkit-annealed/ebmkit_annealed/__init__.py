"""Plug-in for ebmkit: the sampler `annealed`."""

from ebmkit import hookimpl

EBMKIT_PLUGIN_API = 2


@hookimpl
def samplers() -> dict[str, str]:
    """The sampler as an import string, so that listing it does not import torch."""
    return {"annealed": "ebmkit_annealed.sampler:Annealed"}
