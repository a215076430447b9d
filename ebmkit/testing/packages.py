"""The checks of parts and presets that are found by name, with settings as they are typed."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from ebmkit.config.layers import Layer, loads
from ebmkit.config.resolution import resolve
from ebmkit.config.settings import REQUIRED, Setting, signature
from ebmkit.errors import UsageError, nearest, one_line
from ebmkit.registry.component import Component
from ebmkit.registry.owners import section_of
from ebmkit.registry.presets import Part, Preset
from ebmkit.testing.kit import Outcome, examine, raised
from ebmkit.testing.subjects import subject


def chosen_settings(parts: Sequence[Part], layer: Layer) -> dict[str, dict[str, Any]]:
    """The settings of a layer by section, each in the type that a part states.

    Raises:
        UsageError: for a setting that none of the parts has, or a value of another type.
    """
    settings: dict[str, dict[str, Setting]] = {}
    for part in (one for one in parts if isinstance(one, Component)):
        with suppress(UsageError, TypeError):  # a part that does not load, or has no settings, fails its own checks
            settings.setdefault(section_of(part), {}).update(signature(part.load()).settings)
    given: dict[str, dict[str, Any]] = {}
    for section, values in layer.sections.items():
        known = settings.get(section, {})
        for key, value in values.items():
            if key not in known:
                raise UsageError(f"nothing that is checked has a setting {section}.{key}.{nearest(key, known)}")
            given.setdefault(section, {})[key] = known[key].convert(value.value, value.text)
    return given


def outcomes_of(part: Part, settings: Mapping[str, Any], *, named: bool) -> Iterator[Outcome]:
    """The outcomes of a part's checks; a part that cannot be built has failed.

    Args:
        part: The part.
        settings: Its settings that were given.
        named: Whether the part was named, and not only its package: then a setting without a default must be given.

    Raises:
        UsageError: if such a setting was not given to a part that was named.
    """
    if isinstance(part, Preset):
        yield of_preset(part)
        return
    try:
        missing = [f"-s {section_of(part)}.{key}=..." for key in required(part) if key not in settings]
        ready = None if missing else subject(part.kind, part.load(), None, dict(settings))
    except (Exception, SystemExit) as error:
        yield Outcome("it_can_be_made", "failed", one_line(error) if isinstance(error, UsageError) else raised(error))
        return
    if ready is not None:
        yield from examine(ready)
        return
    add = f"add {' '.join(missing)}"
    if named:
        raise UsageError(f"{part.kind} '{part.name}' has settings without a default; {add}")
    yield Outcome("it_can_be_made", "not promised", f"it has settings without a default; {add}")


def of_preset(preset: Preset) -> Outcome:
    """The outcome of the only check of a preset: that there are parts with these settings."""
    check = "presets_resolve"
    try:
        resolve([loads(preset.text(), f"preset {preset.name}")], "preset")
    except UsageError as error:
        return Outcome(check, "failed", one_line(error))
    return Outcome(check, "passed")


def required(part: Component) -> list[str]:
    """The settings that have no default."""
    return [key for key, one in signature(part.load()).settings.items() if one.default is REQUIRED]
