"""Presets on the command line: listed, shown, and copied."""

import json
import shlex
from pathlib import Path
from typing import Annotated

import typer

from ebmkit.cli.complete import preset_names
from ebmkit.cli.console import errors, out, result, say, tabled
from ebmkit.cli.options import expanded
from ebmkit.errors import UsageError
from ebmkit.files import write_text
from ebmkit.registry.lookup import get_registry

LISTED, SHOWN = "presets", "preset"  # after `ebmkit list`, and after `ebmkit show` and `ebmkit copy`


def print_presets(as_json: bool) -> None:
    """Print the name, the first line and the package of every preset."""
    from ebmkit.config.layers import presets
    from ebmkit.config.preset_notes import summary_of

    found = [(name, summary_of(one), one.plugin) for name, one in presets().items()]
    if as_json:
        rows = [
            {"schema": 2, "preset": name, "summary": summary, "package": plugin.package, "version": plugin.version}
            for name, summary, plugin in found
        ]
        result(json.dumps(rows))
    else:
        lines = [(name, summary, str(plugin)) for name, summary, plugin in found]
        out().print(tabled(("preset", "what it is", "from"), lines, "preset from"), soft_wrap=False)


def print_preset(name: str) -> None:
    """Print what a preset says of itself, then its settings: value, where it is from, what it does."""
    from ebmkit.config.layers import preset
    from ebmkit.config.preset_notes import comments_of, head_of
    from ebmkit.config.resolution import asked_by, chosen, resolve
    from ebmkit.config.sections import METHOD, find, roles_of
    from ebmkit.config.tables import toml

    one, layer = get_registry().preset(name), preset(name)
    text = one.text()
    resolve([layer], "preset")  # refuses what no part has
    asked, comments = asked_by([layer]), comments_of(text)
    method = chosen([layer], "method", METHOD)
    roles = roles_of(find("method", method.value, method))
    rows = []
    for section, values in layer.sections.items():
        for key, value in values.items():
            path = f"{section}.{key}"
            does = find(roles[section].kind, value.value, value).summary if key == "use" else asked[path].help
            rows.append((path, toml(value.value), comments[path], does))
    console = out()
    console.print(f"preset {name} · {one.plugin}", style="bold", markup=False)
    console.print(head_of(text), markup=False)
    console.print()
    console.print(tabled(("setting", "value", "where from", "what it does"), rows, "setting"), soft_wrap=False)


def copy(
    kind: Annotated[str, typer.Argument(metavar="preset", help="The word `preset`.")],
    name: Annotated[
        str, typer.Argument(help="Its name, as `ebmkit list presets` gives it.", autocompletion=preset_names)
    ],
    file: Annotated[Path, typer.Argument(help="A new file.", callback=expanded)],
) -> None:
    """Copy a preset to a file, to be changed and given to --config. A file that exists is left as it is."""
    with errors():
        if kind != SHOWN:
            raise UsageError(f"only presets are copied, not '{kind}': ebmkit copy preset NAME FILE")
        text = get_registry().preset(name).text()
        if file.exists():
            raise UsageError(f"{file} exists; name a new file, or remove it first")
        write_text(file, text)
        result(str(file))
        say(f"to use it: ebmkit train --config {shlex.quote(str(file))}")
