"""Whether contenders end where the plain loop ends: who does not is named, and not timed."""

import copy
import math
import warnings
from collections.abc import Sequence
from typing import Any

import torch
from contenders import Contender, Run
from torch import Generator, Tensor, nn

from ebmkit.errors import Notice

# Distance from the plain loop's end, as a share of its way. fp32 keeps 24 bits, tf32 11, bf16 8.
BOUNDS = {"fp32": 1e-4, "tf32": 1e-2, "bf16": 3e-2}


def sown(run: Run, x: Tensor, steps: int, *, seed: int = 0) -> Tensor:
    """`run`, with the same draws for everybody, whichever of the two generators it draws from."""
    torch.manual_seed(seed)
    return run(x, steps, Generator(x.device).manual_seed(seed))


def steep(energy: nn.Module, x: Tensor, *, slope: float = 0.1) -> nn.Module:
    """`energy` with a last layer so scaled that an element of dE/dx at `x` is of size `slope`.

    The gradients of fresh networks are small against the noise: a wrong drift would go unseen.
    """
    leaf = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(energy(leaf).sum(), leaf)
    *_, last = (module for module in energy.modules() if isinstance(module, nn.Linear | nn.Conv2d))
    with torch.no_grad():
        last.weight.mul_(slope / gradient.square().mean().sqrt())
    return energy


def distance(one: Contender, reference: Contender, energy: nn.Module, rule: Any, x: Tensor, steps: int) -> float:
    """How far `one` ends from `reference`, as a share of the way that `reference` goes.

    The way is that from `x`, or, where an update's weights are compared, that from the weights of `energy`. Each has a
    copy of the network to itself, as updates change it.
    """
    ends = [sown(each.make(copy.deepcopy(energy), rule), x, steps) for each in (one, reference)]
    origin = x if ends[1].shape == x.shape else nn.utils.parameters_to_vector(energy.parameters()).detach()
    return float((ends[0] - ends[1]).norm() / (ends[1] - origin).norm())


def agreeing(
    contenders: Sequence[Contender], energy: nn.Module, rules: Sequence[Any], x: Tensor, steps: int
) -> tuple[dict[str, float], dict[str, str]]:
    """How far everybody ends from the first of them, at most by any of `rules`; and who is refused, with a line why."""
    distances, refused = {}, {}
    for one in contenders:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", Notice)
                found = [distance(one, contenders[0], energy, rule, x, steps) for rule in rules]
        except Notice as notice:  # a row of the table would bear a name that it does not deserve
            refused[one.name] = str(notice)
            continue
        distances[one.name] = max(found) if all(map(math.isfinite, found)) else math.inf
        if distances[one.name] > BOUNDS[one.precision]:
            bound = BOUNDS[one.precision]
            refused[one.name] = (
                f"ends {distances[one.name]:.1e} of the way from the plain loop's end, above {bound:.0e}"
            )
    return distances, refused
