"""Distributions that chains start from."""

from typing import TYPE_CHECKING

from ebmkit._lazy import exports

if TYPE_CHECKING:
    from ebmkit.inits.data import Data
    from ebmkit.inits.gaussian import Gaussian
    from ebmkit.inits.replay import Replay
    from ebmkit.inits.uniform import Uniform

__all__ = ["Data", "Gaussian", "Replay", "Uniform"]

__getattr__, __dir__ = exports(
    __name__, {"Data": "data", "Gaussian": "gaussian", "Replay": "replay", "Uniform": "uniform"}
)
