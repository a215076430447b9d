"""Parity: whether contenders end where the plain loop ends. A contender that does not is named, and not timed."""

import copy
import math
import warnings
from collections.abc import Sequence
from typing import Any

import torch
from contenders import Contender, Run
from torch import Generator, Tensor, nn

from ebmkit.errors import Notice

# Distance from the end of the plain loop, relative to the length of its path. fp32 has 24 bits, tf32 11, bf16 8.
BOUNDS = {"fp32": 1e-4, "tf32": 1e-2, "bf16": 3e-2}


def seeded(run: Run, x: Tensor, steps: int, *, seed: int = 0) -> Tensor:
    """The result of `run` with both generators seeded, the one passed to it and the global one."""
    torch.manual_seed(seed)
    return run(x, steps, Generator(x.device).manual_seed(seed))


def with_slope(energy: nn.Module, x: Tensor, *, slope: float = 0.1) -> nn.Module:
    """`energy` with its last layer scaled so that the elements of dE/dx at `x` have root mean square `slope`.

    The gradients of new networks are small compared with the noise, and a wrong drift would not be noticed.
    """
    leaf = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(energy(leaf).sum(), leaf)
    *_, last = (module for module in energy.modules() if isinstance(module, nn.Linear | nn.Conv2d))
    with torch.no_grad():
        last.weight.mul_(slope / gradient.square().mean().sqrt())
    return energy


def distance(one: Contender, reference: Contender, energy: nn.Module, rule: Any, x: Tensor, steps: int) -> float:
    """Distance between the ends of `one` and `reference`, relative to the distance that `reference` covers.

    That distance starts from `x`, or, where the weights after an update are compared, from the weights of `energy`.
    Each gets its own copy of the network, because updates change it.
    """
    ends = [seeded(each.make(copy.deepcopy(energy), rule), x, steps) for each in (one, reference)]
    origin = x if ends[1].shape == x.shape else nn.utils.parameters_to_vector(energy.parameters()).detach()
    return float((ends[0] - ends[1]).norm() / (ends[1] - origin).norm())


def check_parity(
    contenders: Sequence[Contender], energy: nn.Module, rules: Sequence[Any], x: Tensor, steps: int
) -> tuple[dict[str, float], dict[str, str]]:
    """The largest distance of each contender from the first over all `rules`, and who is refused, with the reason."""
    distances, refused = {}, {}
    for one in contenders:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", Notice)
                found = [distance(one, contenders[0], energy, rule, x, steps) for rule in rules]
        except Notice as notice:  # it falls back to another way, so its row would have the wrong name
            refused[one.name] = str(notice)
            continue
        distances[one.name] = max(found) if all(map(math.isfinite, found)) else math.inf
        if distances[one.name] > BOUNDS[one.precision]:
            bound = BOUNDS[one.precision]
            refused[one.name] = (
                f"its end is {distances[one.name]:.1e} of the path away from that of the plain loop, above {bound:.0e}"
            )
    return distances, refused
