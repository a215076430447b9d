"""How good a model is: measures of samples, and what can be read off chains and trainings."""

from typing import TYPE_CHECKING

from ebmkit._lazy import exports

if TYPE_CHECKING:
    from ebmkit.evaluation.measures import evaluate

__all__ = ["evaluate"]

__getattr__, __dir__ = exports(__name__, {"evaluate": "measures"})
