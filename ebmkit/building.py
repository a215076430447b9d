"""One part of a run from its name, its facts and its settings; what is wrong with it is the user's to read."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from ebmkit.components import BUILT_IN, Component
from ebmkit.data.examples import Examples
from ebmkit.errors import UsageError, check
from ebmkit.interfaces import InitDistribution, Sampler, evaluate, evaluating
from ebmkit.resolve import Recipe
from ebmkit.settings import bind

MADE_OF: dict[str, tuple[type, str]] = {
    "energy": (nn.Module, "a torch.nn.Module"),
    "sampler": (Sampler, "an ebmkit.Sampler"),
    "init": (InitDistribution, "an ebmkit.InitDistribution"),
}


def build(component: Component, section: str, facts: Mapping[str, Any], recipe: Recipe) -> Any:
    """One part, from the facts it asks for and its settings; what goes wrong in a third party's says whose it is."""
    settings = recipe.settings(section)
    whose = f"in {component.kind} '{component.name}' from {component.plugin}"
    try:
        part = wrapped(section, settings, lambda: bind(component.load(), facts, settings))
        kind, expected = MADE_OF.get(section, (object, ""))
        if not isinstance(part, kind):
            raise UsageError(f"{section} '{component.name}' gave a {type(part).__name__}, not {expected}")
        return part
    except UsageError as error:
        if component.plugin is BUILT_IN:
            raise
        raise UsageError(f"{error} ({whose})") from error
    except Exception as error:
        if component.plugin is not BUILT_IN:
            error.add_note(whose)
        raise


def wrapped(section: str, settings: Mapping[str, Any], make: Callable[[], Any]) -> Any:
    """What `make` gives; a ValueError about a setting becomes a user's error that names its section."""
    try:
        return make()
    except (ValueError, OSError) as error:
        message = " ".join(str(error).split())
        if not message.startswith(f"{section}."):
            names_setting = message.partition(" ")[0] in settings
            message = f"{section}.{message}" if names_setting else f"{section}: {message}"
        raise UsageError(message) from error


def check_energy(energy: nn.Module, component: Component, examples: Examples) -> None:
    """Refuse an energy that has nothing to train, or that does not take these examples."""
    if not any(parameter.requires_grad for parameter in energy.parameters()):
        raise UsageError(f"energy '{component.name}' has no parameters to train; it is for samplers and tests")
    try:
        with torch.no_grad(), evaluating(energy):
            evaluate(energy, examples.fetch(torch.zeros(2, dtype=torch.long)))
    except (RuntimeError, ValueError, IndexError) as error:
        reason = " ".join(str(error).split())
        raise UsageError(
            f"energy '{component.name}' cannot take examples of shape {examples.shape}: {reason}"
        ) from error


def check_finite(section: str, settings: Mapping[str, Any]) -> None:
    """Refuse NaN and infinities in a section whose component does not check for them."""
    for key, value in settings.items():
        if isinstance(value, float):
            check(f"{section}.{key}", value)
