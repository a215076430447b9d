"""Claims: which process is at work on a cell, so that several processes and machines can share a study.

A claim is a file that names host and process, locked for as long as the process lives. On the host of the claim the
system releases the lock when the process dies, however it dies; the next one then takes the claim over. Whether a
process of another host is alive cannot be seen, so its claim is respected until it is removed.
"""

import errno
import json
import os
import platform
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ebmkit.errors import UsageError, one_line
from ebmkit.files import json_of, writing

NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK)  # what a disk without hard links answers
WIDTH = 400  # bytes: a claim is replaced by one write of the same length, so nobody reads half of it


@contextmanager
def claim(path: Path) -> Iterator[str]:
    """Claim something for as long as the block lasts.

    Args:
        path: The file of the claim; its folder exists.

    Yields:
        Who has it: empty if this process has it now.

    Raises:
        UsageError: where files cannot be locked.
        Unwritten: if the file cannot be made, as on a full disk.
    """
    handle, owner = acquire(path)
    try:
        yield owner
    finally:
        if handle is not None:
            if same_file(handle, path):
                path.unlink()
            os.close(handle)


def acquire(path: Path) -> tuple[int | None, str]:
    """The open and locked file of a claim, or None and who has it."""
    offer(path)
    try:
        handle = os.open(path, os.O_RDWR)
    except FileNotFoundError:  # released at this moment
        return None, "another process"
    try:
        if not lock(handle) or not same_file(handle, path):
            owner = owner_of(handle) or "another process"
        elif host_of(handle) not in ("", platform.node()):
            owner = f"{owner_of(handle)}; if that process is dead, remove {path}"
        else:
            os.pwrite(handle, own_text(), 0)
            return handle, ""
    except BaseException:
        os.close(handle)
        raise
    os.close(handle)
    return None, owner


def offer(path: Path) -> None:
    """Make the file of a claim, with this process as its owner, if there is none; no reader sees it half written."""
    with (
        writing(path),
        tempfile.TemporaryDirectory(dir=path.parent, prefix=".new-", ignore_cleanup_errors=True) as beside,
    ):
        new = Path(beside) / "claim"
        new.write_bytes(own_text())
        try:
            os.link(new, path)
        except FileExistsError:
            pass
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
            raise UsageError(
                f"cannot claim cells in {path.parent} ({one_line(error)}); put the study on a disk with hard links"
            ) from None


def lock(handle: int) -> bool:
    """Lock an open file for this process; false if another process has locked it.

    Raises:
        UsageError: where files cannot be locked.
    """
    if sys.platform == "win32":
        raise UsageError("a study needs the file locks of Linux or macOS; on Windows run it in WSL")
    import fcntl

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise UsageError(f"cannot lock a claim ({one_line(error)}); put the study on a disk with file locks") from None
    return True


def same_file(handle: int, path: Path) -> bool:
    """Whether an open file is still the one at this path."""
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    here = os.fstat(handle)
    return (here.st_ino, here.st_dev) == (there.st_ino, there.st_dev)


def own_text() -> bytes:
    """The text of a claim of this process."""
    return json.dumps({"host": platform.node(), "pid": os.getpid()}).ljust(WIDTH).encode()


def read(handle: int) -> dict[str, object]:
    """What the file of a claim says; empty if it cannot be read."""
    try:
        found = json_of(os.pread(handle, WIDTH, 0))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def host_of(handle: int) -> str:
    """The host of a claim."""
    return str(read(handle).get("host", ""))


def owner_of(handle: int) -> str:
    """Host and process of a claim."""
    found = read(handle)
    return f"process {found.get('pid')} on {found.get('host')}" if found else ""
