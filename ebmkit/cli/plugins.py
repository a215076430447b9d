"""The command `plugins`: what third parties brought, why one did not load, and whether its parts conform."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from ebmkit.cli.complete import owners
from ebmkit.cli.console import FAILURE, err, errors, out, say
from ebmkit.components import KINDS, Component, Plugin
from ebmkit.errors import UsageError, nearest
from ebmkit.registry import registry

if TYPE_CHECKING:
    from ebmkit.testing import Outcome


def plugins(
    name: Annotated[
        str | None, typer.Argument(help="A package, or a part by its name; all packages.", autocompletion=owners)
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Exit with 1 if a plug-in did not load; with a NAME, test its parts.")
    ] = False,
    settings: Annotated[
        list[str] | None, typer.Option("--set", "-s", help="Setting for --check NAME, as sampler.steps=20.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """List the plug-in packages; with --check NAME, run the test kit on the parts of a package, or on one part."""
    with errors():
        if settings and not (name and check):
            raise UsageError("-s sets what --check NAME tests; write: ebmkit plugins --check NAME -s ...")
        if name and check:
            return conform(parts_of(name), settings or [], as_json)
        found = [plugin for plugin in registry().plugins if name in (None, plugin.package)]
        if name and not found:
            raise UsageError(
                f"no plug-in '{name}'.{nearest(name, packages())} Installed: {', '.join(packages()) or 'none'}."
            )
        show(found, as_json)
        broken = [plugin for plugin in found if plugin.error]
        if check and broken:
            say(f"error: {len(broken)} of {len(found)} plug-ins did not load", "red")
            raise typer.Exit(FAILURE)


def show(found: list[Plugin], as_json: bool) -> None:
    """Print packages, what each brings, and why one did not load."""
    every = [component for kind in KINDS for component in registry().of_kind(kind)]
    brings = {plugin: [f"{one.kind} {one.name}" for one in every if one.plugin == plugin] for plugin in found}
    if as_json:
        print(json.dumps([{**plugin.__dict__, "brings": brings[plugin]} for plugin in found]))
        return
    if not found:
        out().print("No plug-ins are installed. Write one: ebmkit new-plugin NAME --kind sampler (docs/plugins.md).")
    for plugin in found:
        head = f"{plugin.package} {plugin.version} ({plugin.entry})"
        out().print(f"{head}: {', '.join(brings[plugin])}" if not plugin.error else head, markup=False)
        if plugin.error:
            out().print(f"  did not load: {plugin.error}", style="red", markup=False)
            out().print(f"  to remove it: pip uninstall {plugin.package}", markup=False)


def packages() -> list[str]:
    """The packages that have plug-ins, broken or not."""
    return [plugin.package for plugin in registry().plugins]


def parts_of(name: str) -> list[Component]:
    """The parts of a package, or all parts of that name, whatever their kind.

    Raises:
        UsageError: if there are none, or the package did not load.
    """
    every = [component for kind in KINDS for component in registry().of_kind(kind)]
    found = [one for one in every if name in (one.plugin.package, one.name, f"{one.plugin.package}:{one.name}")]
    if found:
        return found
    for plugin in registry().broken:
        if plugin.package == name:
            raise UsageError(f"{plugin.package} {plugin.version} did not load: {plugin.error}")
    known = [*packages(), *(one.name for one in every)]
    raise UsageError(f"no package and no part is called '{name}'.{nearest(name, known)} See: ebmkit list")


def conform(parts: list[Component], pairs: list[str], as_json: bool) -> None:
    """Run the test kit on parts and print what passed, what failed, and what to do; exit with 1 if any failed."""
    given = chosen(parts, pairs)
    found, failed, count = [], 0, 0
    for part in parts:
        with err().status(f"checking {part.kind} {part.name}"):
            outcomes = list(checked(part, given.get(section(part), {})))
        facts = {"kind": part.kind, "name": part.name, "package": part.plugin.package}
        found.append({**facts, "checks": [one.__dict__ for one in outcomes]})
        failed += sum(one.verdict == "failed" for one in outcomes)
        count += len(outcomes)
        if not as_json:
            table(part, outcomes)
    if as_json:
        print(json.dumps(found))
    if failed:
        say(f"error: {failed} of {count} checks failed", "red")
        raise typer.Exit(FAILURE)


def section(part: Component) -> str:
    """The section that a part's settings stand in."""
    return f"watch.{part.name}" if part.kind == "watcher" else part.kind


def chosen(parts: list[Component], pairs: list[str]) -> dict[str, dict[str, Any]]:
    """The settings that were typed, by section, each in its type.

    Raises:
        UsageError: for a setting that none of the parts has, or a value of another type.
    """
    from ebmkit.config import typed
    from ebmkit.settings import signature

    given: dict[str, dict[str, Any]] = {}
    for name, values in typed(pairs).sections.items():
        known = {
            key: one for part in parts if section(part) == name for key, one in signature(part.load()).settings.items()
        }
        for key, value in values.items():
            if key not in known:
                raise UsageError(f"nothing that is checked has a setting {name}.{key}.{nearest(key, known)}")
            given.setdefault(name, {})[key] = known[key].convert(value.value, value.text)
    return given


def checked(part: Component, settings: dict[str, Any]) -> "Iterator[Outcome]":
    """The outcomes of a part's checks; one that cannot even be made has failed."""
    from ebmkit.settings import REQUIRED, signature
    from ebmkit.testing import Outcome, examine, subject

    try:
        needed = [key for key, one in signature(part.load()).settings.items() if one.default is REQUIRED]
        if missing := [f"-s {section(part)}.{key}=..." for key in needed if key not in settings]:
            raise UsageError(f"it has no default for this; add {' '.join(missing)}")
        ready = subject(part.kind, part.load(), None, settings)
        if part.kind in ("sampler", "data"):
            ready.make()
    except (Exception, SystemExit) as error:
        yield Outcome("it_can_be_made", "failed", " ".join(str(error).split()))
    else:
        yield from examine(ready)


def table(part: Component, outcomes: "list[Outcome]") -> None:
    """Print the checks of one part, the failed ones first, with what was seen and what to do."""
    verdicts = ("failed", "passed", "not promised")
    counts = [f"{sum(one.verdict == verdict for one in outcomes)} {verdict}" for verdict in verdicts]
    out().print(f"{part.kind} {part.name} · {part.plugin}: {', '.join(counts)}", style="bold", markup=False)
    rows = Table(box=None, pad_edge=False, show_header=False)
    rows.add_column(no_wrap=True)
    rows.add_column(overflow="fold")
    for one in sorted(outcomes, key=lambda one: verdicts.index(one.verdict)):
        style = {"failed": "red", "passed": "", "not promised": "dim"}[one.verdict]
        rows.add_row(one.verdict, Text(f"{one.check}\n{one.reason}".rstrip()), style=style)
    out().print(rows, soft_wrap=False)
    out().print()
