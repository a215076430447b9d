"""Commands that look at the parts: list, show, plugins, version."""

import inspect
import json
import platform
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

import ebmkit
from ebmkit.cli.complete import kinds, names
from ebmkit.cli.console import FAILURE, errors, out, say, warn_of_plugins
from ebmkit.components import KINDS, Component
from ebmkit.registry import registry


def list_parts(
    kind: Annotated[
        str | None, typer.Argument(help="energy, sampler, init, data or watcher.", autocompletion=kinds)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """List the parts that can be picked by name, with the package that each came with."""
    with errors():
        if kind is not None and kind not in KINDS:
            registry().find(kind, "")
        shown = KINDS if kind is None else (kind,)
        parts = [component for each in shown for component in registry().of_kind(each)]
        if as_json:
            print(json.dumps([described(component) for component in parts]))
        else:
            rows = [(one.kind, one.name, one.summary, str(one.plugin)) for one in parts]
            out().print(tabled(("kind", "name", "what it is", "from"), rows, "kind name from"), soft_wrap=False)
        warn_of_plugins()


def tabled(titles: tuple[str, ...], rows: Iterable[tuple[str, ...]], whole: str) -> Table:
    """A table that never breaks what stands in the columns `whole`, so that names can be searched for and copied."""
    table = Table(box=None, pad_edge=False)
    for title in titles:
        table.add_column(title, no_wrap=title in whole.split(), overflow="fold", min_width=len(title) + 2)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    return table


def described(component: Component) -> dict[str, str]:
    """A component as JSON."""
    return {
        "kind": component.kind,
        "name": component.name,
        "summary": component.summary,
        "package": component.plugin.package,
        "version": component.plugin.version,
        "target": component.where,
    }


def show(
    kind: Annotated[
        str, typer.Argument(help="energy, sampler, init, data, watcher or optimizer.", autocompletion=kinds)
    ],
    name: Annotated[str, typer.Argument(help="Its name, as `ebmkit list` gives it.", autocompletion=names)],
) -> None:
    """Show one part: what it computes, where it is from, and its settings."""
    with errors():
        from ebmkit.config import Value
        from ebmkit.resolve import find, read, shown

        component = find(kind, name, Value(name, "", ""))
        asked = read(component, kind)
        target = component.load()
        console = out()
        head = f"{component.kind} {component.name} · {component.plugin} · {component.where}"
        console.print(head, style="bold", markup=False)
        doc = (getattr(target, "func", target).__doc__ or "").partition("Args:")[0].rstrip()
        if kind != "optimizer" and doc:
            console.print(inspect.cleandoc(doc), markup=False)
        console.print()
        section = {"watcher": f"watch.{name}"}.get(kind, kind)
        titles = ("setting", "type", "default", "what it does")
        rows = [(f"{section}.{one.name}", one.type, shown(one.default), one.help) for one in asked.settings.values()]
        console.print(tabled(titles, rows, "setting") if rows else "It has no settings.", soft_wrap=False)


def plugins(
    check: Annotated[bool, typer.Option("--check", help="Exit with 1 if a plug-in did not load.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """List the plug-in packages: what each brings, and why one did not load."""
    with errors():
        found = registry().plugins
        every = [component for kind in KINDS for component in registry().of_kind(kind)]
        brings = {plugin: [f"{one.kind} {one.name}" for one in every if one.plugin == plugin] for plugin in found}
        if as_json:
            print(json.dumps([{**plugin.__dict__, "brings": brings[plugin]} for plugin in found]))
        elif not found:
            out().print("No plug-ins are installed. Write one: see docs/plugins.md, or plugins/ebmkit-annealed.")
        for plugin in found if not as_json else ():
            head = f"{plugin.package} {plugin.version} ({plugin.entry})"
            out().print(f"{head}: {', '.join(brings[plugin])}" if not plugin.error else head, markup=False)
            if plugin.error:
                out().print(f"  did not load: {plugin.error}", style="red", markup=False)
                out().print(f"  to remove it: pip uninstall {plugin.package}", markup=False)
        if check and registry().broken:
            say(f"error: {len(registry().broken)} of {len(found)} plug-ins did not load", "red")
            raise typer.Exit(FAILURE)


def version() -> None:
    """Print the version, and those of Python and torch."""
    try:
        torch = installed("torch")
    except PackageNotFoundError:
        torch = "not installed"
    out().print(f"ebmkit {ebmkit.__version__} (Python {platform.python_version()}, torch {torch})")
