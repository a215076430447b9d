"""How a process finds the others that it was started with, as by `torchrun`."""

import atexit
import os
import socket
from contextlib import suppress
from datetime import timedelta
from functools import cache

from torch import distributed as dist

from ebmkit.processes.group import BACKEND, TIMEOUT, Processes, reaching


def joined() -> Processes:
    """The processes that this one was started with, as by `torchrun`, or those of a group that its program made.

    Raises:
        UsageError: if the others cannot be reached.
    """
    return _joined() if started_together() else Processes()


def started_together() -> bool:
    """Whether this process is one of several."""
    return known_size() > 1 or (known_size() == 0 and int(os.environ.get("WORLD_SIZE") or 1) > 1)


def known_size() -> int:
    """How many processes the group of this program has; 0 without a group."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 0


@cache
def _joined() -> Processes:
    with reaching():
        if not dist.is_initialized():
            from torch.distributed.rendezvous import rendezvous  # not in every build of torch

            limit = timedelta(seconds=TIMEOUT)
            store, rank, size = next(rendezvous("env://", timeout=limit))
            # torchrun may keep its store when it restarts the processes: what those before wrote there is out of date.
            store = dist.PrefixStore(f"restart-{restarts()}", store)  # type: ignore[attr-defined]
            dist.init_process_group(BACKEND, store=store, rank=rank, world_size=size, timeout=limit)
            atexit.register(_leave)
        group = dist.new_group(backend=BACKEND, timeout=timedelta(seconds=TIMEOUT))
    rank = dist.get_rank()
    return Processes(rank, dist.get_world_size(), int(os.environ.get("LOCAL_RANK", rank)), group=group)


def _leave() -> None:
    """Leave the group at the end of the program.

    Its threads end with the last reference to it. If that is kept until Python itself ends, they may find no Python to
    return to, and abort the process after all its work is done.
    """
    with suppress(Exception):  # another process may be gone
        _joined().group = None
        _joined.cache_clear()
        dist.destroy_process_group()


def restarts() -> int:
    """How often `torchrun` has restarted these processes."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT") or 0)


def job() -> str | None:
    """What distinguishes the job of `torchrun` from others, the same in all of its restarts; None without `torchrun`.

    That is its `--rdzv-id`, or, where it has none, its process on this machine.
    """
    named = os.environ.get("TORCHELASTIC_RUN_ID")
    return f"{socket.gethostname()}:{os.getppid()}" if named == "none" else named
