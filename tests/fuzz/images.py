"""Image files of every usual format, in a folder."""

import io
from functools import partial
from pathlib import Path

import torch
from PIL import Image

from ebmkit.data import Examples, folder
from ebmkit.data.single_images import load
from fuzz.kind import Kind
from fuzz.mutations import in_a_png, mutated

# Formats, the modes that each is written in, and the options of its writer.
WRITTEN: dict[str, tuple[tuple[str, ...], tuple[dict[str, object], ...]]] = {
    "png": (("1", "L", "LA", "P", "RGB", "RGBA", "I;16"), ({}, {"exif": True}, {"interlace": 1})),
    "jpeg": (("L", "RGB", "CMYK"), ({}, {"progressive": True}, {"exif": True}, {"subsampling": 0})),
    "gif": (("L", "P", "RGB"), ({}, {"save_all": True})),
    "webp": (("RGB", "RGBA"), ({}, {"lossless": True}, {"save_all": True}, {"exif": True})),
    "tiff": (
        ("1", "L", "P", "RGB", "RGBA", "CMYK", "I;16", "F"),
        tuple({"compression": name} for name in (None, "tiff_lzw", "tiff_deflate", "packbits", "group4", "jpeg")),
    ),
    "bmp": (("1", "L", "P", "RGB", "RGBA"), ({},)),
    "ppm": (("1", "L", "RGB", "I;16"), ({},)),
}


def written(form: str, mode: str, options: dict[str, object]) -> bytes | None:
    """A small picture as a file; None if the format has no such mode."""
    ramp = Image.linear_gradient("L").resize((9, 7))
    picture = Image.new("I;16", (9, 7), 300) if mode == "I;16" else ramp.convert(mode)
    exif = Image.Exif()
    exif[0x0112] = 6
    options = {**options, **({"exif": exif} if "exif" in options else {})}
    if "save_all" in options:
        options["append_images"] = [picture.rotate(90)]
    file = io.BytesIO()
    try:
        picture.save(file, form, **options)
    except (OSError, ValueError, KeyError):
        return None
    return file.getvalue()


def prepare(form: str, place: Path) -> list[bytes]:
    """Small pictures in every mode of a format."""
    (place / "pictures").mkdir()
    modes, choices = WRITTEN[form]
    found = [written(form, mode, options) for mode in modes for options in choices]
    return [content for content in found if content is not None]


def read(place: Path) -> None:
    """Open the folder, decode its picture, and fit the same file to an example."""
    data = Examples(folder(path=place / "pictures"))
    check(data.fetch(torch.tensor([0])))
    check(load((place / "pictures").iterdir(), (3, 8, 8), fit="resize").x)


def check(x: torch.Tensor) -> None:
    """What every example of an image keeps to."""
    assert x.dtype == torch.float32, x.dtype
    assert x.shape[1] in (1, 3), x.shape
    assert bool((x.abs() <= 1).all()), (x.min(), x.max())


KINDS = [
    Kind(
        name=form,
        place=f"pictures/a.{form}",
        prepare=partial(prepare, form),
        read=read,
        mutations=(mutated, in_a_png) if form == "png" else (mutated,),
        words=("train", "--data", "folder", "-s", "data.path=pictures", "-s", "train.batch_size=1", "--dry-run", "-q"),
        prints=form == "tiff",
    )
    for form in WRITTEN
]
