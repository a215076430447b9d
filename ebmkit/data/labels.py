"""The classes of examples, from labels as people store them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ebmkit.data.paths import composed
from ebmkit.errors import UsageError, listed

Labels = NDArray[Any] | Callable[[], NDArray[Any]] | None  # labels, what reads them, or none


@dataclass(frozen=True)
class Marks:
    """The labels of selected examples, read where they are needed.

    Attributes:
        labels: The labels of all examples, what reads them, or none.
        indices: Which examples were selected, `(N,)`.
        count: How many examples there are.
    """

    labels: Labels
    indices: NDArray[np.int64]
    count: int

    def read(self) -> NDArray[Any] | None:
        """The class of each selected example, `(N,)`; None if there are no labels.

        Raises:
            UsageError: for labels of another shape or type, or that cannot be read.
        """
        found = self.labels() if callable(self.labels) else self.labels
        return None if found is None else as_classes(found, self.count)[self.indices]


def as_classes(labels: NDArray[Any], count: int) -> NDArray[Any]:
    """The class of each example, `(count,)`: integers, or text with composed accents.

    Labels may be `(count,)` or a column `(count, 1)`; one-hot `(count, classes)`, each row 0 except for one 1, whose
    position is the class; floats without a fraction; or text.

    Raises:
        UsageError: for labels of another shape or type.
    """
    if labels.ndim == 2 and len(labels) == count and labels.shape[1] > 1:
        labels = _of_one_hot(labels)
    if labels.size != count or max(labels.shape, default=0) != count:
        raise UsageError(f"the labels have shape {labels.shape}: expected ({count},), one for each example")
    labels = labels.reshape(count)
    if labels.dtype.kind in "US":
        text = [label.decode("utf-8", "replace") if isinstance(label, bytes) else label for label in labels.tolist()]
        return np.array([composed(label) for label in text])
    if labels.dtype.kind == "f" and np.equal(np.floor(labels), labels).all() and np.isfinite(labels).all():
        return labels.astype(np.int64)
    if labels.dtype.kind not in "iub":
        raise UsageError(f"the labels are of type {labels.dtype}: expected integers or text, one for each example")
    return labels.astype(np.int64)


def among(labels: NDArray[Any], classes: tuple[int, ...] | tuple[str, ...]) -> NDArray[np.int64]:
    """The indices, in order, of the labels that are one of `classes`.

    Raises:
        UsageError: if a class does not occur, with those that do.
    """
    wanted = [composed(str(name)) for name in classes] if labels.dtype.kind == "U" else list(classes)
    known = np.unique(labels).tolist()
    unknown = [name for name in wanted if name not in known]
    if unknown or not wanted:
        raise UsageError(f"classes asks for {listed(unknown) or 'nothing'}; the data have {listed(known)}")
    return np.flatnonzero(np.isin(labels, np.array(wanted)))


def _of_one_hot(labels: NDArray[Any]) -> NDArray[np.int64]:
    """The classes of one-hot labels `(N, classes)`."""
    if labels.dtype.kind not in "iubf" or not (((labels == 0) | (labels == 1)).all() and (labels.sum(1) == 1).all()):
        raise UsageError(
            f"the labels have shape {labels.shape} and are not one-hot: expected ({len(labels)},), one for each example"
        )
    found: NDArray[np.int64] = labels.argmax(1)
    return found
