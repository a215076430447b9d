"""What measures require of features."""

from typing import Protocol, runtime_checkable

from torch import Tensor


@runtime_checkable
class Features(Protocol):
    """A fixed map from examples to feature vectors; built as `f(data, *, settings...)`.

    It draws nothing, keeps no graph, maps each example independently of the others, and computes on the device of its
    argument.

    Attributes:
        name: Their name in results, as in `Fréchet distance (features=NAME)`.
        d: The length of a feature vector.
        preprocessing: How an example is changed first, in words; it is stored with every result.
    """

    name: str
    d: int
    preprocessing: str

    def __call__(self, x: Tensor) -> Tensor:
        """Features `(n, d)` of examples `(n, *shape)` in [-1, 1]; the caller passes them in chunks."""


@runtime_checkable
class Classifier(Features, Protocol):
    """Features of a classifier, with the probabilities of its classes."""

    def probabilities(self, x: Tensor) -> Tensor:
        """Probabilities `(n, classes)` of examples `(n, *shape)`."""
