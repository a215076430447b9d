"""The examples themselves as features."""

import math

from torch import Tensor
from torch.nn import functional

from ebmkit.data.examples import Examples
from ebmkit.errors import UsageError, check


class Pixels:
    """The values of an example, or means over squares of the pixels of an image.

    Args:
        data: The examples.
        size: Side of the square that images are averaged down to; none keeps every pixel.

    Raises:
        UsageError: if size is larger than the images, or examples are not images.
    """

    def __init__(self, data: Examples, *, size: int | None = None) -> None:
        shape = data.shape
        if size is not None:
            if len(shape) != 3:
                raise UsageError(f"size is {size}, but examples of shape {shape} are not images: leave out size")
            check("size", size, at_least=1, at_most=min(shape[1:]))
            shape = (shape[0], size, size)
        self.size, self.d = size, math.prod(shape)
        self.name = "pixels" if size is None else f"pixels {size}x{size}"
        self.preprocessing = "none" if size is None else f"averaged to {size}x{size}"

    def __call__(self, x: Tensor) -> Tensor:
        """Examples `(n, *shape)` flattened, `(n, d)`."""
        if self.size is not None:
            x = functional.adaptive_avg_pool2d(x, self.size)
        return x.detach().flatten(1).float()
