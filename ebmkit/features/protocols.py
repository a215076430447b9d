"""What measures ask of features, and nothing more."""

from typing import Protocol, runtime_checkable

from torch import Tensor


@runtime_checkable
class Features(Protocol):
    """A fixed map from examples to rows of numbers; built as `f(data, *, settings...)`.

    It draws nothing, keeps no graph, treats each example on its own, and works on the device of its argument.

    Attributes:
        name: What stands in `Fréchet distance (features=NAME)`.
        d: How many numbers a row has.
        preprocessing: What is done to an example first, in words: it is stored beside every figure.
    """

    name: str
    d: int
    preprocessing: str

    def __call__(self, x: Tensor) -> Tensor:
        """Features `(n, d)` of examples `(n, *shape)` in [-1, 1]; the caller gives them in chunks."""


@runtime_checkable
class Classifier(Features, Protocol):
    """Features that also have an opinion of what they see."""

    def probabilities(self, x: Tensor) -> Tensor:
        """Probabilities `(n, classes)` of examples `(n, *shape)`."""
