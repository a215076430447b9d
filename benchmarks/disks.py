"""A small disk for the runs in which faults are planted, and how it becomes full."""

import os
import resource
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from killing import Process

MEBIBYTES = 16  # of the small disk


@contextmanager
def small_disk() -> Iterator[tuple[Path, bool]]:
    """A folder, and whether it is a disk of its own, which takes the rights to mount one."""
    with tempfile.TemporaryDirectory(prefix="ebmkit-faults-") as folder:
        place = Path(folder) / "disk"
        place.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={MEBIBYTES}m", "ebmkit-faults", str(place)]
        mounted = os.geteuid() == 0 and subprocess.run(mount, stderr=subprocess.DEVNULL, check=False).returncode == 0
        try:
            yield place, mounted
        finally:
            if mounted:
                subprocess.run(["umount", str(place)], check=True)


@contextmanager
def filled(process: Process, mounted: bool) -> Iterator[None]:
    """A disk without room; where none of its own could be mounted, a limit on the files that the process writes."""
    if not mounted:
        resource.prlimit(process.pid(), resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
        yield
        return
    filler = process.place / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    yield
    filler.unlink()
