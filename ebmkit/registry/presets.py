"""Presets: files of settings that packages bring, in a folder of each."""

from dataclasses import dataclass
from importlib.resources.abc import Traversable
from typing import Any, ClassVar

from ebmkit.errors import UsageError
from ebmkit.registry.component import NAME, Component, Plugin, PluginError, with_type

PRESETS = "presets"  # the hook
ENDING = ".toml"


@dataclass(frozen=True)
class Preset:
    """A name, the TOML file of settings that it stands for, and the package that it came from."""

    kind: ClassVar[str] = "preset"
    name: str
    file: Traversable
    plugin: Plugin

    def text(self) -> str:
        """The text of the file, read now.

        Raises:
            UsageError: if it cannot be read.
        """
        try:
            return self.file.read_text(encoding="utf-8")
        except Exception as error:  # the files of a zipped package raise many types
            reason = with_type(error)
            raise UsageError(f"preset '{self.name}' of {self.plugin} cannot be read: {reason}") from error


Part = Component | Preset  # what a name can stand for


def checked_folder(folder: Any, plugin: Plugin) -> list[Preset]:
    """The presets in the folder that the hook returned, by name: those of its files that end in `.toml`.

    Raises:
        PluginError: if it is no folder, has no such file, or one whose name is not a name.
    """
    if not isinstance(folder, Traversable):
        kind = type(folder).__name__
        raise PluginError(f"hook '{PRESETS}' must return a folder, like files('my_package') / 'presets', not {kind}")
    entries = [one for one in folder.iterdir() if one.name.endswith(ENDING)] if folder.is_dir() else []
    files = {one.name.removesuffix(ENDING): one for one in entries}
    if not files:
        raise PluginError(f"hook '{PRESETS}': there is no {ENDING} file in {folder}; does the package contain them?")
    for name in files:
        if not NAME.fullmatch(name):
            raise PluginError(f"hook '{PRESETS}': {name!r} is not a name (one word of letters, digits, _, -, . and +)")
    return [Preset(name, files[name], plugin) for name in sorted(files)]
