"""Plug-in for ebmkit: the sampler `tempering`."""

from ebmkit import hookimpl

EBMKIT_PLUGIN_API = 1


@hookimpl
def samplers() -> dict[str, str]:
    """The sampler by its import string, so that listing it imports no torch."""
    return {"tempering": "ebmkit_tempering.sampler:Tempering"}
