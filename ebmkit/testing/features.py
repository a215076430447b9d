"""What features must do: the maps by which samples and examples are compared."""

import torch
from torch import Generator, Tensor

from ebmkit.testing.globals import changed_by, seeded
from ebmkit.testing.kit import NotPromised, Subject, require


def features_say_what_they_are(subject: Subject) -> None:
    """They have a `name`, a number `d` of columns, and `preprocessing` in words, which every report prints."""
    made = subject.make()
    for name, kind in {"name": str, "d": int, "preprocessing": str}.items():
        value = getattr(made, name, None)
        require(isinstance(value, kind) and bool(value), f"{name} is {value!r}: set it to a non-empty {kind.__name__}")


def features_are_rows_of_numbers(subject: Subject) -> None:
    """Examples `(n, *shape)` give finite features `(n, d)` without a graph, for n = 1 and for more."""
    made = subject.make()
    for n in (1, 5):
        found = made(_examples(subject, n).requires_grad_())
        require(tuple(found.shape) == (n, made.d), f"{n} examples gave {tuple(found.shape)}, not ({n}, {made.d})")
        require(bool(found.isfinite().all()), "features are not finite on uniform noise in [-1, 1]")
        require(not found.requires_grad, "features require a gradient: compute them under torch.no_grad()")


def features_do_not_mix_examples(subject: Subject) -> None:
    """The features of an example do not depend on the rest of the batch: networks are in evaluation mode."""
    made, x = subject.make(), _examples(subject, 5)
    single = torch.cat([made(x[at : at + 1]) for at in range(len(x))])
    require(
        torch.allclose(single, made(x), rtol=1e-4, atol=1e-5),
        "an example has other features by itself than in a batch: call .eval(), and use no statistics of the batch",
    )


def features_repeat(subject: Subject) -> None:
    """Two copies, called twice each, agree, whatever the global seeds are; nothing is drawn from those."""
    x, found = _examples(subject, 5), []
    for seed in (1, 2):
        with seeded(seed):
            made = subject.make()
            found += [made(x), made(x)]
    same = all(torch.equal(found[0], other) for other in found[1:])
    require(same, "features differ between two calls or two copies: draw weights from a fixed seed, and nothing later")
    drawn = changed_by(lambda: subject.make()(x))
    require(not drawn, f"features changed the random state of {drawn}: use torch.random.fork_rng and generators")


def features_leave_examples_unchanged(subject: Subject) -> None:
    """Features do not write to the examples."""
    made, x = subject.make(), _examples(subject, 5)
    given = x.clone()
    made(x)
    require(torch.equal(x, given), "the examples were written to: make new tensors")


def features_distinguish_examples(subject: Subject) -> None:
    """Two different examples have different features."""
    found = subject.make()(_examples(subject, 5))
    require(not torch.equal(found[0], found[1]), "two different examples have the same features")


def probabilities_are_probabilities(subject: Subject) -> None:
    """`probabilities(x)`, where the method exists, returns `(n, classes)`: values of at least 0 that sum to 1."""
    made = subject.make()
    if not hasattr(made, "probabilities"):
        raise NotPromised("a method probabilities(x), for classifiers")
    found = made.probabilities(_examples(subject, 5))
    require(found.ndim == 2 and len(found) == 5, f"5 examples gave {tuple(found.shape)}: return (n, classes)")
    right = bool((found >= 0).all()) and torch.allclose(found.sum(1), torch.ones(5, device=found.device), atol=1e-4)
    require(right, "the probabilities are below 0 or do not sum to 1: apply a softmax")


def _examples(subject: Subject, n: int) -> Tensor:
    return torch.rand(n, *subject.shape, generator=Generator().manual_seed(0)) * 2 - 1
