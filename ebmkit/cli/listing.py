"""Commands that describe what is installed: list, show, version."""

import inspect
import json
import platform
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from typing import Annotated

import typer

import ebmkit
from ebmkit.cli.complete import listed_kinds, names, shown_kinds
from ebmkit.cli.console import errors, out, result, tabled, warn_of_plugins
from ebmkit.cli.presets import LISTED, SHOWN, print_preset, print_presets
from ebmkit.errors import UsageError, nearest
from ebmkit.registry.component import KINDS, Component
from ebmkit.registry.lookup import get_registry


def list_parts(
    kind: Annotated[
        str | None,
        typer.Argument(help="Only parts of this kind, like sampler; or presets.", autocompletion=listed_kinds),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON list of objects on stdout.")] = False,
) -> None:
    """List the parts that can be picked by name, each with its package; or the presets."""
    with errors():
        if kind == LISTED:
            print_presets(as_json)
            warn_of_plugins()
            return
        if kind is not None:
            refuse_unknown_kind(kind, (*KINDS, LISTED))
        shown = KINDS if kind is None else (kind,)
        parts = [component for each in shown for component in get_registry().of_kind(each)]
        if as_json:
            result(json.dumps([described(component) for component in parts]))
        else:
            rows = [(one.kind, one.name, one.summary, str(one.plugin)) for one in parts]
            out().print(tabled(("kind", "name", "what it is", "from"), rows, "kind name from"), soft_wrap=False)
        warn_of_plugins()


def refuse_unknown_kind(kind: str, known: tuple[str, ...]) -> None:
    """Refuse a word that is not one of the kinds that a command knows.

    Raises:
        UsageError: with the nearest.
    """
    if kind not in known:
        raise UsageError(f"unknown kind '{kind}'.{nearest(kind, known)} Kinds: {', '.join(known)}.")


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
        str,
        typer.Argument(
            help="A kind of part, as `ebmkit list` gives it, or optimizer; or preset.", autocompletion=shown_kinds
        ),
    ],
    name: Annotated[str, typer.Argument(help="Its name, as `ebmkit list` gives it.", autocompletion=names)],
) -> None:
    """Show one part: what it computes, its package, and its settings. Or a preset: what it sets, and from where."""
    with errors():
        if kind == SHOWN:
            print_preset(name)
            return
        refuse_unknown_kind(kind, (*KINDS, "optimizer", SHOWN))
        from ebmkit.config.filling import shown
        from ebmkit.config.layers import Value
        from ebmkit.config.optimizers import settings_of
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
