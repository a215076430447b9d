"""What a command prints that several processes run together: once, by the first of them."""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING

import typer

from ebmkit.cli.console import DIVERGED, FAILURE, INTERRUPTED, USAGE
from ebmkit.errors import Diverged, Interrupted, Notice, ProcessFailed, UsageError

if TYPE_CHECKING:
    from ebmkit.processes import Processes

CODES: dict[type[Exception], int] = {
    UsageError: USAGE,
    Diverged: DIVERGED,
    Interrupted: INTERRUPTED,
    ProcessFailed: FAILURE,
    OSError: FAILURE,
}


@contextmanager
def one_process(command: str) -> Iterator[None]:
    """A command that does not divide its work among processes.

    Raises:
        UsageError: if it was started in several.
    """
    from ebmkit.processes import joined

    with printed_once(processes := joined()):
        if processes.size > 1:
            processes.refuse(
                UsageError(f"{command} runs in one process, and {processes.size} were started: run it without torchrun")
            )
        yield


@contextmanager
def printed_once(processes: "Processes") -> Iterator[None]:
    """Leave it to process 0 to print results, notices, and what ends all processes.

    Raises:
        Exit: with the code of the error, in the other processes.
    """
    if processes.first:
        yield
        return
    with warnings.catch_warnings(), open(os.devnull, "w", encoding="utf-8") as nowhere, redirect_stdout(nowhere):
        warnings.simplefilter("ignore", Notice)
        try:
            yield
        except tuple(CODES) as error:
            if error is not processes.agreed and not isinstance(error, Diverged | Interrupted):
                raise
            raise typer.Exit(next(code for kind, code in CODES.items() if isinstance(error, kind))) from None
