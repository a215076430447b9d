"""Data sets, and the examples and batches that the rest of the library sees of them."""

from typing import TYPE_CHECKING

from ebmkit._lazy import exports

if TYPE_CHECKING:
    from ebmkit.data.array_files import arrays
    from ebmkit.data.drawings import shapes
    from ebmkit.data.encoded import ImageFiles
    from ebmkit.data.examples import Examples, batches
    from ebmkit.data.handwritten import digits
    from ebmkit.data.hugging_face import hub
    from ebmkit.data.idx_files import idx
    from ebmkit.data.image_folder import folder
    from ebmkit.data.images import Images
    from ebmkit.data.toys import gaussians, moons, rings

__all__ = [
    "Examples",
    "ImageFiles",
    "Images",
    "arrays",
    "batches",
    "digits",
    "folder",
    "gaussians",
    "hub",
    "idx",
    "moons",
    "rings",
    "shapes",
]

__getattr__, __dir__ = exports(
    __name__,
    {
        "Examples": "examples",
        "ImageFiles": "encoded",
        "Images": "images",
        "arrays": "array_files",
        "batches": "examples",
        "digits": "handwritten",
        "folder": "image_folder",
        "gaussians": "toys",
        "hub": "hugging_face",
        "idx": "idx_files",
        "moons": "toys",
        "rings": "toys",
        "shapes": "drawings",
    },
)
