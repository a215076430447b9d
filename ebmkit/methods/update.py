"""What one update of the weights gives: its values, for watchers and for the loop."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Update:
    """The values of one update of the weights; tensors stay on their device, so that training need not wait for them.

    Of several processes, each has its part of the batch; scalars are means over all of them, the same bits in each.

    Attributes:
        index: The number of this update, from 1.
        loss: The loss that was minimised, a scalar; its value does not measure progress.
        real_energy: E of the batch before the update, `(B,)`; None if the method compares no energies.
        fake_energy: E of the ends of the chains before the update, `(B,)`; None if the method compares no energies.
        fake: Where the chains ended, as examples `(B, *shape)`; None if the method runs no chains.
        gradient_norm: Norm of the gradient of the loss by all parameters, before clipping.
        chain: The scalars that `follow` measured along the chains.
        gradient_scale: The factor that clipping scaled the gradient by; only where the bound is not a setting.
        means: Mean `real_energy` and `fake_energy` over all processes; None computes them from those of this one.
        terms: Further scalars of the method by name, like the parts of its loss.
    """

    index: int
    loss: Tensor
    real_energy: Tensor | None = None
    fake_energy: Tensor | None = None
    fake: Tensor | None = None
    gradient_norm: Tensor | None = None
    chain: Mapping[str, Tensor] = field(default_factory=dict)
    gradient_scale: Tensor | None = None
    means: tuple[Tensor, Tensor] | None = None
    terms: Mapping[str, Tensor] = field(default_factory=dict)

    @cached_property
    def scalars(self) -> dict[str, float]:
        """The scalars of this update by name, read from the device once, at the first access.

        `gap` is mean E(batch) - mean E(fake); all others are named as in this class, in `follow` and in `terms`. What
        the method does not have is absent.
        """
        scalars = {"loss": self.loss}
        if self.real_energy is not None and self.fake_energy is not None:
            real, fake = self.means or (self.real_energy.mean(), self.fake_energy.mean())
            scalars |= {"gap": real - fake, "real_energy": real, "fake_energy": fake}
        if self.gradient_norm is not None:
            scalars["gradient_norm"] = self.gradient_norm
        scalars |= self.chain
        if self.gradient_scale is not None:
            scalars["gradient_scale"] = self.gradient_scale
        scalars |= self.terms
        values = torch.stack([value.float() for value in scalars.values()]).tolist()
        return dict(zip(scalars, values, strict=True))
