"""Runs: trained, stopped, resumed, exported, and opened as models."""

from typing import TYPE_CHECKING

from ebmkit._lazy import exports

if TYPE_CHECKING:
    from ebmkit.runs.model import Model, load, open_model
    from ebmkit.runs.run import Run
    from ebmkit.runs.training import new_run, resume_run, train

__all__ = ["Model", "Run", "load", "new_run", "open_model", "resume_run", "train"]

__getattr__, __dir__ = exports(
    __name__,
    {
        "Model": "model",
        "Run": "run",
        "load": "model",
        "new_run": "training",
        "open_model": "model",
        "resume_run": "training",
        "train": "training",
    },
)
