"""The numbers that chains pass through a network in."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, get_args

import torch

Precision = Literal["fp32", "bf16", "tf32"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)


def supported(device: torch.device) -> tuple[Precision, ...]:
    """The precisions that a device has units for; fp32, which leaves the numbers as they are, comes first."""
    if device.type == "cuda":
        # Both came with compute capability 8.0.
        return PRECISIONS if torch.cuda.get_device_capability(device) >= (8, 0) else ("fp32",)
    return ("fp32", "bf16") if device.type == "cpu" and onednn(torch.bfloat16) else ("fp32",)


def onednn(dtype: torch.dtype) -> bool:
    """Whether oneDNN computes with such numbers on this CPU, which then has units for them."""
    backends: Any = torch.backends
    if not backends.mkldnn.is_available():
        return False
    return dtype == torch.float32 or (dtype == torch.bfloat16 and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported()))


@contextmanager
def arithmetic(precision: str, device: torch.device) -> Iterator[None]:
    """Have fp32 products on a GPU computed as IEEE 754 says or, for tf32, rounded to 10 bits; then as it was before.

    torch rounds those in convolutions by default. Nothing changes on other devices.
    """
    if device.type != "cuda":
        yield
        return
    backends: Any = torch.backends
    places = (backends.cuda.matmul, backends.cudnn.conv)
    before = [place.fp32_precision for place in places]
    try:
        for place in places:
            place.fp32_precision = "tf32" if precision == "tf32" else "ieee"
        yield
    finally:
        for place, kept in zip(places, before, strict=True):
            place.fp32_precision = kept
