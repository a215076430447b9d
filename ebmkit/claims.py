"""Claims: which process is at work in a folder, as on a run or on a cell of a study.

A claim is a file that names host and process, locked for as long as the process lives. On the host of the claim the
system releases the lock when the process dies, however it dies; the next one then takes the claim over. Whether a
process of another host is alive cannot be seen, so its claim is respected until it is removed.

On a disk without hard links, another host that looks in the moment between the making of the file and its first write
sees a claim without a name.
"""

import errno
import json
import os
import platform
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ebmkit.errors import UsageError, one_line
from ebmkit.files import json_of, writing

NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK)  # what a disk without hard links answers
NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL)  # what a disk without file locks answers
NO_LINK = getattr(os, "O_NOFOLLOW", 0)  # a folder that somebody sent may have a link to any file in place of a claim
WIDTH = 400  # bytes: a claim is replaced by one write of the same length, so nobody reads half of it


class NoLocks(UsageError):
    """Files cannot be locked on this disk, or on this system."""


@contextmanager
def claim(path: Path) -> Iterator[str]:
    """Claim something for as long as the block lasts.

    Args:
        path: The file of the claim; its folder exists.

    Yields:
        Who has it: empty if this process has it now.

    Raises:
        NoLocks: where files cannot be locked; nothing is left of the claim.
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
        handle = os.open(path, os.O_RDWR | NO_LINK)
    except FileNotFoundError:  # released at this moment
        return None, "another process"
    except OSError as error:
        if not path.is_symlink():
            raise
        raise UsageError(f"the claim {path} is a link, which is not written through; remove it") from error
    try:
        with writing(path):
            owner = owner_in_the_way(handle, path)
            if not owner:
                os.pwrite(handle, own_text(), 0)
                return handle, ""
    except BaseException as error:
        own = owner_of(handle) == own_name()
        os.close(handle)
        if isinstance(error, NoLocks) and own:
            path.unlink(missing_ok=True)  # nothing would show later that its process has died
        raise
    os.close(handle)
    return None, owner


def holder(path: Path) -> str:
    """Who has a claim, without making one; empty if nobody has it, or if that cannot be seen."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        return ""
    try:
        return owner_in_the_way(handle, path)
    except (NoLocks, OSError):
        return ""
    finally:
        os.close(handle)


def owner_in_the_way(handle: int, path: Path) -> str:
    """Who has the claim of an open file; if nobody has it, empty, and the file is locked for this process."""
    if not lock(handle) or not same_file(handle, path):
        return owner_of(handle) or "another process"
    if host_of(handle) not in ("", platform.node()):
        return f"{owner_of(handle)}; if that process is dead, remove {path}"
    return ""


def offer(path: Path) -> None:
    """Make the file of a claim, with this process as its owner, if there is none; no reader sees it half written."""
    with (
        writing(path),
        tempfile.TemporaryDirectory(dir=path.parent, prefix=".new-", ignore_cleanup_errors=True) as beside,
    ):
        new = Path(beside) / "claim"
        new.write_bytes(own_text())
        with suppress(FileExistsError):
            try:
                os.link(new, path)
            except OSError as error:
                if error.errno not in NO_LINKS:
                    raise
                with path.open("xb") as file:
                    file.write(own_text())


def lock(handle: int) -> bool:
    """Lock an open file for this process; false if another process has locked it.

    Raises:
        NoLocks: where files cannot be locked.
    """
    if sys.platform == "win32":
        raise NoLocks("file locks exist on Linux and macOS only; on Windows use WSL")
    import fcntl

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        raise NoLocks(f"the disk has no file locks ({one_line(error)}); use another disk") from None
    return True


def same_file(handle: int, path: Path) -> bool:
    """Whether an open file is still the one at this path."""
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    here = os.fstat(handle)
    return (here.st_ino, here.st_dev) == (there.st_ino, there.st_dev)


def own_name() -> str:
    """Host and process of a claim of this process."""
    return f"process {os.getpid()} on {platform.node()}"


def own_text() -> bytes:
    """The text of a claim of this process."""
    return json.dumps({"host": platform.node(), "pid": os.getpid()}).ljust(WIDTH).encode()


def read(handle: int) -> dict[str, object]:
    """What the file of a claim says; empty if it cannot be read."""
    try:
        os.lseek(handle, 0, os.SEEK_SET)
        found = json_of(os.read(handle, WIDTH))
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
