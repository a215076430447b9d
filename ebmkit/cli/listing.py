"""Commands that describe what is installed: list, show, version."""

import inspect
import json
import platform
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from typing import Annotated

import typer

import ebmkit
from ebmkit.cli.complete import kinds, names
from ebmkit.cli.console import errors, out, result, tabled, warn_of_plugins
from ebmkit.registry.component import KINDS, Component
from ebmkit.registry.lookup import get_registry


def list_parts(
    kind: Annotated[
        str | None, typer.Argument(help="Only parts of this kind, like sampler.", autocompletion=kinds)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON list of objects on stdout.")] = False,
) -> None:
    """List the parts that can be picked by name, each with its package."""
    with errors():
        if kind is not None and kind not in KINDS:
            get_registry().find(kind, "")
        shown = KINDS if kind is None else (kind,)
        parts = [component for each in shown for component in get_registry().of_kind(each)]
        if as_json:
            result(json.dumps([described(component) for component in parts]))
        else:
            rows = [(one.kind, one.name, one.summary, str(one.plugin)) for one in parts]
            out().print(tabled(("kind", "name", "what it is", "from"), rows, "kind name from"), soft_wrap=False)
        warn_of_plugins()


def described(component: Component) -> dict[str, str | int]:
    """A component as JSON."""
    return {
        "schema": 2,
        "kind": component.kind,
        "name": component.name,
        "summary": component.summary,
        "package": component.plugin.package,
        "version": component.plugin.version,
        "target": component.where,
    }


def show(
    kind: Annotated[
        str, typer.Argument(help="A kind of part, as `ebmkit list` gives it, or optimizer.", autocompletion=kinds)
    ],
    name: Annotated[str, typer.Argument(help="Its name, as `ebmkit list` gives it.", autocompletion=names)],
) -> None:
    """Show one part: what it computes, its package, and its settings."""
    with errors():
        from ebmkit.config.layers import Value
        from ebmkit.config.optimizers import settings_of
        from ebmkit.config.resolution import shown
        from ebmkit.config.sections import find, settings_of_method
        from ebmkit.registry.owners import section_of

        component = find(kind, name, Value(name, "", ""))
        if kind == "method":
            settings = settings_of_method(component)
        else:
            section = section_of(component)
            settings = {f"{section}.{one.name}": one for one in settings_of(component).settings.values()}
        target = component.load()
        console = out()
        head = f"{component.kind} {component.name} · {component.plugin} · {component.where}"
        console.print(head, style="bold", markup=False)
        doc = (getattr(target, "func", target).__doc__ or "").partition("Args:")[0].rstrip()
        if kind != "optimizer" and doc:
            console.print(inspect.cleandoc(doc), markup=False)
        console.print()
        titles = ("setting", "type", "default", "what it does")
        rows = [(path, one.type, shown(one.default), one.help) for path, one in settings.items()]
        console.print(tabled(titles, rows, "setting") if rows else "It has no settings.", soft_wrap=False)


def version() -> None:
    """Print the version, and those of Python and torch."""
    try:
        torch = installed("torch")
    except PackageNotFoundError:
        torch = "not installed"
    with errors():
        out().print(f"ebmkit {ebmkit.__version__} (Python {platform.python_version()}, torch {torch})")
