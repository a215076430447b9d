"""Which sections the settings of a run have: those of its method, with the parts that are used if none are chosen."""

from collections.abc import Iterable, Mapping
from dataclasses import fields
from functools import partial
from typing import Any

from ebmkit.config.layers import FIXED, Layer, Value
from ebmkit.config.optimizers import find_optimizer, settings_of
from ebmkit.config.settings import Setting, Signature, signature
from ebmkit.config.train_settings import SPECIAL, TrainSettings
from ebmkit.errors import UsageError, nearest
from ebmkit.methods.roles import Role, role
from ebmkit.registry.component import Component
from ebmkit.registry.lookup import get_registry

METHOD = role("method", "maximum-likelihood")
DATA = role("data", "digits")
KINDS = ("energy", "network", "sampler", "init", "optimizer")  # of roles


def find(kind: str, name: str, asked: Value) -> Component:
    """The component of that name; the error names the line of the file that asked for it."""
    try:
        return find_optimizer(name) if kind == "optimizer" else get_registry().find(kind, name)
    except UsageError as error:
        raise UsageError(f"{prefix(asked)}{error}") from error


def prefix(value: Value) -> str:
    """The file and line of a value, for the beginning of an error; empty for a typed one."""
    return f"{value.origin}: " if value.text is None else ""


def class_of(method: Component) -> Any:
    """The class of a method, whose roles and defaults can be read."""
    target = method.load()
    return getattr(target, "func", target)


def roles_of(method: Component) -> dict[str, Role]:
    """The sections of the settings of a run that are parts, in their order: the method, its roles and the data.

    Raises:
        UsageError: if the method has no roles, or one of them cannot be a section.
    """
    roles = getattr(class_of(method), "roles", None)
    if not isinstance(roles, Mapping):
        raise UsageError(f"method '{method.name}' of {method.plugin} has no roles: see ebmkit.Method")
    for name, one in roles.items():
        if name in FIXED or not name.isidentifier() or not isinstance(one, Role) or one.kind not in KINDS:
            raise UsageError(
                f"method '{method.name}' of {method.plugin} has a role '{name}' that cannot be a section: choose "
                f"another name than {', '.join(FIXED)}, and one of the kinds {', '.join(KINDS)}"
            )
    optimizers = {name: one for name, one in roles.items() if one.kind == "optimizer"}
    others = {name: one for name, one in roles.items() if name not in optimizers}
    return {"method": METHOD, **others, "data": DATA, **optimizers}


def in_role(component: Component, one: Role) -> Component:
    """The component with the defaults that it has in a role."""
    if component.name != one.use or not one.settings:
        return component
    return Component(component.kind, component.name, partial(component.load(), **one.settings), component.plugin)


def train_signature(method: Component) -> Signature:
    """The settings of the section `train` in a run of this method."""
    made = class_of(method)
    found = signature(partial(TrainSettings, **made.defaults))
    for name in SPECIAL:
        if name not in made.uses:
            del found.settings[name]
    return found


def refuse_unknown(layers: Iterable[Layer], known: Iterable[str], method: Component) -> None:
    """Refuse a section that a run of this method does not have.

    Raises:
        UsageError: with the nearest name, and where it was given.
    """
    sections = [*known, "train", "watch"]
    for layer in layers:
        for section in layer.sections:
            if section not in sections and not section.startswith("watch."):
                of = "" if method.name == METHOD.use else f" of method '{method.name}'"
                values = list(layer.sections[section].values())
                place = layer.places.get(section, values[0].origin if values else layer.name)
                hint = nearest(section, sections)
                raise UsageError(f"{place}: unknown section '{section}'.{hint} Sections{of}: {', '.join(sections)}")


def unused(names: Iterable[str], method: Component) -> list[str]:
    """Those settings of `train` that exist, but not for this method."""
    every = {field.name for field in fields(TrainSettings)}
    return [name for name in names if name in every and name not in train_signature(method).settings]


def settings_of_method(method: Component) -> dict[str, Setting]:
    """What distinguishes a run of this method, by `section.key`.

    These are its own settings; for each role its part, as `ROLE.use`, with the settings that the part has in this role
    instead of its own; and the settings of `train` that it changes or that only some methods have.
    """
    found = {f"method.{name}": one for name, one in settings_of(method).settings.items()}
    for section, one in roles_of(method).items():
        if section != "method":
            component = in_role(find(one.kind, one.use, Value(one.use, "", "")), one)
            found[f"{section}.use"] = Setting("use", str, one.use, f"A part of the kind {one.kind}.")
            asked = settings_of(component).settings
            found |= {f"{section}.{name}": asked[name] for name in one.settings}
    made, asked = class_of(method), train_signature(method).settings
    return found | {f"train.{name}": asked[name] for name in (*made.defaults, *made.uses)}
