"""How a plug-in is imported: what it prints goes to stderr, and one that takes long is named."""

import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout

from ebmkit.errors import Notice
from ebmkit.registry.component import Plugin

PATIENCE = 10.0  # seconds of an import after which the user is warned


@contextmanager
def named_if_slow(plugin: Plugin) -> Iterator[None]:
    """The block imports a plug-in. After PATIENCE seconds a warning says which, and how to leave it out.

    Code of a third party cannot be interrupted safely from outside, so it is left running: the user decides.
    """
    timer = threading.Timer(PATIENCE, warn, (plugin,))
    timer.daemon = True
    timer.start()
    try:
        with redirect_stdout(sys.stderr):  # stdout is for results
            yield
    finally:
        timer.cancel()


def warn(plugin: Plugin) -> None:
    """Say that the import of a plug-in takes long."""
    warnings.warn(
        f"the plug-in {plugin.package} ({plugin.entry}) has been importing for {PATIENCE:g} s; to do without it, press "
        "Ctrl-C and set EBMKIT_PLUGINS to none, or to the packages to load, with commas",
        Notice,
        stacklevel=2,
    )
