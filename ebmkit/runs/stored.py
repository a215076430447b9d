"""Whether a file of torch is as large as what it says that it holds."""

import zipfile
from pathlib import Path


def check_stored(path: Path) -> None:
    """Refuse a file whose records claim more bytes than it has: torch compresses none, but unpacks what is.

    Raises:
        ValueError: in this case.
    """
    if not zipfile.is_zipfile(path):  # the format of torch before 1.6
        return
    with zipfile.ZipFile(path) as file:
        claimed = sum(record.file_size for record in file.infolist())
    if claimed > path.stat().st_size:
        raise ValueError(f"its records claim {claimed:,} bytes, the file has {path.stat().st_size:,}")
