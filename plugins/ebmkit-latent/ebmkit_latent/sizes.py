"""How often the side of an image can be halved."""

from ebmkit import UsageError

SMALLEST, LARGEST = 4, 7  # sides of the smallest maps


def square(shape: tuple[int, ...]) -> bool:
    """Whether examples of this shape are square images, `(channels, side, side)`."""
    return len(shape) == 3 and shape[1] == shape[2]


def halvings(name: str, shape: tuple[int, ...]) -> int:
    """How often the side of square images is halved until it is 4 to 7 pixels.

    Args:
        name: The network, for the error.
        shape: `(channels, side, side)`.

    Raises:
        UsageError: unless the images are square, and a side of 4 to 7 pixels is reached.
    """
    side, times = shape[-1] if square(shape) else 0, 0
    while side > LARGEST and side % 2 == 0:
        side, times = side // 2, times + 1
    if not SMALLEST <= side <= LARGEST or not times:
        raise UsageError(
            f"{name} is for square images whose side is 4 to 7 pixels, doubled a few times, like 8, 28, 32 or 64, not "
            f"for examples of shape {tuple(shape)}; write use=dense, or fit the data: -s data.size=32"
        )
    return times
