"""What an update is given besides the examples of its batch: the facts that the method asks for by name."""

import inspect

import torch
from torch import Tensor

from ebmkit.data.examples import Examples
from ebmkit.errors import UsageError
from ebmkit.methods.method import Method

KNOWN = ("labels", "indices")


def asked(method: Method) -> tuple[str, ...]:
    """The facts about a batch that the update of a method asks for.

    Raises:
        UsageError: if there is no such fact.
    """
    _, *others = inspect.signature(method.update).parameters
    for name in others:
        if name not in KNOWN:
            raise UsageError(
                f"the update of {type(method).__name__} asks for '{name}', which is no fact about a batch; "
                f"the facts are {', '.join(KNOWN)}"
            )
    return tuple(others)


def check_labels(method: Method, examples: Examples) -> None:
    """Refuse labels of more classes than a method is for: all at once, so that no update waits for its own.

    Raises:
        UsageError: naming the setting; or if labels are asked for, and the data have none.
    """
    if method.classes is None or "labels" not in asked(method):
        return
    most = int(examples.labels.max()) + 1
    if most > method.classes:
        raise UsageError(f"the data have at least {most} classes, but method.classes={method.classes}: raise it")


def facts_of(names: tuple[str, ...], examples: Examples, indices: Tensor, device: torch.device) -> dict[str, Tensor]:
    """The facts of these names about the examples at `indices` `(B,)`, each `(B,)` on the device.

    Raises:
        UsageError: if labels are asked for, and the data have none.
    """
    found = {"indices": indices} if "indices" in names else {}
    if "labels" in names:
        found["labels"] = examples.labels[indices]
    return {name: value.to(device) for name, value in found.items()}
