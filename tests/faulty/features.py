"""Features with planted faults: `FAULTS` maps what is wrong to the features and the checks that must fail."""

import torch
from torch import Tensor


class Good:
    """Means of the channels, and probabilities of three classes."""

    name, preprocessing = "good", "none"

    def __init__(self, data: object) -> None:
        self.d = data.shape[0]

    def __call__(self, x: Tensor) -> Tensor:
        return x.detach().mean((2, 3))

    def probabilities(self, x: Tensor) -> Tensor:
        return torch.stack([self(x)[:, 0], 2 * self(x)[:, 0], 0 * self(x)[:, 0]], 1).softmax(1)


class Nameless(Good):
    name = ""


class Square(Good):
    def __call__(self, x: Tensor) -> Tensor:
        return x.detach().mean(3)


class Graph(Good):
    def __call__(self, x: Tensor) -> Tensor:
        return x.mean((2, 3))


class Infinite(Good):
    def __call__(self, x: Tensor) -> Tensor:
        return super().__call__(x).log()


class Centred(Good):
    def __call__(self, x: Tensor) -> Tensor:
        found = super().__call__(x)
        return found - found.mean(0)


class Random(Good):
    def __call__(self, x: Tensor) -> Tensor:
        return super().__call__(x) + torch.rand(self.d)


class Seeding(Good):
    def __init__(self, data: object) -> None:
        super().__init__(data)
        torch.manual_seed(0)


class Writing(Good):
    def __call__(self, x: Tensor) -> Tensor:
        found = super().__call__(x)
        x.data.mul_(0.5)
        return found


class Blind(Good):
    def __call__(self, x: Tensor) -> Tensor:
        return 0 * super().__call__(x)


class Logits(Good):
    def probabilities(self, x: Tensor) -> Tensor:
        return super().probabilities(x) * 2


MIXED, REPEAT = "features_do_not_mix_examples", "features_repeat"
CLASSES = "probabilities_are_probabilities"
FAULTS: dict[str, tuple[type[Good], set[str]]] = {
    "no name": (Nameless, {"features_say_what_they_are"}),
    "features that are not rows": (Square, {"features_are_rows_of_numbers", CLASSES}),
    "features that require a gradient": (Graph, {"features_are_rows_of_numbers"}),
    "a logarithm": (Infinite, {"features_are_rows_of_numbers", MIXED, REPEAT, CLASSES}),
    "centred on the batch": (Centred, {MIXED}),
    "noise added": (Random, {MIXED, REPEAT}),
    "a global seed set": (Seeding, {REPEAT}),
    "writes to the examples": (Writing, {"features_leave_examples_unchanged", MIXED, REPEAT}),
    "constant features": (Blind, {"features_distinguish_examples"}),
    "logits instead of probabilities": (Logits, {CLASSES}),
}
