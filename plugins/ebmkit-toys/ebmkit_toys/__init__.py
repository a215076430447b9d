"""Plug-in for ebmkit: parts of every kind for points in the plane."""

from ebmkit import hookimpl

EBMKIT_PLUGIN_API = 2


@hookimpl
def energies() -> dict[str, str]:
    """The energies with exact draws, as import strings, so that listing them does not import torch."""
    return {
        "funnel": "ebmkit_toys.energy:Funnel",
        "banana": "ebmkit_toys.energy:Banana",
        "ring": "ebmkit_toys.energy:Ring",
    }


@hookimpl
def samplers() -> dict[str, str]:
    """The Metropolis random walk."""
    return {"metropolis": "ebmkit_toys.sampler:Metropolis"}


@hookimpl
def inits() -> dict[str, str]:
    """The jittered grid."""
    return {"stratified": "ebmkit_toys.init:Stratified"}


@hookimpl
def datasets() -> dict[str, str]:
    """The data sets."""
    return {
        "checkerboard": "ebmkit_toys.data:checkerboard",
        "spirals": "ebmkit_toys.data:spirals",
        "pinwheel": "ebmkit_toys.data:pinwheel",
        "swiss_roll": "ebmkit_toys.data:swiss_roll",
    }


@hookimpl
def watchers() -> dict[str, str]:
    """The picture of the density."""
    return {"density": "ebmkit_toys.watcher:density"}


@hookimpl
def features() -> dict[str, str]:
    """The distance and the direction."""
    return {"polar": "ebmkit_toys.feature:Polar"}
