"""Markov chains on examples."""

from typing import TYPE_CHECKING

from ebmkit._lazy import exports

if TYPE_CHECKING:
    from ebmkit.samplers.hmc import HMC
    from ebmkit.samplers.langevin import Langevin

__all__ = ["HMC", "Langevin"]

__getattr__, __dir__ = exports(__name__, {"HMC": "hmc", "Langevin": "langevin"})
