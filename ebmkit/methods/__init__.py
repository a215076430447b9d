"""How energies are trained: the interface of a method, and the methods; the first is algorithm 1 of the paper."""

from typing import TYPE_CHECKING

from ebmkit._lazy import exports

if TYPE_CHECKING:
    from ebmkit.methods.chains import follow
    from ebmkit.methods.maximum_likelihood import Trainer
    from ebmkit.methods.method import Descent, Method
    from ebmkit.methods.roles import Parts, Role, role
    from ebmkit.methods.schedules import constant, cosine, growing, linear
    from ebmkit.methods.update import Update

__all__ = [
    "Descent",
    "Method",
    "Parts",
    "Role",
    "Trainer",
    "Update",
    "constant",
    "cosine",
    "follow",
    "growing",
    "linear",
    "role",
]

__getattr__, __dir__ = exports(
    __name__,
    {
        "Descent": "method",
        "Method": "method",
        "Parts": "roles",
        "Role": "roles",
        "Trainer": "maximum_likelihood",
        "Update": "update",
        "constant": "schedules",
        "cosine": "schedules",
        "follow": "chains",
        "growing": "schedules",
        "linear": "schedules",
        "role": "roles",
    },
)
