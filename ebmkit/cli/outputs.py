"""Where the result of a command goes, and how it is written and shown."""

import zipfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ebmkit.cli.console import err, say
from ebmkit.cli.preview import half_blocks
from ebmkit.errors import UsageError
from ebmkit.files import json_line, replacing
from ebmkit.pictures import drawn_count, grid

SHOWN = 64  # how many samples are in a preview where the file is no picture


def generated(model: Path, name: str) -> Path:
    """Where a result of this name goes if the user does not say: beside a model file, or in the folder of a run."""
    folder = model.with_name(f"{model.stem}-generated") if model.is_file() else model / "generated"
    return folder / name


def destination(out: Path | None, usual: Path, force: bool, suffixes: tuple[str, ...]) -> Path:
    """Where a result goes: `out`, or the usual file.

    Raises:
        UsageError: if its kind cannot be written, its folder is missing, or it exists and `force` is not given.
    """
    path = usual if out is None else out
    if path.suffix not in suffixes:
        raise UsageError(f"cannot write {path}: its name must end in {' or '.join(suffixes)}")
    if out is not None and not path.parent.is_dir():
        raise UsageError(f"cannot write {path}: there is no folder {path.parent}; make it: mkdir -p {path.parent}")
    if path.is_dir():
        raise UsageError(f"cannot write {path}: it is a folder; choose another name")
    if path.exists() and not force:
        raise UsageError(f"{path} exists; replace it by --force, or choose another name")
    return path


def store(chunks: Iterable[Tensor], shape: tuple[int, ...], path: Path) -> Tensor:
    """Write samples as they come to a .npy, .npz or .png file, through a file mapped into memory.

    Args:
        chunks: The samples, in order.
        shape: Of all of them, `(n, *shape)`.
        path: The file.

    Returns:
        As many of the first as a preview shows.
    """
    with replacing(path) as new:
        held = new.with_suffix(".npy")
        try:
            rows = np.lib.format.open_memmap(held, mode="w+", dtype=np.float32, shape=shape)
        except (OverflowError, ValueError, OSError):
            raise UsageError(f"{shape[0]} samples are too many for a file beside {path}; ask for fewer by -n") from None
        end = 0
        for chunk in chunks:
            start, end = end, end + len(chunk)
            rows[start:end] = chunk.cpu().numpy()
        warn_of_nonfinite(rows)
        if path.suffix == ".png":
            sheet(torch.from_numpy(rows)).save(new)
        first = torch.from_numpy(np.array(rows[: drawn_count(shape[1:], SHOWN)]))
        rows.flush()
        if path.suffix == ".npz":
            with zipfile.ZipFile(new, "w") as file:
                file.write(held, "samples.npy")
    return first


def warn_of_nonfinite(rows: np.ndarray, batch: int = 1024) -> None:
    """A line on stderr about samples `(n, *shape)` that hold NaN or infinity."""
    axes = tuple(range(1, rows.ndim))
    parts = (rows[start : start + batch] for start in range(0, len(rows), batch))
    broken = sum(int((~np.isfinite(part).all(axes)).sum()) for part in parts)
    if broken:
        say(f"warning: {broken} of {len(rows)} samples hold NaN or infinity; in pictures they are red", "yellow")


def sheet(x: Tensor) -> Image.Image:
    """Samples `(n, *shape)` as one picture, as wide as it is high."""
    return grid(x, columns=int(np.ceil(np.sqrt(len(x)))))


def save(picture: Image.Image, path: Path) -> None:
    """Write a picture."""
    with replacing(path) as new:
        picture.save(new)


def preview(picture: Image.Image) -> None:
    """Show a picture in the terminal, on stderr; a line that says why, where there is none."""
    console = err()
    if not console.is_terminal:
        say("no preview: stderr is no terminal")
    elif console.color_system is None:
        say("no preview: this terminal has no colours")
    else:
        console.print(half_blocks(picture, console.width), end="")


def finish(path: Path, picture: Image.Image | None = None, as_json: bool = False) -> None:
    """Show the picture, if there is one to show, and print the file's name on stdout."""
    if picture is not None:
        preview(picture)
    print(json_line({"schema": 2, "file": str(path)}) if as_json else path)
