"""Settings: from presets, files and the command line, checked against the signatures of the chosen parts."""

from typing import TYPE_CHECKING

from ebmkit._lazy import exports

if TYPE_CHECKING:
    from ebmkit.config.recipe import Recipe
    from ebmkit.config.resolution import resolve
    from ebmkit.config.tables import dumps

__all__ = ["Recipe", "dumps", "resolve"]

__getattr__, __dir__ = exports(__name__, {"Recipe": "recipe", "dumps": "tables", "resolve": "resolution"})
