"""The processes that train a run together: who they are, and what they say to each other."""

from typing import TYPE_CHECKING

from ebmkit._lazy import exports

if TYPE_CHECKING:
    from ebmkit.processes.group import Processes
    from ebmkit.processes.joining import job, joined, known_size, restarts

__all__ = ["Processes", "job", "joined", "known_size", "restarts"]

__getattr__, __dir__ = exports(
    __name__,
    {
        "Processes": "group",
        "job": "joining",
        "joined": "joining",
        "known_size": "joining",
        "restarts": "joining",
    },
)
