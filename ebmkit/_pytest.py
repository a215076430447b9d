"""The pytest plug-in: a fixture that registers a part for one test, and a line in pytest's header.

Every pytest run where ebmkit is installed imports this module, so it imports neither torch nor numpy.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

import ebmkit
from ebmkit.registry.component import Component, with_type
from ebmkit.registry.discovery import identity, installed
from ebmkit.registry.lookup import Registry, get_registry, register


@pytest.fixture
def registered() -> Iterator[Callable[[str, str, str | Callable[..., Any]], None]]:
    """`registered(kind, name, target)` is `ebmkit.register` for one test: all names are restored after it."""
    before: list[tuple[Registry, dict[tuple[str, str], list[Component]]]] = []

    def add(kind: str, name: str, target: str | Callable[..., Any]) -> None:
        # The test may build a new registry, so it is looked up at every call.
        made = get_registry()
        before.append((made, {key: list(found) for key, found in made.components.items()}))
        register(kind, name, target)

    yield add
    for made, components in reversed(before):
        made.components = components


def pytest_report_header() -> str:
    """The packages with plug-ins, read from their entry points without importing any."""
    try:
        entries, broken = installed()
    except Exception as error:  # EBMKIT_STRICT_PLUGINS=1 raises what is wrong with a package
        return f"ebmkit {ebmkit.__version__}: plug-ins cannot be listed: {with_type(error)}"
    packages = sorted({identity(entry.dist)[0] for entry in entries} | {plugin.package for plugin in broken})
    names = f" ({', '.join(packages)})" if packages else ""
    return f"ebmkit {ebmkit.__version__}: plug-ins {len(packages)}{names}"
