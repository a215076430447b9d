"""How the threads of a run get along with other programs on the same cores. Nothing here loads torch."""

import os
import statistics
import time
from pathlib import Path

# So often a thread looks whether the others are done before it sleeps. It is a tenth of a millisecond: enough where
# the cores are free, and where another program has one of them, the thread gives way to it soon.
SPINS = "3000"
# Whoever sets one of these has decided how threads wait.
WAITING = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "KMP_BLOCKTIME")
LOOKS, PAUSE = 5, 0.01  # looks at the machine, and seconds between them


def give_way() -> None:
    """Have threads that wait for each other sleep soon, unless the environment says how they wait.

    OpenMP reads this when it is loaded, so it is of no use after the import of torch. By default GNU's waits 300,000
    looks long: with another program on one of the cores, a thread then spends its time waiting for one that is not
    running. Intel's and LLVM's read other variables, and were not measured.
    """
    if not any(name in os.environ for name in WAITING):
        os.environ["GOMP_SPINCOUNT"] = SPINS


def busy(threads: int) -> str:
    """One line where other programs leave fewer cores than a run has threads; else nothing.

    It says what is so now. The threads of a run are not changed by it: the run could then not be repeated.
    """
    cores, others = os.cpu_count() or 1, running()
    if threads <= max(1, cores - others):
        return ""
    return f"others keep {min(others, cores)} of {cores} cores busy: {threads} threads will wait for each other"


def running() -> int:
    """How many threads besides this one want a core: by the median of a few looks on Linux, else by the load."""
    place = Path("/proc/loadavg")
    if place.exists():
        return max(0, round(statistics.median(look(place) for _ in range(LOOKS))) - 1)
    # The mean over a minute, in which this process was none of them.
    return round(os.getloadavg()[0]) if hasattr(os, "getloadavg") else 0


def look(place: Path) -> int:
    """How many threads want a core now, this one included."""
    time.sleep(PAUSE)
    return int(place.read_text().split()[3].split("/")[0])
