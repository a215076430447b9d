"""How an energy is trained: maximum likelihood with short-run chains, algorithm 1 of the paper."""

from typing import TYPE_CHECKING

from ebmkit._lazy import exports

if TYPE_CHECKING:
    from ebmkit.methods.chains import follow
    from ebmkit.methods.maximum_likelihood import Trainer, Update
    from ebmkit.methods.schedules import constant, cosine, growing, linear

__all__ = ["Trainer", "Update", "constant", "cosine", "follow", "growing", "linear"]

__getattr__, __dir__ = exports(
    __name__,
    {
        "Trainer": "maximum_likelihood",
        "Update": "maximum_likelihood",
        "constant": "schedules",
        "cosine": "schedules",
        "follow": "chains",
        "growing": "schedules",
        "linear": "schedules",
    },
)
