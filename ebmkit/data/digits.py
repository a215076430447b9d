"""The handwritten digits that come with scikit-learn."""

import numpy as np

from ebmkit.data.images import Channels, Fit, Images


def digits(
    *,
    size: int | None = None,
    fit: Fit = "pad",
    channels: Channels | None = None,
    classes: tuple[int, ...] | None = None,
    limit: int | None = None,
) -> Images:
    """1,797 handwritten digits of 8x8 pixels in grey, from scikit-learn; nothing is downloaded.

    The 17 brightnesses 0..16 become `x / 8 - 1`, exactly.

    Source: Alpaydin and Kaynak, "Optical Recognition of Handwritten Digits" (test part), UCI, 1998.

    Args:
        size: Side of the square images are fitted to; none keeps their size, 8.
        fit: Smaller images are centred on black (pad), or all are scaled (resize).
        channels: 3 repeats the grey channel; none keeps one.
        classes: Keep only these digits; none keeps all.
        limit: Keep at most this many, a fixed random choice; none keeps all.

    Raises:
        UsageError: if a setting is out of range, or a class does not occur.
    """
    from sklearn.datasets import load_digits

    data = load_digits()
    pixels = (data.images / 8 - 1).astype(np.float32)
    return Images(pixels, data.target, size=size, fit=fit, channels=channels, classes=classes, limit=limit)
