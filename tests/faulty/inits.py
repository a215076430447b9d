"""Init distributions with planted faults: `FAULTS` maps what is wrong to the init and the checks that must fail."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor

from ebmkit.interfaces import InitDistribution


class Good(InitDistribution):
    """An init that meets every requirement: chains start near where the last ones ended."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape
        self.ends = torch.zeros(1, *shape)

    def sample(self, n: int, rng: Generator) -> Tensor:
        return self.ends.mean(0) + torch.randn(n, *self.shape, generator=rng)

    def remember(self, x: Tensor) -> None:
        self.ends = x.detach().clone()

    def state_dict(self) -> dict[str, Tensor]:
        return {"ends": self.ends}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        self.ends = state["ends"].clone()


class NoInit:
    """Has all methods, but does not derive from InitDistribution."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.good = Good(shape)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.good, name)


class Flat(Good):
    def sample(self, n: int, rng: Generator) -> Tensor:
        return super().sample(n, rng).flatten(1)

    def remember(self, x: Tensor) -> None:
        super().remember(x.unflatten(1, self.shape))


class OneLess(Good):
    def sample(self, n: int, rng: Generator) -> Tensor:
        return super().sample(max(1, n - 1), rng)


class Double(Good):
    def sample(self, n: int, rng: Generator) -> Tensor:
        return super().sample(n, rng).double()


class Dividing(Good):
    def sample(self, n: int, rng: Generator) -> Tensor:
        x = super().sample(n, rng)
        return x / (x.abs() > 0.05)

    def remember(self, x: Tensor) -> None:
        pass


class Global(Good):
    def sample(self, n: int, rng: Generator) -> Tensor:
        return self.ends.mean(0) + torch.randn(n, *self.shape)


class Jumping(Good):
    """Also draws from numpy, without using the values."""

    def sample(self, n: int, rng: Generator) -> Tensor:
        np.random.rand()  # noqa: NPY002
        return super().sample(n, rng)


class Unmoved(Good):
    def sample(self, n: int, rng: Generator) -> Tensor:
        return super().sample(n, Generator().manual_seed(0))


class Same(Good):
    def sample(self, n: int, rng: Generator) -> Tensor:
        return super().sample(1, rng).repeat(n, *[1] * len(self.shape))


class Expanded(Good):
    def sample(self, n: int, rng: Generator) -> Tensor:
        return super().sample(1, rng).expand(n, *self.shape)


class Graph(Good):
    def sample(self, n: int, rng: Generator) -> Tensor:
        return super().sample(n, rng).requires_grad_() * 1


class View(Good):
    """Returns a view of what it stores."""

    def sample(self, n: int, rng: Generator) -> Tensor:
        if len(self.ends) == 1:
            self.ends = super().sample(20, rng)
        start = int(torch.randint(len(self.ends) - n + 1, (), generator=rng))
        return self.ends[start : start + n]

    def remember(self, x: Tensor) -> None:
        self.ends = torch.cat([self.ends, x.detach().clone()])


class NoCopy(Good):
    def remember(self, x: Tensor) -> None:
        self.ends = x.detach()


class KeptGraph(Good):
    def remember(self, x: Tensor) -> None:
        self.ends = x.clone()


class Overflowing(Good):
    def remember(self, x: Tensor) -> None:
        self.ends = x.detach().exp()


class Numbers(Good):
    def state_dict(self) -> dict[str, Any]:
        return {"ends": self.ends, "count": 3}


class Forgetful(Good):
    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        pass


class Partial(Good):
    """Stores a mean that is not in its state."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__(shape)
        self.mean = torch.zeros(shape)

    def sample(self, n: int, rng: Generator) -> Tensor:
        return super().sample(n, rng) + self.mean

    def remember(self, x: Tensor) -> None:
        super().remember(x)
        self.mean = 0.9 * self.mean + 0.1 * x.detach().mean(0)


FAULTS: dict[str, tuple[Any, set[str]]] = {
    "not an InitDistribution": (NoInit, {"inits_are_init_distributions"}),
    "flattened": (Flat, {"draws_have_the_number_and_shape_asked_for", "ends_of_any_chain_can_be_remembered"}),
    "one start missing": (
        OneLess,
        {"draws_have_the_number_and_shape_asked_for", "ends_of_any_chain_can_be_remembered"},
    ),
    "double precision": (Double, {"draws_are_in_single_precision"}),
    "a division by zero": (Dividing, {"draws_are_finite", "ends_of_any_chain_can_be_remembered"}),
    "the global generator": (
        Global,
        {
            "draws_repeat_with_their_seed",
            "draws_differ_with_another_seed",
            "draws_leave_global_randomness_unchanged",
        },
    ),
    "draws from numpy": (Jumping, {"draws_leave_global_randomness_unchanged"}),
    "a fixed seed": (Unmoved, {"draws_differ_with_another_seed"}),
    "the same start for all": (Same, {"draws_are_different_examples"}),
    "one start, expanded": (Expanded, {"draws_are_different_examples", "draws_are_fresh_tensors"}),
    "a graph": (Graph, {"draws_are_free_of_graphs", "ends_of_any_chain_can_be_remembered"}),
    "a view of what is stored": (View, {"draws_are_fresh_tensors"}),
    "ends not copied": (NoCopy, {"ends_are_remembered_as_copies"}),
    "graphs stored": (KeptGraph, {"ends_of_any_chain_can_be_remembered"}),
    "ends that overflow": (Overflowing, {"ends_of_any_chain_can_be_remembered"}),
    "a number in the state": (Numbers, {"states_are_tensors"}),
    "a state not loaded": (Forgetful, {"states_can_be_restored"}),
    "an incomplete state": (Partial, {"states_can_be_restored"}),
}
