"""Where the result of a command goes, and how it is shown."""

from pathlib import Path

from PIL import Image

from ebmkit.cli.console import err, result, say
from ebmkit.cli.preview import half_blocks
from ebmkit.errors import UsageError
from ebmkit.files import json_line, replacing, writing
from ebmkit.runs.folder import generated


def destination(out: Path | None, place: Path, name: str, force: bool, suffixes: tuple[str, ...]) -> Path:
    """Where a result goes: `out`, or the file of this name in the folder for what is drawn from the model.

    Raises:
        UsageError: if its suffix is unknown, its folder does not exist, or it exists and `force` is not given.
    """
    if out is None:
        return writable(generated(place) / name, force, suffixes)
    if not out.parent.is_dir():
        raise UsageError(f"cannot write {out}: there is no folder {out.parent}; make it: mkdir -p {out.parent}")
    return writable(out, force, suffixes)


def writable(path: Path, force: bool, suffixes: tuple[str, ...]) -> Path:
    """A file that may be written.

    Raises:
        UsageError: if its suffix is unknown, it is a folder, or it exists and `force` is not given.
    """
    if path.suffix not in suffixes:
        raise UsageError(f"cannot write {path}: its name must end in {' or '.join(suffixes)}")
    if path.is_dir():
        raise UsageError(f"cannot write {path}: it is a folder; choose another name")
    if path.exists() and not force:
        raise UsageError(f"{path} exists; replace it by --force, or choose another name")
    return path


def save(picture: Image.Image, path: Path) -> None:
    """Write a picture."""
    with replacing(path) as new, writing(path):
        picture.save(new)


def preview(picture: Image.Image) -> None:
    """Show a picture in the terminal, on stderr; where that is not possible, print a line that says why."""
    console = err()
    if not console.is_terminal:
        say("no preview: stderr is not a terminal")
    elif console.color_system is None:
        say("no preview: this terminal has no colours")
    else:
        console.print(half_blocks(picture, console.width), end="")


def finish(path: Path, picture: Image.Image | None = None, as_json: bool = False) -> None:
    """Show the picture, if there is one, and print the name of the file on stdout."""
    if picture is not None:
        preview(picture)
    result(json_line({"schema": 2, "file": str(path)}) if as_json else str(path))
