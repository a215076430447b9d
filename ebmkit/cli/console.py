"""What the commands share: two consoles, and how an error ends a command."""

import os
import sys
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ebmkit.errors import Diverged, Interrupted, Notice, UsageError
from ebmkit.registry.lookup import get_registry

FAILURE, USAGE, DIVERGED, INTERRUPTED = 1, 2, 3, 130


def out() -> Console:
    """stdout: results only. Without emoji, `file.toml:100:` stays what it is."""
    return Console(soft_wrap=True, highlight=False, emoji=False)


def err() -> Console:
    """stderr: everything for people."""
    return Console(stderr=True, soft_wrap=True, highlight=False, emoji=False)


def say(text: str, style: str | None = None) -> None:
    """A line for people, on stderr; whatever stands in it is printed as it is."""
    err().print(text, style=style, markup=False)


def tabled(titles: tuple[str, ...], rows: Iterable[tuple[str, ...]], whole: str) -> Table:
    """A table that never breaks what stands in the columns `whole`, so that names can be searched for and copied."""
    table = Table(box=None, pad_edge=False)
    for title in titles:
        table.add_column(title, no_wrap=title in whole.split(), overflow="fold", min_width=len(title) + 2)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    return table


@contextmanager
def errors() -> Iterator[None]:
    """End the command by its exit code: one line on stderr for what a user can mend, never a traceback."""
    try:
        with notices():
            yield
        sys.stdout.flush()  # a reader that has gone is noticed here, not while the interpreter ends
    except UsageError as error:
        say(f"error: {' '.join(str(error).split())}", "red")
        raise typer.Exit(USAGE) from None
    except Diverged as error:
        say(f"error: {error}", "red")
        raise typer.Exit(DIVERGED) from None
    except Interrupted as error:
        say(str(error))
        raise typer.Exit(INTERRUPTED) from None
    except BrokenPipeError:
        # Whoever read our output has gone; there is nobody left to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(FAILURE) from None
    except OSError as error:  # a full disk, a folder that vanished
        say(f"error: {error}", "red")
        raise typer.Exit(FAILURE) from None


@contextmanager
def notices() -> Iterator[None]:
    """Print a `Notice` as one line, without the place in the code that says it."""
    with warnings.catch_warnings():
        usual = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
            if issubclass(category, Notice):
                say(f"warning: {message}", "yellow")
            else:
                usual(message, category, *place, **more)

        warnings.showwarning = show
        yield


def warn_of_plugins() -> None:
    """One line about the plug-ins that did not load."""
    broken = get_registry().broken
    if broken:
        first = f"{broken[0].package} {broken[0].version}: {broken[0].error}"
        word = "plug-in" if len(broken) == 1 else "plug-ins"
        say(f"{len(broken)} {word} did not load ({first}); see: ebmkit plugins", "yellow")
