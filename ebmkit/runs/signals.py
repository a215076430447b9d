"""SIGINT and SIGTERM as a request to stop after the current update."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType


@contextmanager
def stop_signals(announce: Callable[[str], None]) -> Iterator[threading.Event]:
    """An event that SIGINT (Ctrl-C) and SIGTERM set; a second signal raises KeyboardInterrupt.

    Python handles signals in the main thread only: in another thread the event is never set.
    """
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def ask(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        announce("stopping after this update; a second signal stops at once")

    kinds = (signal.SIGINT, signal.SIGTERM)
    before = {kind: signal.signal(kind, ask) for kind in kinds}
    try:
        yield stop
    finally:
        for kind, handler in before.items():
            with suppress(ValueError, TypeError):  # closed in another thread, or a handler that is not Python's
                signal.signal(kind, handler)
