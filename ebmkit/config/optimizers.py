"""The optimisers of torch as components, and the settings of any component."""

from ebmkit.config.settings import Setting, Signature, signature
from ebmkit.errors import UsageError, nearest
from ebmkit.registry.component import BUILT_IN, Component

# Parameters of the optimisers that are not meant for users.
INTERNAL = ("capturable", "differentiable", "foreach", "fused", "maximize")


def find_optimizer(name: str) -> Component:
    """An optimiser of torch, by its name in upper or lower case.

    Raises:
        UsageError: for an unknown name, or an optimiser that does not work with stochastic gradients.
    """
    import torch

    kinds = {
        key.lower(): value
        for key, value in vars(torch.optim).items()
        if isinstance(value, type) and issubclass(value, torch.optim.Optimizer) and value is not torch.optim.Optimizer
    }
    unfit = {"lbfgs", "sparseadam"}
    names = sorted(set(kinds) - unfit)
    if name.lower() not in names:
        raise UsageError(f"unknown optimizer '{name}'.{nearest(name.lower(), names)} Installed: {', '.join(names)}.")
    return Component("optimizer", name.lower(), kinds[name.lower()], BUILT_IN)


def settings_of(component: Component) -> Signature:
    """The signature of a component. For an optimiser of torch every parameter except `params` is a setting.

    The learning rate of `adam` defaults to 1e-3.

    Raises:
        UsageError: if the component does not import, or its signature cannot be read as settings.
    """
    target = component.load()
    try:
        found = signature(target, facts=("params",) if component.kind == "optimizer" else None)
        if "use" in found.settings:
            raise ValueError("a setting cannot be called 'use', which names the component")
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"{component.kind} '{component.name}' of {component.plugin} cannot be used: {error}"
        ) from error
    if component.kind == "optimizer":
        for internal in INTERNAL:
            found.settings.pop(internal, None)
    if component.kind == "optimizer" and component.name == "adam" and "lr" not in getattr(target, "keywords", {}):
        found.settings["lr"] = Setting("lr", float, 1e-3, "Learning rate; the paper has 1e-4 and 200,000 updates.")
    return found
