"""Plug-in packages: their metadata, their entry points, and what their hooks return."""

import importlib
import os
import sys
from pathlib import Path

from hypothesis import strategies as st

from ebmkit.registry.discovery import installed, load
from ebmkit.registry.lookup import Registry
from fuzz.guard import LETTERS
from fuzz.kind import Kind
from fuzz.values import encoded, mostly, texts

INFO = "site/hostile-0.1.dist-info"
METADATA = b"Metadata-Version: 2.1\nName: hostile\nVersion: 0.1\n"
ENTRIES = b"[ebmkit]\nhostile = hostile_part\n"
MODULE = "from ebmkit import hookimpl\n\n@hookimpl\ndef samplers():\n    return {'hostile': 'hostile_part:Hostile'}\n"


def package(place: Path) -> None:
    """An installed package with a plug-in."""
    (place / INFO).mkdir(parents=True)
    (place / INFO / "METADATA").write_bytes(METADATA)
    (place / INFO / "entry_points.txt").write_bytes(ENTRIES)
    (place / "site" / "hostile_part.py").write_text(MODULE, encoding="utf-8")


def metadata(place: Path) -> list[bytes]:
    """What a package says of itself."""
    package(place)
    return [METADATA, METADATA + b"License: x\n\nA text.\n", b"\xef\xbb\xbf" + METADATA]


def entry_points(place: Path) -> list[bytes]:
    """The entry points of a package."""
    package(place)
    return [ENTRIES, b"[console_scripts]\na = b:c\n\n" + ENTRIES, ENTRIES + b"other = hostile_part:samplers\n"]


def modules(place: Path) -> list[bytes]:
    """The module of a plug-in."""
    package(place)
    return [MODULE.encode()]


def discover(place: Path) -> None:
    """Find the package, load its plug-ins, and list everything; each failure is a line."""
    usual, allowed = sys.path[:], os.environ.get("EBMKIT_PLUGINS", "all")
    os.environ["EBMKIT_PLUGINS"] = "all"
    sys.path[:] = [str(place / "site")]
    sys.modules.pop("hostile_part", None)
    importlib.invalidate_caches()
    try:
        entries, broken = installed()
        sys.path[:] = [*usual, str(place / "site")]
        registry = Registry(list(broken))
        for entry in entries:
            plugin, found = load(entry, registry.components)
            registry.plugins.append(plugin)
            for component in found:
                registry.add(component)
        for plugin in registry.plugins:
            text = f"{plugin} {plugin.entry} {plugin.error}"
            assert "\n" not in text, repr(text[:200])
            assert len(text) < LETTERS, f"{len(text)} letters: {text[:200]!r}"
        for component in registry.of_kind("sampler"):
            assert "\n" not in component.summary
            assert component.where
    finally:
        sys.path[:] = usual
        os.environ["EBMKIT_PLUGINS"] = allowed


def metadata_made() -> st.SearchStrategy[bytes]:
    """Headers with names and versions of any kind, missing, twice, or with other text."""
    name = st.sampled_from(["Name", "Name", "Version", "Metadata-Version", "name", "", "Name "]) | texts
    line = st.tuples(name, st.sampled_from([":", ": ", "", "="]), texts | st.just("hostile")).map("".join)
    return st.lists(line, max_size=4).map("\n".join).map(encoded)


LINES = """[ebmkit]
[ebmkit]
[ebmkit
hostile = hostile_part
x = hostile_part:samplers
x = hostile_part:no
x =
= x
x = a b
x = hostile_part [extra]
x = .
x = :
x = hostile_part:a.b.c
x = nowhere""".splitlines()


def entry_points_made() -> st.SearchStrategy[bytes]:
    """Sections and lines of any kind."""
    line = st.sampled_from(LINES)
    named = st.tuples(texts, st.sampled_from([" = ", "=", ""]), texts | st.just("hostile_part")).map("".join)
    return st.lists(mostly(line, named), max_size=6).map("\n".join).map(encoded)


# What the function of a hook may do instead of returning a table of names.
BODIES = r"""return None
return []
return {1: int}
return {'a': 1}
return {'': int}
raise KeyError
exit(3)
yield 1
return {'a' * 9999: int}
return {'a\nb': int}
return {'a': 'x'}
return {'a': 'x:y:z'}
raise BaseException
return {'a': lambda: 1}
raise GeneratorExit
return {'a': Odd()}
return Odd()
return {'a': Odd}
raise ValueError('x' * 9999)
raise ValueError('a\nb')
raise Odd
return {'langevin': int}
return {'a': 'hostile_part:' + 'x' * 9999}
return samplers()
return {Odd(): int}
return {'\ud800': int}
""".splitlines()
# What a module may do when it is imported.
BEGINNINGS = r"""raise ValueError('x' * 9999)
import nowhere
exit(1)
def f(:
x = 1 / 0
raise SystemExit('a\nb')
EBMKIT_PLUGIN_API = 99
EBMKIT_PLUGIN_API = 'x' * 9999
EBMKIT_PLUGIN_API = None
import sys; sys.modules[__name__] = None
raise BaseException('x')
__getattr__ = None
def __getattr__(n): raise OSError(n)
import warnings; warnings.warn('x')
del __builtins__
# -*- coding: nonsense -*-
raise RecursionError
""".splitlines()
ODD_CLASS = """
class Odd(Exception):
    def __getattr__(self, name):
        raise RuntimeError('x' * 9999)
    def __str__(self):
        raise RuntimeError('no text')
    __repr__ = __str__
"""


def modules_made() -> st.SearchStrategy[bytes]:
    """Modules whose import or whose hook does what it should not."""
    hooks = st.sampled_from(
        ["samplers()", "samplers()", "energies()", "sampler()", "samplers(x)", "samplers(*a)", "features()"]
    )
    marks = st.sampled_from(
        ["@hookimpl", "@hookimpl", "@hookimpl", "@hookimpl(wrapper=True)", "", "@hookimpl(specname='inits')"]
    )
    return st.builds(
        lambda begin, mark, hook, body: (
            f"{begin}\nfrom ebmkit import hookimpl\n{ODD_CLASS}\n{mark}\ndef {hook}:\n    {body}\n".encode(
                "utf-8", "surrogatepass"
            )
        ),
        st.sampled_from([*[""] * 5, "\0", *BEGINNINGS]),
        marks,
        hooks,
        st.sampled_from(BODIES),
    )


KINDS = [
    Kind("plugin-metadata", f"{INFO}/METADATA", metadata, discover, metadata_made()),
    Kind("plugin-entries", f"{INFO}/entry_points.txt", entry_points, discover, entry_points_made()),
    Kind("plugin-module", "site/hostile_part.py", modules, discover, modules_made()),
]
