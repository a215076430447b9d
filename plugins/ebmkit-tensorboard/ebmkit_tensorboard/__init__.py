"""Plug-in for ebmkit: the watcher `tensorboard`."""

from ebmkit import hookimpl

EBMKIT_PLUGIN_API = 1


@hookimpl
def watchers() -> dict[str, str]:
    """The watcher by its import string, so that listing it imports no torch."""
    return {"tensorboard": "ebmkit_tensorboard.watcher:tensorboard"}
