"""ebmkit: energy-based models trained by short-run MCMC, as parts that anyone can swap.

Sign: p(x) is proportional to exp(-E(x)); low energy is likely.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# Public names and where they live. They are imported on use, so that `ebmkit --help` costs no torch.
_PUBLIC = {
    "Accelerated": "acceleration.accelerated",
    "Energy": "interfaces",
    "InitDistribution": "interfaces",
    "Promises": "interfaces",
    "Sampler": "interfaces",
    "ShortRun": "shortrun",
    "State": "interfaces",
    "Step": "training",
    "Trainer": "training",
    "UsageError": "errors",
    "hookimpl": "hookspecs",
    "load": "loading",
    "register": "registry",
    "value_and_grad": "interfaces",
}

__all__ = [
    "Accelerated",
    "Energy",
    "InitDistribution",
    "Promises",
    "Sampler",
    "ShortRun",
    "State",
    "Step",
    "Trainer",
    "UsageError",
    "__version__",
    "hookimpl",
    "load",
    "register",
    "value_and_grad",
]

if TYPE_CHECKING:
    from ebmkit.acceleration.accelerated import Accelerated
    from ebmkit.errors import UsageError
    from ebmkit.hookspecs import hookimpl
    from ebmkit.interfaces import Energy, InitDistribution, Promises, Sampler, State, value_and_grad
    from ebmkit.loading import load
    from ebmkit.registry import register
    from ebmkit.shortrun import ShortRun
    from ebmkit.training import Step, Trainer


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(import_module(f"ebmkit.{_PUBLIC[name]}"), name)
    raise AttributeError(f"module 'ebmkit' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
