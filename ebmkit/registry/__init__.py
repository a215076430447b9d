"""Which parts there are: the built-in ones and those of plug-in packages, by kind and name."""

from typing import TYPE_CHECKING

from ebmkit._lazy import exports

if TYPE_CHECKING:
    from ebmkit.registry.component import Component
    from ebmkit.registry.lookup import Registry, get_registry, register

__all__ = ["Component", "Registry", "get_registry", "register"]

__getattr__, __dir__ = exports(
    __name__, {"Component": "component", "Registry": "lookup", "get_registry": "lookup", "register": "lookup"}
)
