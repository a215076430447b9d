"""The values of the example in an item of a data set of any kind."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ebmkit.errors import UsageError

# The names of the example in an item that is a mapping, in order of preference.
KEYS = ("image", "img", "pixel_values", "x")

# PIL modes whose values are not brightnesses, and the mode that they are converted to.
PIL_MODES = {"1": "L", "LA": "RGBA", "PA": "RGBA", **dict.fromkeys(("P", "CMYK", "YCbCr", "HSV", "LAB"), "RGB")}


def is_uniform(items: Any) -> bool:
    """Whether all items are tensors of one kind, so that they can be stacked."""
    if not all(type(item) is Tensor for item in items):
        return False
    return len({(item.shape, item.dtype, item.device) for item in items}) == 1 and items[0].ndim > 0


def values_of(item: Any) -> Tensor | NDArray[Any]:
    """The values of the example in an item of a data set."""
    if isinstance(item, Mapping):
        named = [item[key] for key in KEYS if key in item]
        arrays = named[:1] or [value for value in item.values() if _is_array(value)]
        if len(arrays) == 1:
            return values_of(arrays[0])
        keys = ", ".join(map(str, item))
        raise UsageError(f"items have the keys {keys}: expected one of {', '.join(KEYS)}, or only one array")
    if isinstance(item, (tuple, list)) and item:
        return values_of(item[0])
    if not _is_array(item):
        raise UsageError(f"an item is a {type(item).__name__}: expected an array, tensor or image, or a tuple of one")
    if _is_pil(item) and item.mode in PIL_MODES:
        item = item.convert(PIL_MODES[item.mode])
    return item if isinstance(item, Tensor) else np.asarray(item)


def _is_pil(value: Any) -> bool:
    """Whether this is a PIL image, without importing PIL."""
    return hasattr(value, "mode") and hasattr(value, "convert")


def _is_array(value: Any) -> bool:
    """Whether this can be an example: an image, or an array with at least one axis, unlike a label."""
    return _is_pil(value) or (hasattr(value, "__array__") and getattr(value, "ndim", 1) > 0)
