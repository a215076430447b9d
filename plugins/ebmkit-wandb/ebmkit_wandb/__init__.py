"""Plug-in for ebmkit: the watcher `wandb`."""

from ebmkit import hookimpl

EBMKIT_PLUGIN_API = 2


@hookimpl
def watchers() -> dict[str, str]:
    """The watcher as an import string, so that listing it imports neither torch nor wandb."""
    return {"wandb": "ebmkit_wandb.watcher:wandb"}
