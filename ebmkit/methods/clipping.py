"""A bound on the norm of the parameter gradient that follows the norms of the run itself."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ebmkit.errors import check

WINDOW = 100  # norms that the median is taken over
KNOWN = 10  # norms without which there is no bound yet


class RunningBound:
    """Scales down every gradient whose norm is far above those of the updates before it.

    The bound of an update is `factor` times the median of the norms of the last 100 updates; the first 10 updates have
    none. A norm above its bound is stored as the bound. So one outlier hardly moves the bound, however large it is, and
    norms that grow without end raise it by about `factor` in 50 updates; with a factor of 1 or less it hardly rises. It
    is computed on the device of the gradients, which is not waited for.

    Source: the idea of AutoClip (Seetharaman, Wichern, Pardo, Le Roux, MLSP 2020), which clips at a percentile of all
    norms of the run. The median of recent bounded norms is ours.

    Args:
        factor: Of the median.
        device: Of the gradients.

    Raises:
        UsageError: if the factor is not above 0.
    """

    def __init__(self, factor: float, device: torch.device) -> None:
        check("clip_factor", factor, above=0)
        self.factor = factor
        self.norms = torch.empty(0, device=device)  # the last first

    @property
    def bound(self) -> Tensor:
        """The bound of the next update, a scalar; infinite where there is none yet."""
        if len(self.norms) < KNOWN:
            return self.norms.new_tensor(torch.inf)
        bound = self.factor * self.norms.median()
        # A median of 0 would scale every later gradient to nothing.
        return torch.where(bound > 0, bound, torch.inf)

    def scale(self, gradients: Sequence[Tensor], norm: Tensor) -> Tensor:
        """Scale gradients of this total norm to the bound, in place, and store the norm.

        Returns:
            The factor in (0, 1] that they were scaled by, a scalar.
        """
        bound, norm = self.bound, norm.detach()
        scale = torch.where(norm > bound, bound / norm, torch.ones_like(norm))
        for gradient in gradients:
            gradient.mul_(scale)
        self.norms = torch.cat([torch.minimum(norm, bound)[None].to(self.norms), self.norms])[:WINDOW]
        return scale
