"""Networks with planted faults: `FAULTS` maps what is wrong to the network and the checks that must fail."""

import torch
from torch import Tensor, nn


class Good(nn.Module):
    """A linear map between points, in methods that a fault overrides."""

    def __init__(self, inputs: tuple[int, ...], outputs: tuple[int, ...]) -> None:
        super().__init__()
        self.layer = nn.Linear(inputs[0], outputs[0])

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)


class Flat(Good):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).sum(1)


class Centred(Good):
    def forward(self, x: Tensor) -> Tensor:
        found = super().forward(x)
        return found - found.mean(0)


class Noisy(Good):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + torch.rand(1)


class Unsaved(Good):
    def __init__(self, inputs: tuple[int, ...], outputs: tuple[int, ...]) -> None:
        super().__init__(inputs, outputs)
        self.scale = float(torch.rand(1))

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * super().forward(x)


class Unused(Good):
    def __init__(self, inputs: tuple[int, ...], outputs: tuple[int, ...]) -> None:
        super().__init__(inputs, outputs)
        self.other = nn.Linear(1, 1)


MIXED, SEED, RESTORED = (
    "networks_do_not_mix_examples",
    "networks_start_from_the_seed",
    "networks_are_restored_from_their_state",
)
FAULTS: dict[str, tuple[type[Good], set[str]]] = {
    "outputs of another shape": (Flat, {"networks_are_modules"}),
    "centred on the batch": (Centred, {MIXED}),
    "noise in evaluation mode": (Noisy, {MIXED, SEED, RESTORED}),
    "a number that is not saved": (Unsaved, {RESTORED}),
    "a layer that is not used": (Unused, {"networks_can_be_trained"}),
}
