"""The two consoles, and how an error ends a command."""

import sys
import threading
import warnings
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import typer
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from ebmkit.cli.letters import escaped
from ebmkit.cli.streams import encodable, silence_stdout
from ebmkit.errors import (
    Diverged,
    Interrupted,
    Notice,
    ProcessFailed,
    ProcessLost,
    UsageError,
    kind_and_message,
    lacks_memory,
    one_line,
    visible,
)
from ebmkit.registry.lookup import get_registry

FAILURE, USAGE, DIVERGED, INTERRUPTED = 1, 2, 3, 130
LONGEST = 300  # letters of a warning of another library


class SafeConsole(Console):
    """A console that shows the control characters of a text as escapes; colours and bars are not text."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """The pieces of what is printed."""
        for piece in super().render(renderable, options):
            yield piece if piece.control else piece._replace(text=visible(piece.text))


def out() -> Console:
    """stdout: results only. Without emoji, since `file.toml:100:` would become one."""
    return SafeConsole(soft_wrap=True, highlight=False, emoji=False)


def err() -> Console:
    """stderr: everything that is not a result."""
    return SafeConsole(stderr=True, soft_wrap=True, highlight=False, emoji=False)


def say(text: str, style: str | None = None) -> None:
    """Print a line on stderr, literally: nothing in it is read as markup."""
    err().print(text, style=style, markup=False)


def result(text: str) -> None:
    r"""Print a result on stdout: letters that stdout cannot encode are escapes, like `\u00e9`, the others are exact.

    On a terminal control characters are escapes too.
    """
    if getattr(sys.stdout, "isatty", lambda: False)():  # it may be None, or a stream that can only write
        text = visible(text)
    print(text if encodable(text, sys.stdout) else escaped(text), flush=True)


def tabled(titles: tuple[str, ...], rows: Iterable[tuple[str, ...]], whole: str) -> Table:
    """A table that never wraps the columns named in `whole`, so that names can be searched for and copied."""
    table = Table(box=None, pad_edge=False)
    for title in titles:
        table.add_column(title, no_wrap=title in whole.split(), overflow="fold", min_width=len(title) + 2)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    return table


@contextmanager
def errors() -> Iterator[None]:
    """End the command with its exit code; what a user can mend gets one line on stderr and no traceback."""
    try:
        with notices():
            yield
        if sys.stdout is not None:
            sys.stdout.flush()  # a closed pipe is noticed here, not while the interpreter ends
    except UsageError as error:
        say(f"error: {one_line(error)}", "red")
        raise typer.Exit(USAGE) from None
    except Diverged as error:
        say(f"error: {one_line(error)}", "red")
        raise typer.Exit(DIVERGED) from None
    except Interrupted as error:
        say(one_line(error))
        raise typer.Exit(INTERRUPTED) from None
    except BrokenPipeError:
        silence_stdout()  # its reader has closed it, as `head` does: nothing can be printed
        raise typer.Exit(FAILURE) from None
    except (OSError, ProcessFailed, ProcessLost) as error:  # a full disk, a folder that was removed
        say("; ".join([f"error: {one_line(error)}", *getattr(error, "__notes__", [])]), "red")
        raise typer.Exit(FAILURE) from None
    except Exception as error:
        if not lacks_memory(error):
            raise
        say(f"error: not enough memory: {kind_and_message(error)}; ask for a smaller model, batch or -n", "red")
        raise typer.Exit(FAILURE) from None


class Notices:
    """How many commands print notices, and what restores the warnings of Python after the last of them."""

    lock = threading.Lock()
    users = 0
    stack = ExitStack()


@contextmanager
def notices() -> Iterator[None]:
    """Print every warning as one line, without the place in the code, and every `Notice` whatever Python's filters say.

    Commands in several threads share this, since warnings belong to the process: the last one restores them.
    """
    with Notices.lock:
        Notices.users += 1
        if Notices.users == 1:
            Notices.stack.enter_context(warnings.catch_warnings())
            warnings.simplefilter("always", Notice)
            warnings.showwarning = show
    try:
        yield
    finally:
        with Notices.lock:
            Notices.users -= 1
            if not Notices.users:
                Notices.stack.close()


def show(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
    """Show a warning as a line on stderr; one that is no `Notice`, as libraries give them, with its type."""
    text = str(message) if issubclass(category, Notice) else f"{category.__name__}: {str(message)[:LONGEST]}"
    say(f"warning: {' '.join(text.splitlines())}", "yellow")


def warn_of_plugins() -> None:
    """Print one line about the plug-ins that did not load, if there are any."""
    broken = get_registry().broken
    if broken:
        first = f"{broken[0].package} {broken[0].version}: {broken[0].error}"
        word = "plug-in" if len(broken) == 1 else "plug-ins"
        say(f"{len(broken)} {word} did not load ({first}); see: ebmkit plugins", "yellow")
