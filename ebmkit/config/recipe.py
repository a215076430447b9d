"""The recipe of a run: every part and every setting, complete and converted, and what builds the parts."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, overload

from torch import nn

from ebmkit.config.settings import asked_facts, bind, signature
from ebmkit.config.tables import dumps
from ebmkit.config.train_settings import TrainSettings
from ebmkit.errors import UsageError, check, one_line
from ebmkit.interfaces import InitDistribution, Sampler
from ebmkit.methods.method import Method
from ebmkit.registry.component import BUILT_IN, Component

KINDS_OF: dict[str, tuple[type, str]] = {
    "energy": (nn.Module, "a torch.nn.Module"),
    "network": (nn.Module, "a torch.nn.Module"),
    "method": (Method, "an ebmkit.Method"),
    "sampler": (Sampler, "an ebmkit.Sampler"),
    "init": (InitDistribution, "an ebmkit.InitDistribution"),
}


@dataclass(frozen=True)
class Recipe:
    """Every part and every setting of a run.

    Attributes:
        parts: The chosen component of each section.
        sections: The value of every setting by section, converted, defaults included; parts have `use` first.
        origins: Where each value came from.
        notes: A line for each section whose earlier settings were dropped because its component changed.
    """

    parts: Mapping[str, Component]
    sections: Mapping[str, Mapping[str, Any]]
    origins: Mapping[tuple[str, str], str]
    notes: tuple[str, ...] = ()

    def of_kind(self, kind: str) -> list[str]:
        """The sections whose parts are of a kind."""
        return [section for section, part in self.parts.items() if part.kind == kind]

    def settings(self, section: str) -> dict[str, Any]:
        """The settings of a section, without the name of its component."""
        return {key: value for key, value in self.sections[section].items() if key != "use"}

    @cached_property
    def train(self) -> TrainSettings:
        """The settings of the training loop.

        Raises:
            UsageError: if one is out of range.
        """
        settings = self.settings("train")
        with naming("train", settings):
            return TrainSettings(**settings)

    @overload
    def build(self, section: Literal["method"], **facts: Any) -> Method: ...
    @overload
    def build(self, section: str, **facts: Any) -> Any: ...

    def build(self, section: str, **facts: Any) -> Any:
        """The part of a section, built from its settings and from those of `facts` that it asks for.

        Raises:
            UsageError: for a setting out of range, or a part that is not of its kind; it says whose part that is.
        """
        others = {"train": self.settings("train")} if section == "method" else {}
        return build_part(self.parts[section], section, self.settings(section), facts, others)

    @property
    def plain(self) -> dict[str, dict[str, Any]]:
        """The values of every setting by section, with paths as text: what a logger can write."""
        return {
            section: {key: str(value) if isinstance(value, Path) else value for key, value in values.items()}
            for section, values in self.sections.items()
        }

    def with_value(self, section: str, key: str, value: Any, origin: str) -> "Recipe":
        """The same recipe with another value of one setting."""
        sections = {**self.sections, section: {**self.sections[section], key: value}}
        return replace(self, sections=sections, origins={**self.origins, (section, key): origin})

    def toml(self, with_origins: bool = False) -> str:
        """The recipe as TOML, which is itself a valid configuration file."""
        return dumps(self.sections, self.origins if with_origins else None)


def build_part(
    component: Component,
    section: str,
    settings: Mapping[str, Any],
    facts: Mapping[str, Any],
    others: Mapping[str, Mapping[str, Any]] | None = None,
) -> Any:
    """Call a component with its settings and with those of `facts` that it asks for.

    Args:
        component: What to call.
        section: Its section, which errors name.
        settings: Its settings.
        facts: What it may ask for.
        others: Settings of other sections that it is given as facts, by section; an error about one names it.

    Raises:
        UsageError: for a setting out of range, or a part that is not of its kind. Every error in the code of a third
            party names the package.
    """
    origin = f"in {component.kind} '{component.name}' from {component.plugin}"
    if component.kind == "optimizer":  # torch's own do not check for NaN and infinities
        check_finite(section, settings)
    target = component.load()
    facts = {**facts, **asked_facts(target, facts)}  # data that cannot be opened are not this part's error
    try:
        with naming(section, settings, others):
            part = bind(target, facts, settings)
    except UsageError as error:
        raise error if component.plugin is BUILT_IN else UsageError(f"{error} ({origin})") from error
    except Exception as error:
        if component.plugin is not BUILT_IN:
            error.add_note(origin)
        raise
    kind, expected = KINDS_OF.get(component.kind, (object, ""))
    if not isinstance(part, kind):
        raise UsageError(f"{section} '{component.name}' returned a {type(part).__name__}, not {expected} ({origin})")
    return part


@contextmanager
def complete() -> Iterator[None]:
    """Mark the errors of a block as complete: nothing is put in front of them."""
    try:
        yield
    except UsageError as error:
        error.complete = True
        raise


@contextmanager
def naming(
    section: str, settings: Mapping[str, Any], others: Mapping[str, Mapping[str, Any]] | None = None
) -> Iterator[None]:
    """Turn a ValueError or OSError into a UsageError that names the section, and the setting if it begins with one.

    Args:
        section: The section.
        settings: Its settings.
        others: Further settings by section, which an error may begin with.
    """
    try:
        yield
    except (ValueError, OSError) as error:
        if isinstance(error, UsageError) and error.complete:
            raise
        message = one_line(error)
        if not message.startswith(f"{section}."):
            word = message.partition(" ")[0]
            owner = next((name for name, known in {section: settings, **(others or {})}.items() if word in known), "")
            message = f"{owner}.{message}" if owner else f"{section}: {message}"
        named = UsageError(message)
        named.complete = True
        raise named from error


def check_finite(section: str, settings: Mapping[str, Any]) -> None:
    """Refuse NaN and infinities in a section whose component does not check for them.

    Raises:
        UsageError: naming the setting.
    """
    for key, value in settings.items():
        if isinstance(value, float):
            check(f"{section}.{key}", value)


def asks_for(component: Component, fact: str) -> bool:
    """Whether a component has a positional parameter of this name."""
    return fact in signature(component.load()).facts
