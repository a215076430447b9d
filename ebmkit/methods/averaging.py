"""A moving average of the weights of an energy."""

import torch
from torch import nn
from torch.nn.utils.parametrize import ParametrizationList
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from ebmkit.errors import check
from ebmkit.modes import duplicated


class Average(AveragedModel):
    """A copy of `energy` with averaged weights: `average' = decay * average + (1 - decay) * weights`.

    Buffers are those of the energy itself, except the singular vectors of a spectral norm: they are the average's own,
    refined by one power iteration at each update.

    Raises:
        UsageError: unless 0 < decay < 1.
    """

    def __init__(self, energy: nn.Module, decay: float) -> None:
        check("average", decay, above=0, below=1)
        # AveragedModel copies what it is given once more, and would fail at tensors that have a graph.
        super().__init__(duplicated(energy), multi_avg_fn=get_ema_multi_avg_fn(decay))  # type: ignore[no-untyped-call]

    @torch.no_grad()
    def update_parameters(self, model: nn.Module) -> None:
        """Average the weights of `model` in."""
        computed = [module for module in self.module.modules() if isinstance(module, ParametrizationList)]
        own = [(buffer, buffer.clone()) for weights in computed for buffer in weights.buffers()]
        super().update_parameters(model)
        for buffer, value in own:
            buffer.copy_(value)
        for weights in computed:
            modes = [part.training for part in weights.modules()]
            weights.train()()  # it iterates in training mode only
            for part, mode in zip(weights.modules(), modes, strict=True):
                part.training = mode
