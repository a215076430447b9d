"""The options that commands share."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from ebmkit.cli.complete import names_of
from ebmkit.errors import UsageError, nearest

CHOICES = {
    "weights": ("auto", "average", "last"),
    "method": ("descent", "adam"),
    "gradient": ("auto", "translation", "full"),
    "fit": ("none", "pad", "resize"),
}


def choice(name: str, what: str) -> Any:
    """An option whose value is one of CHOICES, which the shell completes."""

    def complete(incomplete: str) -> list[str]:
        return [word for word in CHOICES[name] if word.startswith(incomplete)]

    return typer.Option(f"--{name}", help=f"{what}: {', '.join(CHOICES[name])}.", autocompletion=complete)


def refuse_unknown(**given: str) -> None:
    """Refuse a value that is not one of the choices of its option.

    Raises:
        UsageError: naming the option, its choices and the nearest one.
    """
    for name, word in given.items():
        words = CHOICES[name]
        if word not in words:
            raise UsageError(f"--{name} must be {' or '.join(words)}, not '{word}'.{nearest(word, words)}")


def as_options(message: str) -> str:
    """A message of the library with its settings of image files written as options: `--fit pad` for `fit=pad`."""
    return re.sub(r"\bfit=(\w+)", r"--fit \1", message)


@contextmanager
def options_named() -> Iterator[None]:
    """Write the messages of errors of the block as `as_options` does."""
    try:
        yield
    except UsageError as error:
        raise UsageError(as_options(str(error))) from error


def expanded(value: Any) -> Any:
    """A path, or a list of paths, with `~` as the home folder: shells leave it as it is in `--out=~/runs/a`."""
    if isinstance(value, list | tuple):
        return [expanded(one) for one in value]
    try:
        return value.expanduser() if isinstance(value, Path) else value
    except RuntimeError:  # there is no such user: it is the name of a file
        return value


Place = Annotated[
    Path, typer.Argument(metavar="RUN", help="The folder of a run, or a file of `ebmkit export`.", callback=expanded)
]
Folder = Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run.", callback=expanded)]
Number = Annotated[int | None, typer.Option("-n", metavar="INTEGER", help="How many; see above.", show_default=False)]
Seed = Annotated[int, typer.Option(help="Seed of everything that is drawn.")]
Weights = Annotated[str, choice("weights", "The moving average of the weights if there is one, or the last ones")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")]
Out = Annotated[
    Path | None,
    typer.Option(help="File to write; else one in RUN/generated.", show_default=False, callback=expanded),
]
Show = Annotated[bool, typer.Option("--show", help="Show the picture in the terminal too.")]
Force = Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")]
Data = Annotated[
    str | None,
    typer.Option(help="Data set, by name, if not the run's.", autocompletion=names_of("data"), show_default=False),
]
DataSettings = Annotated[
    list[str] | None,
    typer.Option("--set", "-s", help="Setting of the data, as data.path=PATH, or of drawing, as method.KEY=VALUE."),
]
