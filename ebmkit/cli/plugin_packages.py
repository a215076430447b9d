"""The command `ebmkit plugins`: which packages there are, why one did not load, and whether their parts conform."""

import json
import sys
import textwrap
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Annotated

import typer

from ebmkit.cli.complete import owners
from ebmkit.cli.console import FAILURE, err, errors, out, result, say
from ebmkit.errors import UsageError
from ebmkit.registry.component import Plugin
from ebmkit.registry.owners import every_part, packages_of, parts_of, plugins_of, section_of
from ebmkit.registry.presets import Part

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
    as_json: Annotated[bool, typer.Option("--json", help="A JSON list of objects on stdout.")] = False,
) -> None:
    """List the plug-in packages; with --check NAME, run the test kit on the parts of a package, or on one part."""
    with errors():
        if settings and not (name and check):
            raise UsageError("-s is for the parts that --check NAME tests; write: ebmkit plugins --check NAME -s ...")
        if name and check:
            return conform(name, settings or [], as_json)
        found = plugins_of(name)
        show(found, as_json)
        broken = [plugin for plugin in found if plugin.error]
        if check and broken:
            say(f"error: {len(broken)} of {len(found)} plug-ins did not load", "red")
            raise typer.Exit(FAILURE)


def show(found: list[Plugin], as_json: bool) -> None:
    """Print packages, the parts of each, and why one did not load."""
    every = every_part()
    brings = {plugin: [f"{one.kind} {one.name}" for one in every if one.plugin == plugin] for plugin in found}
    if as_json:
        result(json.dumps([{"schema": 2, **plugin.__dict__, "brings": brings[plugin]} for plugin in found]))
        return
    if not found:
        out().print("No plug-ins are installed. Write one: ebmkit new-plugin NAME --kind sampler (docs/plugins.md).")
    for plugin in found:
        head = f"{plugin.package} {plugin.version} ({plugin.entry})"
        out().print(f"{head}: {', '.join(brings[plugin])}" if not plugin.error else head, markup=False)
        if plugin.error:
            out().print(f"  did not load: {plugin.error}", style="red", markup=False)
            out().print(f"  to remove it: pip uninstall {plugin.package}", markup=False)


def conform(name: str, pairs: list[str], as_json: bool) -> None:
    """Run the test kit on the parts of a name, and print what passed, what failed, and what to do.

    What a part prints goes to stderr: stdout carries results only.

    Raises:
        Exit: with code 1 if a check failed.
    """
    from ebmkit.config.layers import typed
    from ebmkit.testing.packages import chosen_settings, outcomes_of

    parts = parts_of(name)
    with redirect_stdout(sys.stderr):
        given = chosen_settings(parts, typed(pairs))
    found, failed, count = [], 0, 0
    for part in parts:
        with err().status(f"checking {part.kind} {part.name}"), redirect_stdout(sys.stderr):
            outcomes = list(outcomes_of(part, given.get(section_of(part), {}), named=name not in packages_of(part)))
        facts = {"schema": 2, "kind": part.kind, "name": part.name, "package": part.plugin.package}
        found.append({**facts, "checks": [one.__dict__ for one in outcomes]})
        failed += sum(one.verdict == "failed" for one in outcomes)
        count += len(outcomes)
        if not as_json:
            table(part, outcomes)
    if as_json:
        result(json.dumps(found))
    if failed:
        say(f"error: {failed} of {count} checks failed", "red")
        raise typer.Exit(FAILURE)


def table(part: Part, outcomes: "list[Outcome]") -> None:
    """Print the checks of one part, failed ones first, with what was seen and what to do."""
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
