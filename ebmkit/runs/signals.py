"""SIGINT, SIGTERM and SIGHUP as a request to stop after the current update."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

AT_ONCE = (signal.SIGINT, signal.SIGTERM)  # those that stop at once if they arrive a second time


@contextmanager
def stop_signals(announce: Callable[[str], None]) -> Iterator[threading.Event]:
    """An event that SIGINT (Ctrl-C), SIGTERM and SIGHUP (a closed terminal) set.

    A second signal raises KeyboardInterrupt, except for SIGHUP, which a closing terminal may send twice. A SIGHUP that
    is ignored, as after `nohup`, stays ignored. Python handles signals in the main thread only: in another thread the
    event is never set.
    """
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def ask(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            if number in AT_ONCE:
                raise KeyboardInterrupt
            return
        stop.set()
        with suppress(OSError, RuntimeError):  # the terminal is closed, or was being written to
            announce("stopping after this update; a second signal stops at once")

    kinds = list(AT_ONCE)
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # Windows has none
        kinds.append(signal.SIGHUP)
    before = {kind: signal.signal(kind, ask) for kind in kinds}
    try:
        yield stop
    finally:
        for kind, handler in before.items():
            with suppress(ValueError, TypeError):  # closed in another thread, or a handler that is not Python's
                signal.signal(kind, handler)
