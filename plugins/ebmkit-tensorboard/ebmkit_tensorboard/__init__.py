"""Plug-in for ebmkit: the watcher `tensorboard`."""

from ebmkit import hookimpl

EBMKIT_PLUGIN_API = 2


@hookimpl
def watchers() -> dict[str, str]:
    """The watcher as an import string, so that listing it does not import torch."""
    return {"tensorboard": "ebmkit_tensorboard.watcher:tensorboard"}
