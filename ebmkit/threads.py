"""How the threads of a run get along with other programs on the same cores. Nothing here loads torch."""

import os
import statistics
import time
from pathlib import Path

# How many times a thread checks whether the others are done before it sleeps: a tenth of a millisecond. That is enough
# while the cores are free, and if another program needs one of them, the thread soon yields it.
SPINS = "3000"
# A user who sets one of these has decided how threads wait.
WAITING = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "KMP_BLOCKTIME")
LOOKS, PAUSE = 5, 0.01  # readings of the load, and seconds between them


def give_way() -> None:
    """Have threads that wait for each other sleep soon, unless the environment says how they wait.

    OpenMP reads the variable when it is loaded, so this has no effect after the import of torch. GNU's OpenMP spins
    300,000 times by default: if another program occupies a core, a thread then spends its time waiting for one that is
    not running. The OpenMP of Intel and LLVM read other variables, and were not measured.
    """
    if not any(name in os.environ for name in WAITING):
        os.environ["GOMP_SPINCOUNT"] = SPINS


def busy(threads: int) -> str:
    """A line that warns if other programs leave fewer cores than a run has threads; empty otherwise.

    It describes the present load. The number of threads is not changed by it, for the run could then not be repeated.
    """
    cores, others = os.cpu_count() or 1, running()
    if threads <= max(1, cores - others):
        return ""
    return f"others keep {min(others, cores)} of {cores} cores busy: {threads} threads will wait for each other"


def running() -> int:
    """How many other threads need a core: the median of a few readings on Linux, elsewhere the load average."""
    place = Path("/proc/loadavg")
    if place.exists():
        return max(0, round(statistics.median(look(place) for _ in range(LOOKS))) - 1)
    # A mean over one minute, most of which this process was not running in.
    return round(os.getloadavg()[0]) if hasattr(os, "getloadavg") else 0


def look(place: Path) -> int:
    """How many threads need a core now, including this one."""
    time.sleep(PAUSE)
    return int(place.read_text().split()[3].split("/")[0])
