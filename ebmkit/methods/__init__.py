"""How an energy is trained: the paper's algorithm 1."""

from typing import TYPE_CHECKING

from ebmkit._lazy import exports

if TYPE_CHECKING:
    from ebmkit.methods.maximum_likelihood import Trainer, Update
    from ebmkit.methods.schedules import constant, linear

__all__ = ["Trainer", "Update", "constant", "linear"]

__getattr__, __dir__ = exports(
    __name__,
    {"Trainer": "maximum_likelihood", "Update": "maximum_likelihood", "constant": "schedules", "linear": "schedules"},
)
