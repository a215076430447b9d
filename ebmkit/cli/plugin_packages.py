"""The command `plugins`: what third parties brought, why one did not load, and whether its parts conform."""

import json
import sys
import textwrap
from collections.abc import Iterator
from contextlib import redirect_stdout, suppress
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ebmkit.cli.complete import owners
from ebmkit.cli.console import FAILURE, err, errors, out, say
from ebmkit.errors import UsageError, nearest, one_line
from ebmkit.registry.component import BUILT_IN, KINDS, Component, Plugin
from ebmkit.registry.lookup import get_registry

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
            return conform(name, settings or [], as_json)
        found = [plugin for plugin in get_registry().plugins if name in (None, plugin.package)]
        if name and not found:
            if any(name in names_of(part) for part in every_part()):
                raise UsageError(f"'{name}' is no plug-in, but its parts can be tested: ebmkit plugins --check {name}")
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
    every = every_part()
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
    return [plugin.package for plugin in get_registry().plugins]


def every_part() -> list[Component]:
    """All parts, by kind."""
    return [component for kind in KINDS for component in get_registry().of_kind(kind)]


def packages_of(part: Component) -> tuple[str, ...]:
    """What a part's package is called: its distribution, and for the built-in ones `ebmkit` too."""
    return (part.plugin.package, "ebmkit") if part.plugin is BUILT_IN else (part.plugin.package,)


def names_of(part: Component) -> set[str]:
    """All that stands for a part: its name, its package, and `package:name`."""
    return {part.name, *packages_of(part), *(f"{package}:{part.name}" for package in packages_of(part))}


def parts_of(name: str) -> list[Component]:
    """The parts of a package, or all parts of that name, whatever their kind.

    Raises:
        UsageError: if there are none, or the package did not load.
    """
    every = every_part()
    found = [one for one in every if name in names_of(one)]
    if found:
        return found
    for plugin in get_registry().broken:
        if plugin.package == name:
            raise UsageError(f"{plugin.package} {plugin.version} did not load: {plugin.error}")
    known = [*packages(), *(one.name for one in every)]
    raise UsageError(f"no package and no part is called '{name}'.{nearest(name, known)} See: ebmkit list")


def conform(name: str, pairs: list[str], as_json: bool) -> None:
    """Run the test kit on the parts of a name, print what passed, what failed, and what to do; exit 1 if any failed.

    What a part prints goes to stderr: stdout holds results only.
    """
    parts = parts_of(name)
    with redirect_stdout(sys.stderr):
        given = chosen(parts, pairs)
    found, failed, count = [], 0, 0
    for part in parts:
        with err().status(f"checking {part.kind} {part.name}"), redirect_stdout(sys.stderr):
            outcomes = list(checked(part, given.get(section(part), {}), alone=name not in packages_of(part)))
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
    from ebmkit.config.layers import typed
    from ebmkit.config.settings import Setting, signature

    settings: dict[str, dict[str, Setting]] = {}
    for part in parts:
        with suppress(UsageError, TypeError):  # one that does not load, or has no settings, fails its own checks
            settings.setdefault(section(part), {}).update(signature(part.load()).settings)
    given: dict[str, dict[str, Any]] = {}
    for name, values in typed(pairs).sections.items():
        known = settings.get(name, {})
        for key, value in values.items():
            if key not in known:
                raise UsageError(f"nothing that is checked has a setting {name}.{key}.{nearest(key, known)}")
            given.setdefault(name, {})[key] = known[key].convert(value.value, value.text)
    return given


def checked(part: Component, settings: dict[str, Any], *, alone: bool) -> "Iterator[Outcome]":
    """The outcomes of a part's checks; one that cannot even be made has failed.

    Args:
        part: The part.
        settings: Its settings that were typed.
        alone: Whether this part was named: then it is an error that a setting without a default was not given.

    Raises:
        UsageError: if such a setting was not given to a part that was named.
    """
    from ebmkit.testing import Outcome, examine, subject
    from ebmkit.testing.kit import raised

    try:
        missing = [f"-s {section(part)}.{key}=..." for key in needed(part) if key not in settings]
        ready = None if missing else subject(part.kind, part.load(), None, settings)
    except (Exception, SystemExit) as error:
        reason = one_line(error) if isinstance(error, UsageError) else raised(error)
        yield Outcome("it_can_be_made", "failed", reason)
        return
    if ready is not None:
        yield from examine(ready)
        return
    add = f"add {' '.join(missing)}"
    if alone:
        raise UsageError(f"{part.kind} '{part.name}' has settings without a default; {add}")
    yield Outcome("it_can_be_made", "not promised", f"it has settings without a default; {add}")


def needed(part: Component) -> list[str]:
    """The settings that have no default."""
    from ebmkit.config.settings import REQUIRED, signature

    return [key for key, one in signature(part.load()).settings.items() if one.default is REQUIRED]


def table(part: Component, outcomes: "list[Outcome]") -> None:
    """Print the checks of one part, the failed ones first, with what was seen and what to do."""
    verdicts = {"failed": "red", "passed": "", "not promised": "dim"}
    counts = [f"{sum(one.verdict == verdict for one in outcomes)} {verdict}" for verdict in verdicts]
    console = out()
    console.print(f"{part.kind} {part.name} · {part.plugin}: {', '.join(counts)}", style="bold", markup=False)
    wide = max(map(len, verdicts)) + 2
    for one in sorted(outcomes, key=lambda one: list(verdicts).index(one.verdict)):
        reason = textwrap.wrap(one.reason, max(20, console.width - wide))
        lines = [f"{one.verdict:<{wide}}{one.check}", *(" " * wide + line for line in reason)]
        console.print("\n".join(lines), style=verdicts[one.verdict], markup=False)
    console.print()
