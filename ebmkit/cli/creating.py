"""The command `ebmkit new-plugin`."""

from pathlib import Path
from typing import Annotated

import typer

from ebmkit.cli.complete import kinds
from ebmkit.cli.console import errors, result, say
from ebmkit.cli.options import expanded
from ebmkit.registry import scaffold


def new_plugin(
    name: Annotated[str, typer.Argument(help="Name of the package and of its folder, like my-sampler.")],
    kind: Annotated[
        str,
        typer.Option(
            "--kind", help="energy, sampler, init, data, watcher, features, method or network.", autocompletion=kinds
        ),
    ],
    folder: Annotated[Path, typer.Option("--out", help="Folder to make it in.", callback=expanded)] = Path(),
) -> None:
    """Make a plug-in package to start from: one working part, its tests, and a README."""
    with errors():
        paths = scaffold.create(name, kind, folder)
        for path in paths:
            result(str(path))
        say("next:")
        for command in scaffold.commands(paths[0], kind):
            say(f"  {command}")
