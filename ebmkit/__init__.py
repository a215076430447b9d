"""ebmkit: energy-based models trained by short-run MCMC, as parts that anyone can swap.

Sign: p(x) is proportional to exp(-E(x)); low energy is likely.
"""

from typing import TYPE_CHECKING

from ebmkit._lazy import exports

if TYPE_CHECKING:
    from ebmkit.acceleration.accelerated import Accelerated
    from ebmkit.errors import Diverged, Interrupted, UsageError, check
    from ebmkit.interfaces import (
        Energy,
        EnergyFn,
        InitDistribution,
        Promises,
        Sampler,
        State,
        energy_values,
        eval_mode,
        noise_like,
        per_example,
        value_and_grad,
    )
    from ebmkit.methods.maximum_likelihood import Trainer
    from ebmkit.methods.method import Method
    from ebmkit.methods.roles import Parts, Role, role
    from ebmkit.methods.update import Update
    from ebmkit.reconstruction import Reconstruction
    from ebmkit.registry.hooks import hookimpl
    from ebmkit.registry.lookup import register
    from ebmkit.runs.model import load
    from ebmkit.shortrun import ExampleValues, ShortRun

__version__ = "0.1.0"

__all__ = [
    "Accelerated",
    "Diverged",
    "Energy",
    "EnergyFn",
    "ExampleValues",
    "InitDistribution",
    "Interrupted",
    "Method",
    "Parts",
    "Promises",
    "Reconstruction",
    "Role",
    "Sampler",
    "ShortRun",
    "State",
    "Trainer",
    "Update",
    "UsageError",
    "__version__",
    "check",
    "energy_values",
    "eval_mode",
    "hookimpl",
    "load",
    "noise_like",
    "per_example",
    "register",
    "role",
    "value_and_grad",
]

# Public names and where they live.
_PUBLIC = {
    "Accelerated": "acceleration.accelerated",
    "Diverged": "errors",
    "Energy": "interfaces",
    "EnergyFn": "interfaces",
    "ExampleValues": "shortrun",
    "InitDistribution": "interfaces",
    "Interrupted": "errors",
    "Method": "methods.method",
    "Parts": "methods.roles",
    "Promises": "interfaces",
    "Reconstruction": "reconstruction",
    "Role": "methods.roles",
    "Sampler": "interfaces",
    "ShortRun": "shortrun",
    "State": "interfaces",
    "Trainer": "methods.maximum_likelihood",
    "Update": "methods.update",
    "UsageError": "errors",
    "check": "errors",
    "energy_values": "interfaces",
    "eval_mode": "interfaces",
    "hookimpl": "registry.hooks",
    "load": "runs.model",
    "noise_like": "interfaces",
    "per_example": "interfaces",
    "register": "registry.lookup",
    "role": "methods.roles",
    "value_and_grad": "interfaces",
}

__getattr__, _ = exports(__name__, _PUBLIC)


def __dir__() -> list[str]:
    return __all__
