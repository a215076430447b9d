"""Plug-in for ebmkit: the method `recovery-likelihood`, networks that know the noise level of their input, presets."""

from importlib.resources import files
from importlib.resources.abc import Traversable

from ebmkit import hookimpl

EBMKIT_PLUGIN_API = 2


@hookimpl
def methods() -> dict[str, str]:
    """The method as an import string, so that listing it does not import torch."""
    return {"recovery-likelihood": "ebmkit_recovery.method:RecoveryLikelihood"}


@hookimpl
def networks() -> dict[str, str]:
    """The networks as import strings."""
    return {
        "level-dense": "ebmkit_recovery.network:LevelDense",
        "level-resnet": "ebmkit_recovery.resnet:LevelResNet",
    }


@hookimpl
def presets() -> Traversable:
    """The folder of the presets."""
    return files("ebmkit_recovery") / "presets"
