"""Features of points in the plane."""

import torch
from torch import Tensor

from ebmkit import UsageError
from ebmkit.data import Examples


class Polar:
    """Distance from the origin, and direction as cosine and sine, which describe rings and arms.

    Raises:
        UsageError: if the examples are not points in the plane.
    """

    name, d, preprocessing = "polar", 3, "distance and direction from the origin"

    def __init__(self, data: Examples) -> None:
        if tuple(data.shape) != (2,):
            raise UsageError(f"polar is for points in the plane, not for examples of shape {tuple(data.shape)}")

    def __call__(self, x: Tensor) -> Tensor:
        """Features `(n, 3)` of points `(n, 2)`; the origin has the direction 0."""
        x = x.detach().float()
        distance = x.norm(dim=1, keepdim=True)
        return torch.cat([distance, x / distance.clamp(min=torch.finfo(x.dtype).tiny)], dim=1)
