"""What a network must do: map examples of one shape to those of another, each by itself."""

import torch
from torch import Generator, Tensor, nn

from ebmkit.interfaces import eval_mode
from ebmkit.runs.plain_values import read_back
from ebmkit.testing.globals import changed_by, seeded
from ebmkit.testing.kit import Subject, require


def networks_are_modules(subject: Subject) -> None:
    """It is a `torch.nn.Module` that maps inputs `(B, *inputs)` to `(B, *outputs)`."""
    network = subject.make()
    require(isinstance(network, nn.Module), f"it is a {type(network).__name__}; return a torch.nn.Module")
    found = _of(network, _inputs(subject, 5))
    due = (5, *subject.shape)
    require(tuple(found.shape) == due, f"outputs have shape {tuple(found.shape)}, not {due}: (B, *outputs)")


def networks_do_not_mix_examples(subject: Subject) -> None:
    """In evaluation mode the outputs for an example do not depend on the others of the batch."""
    network, x = subject.make(), _inputs(subject, 5)
    single = torch.cat([_of(network, x[at : at + 1]) for at in range(len(x))])
    alike = torch.allclose(single, _of(network, x), rtol=1e-4, atol=1e-5)
    require(alike, "an example has other outputs by itself than in a batch; use no statistics of the batch")


def networks_start_from_the_seed(subject: Subject) -> None:
    """Two networks built with the same global seed have the same weights; evaluation draws nothing."""
    made = []
    for _ in range(2):
        with seeded(3):
            made.append(subject.make())
    weights = [list(network.parameters()) for network in made]
    alike = all(torch.equal(one, other) for one, other in zip(*weights, strict=True))
    require(alike, "two networks with one seed have different weights; draw them from torch's global state")
    drawn = changed_by(lambda: _of(made[0], _inputs(subject, 2)))
    require(not drawn, f"evaluation changed the random state of {drawn}; draw only in training mode")


def networks_are_restored_from_their_state(subject: Subject) -> None:
    """A network with the state of another has the same outputs, and the state is tensors and plain values."""
    with seeded(1):
        one = subject.make()
    with seeded(2):
        other = subject.make()
    other.load_state_dict(read_back(one.state_dict(), "the state of the network"))
    x = _inputs(subject, 5)
    require(torch.equal(_of(one, x), _of(other, x)), "its outputs depend on more than its state; register buffers")


def networks_can_be_trained(subject: Subject) -> None:
    """The outputs have a gradient by the inputs and by every weight that is not frozen."""
    network, x = subject.make(), _inputs(subject, 5).requires_grad_()
    network(x).square().sum().backward()
    require(x.grad is not None, "the outputs do not depend on the inputs through autograd")
    for name, weight in network.named_parameters():
        require(not weight.requires_grad or weight.grad is not None, f"{name} has no gradient; use it, or freeze it")


def _inputs(subject: Subject, n: int) -> Tensor:
    return torch.rand(n, *subject.shape, generator=Generator().manual_seed(0)) * 2 - 1


def _of(network: nn.Module, x: Tensor) -> Tensor:
    with torch.no_grad(), eval_mode(network):
        found: Tensor = network(x)
    return found
