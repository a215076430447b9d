"""A process that joins another, and prints what is left of their group when everything else has ended."""

import atexit
import json
import sys
import weakref
from pathlib import Path

TASKS = Path("/proc/self/task")


def threads() -> list[str]:
    """The threads of the system that this process has besides the first; none where the system does not list them."""
    if sys.platform != "linux":
        return []
    names = [(task / "comm").read_text().strip() for task in TASKS.iterdir()]
    return sorted(name for name in names if "gloo" in name or "store" in name)


def report() -> None:
    print(json.dumps({"joined": joined_threads, "left": threads(), "released": group() is None}))


atexit.register(report)  # before ebmkit registers what leaves the group, so that it is called after that

from ebmkit.processes import joined  # noqa: E402

processes = joined()
processes.wait_at_most(60.0)
processes.exchange(None)
group, joined_threads = weakref.ref(processes.group), threads()
