"""Data sets, and the examples and batches that the rest of the library sees of them.

Unlike other packages this one imports its names at once: six of its functions have the names of their modules.
Importing a module sets the attribute of its package, but only the first time, which is here, before the function
replaces it.
"""

from ebmkit.data.arrays import arrays
from ebmkit.data.digits import digits
from ebmkit.data.encoded import ImageFiles
from ebmkit.data.examples import Examples, batches
from ebmkit.data.folder import folder
from ebmkit.data.hub import hub
from ebmkit.data.idx import idx
from ebmkit.data.images import Images
from ebmkit.data.shapes import shapes
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
