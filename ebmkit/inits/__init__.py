"""Distributions that chains start from."""

from typing import TYPE_CHECKING

from ebmkit._lazy import exports

if TYPE_CHECKING:
    from ebmkit.inits.data import DataInit, Source
    from ebmkit.inits.fitted import FittedGaussian
    from ebmkit.inits.gaussian import Gaussian
    from ebmkit.inits.mixture import GaussianMixture
    from ebmkit.inits.replay import ReplayBuffer
    from ebmkit.inits.uniform import Uniform

__all__ = ["DataInit", "FittedGaussian", "Gaussian", "GaussianMixture", "ReplayBuffer", "Source", "Uniform"]

__getattr__, __dir__ = exports(
    __name__,
    {
        "DataInit": "data",
        "FittedGaussian": "fitted",
        "Gaussian": "gaussian",
        "GaussianMixture": "mixture",
        "ReplayBuffer": "replay",
        "Source": "data",
        "Uniform": "uniform",
    },
)
