"""Settings: from presets, files and the command line, checked against the signatures of the chosen parts."""

from typing import TYPE_CHECKING

from ebmkit._lazy import exports

if TYPE_CHECKING:
    from ebmkit.config.recipe import Recipe
    from ebmkit.config.resolution import resolve

__all__ = ["Recipe", "resolve"]

__getattr__, __dir__ = exports(__name__, {"Recipe": "recipe", "resolve": "resolution"})
